// Checks UnigramFamily against its definition: all short texts, encoded by a naive forward pass.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "families/unigram_family.h"
#include "support/error.h"
#include "unigram_definition.h"

namespace {

using nextbyte::ContextState;
using nextbyte::kNoRank;
using nextbyte::kNoToken;
using nextbyte::Rank;
using nextbyte::TokenId;
using nextbyte::UnigramFamily;
using nextbyte::UnigramPiece;
using nextbyte::UnigramSums;
using nextbyte::Vocabulary;
using namespace unigram_definition;

[[noreturn]] void fail(const std::string& message) {
  std::string shown;  // bytes that are not printable, in hexadecimal
  for (const char c : message) {
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02X", static_cast<unsigned char>(c));
    shown += c >= ' ' && c <= '~' ? std::string(1, c) : escaped;
  }
  std::fprintf(stderr, "unigram_check: %s\n", shown.c_str());
  std::exit(1);
}

Case random_case(std::mt19937& random) {
  const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
  Case c;
  c.sums = static_cast<UnigramSums>(random() % 3);
  const bool single = c.sums != UnigramSums::kDouble;
  c.bytes = chance(60);
  c.split = chance(25);
  c.single_blanks = chance(30);
  c.lead = chance(40);
  c.no_blank_first = chance(20);
  c.letters = {"a", chance(50) ? "b" : "\xC3\xA9", chance(50) ? " " : "\xE2\x82\xAC"};
  if (c.lead || c.split || c.single_blanks || c.no_blank_first) c.letters[2] = " ";
  const auto letter = [&] { return c.letters[random() % c.letters.size()]; };
  static const double kScores[] = {-1, -2, -3, -1.5, -0.1, -0.2, -0.3, -1e-8, 0, -2.7, -5e-9, -4.1};
  const std::size_t size = 3 + random() % 10;
  for (std::size_t i = 0; i < size; ++i) {
    std::string piece;
    const std::size_t length = i < 2 ? 1 : 1 + random() % 3;
    for (std::size_t k = 0; k < length; ++k) piece += letter();
    const double score = kScores[random() % 12];
    const bool rival = i > 2 && chance(8);
    c.pieces[piece] = {piece,
                       single ? static_cast<double>(static_cast<float>(score)) : score,
                       rival ? kNoToken : static_cast<TokenId>(i)};
  }
  if (c.single_blanks) {
    c.pieces[" "] = {" ", -2, 50};
    std::erase_if(c.pieces, [](const auto& entry) {
      return entry.first.size() > 1 && entry.first.back() == ' ';
    });
  }
  c.unknown = single ? static_cast<double>(static_cast<float>(-14.1)) : -14.1;
  if (chance(20)) c.unknown = -2;
  while (chance(30)) {
    std::string string = letter();
    while (chance(60)) string += letter();
    if (string != " ") c.forbidden.push_back(string);
  }
  return c;
}

UnigramFamily family_of(const Case& c) {
  std::vector<std::string> tokens(kByteTokens + 256);
  std::vector<UnigramPiece> pieces;
  for (const auto& [bytes, piece] : c.pieces) {
    if (piece.token != kNoToken) tokens[piece.token] = bytes;
    pieces.push_back(piece);
  }
  nextbyte::UnigramOptions options;
  options.arithmetic = {c.sums, c.unknown};
  options.split_at_blank = c.split;
  options.guard.forbidden = c.forbidden;
  options.guard.single_blanks = c.single_blanks;
  options.guard.no_blank_first = c.no_blank_first;
  options.has_lead = c.lead;
  for (unsigned byte = 0; c.bytes && byte < 256; ++byte) {
    tokens[kByteTokens + byte] = std::string(1, static_cast<char>(byte));
    options.byte_tokens.push_back(kByteTokens + byte);
  }
  return UnigramFamily(
      std::make_shared<const Vocabulary>(std::move(tokens)), std::move(pieces), std::move(options));
}

struct Check {
  const Case& c;
  const UnigramFamily& family;
  std::mt19937& random;
  Tally& tally;
  std::map<Sequence, std::set<TokenId>> next;  // of all prefixes of encodings
  std::set<Sequence> complete;

