// Unigram encodings by definition: a naive forward pass, sharing nothing with the product.
#ifndef NEXTBYTE_TESTS_UNIGRAM_DEFINITION_H_
#define NEXTBYTE_TESTS_UNIGRAM_DEFINITION_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "families/unigram_pieces.h"

namespace unigram_definition {

using nextbyte::kNoToken;
using nextbyte::TokenId;
using nextbyte::UnigramPiece;
using nextbyte::UnigramSums;
using Sequence = std::vector<TokenId>;

// How often each kind of difficulty occurred: each must, or the check is hollow.
struct Tally {
  long vocabularies = 0, texts = 0, no_encoding = 0, contexts = 0, answers = 0, allowed = 0;
  long ties = 0, byte_contexts = 0, not_ending = 0, rounded_ties = 0;
};

inline constexpr TokenId kByteTokens = 100;
inline constexpr std::size_t kLongest = 6;        // characters of a text
inline constexpr std::size_t kLongestBefore = 2;  // of one that a rare character follows

inline std::vector<std::string> characters_of(const std::string& text) {
  std::vector<std::string> characters;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) characters.emplace_back();
    characters.back() += c;
  }
  return characters;
}

struct Case {
  std::map<std::string, UnigramPiece> pieces;
  std::vector<std::string> letters, forbidden;
  double unknown = -20;
  UnigramSums sums = UnigramSums::kDouble;
  bool split = false, bytes = false, single_blanks = false, lead = false;
  bool no_blank_first = false;

  bool is_text(const std::string& text) const {
    const std::string whole = (lead ? " " : "") + text;
    for (const std::string& string : forbidden) {
      if (whole.find(string) != std::string::npos) return false;
    }
    if (no_blank_first && !text.empty() && text.front() == ' ') return false;
    if (!single_blanks || text.empty()) return true;
    return text.front() != ' ' && text.back() != ' ' && whole.find("  ") == std::string::npos;
  }

  bool encode_part(const std::string& text, Sequence& tokens, Tally& tally) const {
    const std::vector<std::string> characters = characters_of(text);
    const std::size_t size = characters.size();
    std::vector<double> score(size + 1, 0);
    std::vector<std::optional<std::size_t>> from(size + 1);
    for (std::size_t start = 0; start < size; ++start) {
      std::string piece;
      for (std::size_t end = start + 1; end <= size; ++end) {
        piece += characters[end - 1];
        const auto found = pieces.find(piece);
        const bool known = found != pieces.end();
        if (!known && end > start + 1) continue;
        double sum = score[start] + (known ? found->second.score : unknown);
        const bool single = sums == UnigramSums::kSingle;
        if (single || (sums == UnigramSums::kMixed && !known)) sum = static_cast<float>(sum);
        if (from[end] && sum == score[end]) ++tally.ties;
        if (from[end] && sum != score[end] && static_cast<float>(sum) == score[end]) {
          ++tally.rounded_ties;
        }
        if (from[end] && !(sum > score[end])) continue;
        score[end] = sums == UnigramSums::kDouble ? sum : static_cast<float>(sum);
        from[end] = start;
      }
    }
    Sequence reversed;
    for (std::size_t end = size; end > 0; end = *from[end]) {
      std::string piece;
      for (std::size_t i = *from[end]; i < end; ++i) piece += characters[i];
      if (const auto found = pieces.find(piece); found != pieces.end()) {
        if (found->second.token == kNoToken) return false;
        reversed.push_back(found->second.token);
      } else {
        if (!bytes) return false;
        for (auto c = piece.rbegin(); c != piece.rend(); ++c) {
          reversed.push_back(kByteTokens + static_cast<unsigned char>(*c));
        }
      }
    }
    tokens.insert(tokens.end(), reversed.rbegin(), reversed.rend());
    return true;
  }

  std::optional<Sequence> encode(const std::string& text, Tally& tally) const {
    Sequence tokens;
    if (!is_text(text)) return std::nullopt;
    if (text.empty()) return tokens;
    std::string part;
    for (const char c : (lead ? " " : "") + text) {
      if (split && c == ' ' && !part.empty()) {
        if (!encode_part(part, tokens, tally)) return std::nullopt;
        part.clear();
      }
      part += c;
    }
    if (!encode_part(part, tokens, tally)) return std::nullopt;
    return tokens;
  }
};

// Characters of which one begins with each sequence of bytes that the check looks at.
inline std::vector<std::string> rare_characters() {
  std::vector<std::string> rare;
  const auto byte = [](unsigned value) { return std::string(1, static_cast<char>(value)); };
  for (unsigned ascii = 0; ascii < 0x80; ++ascii) rare.push_back(byte(ascii));
  for (unsigned lead = 0xC2; lead <= 0xDF; ++lead) rare.push_back(byte(lead) + "\x80");
  for (unsigned lead = 0xE0; lead <= 0xEF; ++lead) {
    rare.push_back(byte(lead) + (lead == 0xE0 ? "\xA5" : "\x85") + "\x80");
  }
  for (unsigned lead = 0xF0; lead <= 0xF4; ++lead) {
    rare.push_back(byte(lead) + (lead == 0xF4 ? "\x85" : "\x95") + "\x80\x80");
  }
  for (unsigned next = 0x80; next <= 0xBF; ++next) {
    rare.push_back(byte(0xC3) + byte(next));
    rare.push_back(byte(0xE2) + byte(next) + "\x85");
    rare.push_back(byte(0xE2) + "\x82" + byte(next));
  }
  return rare;
}

}  // namespace unigram_definition

#endif  // NEXTBYTE_TESTS_UNIGRAM_DEFINITION_H_
