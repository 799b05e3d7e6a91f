// Binds what says whether a compiled tokenizer is right, and the texts that it is tried on.
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>

#include "bindings/bindings.h"
#include "bindings/tokens_in.h"
#include "cover/self_check.h"
#include "tokenizer/adversarial_texts.h"

namespace nb = nanobind;

namespace nextbyte {

void register_self_check(nb::module_& m) {
  nb::class_<SelfCheckReport>(m, "SelfCheckReport", "What a self-check looked at, and found.")
      .def(nb::init<>(), "Of no self-check.")
      .def_ro("tokens", &SelfCheckReport::tokens)
      .def_ro("strings", &SelfCheckReport::strings)
      .def_ro("pairs", &SelfCheckReport::pairs)
      .def_ro("differences", &SelfCheckReport::differences)
      .def_ro("first_difference", &SelfCheckReport::first_difference);
  m.def(
      "self_check",
      [](const TokenizerPointer& tokenizer, std::size_t effort, bool with_masks) {
        SelfCheckAmounts amounts;
        amounts.tokens *= effort;
        amounts.strings *= effort;
        amounts.pairs *= effort;
        amounts.with_masks = with_masks;
        return self_check(tokenizer, amounts);
      },
      nb::arg("tokenizer"),
      nb::kw_only(),
      nb::arg("effort") = 1,
      nb::arg("with_masks") = false,
      nb::call_guard<nb::gil_scoped_release>(),
      "Compare the engine with its own encoder; `effort` multiplies what is looked at.");
  m.def(
      "adversarial_texts",
      [](const Tokenizer& tokenizer, std::size_t count, std::uint64_t seed) {
        AdversarialTexts texts(tokenizer, seed);
        std::vector<std::string> drawn(count);
        for (std::string& text : drawn) text = texts.next();
        return drawn;
      },
      nb::arg("tokenizer"),
      nb::arg("count"),
      nb::kw_only(),
      nb::arg("seed"),
      "Texts on which tokenizers differ from one another, the same ones in every run.");
}

}  // namespace nextbyte
