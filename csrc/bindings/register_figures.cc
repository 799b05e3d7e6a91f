// Binds what people look at: figures of a tokenizer, covers of a prefix grouped by context.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include <string>

#include "bindings/bindings.h"
#include "bindings/tokens_in.h"
#include "cover/cover_groups.h"
#include "support/error.h"
#include "tokenizer/figures.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

struct MergeFigures {
  std::size_t not_canonical_alone, max_spine_depth;
  bool is_proper;
};

nb::bytes to_bytes(const std::string& text) { return nb::bytes(text.data(), text.size()); }

std::vector<CoverGroup> groups(const TokenizerPointer& tokenizer,
                               const nb::bytes& prefix,
                               std::size_t examples) {
  const std::string bytes(prefix.c_str(), prefix.size());
  const nb::gil_scoped_release released;
  CoverTracker tracker(tokenizer);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    if (tracker.push(byte)) continue;
    throw UnreachableByte(i,
                          byte,
                          "byte " + std::to_string(byte) + " at position " + std::to_string(i) +
                              " cannot follow: no text that this tokenizer encodes goes on so");
  }
  return cover_groups(tracker, examples);
}

nb::object last_steps(const Tokenizer& tokenizer) {
  const BpeMerges* merges = tokenizer.family().merges();
  if (merges == nullptr) return nb::none();
  const std::vector<LastStep> steps = merges->last_steps();
  auto* data = new std::uint32_t[3 * steps.size()];
  const nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<std::uint32_t*>(p); });
  for (std::size_t i = 0; i < steps.size(); ++i) {
    data[3 * i] = steps[i].left;
    data[3 * i + 1] = steps[i].right;
    data[3 * i + 2] = steps[i].at;
  }
  return nb::cast(nb::ndarray<nb::numpy, std::uint32_t>(data, {steps.size(), 3}, owner));
}

}  // namespace

void register_figures(nb::module_& m) {
  nb::class_<TokenizerFigures>(m, "TokenizerFigures", "Counts over a vocabulary.")
      .def_ro("reachable", &TokenizerFigures::reachable)
      .def_ro("unreachable", &TokenizerFigures::unreachable)
      .def_prop_ro("missing_bytes",
                   [](const TokenizerFigures& f) { return to_bytes(f.missing_bytes); })
      .def_ro("longest", &TokenizerFigures::longest);
  nb::class_<MergeFigures>(m, "MergeFigures", "Properties of a merge list.")
      .def_ro("not_canonical_alone", &MergeFigures::not_canonical_alone)
      .def_ro("max_spine_depth", &MergeFigures::max_spine_depth)
      .def_ro("is_proper", &MergeFigures::is_proper);
  nb::class_<CoverGroup>(m, "CoverGroup", "The covers that share all but their last token.")
      .def_ro("tokens", &CoverGroup::tokens)
      .def_ro("at_end", &CoverGroup::at_end)
      .def_ro("may_end", &CoverGroup::may_end)
      .def_ro("count", &CoverGroup::count)
      .def_ro("last_tokens", &CoverGroup::last_tokens);
  m.def("figures", &figures, nb::arg("tokenizer"), "Counts over the vocabulary, linear in it.");
  m.def(
      "merge_figures",
      [](const Tokenizer& tokenizer) -> nb::object {
        const BpeMerges* merges = tokenizer.family().merges();
        if (merges == nullptr) return nb::none();
        return nb::cast(MergeFigures{
            merges->num_not_canonical_alone(), merges->max_spine_depth(), merges->is_proper()});
      },
      nb::arg("tokenizer"),
      nb::sig("def merge_figures(tokenizer: CompiledTokenizer) -> MergeFigures | None"),
      "Properties of the merges behind a tokenizer, None if it has none.");
  m.def("last_steps",
        &last_steps,
        nb::arg("tokenizer"),
        nb::sig("def last_steps(tokenizer: CompiledTokenizer) -> "
                "numpy.typing.NDArray[numpy.uint32] | None"),
        "By token id (left, right, moment): what compiling its merges found out, which the "
        "functions compile_..._last_steps take. None if it has no merges.");
  m.def("cover_groups",
        &groups,
        nb::arg("tokenizer"),
        nb::arg("prefix"),
        nb::arg("examples"),
        "The live contexts of a byte prefix, each with its last tokens counted.");
}

}  // namespace nextbyte
