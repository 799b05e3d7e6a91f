// The stream of bytes bound once more, with pybind11: the same C++ work behind another binding.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "families/byte_pair_family.h"
#include "mass/byte_stream.h"
#include "tokenizer/tokenizer.h"
#include "vocabulary/bpe_merges.h"
#include "vocabulary/token_table.h"
#include "vocabulary/vocabulary.h"

namespace py = pybind11;

namespace {

using nextbyte::ByteStream;
using ContextPointer = std::shared_ptr<nextbyte::Context>;
template <typename Number>
using Array = py::array_t<Number, py::array::c_style>;

std::unique_ptr<ByteStream> make_stream(const std::vector<std::string>& tokens,
                                        const Array<std::uint32_t>& merge_rows,
                                        const std::vector<std::string>& stages) {
  std::vector<nextbyte::Merge> merges;
  for (py::ssize_t i = 0; i < merge_rows.shape(0); ++i) {
    merges.push_back({merge_rows.at(i, 0), merge_rows.at(i, 1), merge_rows.at(i, 2)});
  }
  auto vocabulary = std::make_shared<const nextbyte::Vocabulary>(tokens);
  auto family = std::make_unique<const nextbyte::BytePairFamily>(
      vocabulary, nextbyte::BpeMerges::from_merges(tokens, merges), stages, false);
  return std::make_unique<ByteStream>(
      std::make_shared<const nextbyte::Tokenizer>(vocabulary, std::move(family)),
      std::vector<nextbyte::TokenId>{});
}

// The sorted table of a list of bytes: how many tokens it has.
std::size_t token_table(const py::list& list) {
  std::vector<std::string> tokens;
  tokens.reserve(list.size());
  for (const py::handle token : list) tokens.push_back(token.cast<std::string>());
  return nextbyte::TokenTable(tokens).size();
}

}  // namespace

PYBIND11_MODULE(nextbyte_twin, m) {
  m.def("token_table", &token_table);
  py::class_<nextbyte::Context, ContextPointer>(m, "Context");
  py::class_<ByteStream>(m, "Stream")
      .def(py::init(&make_stream))
      .def("push",
           [](ByteStream& s, const py::bytes& data) {
             const std::string_view bytes = data;
             const py::gil_scoped_release released;
             s.push(bytes);
           })
      .def("rollback", &ByteStream::rollback)
      .def("__len__", &ByteStream::size)
      .def_property_readonly("prefix",
                             [](const ByteStream& s) { return py::bytes(s.tracker().bytes()); })
      .def("pending",
           [](ByteStream& s) {
             std::vector<ContextPointer> contexts;
             for (const auto& context : s.pending()) {
               contexts.push_back(std::const_pointer_cast<nextbyte::Context>(context));
             }
             return contexts;
           })
      .def("provide",
           [](ByteStream& s, const ContextPointer& context, const Array<float>& row) {
             const nextbyte::Logits logits{{row.data(),
                                            nextbyte::kernels::LogitType::kFloat32,
                                            static_cast<std::size_t>(row.size())},
                                           false};
             const py::gil_scoped_release released;
             s.provide(context, logits);
           })
      .def("next_byte_logprobs", [](ByteStream& s, Array<double>& out) {
        if (out.size() != static_cast<py::ssize_t>(nextbyte::kAlphabetSize)) {
          throw std::invalid_argument("the buffer needs 257 numbers");
        }
        const nextbyte::ByteLogprobs& logprobs = s.next_byte_logprobs();
        std::copy(logprobs.begin(), logprobs.end(), out.mutable_data());
      });
}
