// Random byte-level tokenizers: byte pairs and longest match.
#include <cstdint>
#include <utility>

#include "families/byte_pair_family.h"
#include "families/longest_match_family.h"
#include "random_family.h"

using nextbyte::BpeMerges;
using nextbyte::NormalForm;

namespace {

// Tokens by id, and how they merge.
struct Ingredients {
  std::vector<std::string> tokens;
  std::vector<nextbyte::Merge> merges;
  std::vector<nextbyte::TokenId> added;
};

Ingredients random_ingredients(FuzzedDataProvider& source, const Characters& characters) {
  Ingredients made;
  for (const char byte : bytes_in(characters)) {
    // Now and then a byte has no token, or a hole takes an id.
    made.tokens.push_back(chance(source, 5) ? std::string() : std::string(1, byte));
  }
  made.merges = random_merges(source, 0, 8, made.tokens);
  append_random_tokens(source, characters, false, made.tokens);  // that nothing merges
  made.added = append_random_tokens(source, characters, false, made.tokens);
  return made;
}

std::vector<std::string> random_stages(FuzzedDataProvider& source) {
  static const char* const kStages[] = {
      R"(\p{L}+)",
      R"(a(?=b)|b+)",
      R"( ?\p{L}+|\s+(?!\S)|\s+)",
      R"(\p{N}{1,3}(?=(?:\p{N}{3})*$)|[^\p{N}]+)",
      R"('s| ?\p{L}+| ?[^\s\p{L}]+|\s+(?!\S)|\s+)",
      R"([ab]|[^ab]+)",
  };
  std::vector<std::string> stages;
  const auto count = source.ConsumeIntegralInRange<unsigned>(0, 2);
  for (unsigned i = 0; i < count; ++i) stages.emplace_back(source.PickValueInArray(kStages));
  return stages;
}

}  // namespace

RandomFamily random_byte_pairs(FuzzedDataProvider& source, const Characters& characters) {
  const Ingredients made = random_ingredients(source, characters);
  std::vector<std::uint32_t> ranks(made.tokens.size());
  for (std::uint32_t id = 0; id < ranks.size(); ++id) ranks[id] = id;
  const bool by_ranks = chance(source, 33);
  BpeMerges merges = by_ranks ? BpeMerges::from_ranks(made.tokens, ranks)
                              : BpeMerges::from_merges(made.tokens, made.merges);
  if (source.ConsumeBool()) {
    merges = BpeMerges::from_last_steps(made.tokens, merges.last_steps());
  }
  RandomFamily result;
  result.normal_form = source.ConsumeBool() ? NormalForm::kNfc : NormalForm::kNone;
  result.vocabulary = std::make_shared<const nextbyte::Vocabulary>(made.tokens, made.added);
  const std::vector<std::string> stages = random_stages(source);
  const bool whole_pieces = source.ConsumeBool();
  result.description = "byte pairs by" + (by_ranks ? " ranks" : shown(made.merges)) + ", stages:";
  for (const std::string& stage : stages) result.description += " " + shown(stage);
  if (whole_pieces) result.description += ", whole pieces";
  if (result.normal_form != NormalForm::kNone) result.description += ", NFC";
  result.family = std::make_unique<const nextbyte::BytePairFamily>(
      result.vocabulary, std::move(merges), stages, whole_pieces, result.normal_form);
  return result;
}

RandomFamily random_longest_match(FuzzedDataProvider& source, const Characters& characters) {
  const Ingredients made = random_ingredients(source, characters);
  RandomFamily result;
  result.description = "longest match";
  result.vocabulary = std::make_shared<const nextbyte::Vocabulary>(made.tokens, made.added);
  result.family = std::make_unique<const nextbyte::LongestMatchFamily>(result.vocabulary);
  return result;
}
