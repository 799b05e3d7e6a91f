// Self-check of added tokens around two inner families: covers against enumeration.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "enumeration.h"
#include "families/added_tokens.h"
#include "families/byte_pair_family.h"
#include "families/longest_match_family.h"

namespace {

using namespace nextbyte;
using Random = std::mt19937;

const std::vector<std::string> kCharacters{"a", "b", " ", "\xC3\xA9"};

struct Case {
  std::vector<std::string> alphabet;
  std::vector<std::string> tokens;  // "": special
  std::vector<TokenId> added;
  std::vector<Merge> merges;
  std::vector<std::string> stages;
  bool longest_match = false;

  std::string name() const {
    std::string text = longest_match ? "longest match:" : "byte pairs:";
    for (const std::string& stage : stages) text += " /" + stage + "/";
    for (const std::string& token : tokens) text += " [" + shown(token) + "]";
    text += ", added:";
    for (const TokenId token : added) text += " [" + shown(tokens[token]) + "]";
    return text;
  }
  std::shared_ptr<const Vocabulary> vocabulary(bool with_added) const {
    return std::make_shared<const Vocabulary>(tokens, with_added ? added : std::vector<TokenId>{});
  }
  std::unique_ptr<const TokenizerFamily> inner(std::shared_ptr<const Vocabulary> vocab) const {
    if (longest_match) return std::make_unique<LongestMatchFamily>(vocab);
    std::vector<std::string> ordinary = tokens;
    for (const TokenId token : added) ordinary[token].clear();
    return std::make_unique<BytePairFamily>(
        vocab, BpeMerges::from_merges(ordinary, merges), stages, false);
  }
  std::shared_ptr<const Tokenizer> make() const {
    const auto vocab = vocabulary(true);
    return std::make_shared<const Tokenizer>(
        vocab, std::make_unique<AddedTokensFamily>(vocab, inner(vocab)));
  }
};

// The definition, written down again. False: not a text of the domain.
bool cut(const Case& c,
         const TokenizerFamily& inner,
         const std::string& text,
         std::vector<TokenId>& tokens) {
  const auto segment = [&](std::size_t first, std::size_t last) {
    try {
      inner.encode(text.substr(first, last - first), 0, tokens);
    } catch (const InvalidInput&) {
      return false;
    }
    return true;
  };
  std::size_t start = 0;
  for (;;) {
    std::size_t place = std::string::npos;
    TokenId taken = kNoToken;
    for (const TokenId token : c.added) {
      const std::size_t found = text.find(c.tokens[token], start);
      if (found == std::string::npos) continue;
      if (found < place || (found == place && c.tokens[token].size() > c.tokens[taken].size())) {
        place = found;
        taken = token;
      }
    }
    if (taken == kNoToken) return segment(start, text.size());
    if (!segment(start, place)) return false;
    tokens.push_back(taken);
    start = place + c.tokens[taken].size();
  }
}

std::string random_spelling(Random& random,
                            const std::vector<std::string>& alphabet,
                            std::size_t longest) {
  std::string spelling;
  const std::size_t length = 1 + random() % longest;
  const std::size_t letters = 1 + random() % alphabet.size();
  for (std::size_t i = 0; i < length; ++i) spelling += alphabet[random() % letters];
  return spelling;
}

Case random_case(Random& random) {
  Case c;
  c.longest_match = random() % 2 == 0;
  c.alphabet = kCharacters;
  c.alphabet.erase(c.alphabet.begin() + static_cast<std::ptrdiff_t>(1 + random() % 3));
  c.tokens.emplace_back();
  for (const std::string& character : c.alphabet) {
    for (const char byte : character) c.tokens.emplace_back(1, byte);
  }
  const auto add = [&](const std::string& bytes) {
    if (std::find(c.tokens.begin(), c.tokens.end(), bytes) != c.tokens.end()) return false;
    c.tokens.push_back(bytes);
    return true;
  };
  const std::size_t merged = 1 + random() % 6;
  for (std::size_t i = 0; i < merged; ++i) {
    const auto left = static_cast<TokenId>(1 + random() % (c.tokens.size() - 1));
    const auto right = static_cast<TokenId>(1 + random() % (c.tokens.size() - 1));
    const std::string bytes = c.tokens[left] + c.tokens[right];
    if (bytes.size() > 5 || !add(bytes)) continue;
    c.merges.push_back({left, right, static_cast<TokenId>(c.tokens.size() - 1)});
  }
  const std::size_t spellings = 1 + random() % 4;
  for (std::size_t i = 0; i < spellings; ++i) {
    const std::string spelling = random_spelling(random, c.alphabet, 4);
    bool is_new = true;
    for (const TokenId token : c.added) is_new = is_new && c.tokens[token] != spelling;
    if (!is_new) continue;
    c.tokens.push_back(spelling);  // may be an ordinary token as well
    c.added.push_back(static_cast<TokenId>(c.tokens.size() - 1));
  }
  if (random() % 2 == 0) c.stages = {R"( ?[^\s]+|\s+(?!\S)|\s+)"};
  if (random() % 8 == 0) c.tokens[1 + random() % 3].clear();  // a byte without a token
  for (const Merge& merge : c.merges) {
    if (c.tokens[merge.left].empty() || c.tokens[merge.right].empty()) {
      c.merges.clear();
      break;
    }
  }
  return c;
}

struct Tally {
  int cases = 0;
  std::size_t prefixes = 0, texts = 0;
};

void check(const Case& c, Tally& tally) {
  const std::shared_ptr<const Tokenizer> tokenizer = c.make();
  const Enumeration enumeration(*tokenizer, c.alphabet, 7, 3);
  const auto vocab = c.vocabulary(true);
  const auto inner = c.inner(vocab);
  std::size_t in_domain = 0;
  for (const auto& [text, encoded] : enumeration.texts) {
    std::vector<TokenId> expected;
    require(cut(c, *inner, text, expected), c.name() + ": accepts " + shown(text));
    require(encoded == expected, c.name() + ": encode " + shown(text));
    ++in_domain;
  }
  enumeration.compare(tokenizer, c.name());
  ++tally.cases;
  tally.prefixes += enumeration.covers.size();
  tally.texts += in_domain;
}

template <class Error, class Function>
void require_throw(const std::string& fragment, Function function) {
  std::string message = "(nothing was thrown)";
  try {
    function();
  } catch (const Error& error) {
    message = error.what();
  }
  require(message.find(fragment) != std::string::npos, message + " lacks " + fragment);
}

void check_errors() {
  const auto with = [](std::vector<std::string> spellings) {
    Case c;
    c.tokens = {"a", "b", "c", " "};
    for (const std::string& spelling : spellings) {
      c.added.push_back(static_cast<TokenId>(c.tokens.size()));
      c.tokens.push_back(spelling);
    }
    return c;
  };
  require_throw<UnsupportedTokenizer>("UTF-8", [&] { with({"a\xC3"}).make(); });
  Case c = with({"ab"});
  c.longest_match = true;
  const auto tokenizer = c.make();
  require_throw<InvalidInput>("position 5", [&] { tokenizer->encode("cabc x"); });
}

}  // namespace

int main() {
  Random random(20241105);
  Tally tally;
  // Several spellings pending at once: begun before an added token, with it, and with the one
  // before.
  const auto pending = [&](const std::vector<std::string>& spellings) {
    for (const bool longest_match : {false, true}) {
      Case c;
      c.longest_match = longest_match;
      c.alphabet = {"a", "b", "c"};
      c.tokens = {"a", "b", "c", "ac"};
      c.merges = {{0, 2, 3}};
      for (const std::string& spelling : spellings) {
        c.added.push_back(static_cast<TokenId>(c.tokens.size()));
        c.tokens.push_back(spelling);
      }
      check(c, tally);
    }
  };
  pending({"abc", "b"});
  pending({"a", "abc", "b"});
  pending({"a", "aaa", "aaaaa"});
  pending({"b", "abac", "bacc", "a"});
  pending({"ab", "cabab", "aba", "abcc"});
  for (int i = 0; i < 200; ++i) check(random_case(random), tally);
  check_errors();
  std::printf("added_tokens_check: %d cases, %zu prefixes, %zu texts: ok\n",
              tally.cases,
              tally.prefixes,
              tally.texts);
}
