// Checks CharacterPairFamily against its definition, written here, on all short texts over random
// vocabularies: which tokens may follow, where a text may end, and encodings.
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

#include "cover/cover_tracker.h"
#include "families/character_pair_family.h"
#include "support/error.h"
#include "tokenizer/tokenizer.h"

namespace {

using nextbyte::BaseSymbols;
using nextbyte::BpeMerges;
using nextbyte::kNoToken;
using nextbyte::Merge;
using nextbyte::Rank;
using nextbyte::TokenId;
using nextbyte::Tokenizer;
using Tokens = std::vector<TokenId>;

// Texts have up to this many characters; sequences up to two fewer are judged by them: one more
// completes a character, and one more must follow a lead that stands alone.
constexpr std::size_t kLength = 5;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "character_pairs_check: %s\n", message.c_str());
  std::exit(1);
}

void require(bool condition, const std::string& message) {
  if (!condition) fail(message);
}

// How often what makes this family difficult occurred; each must, or the check is hollow.
struct Tally {
  long sequences = 0, spelled = 0, covered_bytes = 0, ties = 0, unreachable = 0, no_token = 0;
  long dead_leads = 0, outside = 0, covers = 0;
};

std::vector<std::string> characters_of(const std::string& text) {
  std::vector<std::string> characters;
  for (const char byte : text) {
    if ((static_cast<unsigned char>(byte) & 0xC0) != 0x80) characters.emplace_back();
    characters.back() += byte;
  }
  return characters;
}

struct Model {
  std::vector<std::string> tokens;
  std::set<TokenId> byte_tokens;
  std::vector<Merge> merges;         // by merges, or
  std::vector<std::uint32_t> ranks;  // by ranks
  bool by_ranks = false;
  bool has_lead = false;

  // The piece of these bytes, no byte token; kNoToken if there is none.
  TokenId piece(const std::string& bytes) const {
    for (TokenId t = 0; t < tokens.size(); ++t) {
      if (tokens[t] == bytes && byte_tokens.count(t) == 0) return t;
    }
    return kNoToken;
  }
  // Rank and result of joining two symbols.
  std::optional<std::pair<std::uint32_t, TokenId>> join(TokenId left, TokenId right) const {
    if (by_ranks) {
      const TokenId result = piece(tokens[left] + tokens[right]);
      if (result == kNoToken || ranks[result] == kNoToken) return std::nullopt;
      return std::pair{ranks[result], result};
    }
    for (std::uint32_t k = 0; k < merges.size(); ++k) {
      if (merges[k].left == left && merges[k].right == right) return std::pair{k, merges[k].result};
    }
    return std::nullopt;
  }
  // The encoding by definition; nothing if a character has no token.
  std::optional<Tokens> encode(const std::string& text) const {
    if (text.empty()) return Tokens{};
    Tokens symbols;
    std::vector<bool> is_piece;
    for (const std::string& character : characters_of((has_lead ? " " : "") + text)) {
      if (const TokenId token = piece(character); token != kNoToken) {
        symbols.push_back(token);
        is_piece.push_back(true);
        continue;
      }
      if (character == " ") return std::nullopt;
      for (const char byte : character) {
        const auto found = std::find_if(byte_tokens.begin(), byte_tokens.end(), [&](TokenId t) {
          return tokens[t][0] == byte;
        });
        if (found == byte_tokens.end()) return std::nullopt;
        symbols.push_back(*found);
        is_piece.push_back(false);
      }
    }
    for (;;) {
      std::optional<std::pair<std::uint32_t, TokenId>> best;
      std::size_t place = 0;
      for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
        if (!is_piece[i] || !is_piece[i + 1]) continue;
        const auto found = join(symbols[i], symbols[i + 1]);
        if (found && (!best || found->first < best->first)) best = found, place = i;
      }
      if (!best) return symbols;
      symbols[place] = best->second;
      symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(place) + 1);
      is_piece.erase(is_piece.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    }
  }
};

Model random_model(std::mt19937& random, Tally& tally) {
  const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
  Model model;
  model.by_ranks = chance(50);
  model.has_lead = chance(50);
  std::vector<std::string> texts;
  for (const char* character : {" ", "a", "b", "\xC3\xA9", "\xC3\xA8"}) {
    if (chance(character[0] == ' ' ? 90 : 65)) texts.emplace_back(character);
  }
  if (texts.empty()) texts.emplace_back("a");
  std::vector<std::pair<std::string, std::string>> pairs;
  for (unsigned i = 0; i < 2 + random() % 9; ++i) {
    const std::string left = texts[random() % texts.size()], right = texts[random() % texts.size()];
    if (characters_of(left + right).size() > 3) continue;
    pairs.emplace_back(left, right);
    if (std::find(texts.begin(), texts.end(), left + right) == texts.end()) {
      texts.push_back(left + right);
    }
  }
  model.tokens = texts;
  for (const char byte : {'\xC3', '\xA9', '\xA8', 'c', 'a', ' '}) {
    if (!chance(80)) continue;
    model.byte_tokens.insert(static_cast<TokenId>(model.tokens.size()));
    model.tokens.emplace_back(1, byte);
  }
  std::shuffle(pairs.begin(), pairs.end(), random);
  std::set<std::uint32_t> used;
  model.ranks.assign(model.tokens.size(), kNoToken);
  for (TokenId t = 0; t < texts.size(); ++t) {
    model.ranks[t] = static_cast<std::uint32_t>(random() % (chance(50) ? 4 : 50));
    if (characters_of(texts[t]).size() > 1 && !used.insert(model.ranks[t]).second) ++tally.ties;
  }
  for (const auto& [left, right] : pairs) {
    const Merge merge{model.piece(left), model.piece(right), model.piece(left + right)};
    if (!model.join(merge.left, merge.right) || model.by_ranks) model.merges.push_back(merge);
  }
  return model;
}

