// Binds one row of logits as byte masses, without covers: what a token starts with.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "bindings/bindings.h"
#include "bindings/logit_row_in.h"
#include "support/error.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

constexpr std::size_t kBytes = 256;
using Masses = nb::ndarray<double, nb::numpy, nb::shape<kBytes>, nb::c_contig, nb::device::cpu>;

struct TokenMasses {
  std::shared_ptr<const Tokenizer> tokenizer;
  MassRow row;

  // The tokens that start with a prefix; false if there are none.
  bool find(std::string_view prefix, TokenTable::Cursor& cursor) const {
    const TokenTable& table = tokenizer->table();
    cursor = table.root();
    return std::all_of(prefix.begin(), prefix.end(), [&](char byte) {
      return table.step(cursor, static_cast<std::uint8_t>(byte));
    });
  }
};

std::string_view view(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

Masses output(const std::optional<Masses>& out) {
  if (out) return *out;
  auto memory = std::make_unique<double[]>(kBytes);
  double* const data = memory.get();
  nb::capsule owner(memory.release(), [](void* p) noexcept { delete[] static_cast<double*>(p); });
  return Masses(data, {kBytes}, owner);
}

}  // namespace

void register_mass_row(nb::module_& m) {
  nb::class_<TokenMasses>(
      m,
      "MassRow",
      "One row of logits as masses of byte prefixes: the probability that the next token starts "
      "so.\n\n"
      "The probabilities are those of a softmax over the tokens that texts consist of; special\n"
      "tokens have none. This is what a trie over the vocabulary gives: no covers, one context.\n"
      "Made by `nextbyte.Tokenizer.mass_row`.")
      .def(
          "__init__",
          [](TokenMasses* self,
             const std::shared_ptr<Tokenizer>& tokenizer,
             const LogitArray& array,
             bool presorted) {
            const Logits logits = logits_in(array, presorted);
            const nb::gil_scoped_release released;
            MassRow row(*tokenizer, logits, nullptr, {});
            if (!(row.total() > 0.0)) {
              throw InvalidInput("the logits give probability zero to every token with bytes");
            }
            new (self) TokenMasses{tokenizer, std::move(row)};
          },
          nb::arg("tokenizer"),
          nb::arg("logits"),
          nb::kw_only(),
          nb::arg("presorted") = false,
          nb::sig("def __init__(self, tokenizer: CompiledTokenizer, logits: "
                  "numpy.typing.NDArray[typing.Any], *, presorted: bool = False) -> None"))
      .def(
          "roots",
          [](const TokenMasses& t, const std::optional<Masses>& out) {
            const Masses result = output(out);
            double* const masses = result.data();
            std::fill_n(masses, kBytes, 0.0);
            const double* sum = t.row.root_sums().data();
            t.tokenizer->table().for_each_child(
                t.tokenizer->table().root(),
                [&](std::uint8_t byte, Rank, Rank) { masses[byte] = *sum++ / t.row.total(); });
            return result;
          },
          nb::kw_only(),
          nb::arg("out").none() = nb::none(),
          nb::sig("def roots(self, *, out: numpy.typing.NDArray[numpy.float64] | None = None) -> "
                  "numpy.typing.NDArray[numpy.float64]"),
          "Return the probability of each first byte, shape (256,), float64; `out` is written into "
          "if given.")
      .def(
          "children",
          [](const TokenMasses& t, const nb::bytes& prefix, const std::optional<Masses>& out) {
            const Masses result = output(out);
            double* const masses = result.data();
            std::fill_n(masses, kBytes, 0.0);
            TokenTable::Cursor cursor{};
            if (t.find(view(prefix), cursor)) {
              t.tokenizer->table().for_each_child(
                  cursor, [&](std::uint8_t byte, Rank first, Rank last) {
                    masses[byte] = t.row.sum(first, last) / t.row.total();
                  });
            }
            return result;
          },
          nb::arg("prefix"),
          nb::kw_only(),
          nb::arg("out").none() = nb::none(),
          nb::sig("def children(self, prefix: bytes, *, out: numpy.typing.NDArray[numpy.float64] | "
                  "None = None) -> numpy.typing.NDArray[numpy.float64]"),
          "Return the probability that a token starts with `prefix` and each byte, shape (256,).")
      .def(
          "mass",
          [](const TokenMasses& t, const nb::bytes& prefix) {
            TokenTable::Cursor cursor{};
            if (!t.find(view(prefix), cursor)) return 0.0;
            return t.row.sum(cursor.first, cursor.last) / t.row.total();
          },
          nb::arg("prefix"),
          "Return the probability that a token starts with `prefix`.")
      .def_prop_ro(
          "log_normalizer",
          [](const TokenMasses& t) { return t.row.log_scale() + std::log(t.row.total()); },
          "The log of the sum of exp(logit) over tokens with bytes.");
}

}  // namespace nextbyte
