// Self-check of greedy longest match: covers of random tiny vocabularies against enumeration.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "enumeration.h"
#include "families/longest_match_family.h"

namespace {

using namespace nextbyte;
using Random = std::mt19937;

const std::vector<std::string> kAlphabet{"a", "b", "\xC3\xA8", "\xC3\xA9"};
const std::string kBytes = "ab\xC3\xA8\xA9";

std::shared_ptr<const Tokenizer> make(const std::vector<std::string>& tokens) {
  auto vocabulary = std::make_shared<const Vocabulary>(tokens);
  return std::make_shared<const Tokenizer>(vocabulary,
                                           std::make_unique<LongestMatchFamily>(vocabulary));
}

// The definition, written down again: of all tokens that fit, the longest.
std::vector<TokenId> greedy(const std::vector<std::string>& tokens, const std::string& text) {
  std::vector<TokenId> encoded;
  for (std::size_t at = 0; at < text.size();) {
    TokenId best = kNoToken;
    for (TokenId token = 0; token < tokens.size(); ++token) {
      if (tokens[token].empty() || text.compare(at, tokens[token].size(), tokens[token]) != 0)
        continue;
      if (best == kNoToken || tokens[token].size() > tokens[best].size()) best = token;
    }
    if (best == kNoToken) return {};
    encoded.push_back(best);
    at += tokens[best].size();
  }
  return encoded;
}

std::vector<std::string> random_vocabulary(Random& random) {
  std::vector<std::string> tokens{""};  // a special token
  for (const char byte : kBytes) tokens.emplace_back(1, byte);
  const bool bytes_only = random() % 2 == 0;  // tokens that cut characters, or only whole ones
  const std::size_t count = 1 + random() % 8;
  for (std::size_t i = 0; i < count; ++i) {
    std::string token;
    const std::size_t length = 2 + random() % 3;
    while (token.size() < length) {
      token += bytes_only ? std::string(1, kBytes[random() % kBytes.size()])
                          : kAlphabet[random() % kAlphabet.size()];
    }
    if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) tokens.push_back(token);
  }
  if (random() % 8 == 0) tokens[1 + random() % kBytes.size()].clear();  // a byte without a token
  return tokens;
}

void check(const std::vector<std::string>& tokens, std::size_t& covers) {
  std::string name = "tokens";
  for (const std::string& token : tokens) name.append(" ").append(shown(token));
  const auto tokenizer = make(tokens);
  const Enumeration enumeration(*tokenizer, kAlphabet, 6, 2);
  for (const auto& [text, encoded] : enumeration.texts) {
    require(encoded == greedy(tokens, text), name + ": encode " + shown(text));
  }
  enumeration.compare(tokenizer, name);
  covers += enumeration.covers.size();
}

}  // namespace

int main() {
  Random random(20240817);
  std::size_t covers = 0;
  constexpr int kVocabularies = 150;
  for (int i = 0; i < kVocabularies; ++i) check(random_vocabulary(random), covers);
  // A character that only longer tokens can complete: its first byte is never a token.
  check({"a", "b", "\xC3", "\xA8", "\xA9", "\xC3\xA8", "\xC3\xA9", "ab", "b\xC3"}, covers);
  check({"a", "b", "\xC3", "\xA8", "\xA9", "\xC3\xA8", "\xC3\xA9"}, covers);
  std::printf("longest_match_check: %d vocabularies, %zu prefixes: ok\n", kVocabularies, covers);
}