// The lead alone can be followed by nothing: all four tokens merge with it.
Model dead_lead() {
  Model model;
  model.tokens = {" ", "a", " a", "  "};
  model.ranks = {9, 9, 2, 1};
  model.by_ranks = model.has_lead = true;
  return model;
}

std::shared_ptr<const Tokenizer> compile(const Model& model) {
  std::vector<std::string> pieces = model.tokens;
  nextbyte::ByteFallback::ByteTokens bytes;
  bytes.fill(kNoToken);
  for (const TokenId token : model.byte_tokens) {
    bytes[static_cast<std::uint8_t>(pieces[token][0])] = token;
    pieces[token].clear();
  }
  BpeMerges merges = model.by_ranks
                         ? BpeMerges::from_ranks(pieces, model.ranks, BaseSymbols::kCharacters)
                         : BpeMerges::from_merges(pieces, model.merges, BaseSymbols::kCharacters);
  auto vocabulary = std::make_shared<const nextbyte::Vocabulary>(model.tokens);
  return std::make_shared<const Tokenizer>(
      vocabulary,
      std::make_unique<const nextbyte::CharacterPairFamily>(
          vocabulary, std::move(merges), bytes, model.has_lead),
      model.has_lead ? " " : "");
}

struct Enumeration {
  std::set<Tokens> canonical, prefixes;
  std::vector<std::string> texts;  // that have an encoding
};

Enumeration enumerate(const Model& model, const Tokenizer& tokenizer, Tally& tally) {
  Enumeration found;
  std::vector<std::string> layer{""};
  for (std::size_t length = 0; length <= kLength; ++length) {
    std::vector<std::string> next;
    for (const std::string& text : layer) {
      const auto tokens = model.encode(text);
      if (!tokens) {                              // nor has any longer text
        if (++tally.outside % 32 != 0) continue;  // exceptions are slow
        try {
          tokenizer.encode(text);
          fail("a text without an encoding is encoded: " + text);
        } catch (const nextbyte::InvalidInput&) {
        }
        continue;
      }
      require(tokenizer.encode(text) == *tokens, "encoding of " + text);
      found.texts.push_back(text);
      found.canonical.insert(*tokens);
      for (std::size_t n = 0; n <= tokens->size(); ++n) {
        found.prefixes.insert(Tokens(tokens->begin(), tokens->begin() + static_cast<long>(n)));
      }
      for (const char* character : {" ", "a", "b", "c", "\xC3\xA9", "\xC3\xA8"}) {
        next.push_back(text + character);
      }
    }
    layer = std::move(next);
  }
  return found;
}

// Walks all sequences that the family allows, and compares each step.
void walk(const Tokenizer& tokenizer,
          const Model& model,
          const Enumeration& truth,
          const nextbyte::ContextState& state,
          const Tokens& sequence,
          const std::string& bytes,
          Tally& tally) {
  require(tokenizer.may_end(state) == (truth.canonical.count(sequence) != 0), "end of a text");
  if (characters_of(bytes).size() + 2 > kLength) return;
  ++tally.sequences;
  const auto allowed = tokenizer.allowed(state);
  std::vector<std::uint64_t> words;
  allowed->copy_words(tokenizer.table().size(), words);
  for (TokenId token = 0; token < model.tokens.size(); ++token) {
    Tokens longer = sequence;
    longer.push_back(token);
    const std::string all = bytes + model.tokens[token];
    const bool starts_character = (static_cast<unsigned char>(all[0]) & 0xC0) != 0x80;
    if (!starts_character || characters_of(all).size() + 1 > kLength) continue;
    const Rank rank = tokenizer.table().rank_of(token);
    const bool expected = truth.prefixes.count(longer) != 0;
    if (rank == nextbyte::kNoRank) {
      require(!expected, "a token without a rank occurs");
      continue;
    }
    require(allowed->test(rank) == expected, "allowed token");
    require(allowed->any(rank, rank + 1) == expected, "any allowed token");
    require((words[rank / 64] >> (rank % 64) & 1) == (expected ? 1 : 0), "mask");
    if (!expected) continue;
    if (model.byte_tokens.count(token) != 0) ++tally.spelled;
    if (characters_of(all).size() + 2 > kLength) continue;
    walk(tokenizer, model, truth, tokenizer.advance(state, rank), longer, all, tally);
  }
}

