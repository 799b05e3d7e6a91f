// Binds one byte stream: push, which contexts need logits, rows in, log-probabilities out.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/logit_row_in.h"
#include "mass/byte_stream.h"
#include "support/error.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

using PythonContext = std::shared_ptr<Context>;

// Bytes that are pushed without letting go of Python's lock: some microseconds.
constexpr std::size_t kShortPush = 16;

// nanobind holds shared_ptr<Context>; the core hands out shared_ptr<const Context>. Python has no
// way to change a Context, so taking the const away and putting it back is sound.
PythonContext to_python(const ContextPointer& context) {
  return std::const_pointer_cast<Context>(context);
}

using Law = nb::ndarray<double, nb::numpy, nb::shape<kAlphabetSize>, nb::c_contig, nb::device::cpu>;
using Laws =
    nb::ndarray<double, nb::numpy, nb::shape<-1, kAlphabetSize>, nb::c_contig, nb::device::cpu>;

}  // namespace

void register_byte_stream(nb::module_& m) {
  nb::class_<Context>(m, "Context", "A node of the cover tree: one token sequence.")
      .def_prop_ro("id", &Context::id)
      .def_prop_ro(
          "parent",
          [](const Context& c) -> PythonContext { return to_python(c.shared_parent()); },
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
             std::vector<TokenId> end_tokens,
             double tolerance) {
            new (self) ByteStream(tokenizer, std::move(end_tokens), tolerance);
          },
          nb::arg("tokenizer"),
          nb::arg("end_tokens"),
          nb::arg("tolerance") = 0.0)
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
                     std::vector<PythonContext> contexts;
                     for (const LiveContext& live : s.tracker().live())
                       contexts.push_back(to_python(live.context));
                     return contexts;
                   })
      .def(
          "pending",
          [](ByteStream& s, bool current) {
            std::vector<PythonContext> contexts;
            for (const auto& context : s.pending(current)) contexts.push_back(to_python(context));
            return contexts;
          },
          nb::kw_only(),
          nb::arg("current") = true)
      .def(
          "provide",
          [](ByteStream& s, const PythonContext& context, const LogitArray& row, bool presorted) {
            const Logits logits = logits_in(row, presorted);
            const nb::gil_scoped_release released;
            s.provide(context, logits);
          },
          nb::arg("context"),
          nb::arg("logits"),
          nb::kw_only(),
          nb::arg("presorted") = false,
          nb::sig("def provide(self, context: Context, logits: numpy.typing.NDArray[typing.Any], "
                  "*, presorted: bool = False) -> None"),
          "Takes in a row; presorted: in the order of `CompiledTokenizer.rank_order`.")
      .def(
          "next_byte_logprobs",
          [](ByteStream& s, const Law& out) {
            const ByteLogprobs& logprobs = s.next_byte_logprobs();
            std::copy(logprobs.begin(), logprobs.end(), out.data());
          },
          nb::arg("out"),
          "Writes the 257 log-probabilities into `out`.")
      .def_prop_ro("tokenizer",
                   [](const ByteStream& s) {
                     return std::const_pointer_cast<Tokenizer>(s.tracker().shared_tokenizer());
                   })
      .def(
          "next_byte_bounds",
          [](ByteStream& s, const Law& lower, const Law& upper) {
            s.next_byte_bounds(lower.data(), upper.data());
          },
          nb::arg("lower"),
          nb::arg("upper"),
          "Writes bounds of the true law's 257 probabilities.")
      .def(
          "likely_token",
          [](const ByteStream& s,
             double least) -> std::optional<std::pair<PythonContext, TokenId>> {
            const auto likely = s.likely_token(least);
            if (!likely) return std::nullopt;
            return std::make_pair(to_python(likely->context), likely->token);
          },
          nb::arg("least"))
      .def_prop_ro("tolerance", &ByteStream::tolerance)
      .def_prop_ro("bound",
                   &ByteStream::bound,
                   "Of the last law, on its total variation distance to the true one.")
      .def_prop_ro("end_tokens", &ByteStream::end_tokens)
      .def_prop_ro("unconfirmed",
                   &ByteStream::unconfirmed,
                   "Share of the model's mass that was left out without proof; 0.0 if exact.")
      .def("drop_massless_rows", &ByteStream::drop_massless_rows)
      .def("relative_logprob", &ByteStream::relative_logprob)
      .def("unscored",
           [](const ByteStream& s) {
             std::vector<std::pair<PythonContext, PythonContext>> edges;
             for (const auto& [parent, child] : s.unscored())
               edges.emplace_back(to_python(parent), to_python(child));
             return edges;
           })
      .def(
          "provide_edge",
          [](const ByteStream& s, const PythonContext& child, const LogitArray& row, bool sorted) {
            const Logits logits = logits_in(row, sorted);
            const nb::gil_scoped_release released;
            s.provide_edge(*child, logits);
          },
          nb::arg("child"),
          nb::arg("logits"),
          nb::kw_only(),
          nb::arg("presorted") = false,
          nb::sig("def provide_edge(self, child: Context, logits: "
                  "numpy.typing.NDArray[typing.Any], *, presorted: bool = False) -> None"))
      .def("base_logprob", &ByteStream::base_logprob);

  m.def(
      "provide_rows",
      [](const std::vector<ByteStream*>& streams,
         const std::vector<PythonContext>& contexts,
         const std::vector<LogitArray>& rows,
         bool presorted) {
        if (streams.size() != contexts.size() || streams.size() != rows.size()) {
          throw InvalidInput("there must be as many contexts and rows as streams");
        }
        std::vector<Logits> logits;
        for (const LogitArray& row : rows) logits.push_back(logits_in(row, presorted));
        const nb::gil_scoped_release released;
        for (std::size_t i = 0; i < streams.size(); ++i) {
          streams[i]->provide(contexts[i], logits[i]);
        }
      },
      nb::arg("streams"),
      nb::arg("contexts"),
      nb::arg("rows"),
      nb::kw_only(),
      nb::arg("presorted") = false,
      nb::sig("def provide_rows(streams: collections.abc.Sequence[ByteStream], contexts: "
              "collections.abc.Sequence[Context], rows: "
              "collections.abc.Sequence[numpy.typing.NDArray[typing.Any]], *, presorted: bool = "
              "False) -> None"),
      "`provide` for many streams, in order, without the interpreter's lock.");
  m.def(
      "next_byte_rows",
      [](const std::vector<ByteStream*>& streams, const Laws& out) {
        if (out.shape(0) != streams.size()) {
          throw InvalidInput("`out` must have as many rows as there are streams");
        }
        const nb::gil_scoped_release released;
        double* to = out.data();
        for (ByteStream* const stream : streams) {
          const ByteLogprobs& logprobs = stream->next_byte_logprobs();
          to = std::copy(logprobs.begin(), logprobs.end(), to);
        }
      },
      nb::arg("streams"),
      nb::arg("out"),
      nb::sig("def next_byte_rows(streams: collections.abc.Sequence[ByteStream], out: "
              "numpy.typing.NDArray[numpy.float64]) -> None"),
      "Writes the log-probabilities of many streams into the rows of `out`, shape (n, 257).");
}

}  // namespace nextbyte