  void text(const std::string& text) {
    ++tally.texts;
    const std::optional<Sequence> expected = c.encode(text, tally);
    std::optional<Sequence> got(std::in_place);
    try {
      if (!text.empty()) family.encode((c.lead ? " " : "") + text, 0, *got);
    } catch (const nextbyte::InvalidInput&) {
      got.reset();
    }
    if (got != expected) {
      fail("the encoding of \"" + text +
           "\" differs: " + (got ? std::to_string(got->size()) : "none") + " and " +
           (expected ? std::to_string(expected->size()) : "none") + " tokens" + describe());
    }
    if (!expected) {
      ++tally.no_encoding;
      return;
    }
    complete.insert(*expected);
    Sequence before;
    for (const TokenId token : *expected) {
      next[before].insert(token);
      before.push_back(token);
    }
  }

  void texts(const std::string& before, std::size_t length, const std::vector<std::string>& rare) {
    text(before);
    if (length <= kLongestBefore && c.bytes) {
      for (const std::string& character : rare) text(before + character);
      // A character that the text may not end with needs one more.
      for (const std::string& character : rare) {
        if (character.size() == 2) text(before + " " + character);
      }
    }
    if (length == kLongest) return;
    for (const std::string& letter : c.letters) texts(before + letter, length + 1, rare);
  }

  std::string bytes_of(const Sequence& tokens) const {
    std::string bytes;
    for (const TokenId t : tokens) bytes += family.table().bytes(family.table().rank_of(t));
    return bytes;
  }

  void context(const ContextState& state, Sequence& tokens) {
    const nextbyte::TokenTable& table = family.table();
    const std::string bytes = bytes_of(tokens);
    const bool in_character =
        !tokens.empty() && tokens.back() >= kByteTokens &&
        [&] {  // the bytes since the last whole character
          std::size_t lead = bytes.size();
          while (lead > 0 && (bytes[lead - 1] & 0xC0) == 0x80) --lead;
          const unsigned first = lead == 0 ? 0 : static_cast<unsigned char>(bytes[lead - 1]);
          const std::size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
          return bytes.size() - lead + 1 < length;
        }();
    // Nothing was enumerated behind a rare character.
    std::vector<std::string> whole = characters_of(bytes);
    if (in_character) whole.pop_back();
    for (const std::string& character : whole) {
      if (std::find(c.letters.begin(), c.letters.end(), character) == c.letters.end()) return;
    }
    ++tally.contexts;
    const std::size_t length = characters_of(bytes).size();
    const bool may_end = family.may_end(state);
    if (may_end != complete.contains(tokens)) fail("may_end after \"" + bytes + "\"");
    if (!may_end) ++tally.not_ending;
    const auto allowed = family.allowed(state);
    std::vector<std::uint64_t> words;
    family.allowed(state)->copy_words(table.size(), words);
    std::vector<bool> expected(table.size());
    std::vector<bool> known(table.size(), true);
    const std::string pending = in_character ? characters_of(bytes).back() : "";
    const bool bytes_known =
        pending.empty() || pending == "\xC3" || pending == "\xE2" || pending == "\xE2\x82";
    for (Rank rank = 0; rank < table.size(); ++rank) {
      const TokenId token = table.order()[rank];
      const auto found = next.find(tokens);
      expected[rank] = found != next.end() && found->second.contains(token);
      if (token >= kByteTokens) {
        known[rank] = bytes_known && length <= kLongestBefore + (in_character ? 1 : 0);
      } else {
        // A blank that the text may not end with needs as much as a piece behind it.
        const std::size_t behind = c_bytes(token) == " " ? 3 : 1;
        known[rank] = length + characters_of(c_bytes(token)).size() + behind <= kLongest;
      }
      if (!known[rank]) continue;
      ++tally.answers;
      tally.allowed += expected[rank] ? 1 : 0;
      const bool in_mask = (words[rank / 64] >> (rank % 64) & 1) != 0;
      if (allowed->test(rank) != expected[rank] || in_mask != expected[rank]) {
        fail("token \"" + c_bytes(token) + "\" after \"" + bytes + "\": test " +
             std::to_string(allowed->test(rank)) + ", mask " + std::to_string(in_mask) +
             ", truth " + std::to_string(expected[rank]) + describe());
      }
    }
    ranges(*allowed, words, table.size());
    if (length + 1 >= kLongest || (in_character && !bytes_known)) return;
    for (Rank rank = 0; rank < table.size(); ++rank) {
      if (!known[rank] || !expected[rank]) continue;
      if (table.order()[rank] >= kByteTokens) ++tally.byte_contexts;
      tokens.push_back(table.order()[rank]);
      context(family.advance(state, rank), tokens);
      tokens.pop_back();
    }
  }