// The covers of every prefix of a few bytes, against the shortest beginnings of encodings.
void check_covers(const std::shared_ptr<const Tokenizer>& tokenizer,
                  const Model& model,
                  const Enumeration& truth,
                  Tally& tally) {
  std::map<std::string, std::set<Tokens>> expected;
  for (const std::string& text : truth.texts) {
    const Tokens tokens = *model.encode(text);
    for (std::size_t size = 1; size <= std::min<std::size_t>(text.size(), 2); ++size) {
      Tokens cover;
      std::size_t reached = 0;
      for (const TokenId token : tokens) {
        if (reached >= size + tokenizer->lead().size()) break;
        cover.push_back(token);
        reached += model.tokens[token].size();
      }
      expected[text.substr(0, size)].insert(cover);
    }
  }
  for (const auto& [prefix, covers] : expected) {
    nextbyte::CoverTracker tracker(tokenizer);
    for (const char byte : prefix) {
      require(tracker.push(static_cast<std::uint8_t>(byte)), "a prefix has a cover");
    }
    std::set<Tokens> found;
    for (const nextbyte::CoverEncoding& cover : cover_encodings(tracker)) {
      require(found.insert(cover.tokens).second, "a cover is listed once");
    }
    require(found == covers, "covers");
    tally.covers += static_cast<long>(found.size());
  }
}

void check_byte_fallback() {
  nextbyte::ByteFallback::ByteTokens bytes;
  for (TokenId byte = 0; byte < 256; ++byte) bytes[byte] = byte;
  std::vector<char32_t> excluded;
  for (char32_t c = 0x4E00; c < 0x5000; ++c) excluded.push_back(c);  // E4 B8 80 .. E4 BF BF
  const nextbyte::ByteFallback fallback(bytes, excluded);
  const auto begins = [&](const std::string& text) {
    nextbyte::CharacterPrefix prefix;
    for (const char byte : text) prefix = prefix.followed_by(static_cast<std::uint8_t>(byte));
    return fallback.begins(prefix);
  };
  require(begins("a") && begins("\xC2") && begins("\xC2\x80") && begins("\xF4\x8F\xBF\xBF"), "yes");
  require(begins("\xE4") && begins("\xE4\xB7\xBF") && begins("\xE0\xA0") && begins("\xF0\x90"),
          "neighbours");
  require(!begins("\xE4\xB8") && !begins("\xE4\xBF\xBF") && !begins("\x80"), "excluded");
  require(!begins("\xC0") && !begins("\xC1\x80") && !begins("\xE0\x9F") && !begins("\xF0\x8F"),
          "overlong");
  require(!begins("\xED\xA0") && !begins("\xF4\x90") && !begins("\xF5") && !begins("\xFF"),
          "no scalar value");
  require(!begins("ab") && !begins("\xC2\x41") && !fallback.occurs(0xC0), "no character");
}

}  // namespace

int main() {
  check_byte_fallback();
  std::mt19937 random(20261124);
  Tally tally;
  for (int i = 0; i < 100; ++i) {
    const Model model = i == 0 ? dead_lead() : random_model(random, tally);
    std::shared_ptr<const Tokenizer> tokenizer;
    try {
      tokenizer = compile(model);
    } catch (const nextbyte::TokenizerFormat&) {  // no token at all can occur
      ++tally.no_token;
      continue;
    }
    const Enumeration truth = enumerate(model, *tokenizer, tally);
    for (TokenId t = 0; t < model.tokens.size(); ++t) {
      if (tokenizer->table().rank_of(t) == nextbyte::kNoRank) ++tally.unreachable;
    }
    walk(*tokenizer, model, truth, tokenizer->initial(), {}, "", tally);
    if (truth.texts.size() > 1) check_covers(tokenizer, model, truth, tally);
    if (model.has_lead && model.piece(" ") != kNoToken &&
        truth.prefixes.count({model.piece(" ")}) == 0) {
      ++tally.dead_leads;
    }
  }
  std::printf(
      "character_pairs_check: %ld sequences, %ld spelled by bytes, %ld ties, %ld unreachable "
      "tokens, %ld dead leads, %ld texts outside, %ld covers: ok\n",
      tally.sequences,
      tally.spelled,
      tally.ties,
      tally.unreachable,
      tally.dead_leads,
      tally.outside,
      tally.covers);
  require(tally.sequences > 5000 && tally.spelled > 1000 && tally.ties > 10 &&
              tally.unreachable > 50 && tally.dead_leads > 0 && tally.outside > 1000 &&
              tally.covers > 1000,
          "the vocabularies were too easy");
  return 0;
}
