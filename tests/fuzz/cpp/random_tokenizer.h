// Makes small tokenizers and texts out of a fuzzer's bytes.
#ifndef NEXTBYTE_TESTS_FUZZ_CPP_RANDOM_TOKENIZER_H_
#define NEXTBYTE_TESTS_FUZZ_CPP_RANDOM_TOKENIZER_H_

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "families/added_tokens.h"
#include "families/byte_pair_family.h"
#include "families/longest_match_family.h"
#include "text/normal_form.h"
#include "tokenizer/tokenizer.h"

struct RandomTokenizer {
  std::shared_ptr<const nextbyte::Tokenizer> tokenizer;
  std::vector<std::string> characters;                             // that its tokens are made of
  nextbyte::NormalForm normal_form = nextbyte::NormalForm::kNone;  // of the texts it sees
};

inline std::string random_text(FuzzedDataProvider& source,
                               const std::vector<std::string>& characters,
                               std::size_t longest) {
  std::string text;
  for (auto n = source.ConsumeIntegralInRange<std::size_t>(0, longest); n > 0; --n) {
    text += characters[source.ConsumeIntegralInRange<std::size_t>(0, characters.size() - 1)];
  }
  return text;
}

// Tokens by id, and what kind of tokenizer to make of them.
struct Ingredients {
  std::vector<std::string> tokens;
  std::vector<nextbyte::Merge> merges;
  std::vector<std::string> stages;
  std::vector<nextbyte::TokenId> added;
  std::vector<std::string> forbidden;
};

inline Ingredients random_ingredients(FuzzedDataProvider& source,
                                      const std::vector<std::string>& characters) {
  static const char* const kStages[] = {
      "",
      R"(\p{L}+)",
      R"(a(?=b)|b+)",
      R"( ?\p{L}+|\s+(?!\S)|\s+)",
      R"(\p{N}{1,3}(?=(?:\p{N}{3})*$)|[^\p{N}]+)",
      R"('s| ?\p{L}+| ?[^\s\p{L}]+|\s+(?!\S)|\s+)",
      R"([ab]|[^ab]+)",
  };
  Ingredients made;
  std::string bytes;
  for (const std::string& character : characters) bytes += character;
  std::sort(bytes.begin(), bytes.end());
  bytes.erase(std::unique(bytes.begin(), bytes.end()), bytes.end());
  for (const char byte : bytes) {
    // Now and then a byte has no token, or a hole takes an id.
    if (source.ConsumeProbability<float>() < 0.05f) {
      made.tokens.emplace_back();
    } else {
      made.tokens.emplace_back(1, byte);
    }
  }
  const auto merges = source.ConsumeIntegralInRange<unsigned>(0, 12);
  for (unsigned i = 0; i < merges; ++i) {
    const auto pick = [&] {
      return source.ConsumeIntegralInRange<nextbyte::TokenId>(
          0, static_cast<nextbyte::TokenId>(made.tokens.size() - 1));
    };
    const nextbyte::TokenId left = pick(), right = pick();
    const std::string joined = made.tokens[left] + made.tokens[right];
    if (made.tokens[left].empty() || made.tokens[right].empty() || joined.size() > 8) continue;
    const auto known = std::find(made.tokens.begin(), made.tokens.end(), joined);
    const auto result = static_cast<nextbyte::TokenId>(known - made.tokens.begin());
    if (known == made.tokens.end()) made.tokens.push_back(joined);
    made.merges.push_back({left, right, result});
  }
  const auto extra = source.ConsumeIntegralInRange<unsigned>(0, 3);  // tokens that nothing merges
  const auto words = source.ConsumeIntegralInRange<unsigned>(0, 3);
  for (unsigned i = 0; i < extra + words; ++i) {
    const std::string spelling = random_text(source, characters, 4);
    if (spelling.empty() || std::count(made.tokens.begin(), made.tokens.end(), spelling)) continue;
    if (i >= extra) made.added.push_back(static_cast<nextbyte::TokenId>(made.tokens.size()));
    made.tokens.push_back(spelling);
  }
  const auto stages = source.ConsumeIntegralInRange<unsigned>(0, 2);
  for (unsigned i = 0; i < stages; ++i) {
    const std::string stage = source.PickValueInArray(kStages);
    if (!stage.empty()) made.stages.push_back(stage);
  }
  return made;
}

// Throws UnsupportedTokenizer or TokenizerFormat where no tokenizer can be made.
inline RandomTokenizer random_tokenizer(FuzzedDataProvider& source) {
  static const char* const kCharacters[] = {
      "a", "b", "1", " ", "\n", "'", "\xC3\xA9", "\xE4\xB8\xAD", "\xCC\x81", "e"};
  std::vector<std::string> characters;
  const auto count = source.ConsumeIntegralInRange<unsigned>(1, 4);
  for (unsigned i = 0; i < count; ++i)
    characters.emplace_back(source.PickValueInArray(kCharacters));
  Ingredients made = random_ingredients(source, characters);
  const auto kind = source.ConsumeIntegralInRange(0, 3);
  auto vocabulary = std::make_shared<const nextbyte::Vocabulary>(made.tokens, made.added);
  const bool normalizes = kind != 3 && source.ConsumeBool();
  const auto form = normalizes ? nextbyte::NormalForm::kNfc : nextbyte::NormalForm::kNone;
  std::unique_ptr<const nextbyte::TokenizerFamily> family;
  if (kind == 3) {
    family = std::make_unique<const nextbyte::LongestMatchFamily>(vocabulary);
  } else {
    std::vector<std::uint32_t> ranks(made.tokens.size());
    for (std::uint32_t id = 0; id < ranks.size(); ++id) ranks[id] = id;
    nextbyte::BpeMerges merges = kind == 2
                                     ? nextbyte::BpeMerges::from_ranks(made.tokens, ranks)
                                     : nextbyte::BpeMerges::from_merges(made.tokens, made.merges);
    family = std::make_unique<const nextbyte::BytePairFamily>(
        vocabulary, std::move(merges), made.stages, source.ConsumeBool(), form);
  }
  if (!made.added.empty()) {
    family = std::make_unique<const nextbyte::AddedTokensFamily>(vocabulary, std::move(family));
  }
  return {
      std::make_shared<const nextbyte::Tokenizer>(vocabulary, std::move(family)), characters, form};
}

#endif  // NEXTBYTE_TESTS_FUZZ_CPP_RANDOM_TOKENIZER_H_
