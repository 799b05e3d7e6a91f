// Binds the construction of BPE over characters with byte fallback from plain data.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/tokens_in.h"
#include "families/character_pair_family.h"
#include "support/error.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

constexpr const char* kLead = " ";

ByteFallback::ByteTokens by_byte(const std::vector<std::string>& tokens,
                                 const std::vector<TokenId>& byte_tokens) {
  ByteFallback::ByteTokens result;
  result.fill(kNoToken);
  for (const TokenId token : byte_tokens) {
    if (token >= tokens.size() || tokens[token].size() != 1) {
      throw TokenizerFormat("the byte token " + std::to_string(token) + " is not one byte");
    }
    TokenId& place = result[static_cast<std::uint8_t>(tokens[token][0])];
    if (place != kNoToken) {
      throw TokenizerFormat("the tokens " + std::to_string(place) + " and " +
                            std::to_string(token) + " stand for the same byte");
    }
    place = token;
  }
  return result;
}

// The tokens that merges are about: all but the byte tokens.
std::vector<std::string> without(std::vector<std::string> tokens,
                                 const std::vector<TokenId>& byte_tokens) {
  for (const TokenId token : byte_tokens) tokens[token].clear();
  return tokens;
}

TokenizerPointer compile(std::vector<std::string> tokens,
                         const std::vector<TokenId>& byte_tokens,
                         bool has_lead,
                         const std::vector<TokenId>& added,
                         auto make_merges) {
  const ByteFallback::ByteTokens bytes = by_byte(tokens, byte_tokens);
  BpeMerges merges = make_merges(without(tokens, byte_tokens));
  auto vocabulary = std::make_shared<const Vocabulary>(std::move(tokens), added);
  auto family =
      std::make_unique<const CharacterPairFamily>(vocabulary, std::move(merges), bytes, has_lead);
  return assemble(std::move(vocabulary), std::move(family), has_lead ? kLead : "");
}

TokenizerPointer from_merges(const TokenBytes& token_bytes,
                             const MergeRows& merges,
                             const std::vector<TokenId>& byte_tokens,
                             bool has_lead,
                             const std::vector<TokenId>& added) {
  const std::vector<Merge> list = to_merges(merges);
  std::vector<std::string> tokens = to_strings(token_bytes);
  const nb::gil_scoped_release released;
  return compile(std::move(tokens), byte_tokens, has_lead, added, [&](const auto& pieces) {
    return BpeMerges::from_merges(pieces, list, BaseSymbols::kCharacters);
  });
}

TokenizerPointer from_ranks(const TokenBytes& token_bytes,
                            const RankRow& rank_of_id,
                            const std::vector<TokenId>& byte_tokens,
                            bool has_lead,
                            const std::vector<TokenId>& added) {
  std::vector<std::string> tokens = to_strings(token_bytes);
  const std::vector<std::uint32_t> ranks = to_ranks(rank_of_id);
  const nb::gil_scoped_release released;
  return compile(std::move(tokens), byte_tokens, has_lead, added, [&](const auto& pieces) {
    return BpeMerges::from_ranks(pieces, ranks, BaseSymbols::kCharacters);
  });
}

TokenizerPointer from_last_steps(const TokenBytes& token_bytes,
                                 const LastStepRows& last_steps,
                                 const std::vector<TokenId>& byte_tokens,
                                 bool has_lead,
                                 const std::vector<TokenId>& added) {
  std::vector<std::string> tokens = to_strings(token_bytes);
  const std::vector<LastStep> steps = to_last_steps(last_steps);
  const nb::gil_scoped_release released;
  return compile(std::move(tokens), byte_tokens, has_lead, added, [&](const auto& pieces) {
    return BpeMerges::from_last_steps(pieces, steps);
  });
}

}  // namespace

void register_character_pairs(nb::module_& m) {
  m.def("compile_character_pair_merges",
        &from_merges,
        nb::arg("token_bytes"),
        nb::arg("merges"),
        nb::kw_only(),
        nb::arg("byte_tokens"),
        nb::arg("has_lead"),
        nb::arg("added"),
        nb::sig("def compile_character_pair_merges(token_bytes: list[bytes], "
                "merges: numpy.typing.NDArray[numpy.uint32], *, "
                "byte_tokens: collections.abc.Sequence[int], has_lead: bool, "
                "added: collections.abc.Sequence[int]) -> CompiledTokenizer"),
        "BPE over characters from (left, right, result) merges in rank order.");
  m.def("compile_character_pair_ranks",
        &from_ranks,
        nb::arg("token_bytes"),
        nb::arg("ranks"),
        nb::kw_only(),
        nb::arg("byte_tokens"),
        nb::arg("has_lead"),
        nb::arg("added"),
        nb::sig("def compile_character_pair_ranks(token_bytes: list[bytes], "
                "ranks: numpy.typing.NDArray[numpy.uint32], *, "
                "byte_tokens: collections.abc.Sequence[int], has_lead: bool, "
                "added: collections.abc.Sequence[int]) -> CompiledTokenizer"),
        "BPE over characters where all splits of a token merge with its rank; 2**32 - 1 for ids "
        "that take no part.");
  m.def("compile_character_pair_last_steps",
        &from_last_steps,
        nb::arg("token_bytes"),
        nb::arg("last_steps"),
        nb::kw_only(),
        nb::arg("byte_tokens"),
        nb::arg("has_lead"),
        nb::arg("added"),
        nb::sig("def compile_character_pair_last_steps(token_bytes: list[bytes], "
                "last_steps: numpy.typing.NDArray[numpy.uint32], *, "
                "byte_tokens: collections.abc.Sequence[int], has_lead: bool, "
                "added: collections.abc.Sequence[int]) -> CompiledTokenizer"),
        "BPE over characters from what last_steps() said of it before.");
}

}  // namespace nextbyte
