// Binds the compiled tokenizer: encoding, covers, figures.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/tokens_in.h"
#include "cover/cover_tracker.h"
#include "support/error.h"
#include "tokenizer/tokenizer.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

// list[tuple[tuple[int, ...], int]]
using Covers =
    nb::typed<nb::list, nb::typed<nb::tuple, nb::typed<nb::tuple, int, nb::ellipsis>, int>>;
std::string_view view(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

nb::bytes to_bytes(const std::string& text) { return nb::bytes(text.data(), text.size()); }

TokenId checked(const Tokenizer& tokenizer, TokenId token) {
  if (token >= tokenizer.vocabulary_size()) {
    throw InvalidInput("token id " + std::to_string(token) + " is outside the vocabulary of " +
                       std::to_string(tokenizer.vocabulary_size()));
  }
  return token;
}

}  // namespace

void register_tokenizer(nb::module_& m) {
  nb::class_<Tokenizer>(m, "CompiledTokenizer", "A tokenizer with its exact successor relation.")
      .def_prop_ro("vocabulary_size", &Tokenizer::vocabulary_size)
      .def_prop_ro(
          "pretokenizer",
          [](const Tokenizer& t) { return t.family().pretokenizer(); },
          nb::rv_policy::reference_internal,
          nb::sig("def pretokenizer(self) -> Pretokenizer | None"),
          "What splits the text first, or None.")
      .def_prop_ro("row_size", &Tokenizer::row_size, "Logits that a row must have at least.")
      .def_prop_ro(
          "rank_order",
          [](const Tokenizer& t) {
            const std::size_t size = t.table().size() + t.unranked().size();
            auto memory = std::make_unique<TokenId[]>(size);
            TokenId* const data = memory.get();
            std::copy(t.unranked().begin(),
                      t.unranked().end(),
                      std::copy(t.table().order().begin(), t.table().order().end(), data));
            const nb::capsule owner(memory.release(),
                                    [](void* p) noexcept { delete[] static_cast<TokenId*>(p); });
            return nb::ndarray<TokenId, nb::numpy, nb::ndim<1>>(data, {size}, owner);
          },
          nb::rv_policy::automatic,
          nb::sig("def rank_order(self) -> numpy.typing.NDArray[numpy.uint32]"),
          "The token at each position of a presorted row.")
      .def_prop_ro(
          "is_witnessed",
          [](const Tokenizer& t) { return t.family().is_witnessed(); },
          "Are sequences only allowed once the tokenizer's own library has confirmed them?")
      .def_prop_ro(
          "lead",
          [](const Tokenizer& t) { return to_bytes(t.lead()); },
          "What the tokens of every text spell before it.")
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
          "Is this token in the encoding of any text?")
      .def(
          "encode",
          [](const Tokenizer& t, const nb::bytes& text) { return t.encode(view(text)); },
          nb::arg("text"))
      .def(
          "cover_encodings",
          [](const TokenizerPointer& t, const nb::bytes& prefix) {
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
