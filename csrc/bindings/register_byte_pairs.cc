// Binds the construction of byte-level BPE tokenizers from plain data.
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
#include "families/byte_pair_family.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

TokenizerPointer compile(std::shared_ptr<const Vocabulary> vocabulary,
                         BpeMerges merges,
                         const std::vector<std::string>& stages,
                         bool whole_pieces,
                         const std::string& normal_form) {
  auto family = std::make_unique<const BytePairFamily>(
      vocabulary, std::move(merges), stages, whole_pieces, normal_form_named(normal_form));
  return assemble(std::move(vocabulary), std::move(family));
}

TokenizerPointer from_merges(const TokenBytes& token_bytes,
                             const MergeRows& merges,
                             const std::vector<std::string>& stages,
                             bool whole_pieces,
                             const std::string& normal_form,
                             const std::vector<TokenId>& added) {
  std::vector<std::string> tokens = to_strings(token_bytes);
  const std::vector<Merge> list = to_merges(merges);
  const nb::gil_scoped_release released;
  auto vocabulary = std::make_shared<const Vocabulary>(std::move(tokens), added);
  BpeMerges compiled = BpeMerges::from_merges(vocabulary->token_bytes(), list);
  return compile(std::move(vocabulary), std::move(compiled), stages, whole_pieces, normal_form);
}

TokenizerPointer from_ranks(const TokenBytes& token_bytes,
                            const RankRow& rank_of_id,
                            const std::vector<std::string>& stages,
                            bool whole_pieces,
                            const std::string& normal_form,
                            const std::vector<TokenId>& added) {
  std::vector<std::string> tokens = to_strings(token_bytes);
  const std::vector<std::uint32_t> ranks = to_ranks(rank_of_id);
  const nb::gil_scoped_release released;
  auto vocabulary = std::make_shared<const Vocabulary>(std::move(tokens), added);
  BpeMerges compiled = BpeMerges::from_ranks(
      vocabulary->token_bytes(), ranks, BaseSymbols::kBytes, &vocabulary->order());
  return compile(std::move(vocabulary), std::move(compiled), stages, whole_pieces, normal_form);
}

TokenizerPointer from_last_steps(const TokenBytes& token_bytes,
                                 const LastStepRows& last_steps,
                                 const std::vector<std::string>& stages,
                                 bool whole_pieces,
                                 const std::string& normal_form,
                                 const std::vector<TokenId>& added) {
  std::vector<std::string> tokens = to_strings(token_bytes);
  const std::vector<LastStep> steps = to_last_steps(last_steps);
  const nb::gil_scoped_release released;
  auto vocabulary = std::make_shared<const Vocabulary>(std::move(tokens), added);
  BpeMerges compiled = BpeMerges::from_last_steps(vocabulary->token_bytes(), steps);
  return compile(std::move(vocabulary), std::move(compiled), stages, whole_pieces, normal_form);
}

}  // namespace

void register_byte_pairs(nb::module_& m) {
  m.def("compile_byte_pair_merges",
        &from_merges,
        nb::arg("token_bytes"),
        nb::arg("merges"),
        nb::arg("stages"),
        nb::kw_only(),
        nb::arg("whole_pieces"),
        nb::arg("normal_form"),
        nb::arg("added"),
        nb::sig("def compile_byte_pair_merges(token_bytes: list[bytes], "
                "merges: numpy.typing.NDArray[numpy.uint32], stages: collections.abc.Sequence[str],"
                " *, whole_pieces: bool, normal_form: str, added: collections.abc.Sequence[int]) "
                "-> CompiledTokenizer"),
        "Byte-level BPE from (left, right, result) merges in rank order.");
  m.def("compile_byte_pair_ranks",
        &from_ranks,
        nb::arg("token_bytes"),
        nb::arg("ranks"),
        nb::arg("stages"),
        nb::kw_only(),
        nb::arg("whole_pieces"),
        nb::arg("normal_form"),
        nb::arg("added"),
        nb::sig("def compile_byte_pair_ranks(token_bytes: list[bytes], "
                "ranks: numpy.typing.NDArray[numpy.uint32], stages: collections.abc.Sequence[str],"
                " *, whole_pieces: bool, normal_form: str, added: collections.abc.Sequence[int]) "
                "-> CompiledTokenizer"),
        "Byte-level BPE from tiktoken ranks; 2**32 - 1 for ids that take no part in merges.");
  m.def("compile_byte_pair_last_steps",
        &from_last_steps,
        nb::arg("token_bytes"),
        nb::arg("last_steps"),
        nb::arg("stages"),
        nb::kw_only(),
        nb::arg("whole_pieces"),
        nb::arg("normal_form"),
        nb::arg("added"),
        nb::sig("def compile_byte_pair_last_steps(token_bytes: list[bytes], "
                "last_steps: numpy.typing.NDArray[numpy.uint32], "
                "stages: collections.abc.Sequence[str], *, whole_pieces: bool, normal_form: str, "
                "added: collections.abc.Sequence[int]) -> CompiledTokenizer"),
        "Byte-level BPE from what last_steps() said of it before.");
}

}  // namespace nextbyte
