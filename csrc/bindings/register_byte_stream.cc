// Binds one byte stream: push, which contexts need logits, rows in, log-probabilities out.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string_view>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "mass/byte_stream.h"
#include "support/error.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

using Row = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ContextPointer = std::shared_ptr<Context>;

// Bytes that are pushed without letting go of Python's lock: some microseconds.
constexpr std::size_t kShortPush = 16;

// nanobind holds shared_ptr<Context>; the core hands out shared_ptr<const Context>. Python has no
// way to change a Context, so taking the const away and putting it back is sound.
ContextPointer to_python(const ByteStream::ContextPointer& context) {
  return std::const_pointer_cast<Context>(context);
}

kernels::LogitRow logit_row(const Row& row) {
  const nb::dlpack::dtype type = row.dtype();
  kernels::LogitType logit_type{};
  if (type == nb::dtype<float>()) {
    logit_type = kernels::LogitType::kFloat32;
  } else if (type == nb::dtype<double>()) {
    logit_type = kernels::LogitType::kFloat64;
  } else if (type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float) &&
             type.bits == 16) {
    logit_type = kernels::LogitType::kFloat16;
  } else if (type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Bfloat) &&
             type.bits == 16) {
    logit_type = kernels::LogitType::kBFloat16;
  } else {
    throw InvalidInput("logits must be float16, bfloat16, float32 or float64");
  }
  return {row.data(), logit_type, row.shape(0)};
}

}  // namespace

void register_byte_stream(nb::module_& m) {
  nb::class_<Context>(m, "Context", "A node of the cover tree: one token sequence.")
      .def_prop_ro("id", &Context::id)
      .def_prop_ro(
          "parent",
          [](const Context& c) -> ContextPointer { return to_python(c.shared_parent()); },
          nb::sig("def parent(self) -> Context | None"))
      .def_prop_ro(
          "token",
          [](const Context& c) {
            return static_cast<std::int64_t>(
                c.parent() == nullptr ? -1 : static_cast<std::int64_t>(c.token()));
          },
          "The last token id, -1 for the root.")
      .def_prop_ro("position", &Context::position, "Bytes that the sequence decodes to.")
      .def_prop_ro("depth", &Context::depth, "Tokens in the sequence.");

  nb::class_<ByteStream>(m, "ByteStream", "Live covers of one stream of bytes, and their masses.")
      .def(
          "__init__",
          [](ByteStream* self,
             const std::shared_ptr<Tokenizer>& tokenizer,
             std::vector<TokenId> end_tokens) {
            new (self) ByteStream(tokenizer, std::move(end_tokens));
          },
          nb::arg("tokenizer"),
          nb::arg("end_tokens"))
      .def("fork", [](const ByteStream& s) { return ByteStream(s); })
      .def(
          "push",
          [](ByteStream& s, const nb::bytes& data) {
            const std::string_view bytes(data.c_str(), data.size());
            // Letting go of the lock costs as much as a byte does.
            if (bytes.size() <= kShortPush) {
              s.push(bytes);
              return;
            }
            const nb::gil_scoped_release released;
            s.push(bytes);
          },
          nb::arg("data"))
      .def("rollback", &ByteStream::rollback, nb::arg("count"))
      .def("__len__", &ByteStream::size)
      .def_prop_ro("prefix",
                   [](const ByteStream& s) {
                     const std::string bytes = s.tracker().bytes();
                     return nb::bytes(bytes.data(), bytes.size());
                   })
      .def_prop_ro("live",
                   [](const ByteStream& s) {
                     std::vector<ContextPointer> contexts;
                     for (const LiveContext& live : s.tracker().live())
                       contexts.push_back(to_python(live.context));
                     return contexts;
                   })
      .def(
          "pending",
          [](ByteStream& s, bool current) {
            std::vector<ContextPointer> contexts;
            for (const auto& context : s.pending(current)) contexts.push_back(to_python(context));
            return contexts;
          },
          nb::kw_only(),
          nb::arg("current") = true)
      .def(
          "provide",
          [](ByteStream& s, const ContextPointer& context, const Row& row) {
            const kernels::LogitRow logits = logit_row(row);
            const nb::gil_scoped_release released;
            s.provide(context, logits);
          },
          nb::arg("context"),
          nb::arg("logits"),
          nb::sig("def provide(self, context: Context, logits: numpy.typing.NDArray[typing.Any]) "
                  "-> None"))
      .def(
          "next_byte_logprobs",
          [](ByteStream& s,
             const nb::ndarray<double,
                               nb::numpy,
                               nb::shape<kAlphabetSize>,
                               nb::c_contig,
                               nb::device::cpu>& out) {
            const ByteLogprobs& logprobs = s.next_byte_logprobs();
            std::copy(logprobs.begin(), logprobs.end(), out.data());
          },
          nb::arg("out"),
          "Writes the 257 log-probabilities into `out`.")
      .def_prop_ro("tokenizer",
                   [](const ByteStream& s) {
                     return std::const_pointer_cast<Tokenizer>(s.tracker().shared_tokenizer());
                   })
      .def_prop_ro("unconfirmed",
                   &ByteStream::unconfirmed,
                   "Share of the model's mass that was left out without proof; 0.0 if exact.")
      .def("drop_massless_rows", &ByteStream::drop_massless_rows)
      .def("relative_logprob", &ByteStream::relative_logprob)
      .def("unscored",
           [](const ByteStream& s) {
             std::vector<std::pair<ContextPointer, ContextPointer>> edges;
             for (const auto& [parent, child] : s.unscored())
               edges.emplace_back(to_python(parent), to_python(child));
             return edges;
           })
      .def(
          "provide_edge",
          [](const ByteStream& s, const ContextPointer& child, const Row& row) {
            const kernels::LogitRow logits = logit_row(row);
            const nb::gil_scoped_release released;
            s.provide_edge(*child, logits);
          },
          nb::arg("child"),
          nb::arg("logits"),
          nb::sig("def provide_edge(self, child: Context, logits: "
                  "numpy.typing.NDArray[typing.Any]) -> None"))
      .def("base_logprob", &ByteStream::base_logprob);
}

}  // namespace nextbyte
