// Binds the compiled tokenizer: construction from plain data, encoding, covers, figures.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "cover/cover_tracker.h"
#include "support/error.h"
#include "tokenizer/tokenizer.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

// list[tuple[tuple[int, ...], int]]
using Covers =
    nb::typed<nb::list, nb::typed<nb::tuple, nb::typed<nb::tuple, int, nb::ellipsis>, int>>;
using TokenizerPointer = std::shared_ptr<Tokenizer>;

std::vector<std::string> to_strings(const nb::typed<nb::list, nb::bytes>& tokens) {
  std::vector<std::string> strings;
  strings.reserve(tokens.size());
  for (const nb::handle token : tokens) {
    const nb::bytes bytes = nb::cast<nb::bytes>(token);
    strings.emplace_back(bytes.c_str(), bytes.size());
  }
  return strings;
}

std::string_view view(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

nb::bytes to_bytes(const std::string& text) { return nb::bytes(text.data(), text.size()); }

TokenId checked(const Tokenizer& tokenizer, TokenId token) {
  if (token >= tokenizer.vocabulary_size()) {
    throw InvalidInput("token id " + std::to_string(token) + " is outside the vocabulary of " +
                       std::to_string(tokenizer.vocabulary_size()));
  }
  return token;
}

TokenizerPointer from_merges(const nb::typed<nb::list, nb::bytes>& token_bytes,
                             const std::vector<std::tuple<TokenId, TokenId, TokenId>>& merges,
                             const std::vector<std::string>& stages) {
  std::vector<std::string> tokens = to_strings(token_bytes);
  std::vector<Merge> list;
  list.reserve(merges.size());
  for (const auto& [left, right, result] : merges) list.push_back({left, right, result});
  const nb::gil_scoped_release released;
  BpeMerges compiled = BpeMerges::from_merges(tokens, list);
  return std::make_shared<Tokenizer>(std::move(tokens), std::move(compiled), stages);
}

TokenizerPointer from_ranks(const nb::typed<nb::list, nb::bytes>& token_bytes,
                            const std::vector<std::uint32_t>& ranks,
                            const std::vector<std::string>& stages) {
  std::vector<std::string> tokens = to_strings(token_bytes);
  const nb::gil_scoped_release released;
  BpeMerges compiled = BpeMerges::from_ranks(tokens, ranks);
  return std::make_shared<Tokenizer>(std::move(tokens), std::move(compiled), stages);
}

}  // namespace

void register_tokenizer(nb::module_& m) {
  nb::class_<Tokenizer>(m, "CompiledTokenizer", "Byte-level BPE with its exact successor relation.")
      .def_static("from_merges",
                  &from_merges,
                  nb::arg("token_bytes"),
                  nb::arg("merges"),
                  nb::arg("stages"),
                  "From (left, right, result) merges in rank order.")
      .def_static("from_ranks",
                  &from_ranks,
                  nb::arg("token_bytes"),
                  nb::arg("ranks"),
                  nb::arg("stages"),
                  "From tiktoken ranks; 2**32 - 1 for ids that take no part in merges.")
      .def_prop_ro("vocabulary_size", &Tokenizer::vocabulary_size)
      .def_prop_ro("pretokenizer", &Tokenizer::pretokenizer, nb::rv_policy::reference_internal)
      .def(
          "token_bytes",
          [](const Tokenizer& t, TokenId token) {
            return to_bytes(t.token_bytes(checked(t, token)));
          },
          nb::arg("token"))
      .def(
          "is_reachable",
          [](const Tokenizer& t, TokenId token) {
            return t.table().rank_of(checked(t, token)) != kNoRank;
          },
          nb::arg("token"),
          "Can BPE produce this token at all?")
      .def(
          "pair_ok",
          [](const Tokenizer& t, TokenId left, TokenId right) {
            return t.merges().pair_ok(checked(t, left), checked(t, right));
          },
          nb::arg("left"),
          nb::arg("right"),
          "Does BPE leave the cut between two tokens of a piece alone?")
      .def(
          "encode",
          [](const Tokenizer& t, const nb::bytes& text) { return t.encode(view(text)); },
          nb::arg("text"))
      .def(
          "cover_encodings",
          [](const std::shared_ptr<Tokenizer>& t, const nb::bytes& prefix) {
            CoverTracker tracker(t);
            for (std::size_t i = 0; i < prefix.size(); ++i) {
              if (!tracker.push(static_cast<std::uint8_t>(prefix.c_str()[i]))) {
                return Covers();
              }
            }
            Covers covers;
            for (const CoverEncoding& cover : cover_encodings(tracker)) {
              nb::list tokens;
              for (const TokenId token : cover.tokens) tokens.append(token);
              covers.append(nb::make_tuple(nb::tuple(tokens), cover.overhang));
            }
            return covers;
          },
          nb::arg("prefix"),
          "Every cover encoding of the prefix: (token ids, bytes past its end).");
}

}  // namespace nextbyte