  // any() on random ranges, several of one object, agrees with the mask.
  void ranges(const nextbyte::AllowedTokens& allowed,
              const std::vector<std::uint64_t>& words,
              Rank size) const {
    for (int i = 0; i < 6; ++i) {
      Rank first = static_cast<Rank>(random() % (size + 1));
      Rank last = static_cast<Rank>(random() % (size + 1));
      if (first > last) std::swap(first, last);
      bool expected = false;
      for (Rank r = first; r < last; ++r) expected = expected || (words[r / 64] >> (r % 64) & 1);
      if (allowed.any(first, last) != expected) fail("any() disagrees with the mask");
    }
  }

  std::string describe() const {
    std::string text = "; sums " + std::to_string(static_cast<int>(c.sums)) + ", split " +
                       std::to_string(c.split) + ", bytes " + std::to_string(c.bytes) +
                       ", single blanks " + std::to_string(c.single_blanks) + ", lead " +
                       std::to_string(c.lead) + ", unknown " + std::to_string(c.unknown);
    for (const auto& [bytes, piece] : c.pieces) {
      text += ", \"" + bytes + "\" " + std::to_string(piece.score);
      if (piece.token == kNoToken) text += " no token";
    }
    for (const std::string& string : c.forbidden) text += ", not \"" + string + "\"";
    return text;
  }

  std::string c_bytes(TokenId token) const {
    return std::string(family.table().bytes(family.table().rank_of(token)));
  }
};

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 150;
  std::mt19937 random(argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 7U);
  const std::vector<std::string> rare = rare_characters();
  Tally tally;
  for (int i = 0; i < count; ++i) {
    const Case c = random_case(random);
    try {
      const UnigramFamily family = family_of(c);
      Check check{c, family, random, tally, {}, {}};
      check.texts("", 0, rare);
      Sequence tokens;
      check.context(family.initial(), tokens);
      ++tally.vocabularies;
    } catch (const nextbyte::TokenizerFormat&) {
      continue;  // no token can occur at all
    }
  }
  std::printf(
      "unigram_check: %ld vocabularies, %ld texts (%ld without encoding), %ld contexts (%ld inside "
      "or behind bytes, %ld that may not end), %ld answers (%ld allowed), %ld ties (%ld by "
      "rounding): all as defined\n",
      tally.vocabularies,
      tally.texts,
      tally.no_encoding,
      tally.contexts,
      tally.byte_contexts,
      tally.not_ending,
      tally.answers,
      tally.allowed,
      tally.ties,
      tally.rounded_ties);
  for (const long seen : {tally.no_encoding,
                          tally.byte_contexts,
                          tally.not_ending,
                          tally.allowed,
                          tally.ties,
                          tally.rounded_ties}) {
    if (seen < 100) fail("a kind of difficulty hardly occurred");
  }
  return 0;
}
