// Binds the posterior over covers, and walks by tokens from a context on.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/logit_row_in.h"
#include "mass/cover_posterior.h"
#include "mass/token_walk.h"
#include "support/error.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

using PythonContext = std::shared_ptr<Context>;  // see register_byte_stream.cc
using Integers = nb::ndarray<std::int64_t, nb::numpy, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Doubles = nb::ndarray<double, nb::numpy, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <typename Number, typename Array>
Array fresh(std::size_t size) {
  auto memory = std::make_unique<Number[]>(size);
  Number* const data = memory.get();
  nb::capsule owner(memory.release(), [](void* p) noexcept { delete[] static_cast<Number*>(p); });
  return Array(data, {size}, owner);
}

// END_OF_TEXT is -1 in Python.
std::int64_t to_python(TokenId token) { return token == kNoToken ? -1 : std::int64_t{token}; }

TokenId from_python(std::int64_t token) {
  if (token < -1 || token >= std::int64_t{kNoToken}) {
    throw InvalidInput("a token id must be -1 (the end of the text) or a token, not " +
                       std::to_string(token));
  }
  return token == -1 ? kNoToken : static_cast<TokenId>(token);
}

}  // namespace

void register_healing(nb::module_& m) {
  m.def(
      "cover_posterior",
      [](const ByteStream& stream) {
        CoverPosterior posterior;
        {
          const nb::gil_scoped_release released;
          posterior = cover_posterior(stream);
        }
        std::vector<PythonContext> contexts;
        for (const auto& context : posterior.contexts) {
          contexts.push_back(std::const_pointer_cast<Context>(context));
        }
        const std::size_t size = posterior.tokens.size();
        auto owners = fresh<std::int64_t, Integers>(size);
        auto tokens = fresh<std::int64_t, Integers>(size);
        auto log_weights = fresh<double, Doubles>(size);
        std::copy(posterior.owners.begin(), posterior.owners.end(), owners.data());
        std::transform(posterior.tokens.begin(), posterior.tokens.end(), tokens.data(), &to_python);
        std::copy(posterior.log_weights.begin(), posterior.log_weights.end(), log_weights.data());
        return nb::make_tuple(std::move(contexts), owners, tokens, log_weights);
      },
      nb::arg("stream"),
      nb::sig("def cover_posterior(stream: ByteStream) -> tuple[list[Context], "
              "numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.int64], "
              "numpy.typing.NDArray[numpy.float64]]"),
      "The contexts, and of each cover its place there, its last token (-1: the context itself) "
      "and log weight.");

  m.def(
      "anchor",
      [](const ByteStream& stream) { stream.tracker().base().set_path_logprob(0.0); },
      nb::arg("stream"),
      nb::sig("def anchor(stream: ByteStream) -> None"),
      "Counts the base's own probability as one, for this stream and all its relatives: "
      "base_logprob() is relative to it from here on, and asks for no row above it.");

  nb::class_<TokenWalk>(
      m, "TokenWalk", "The law of the next token after a context, a token at a time.")
      .def(
          "__init__",
          [](TokenWalk* self, const ByteStream& stream, const PythonContext& context) {
            new (self) TokenWalk(stream, context);
          },
          nb::arg("stream"),
          nb::arg("context"))
      .def_prop_ro("has_row", &TokenWalk::has_row)
      .def(
          "provide",
          [](TokenWalk& walk, const LogitArray& row, bool presorted) {
            const Logits logits = logits_in(row, presorted);
            const nb::gil_scoped_release released;
            walk.provide(logits);
          },
          nb::arg("logits"),
          nb::kw_only(),
          nb::arg("presorted") = false,
          nb::sig("def provide(self, logits: numpy.typing.NDArray[typing.Any], *, presorted: bool "
                  "= False) -> None"))
      .def(
          "advance",
          [](TokenWalk& walk, std::int64_t token) { walk.advance(from_python(token)); },
          nb::arg("token"))
      .def(
          "draw",
          [](const TokenWalk& walk, double uniform) { return to_python(walk.draw(uniform)); },
          nb::arg("uniform"),
          "The token at this point of the distribution function; -1: the end of the text.")
      .def(
          "logprob",
          [](const TokenWalk& walk, std::int64_t token) {
            return walk.logprob(from_python(token));
          },
          nb::arg("token"))
      .def(
          "probabilities",
          [](const TokenWalk& walk) {
            auto out = fresh<double, Doubles>(walk.law_size());
            walk.probabilities(std::span(out.data(), walk.law_size()));
            return out;
          },
          nb::sig("def probabilities(self) -> numpy.typing.NDArray[numpy.float64]"),
          "The probability of each token by id, and of the end of the text last.");
}

}  // namespace nextbyte
