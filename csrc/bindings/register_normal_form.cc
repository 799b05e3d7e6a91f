// Python binding of the automata of the normal forms.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "bindings/bindings.h"
#include "bindings/tokens_in.h"
#include "support/error.h"
#include "text/normal_form.h"
#include "text/unicode.h"

namespace nextbyte {

namespace nb = nanobind;
using namespace nb::literals;

namespace {

// What Python holds: one of the automata that live as long as the process.
struct SharedAutomaton {
  const NormalFormAutomaton* automaton;
};

char32_t checked_scalar(std::uint32_t scalar) {
  if (is_scalar(scalar)) return scalar;
  throw InvalidInput(std::to_string(scalar) + " is no Unicode scalar value; pass 0 to 0x10FFFF, " +
                     "without the surrogates 0xD800 to 0xDFFF");
}

std::uint16_t checked_state(const SharedAutomaton& self, std::uint32_t state) {
  if (state < self.automaton->num_states() || state == kDeadNormalForm) {
    return static_cast<std::uint16_t>(state);
  }
  throw InvalidInput("there is no state " + std::to_string(state) + "; pass what step() returned");
}

std::string_view view(const nb::bytes& text) {
  return {static_cast<const char*>(text.data()), text.size()};
}

}  // namespace

NormalForm normal_form_named(const std::string& name) {
  if (name == "none") return NormalForm::kNone;
  if (name == "nfc") return NormalForm::kNfc;
  if (name == "nfkc") return NormalForm::kNfkc;
  throw InvalidInput("unknown normal form \"" + name + "\"; use \"none\", \"nfc\" or \"nfkc\"");
}

void register_normal_form(nb::module_& m) {
  nb::class_<SharedAutomaton>(m, "NormalFormAutomaton", R"doc(
Which texts are their own normal form, decided character by character.

Parameters
----------
form
    "nfc", "nfkc", or "none" for all texts.

Raises
------
nextbyte.errors.InvalidInputError
    If the form is none of these.
)doc")
      .def(
          "__init__",
          [](SharedAutomaton* self, const std::string& form) {
            new (self) SharedAutomaton{&NormalFormAutomaton::of(normal_form_named(form))};
          },
          "form"_a)
      .def(
          "alive_length",
          [](const SharedAutomaton& self, const nb::bytes& text) {
            return self.automaton->alive_length(view(text));
          },
          "text"_a,
          R"doc(
Length of the longest prefix that is its own normal form, in whole characters.

Parameters
----------
text
    Valid UTF-8.

Returns
-------
int
    A number of bytes; all shorter prefixes are normal as well, and no longer one is.

Raises
------
nextbyte.errors.InvalidInputError
    If that prefix is followed by what is not UTF-8.
)doc")
      .def(
          "holds",
          [](const SharedAutomaton& self, const nb::bytes& text) {
            return self.automaton->alive_length(view(text)) == text.size();
          },
          "text"_a,
          R"doc(
Whether a text is its own normal form.

Parameters
----------
text
    Valid UTF-8.

Returns
-------
bool
    Whether normalizing it changes nothing.

Raises
------
nextbyte.errors.InvalidInputError
    If a normal prefix is followed by what is not UTF-8.
)doc")
      .def(
          "step",
          [](const SharedAutomaton& self, std::uint32_t state, std::uint32_t scalar) {
            return self.automaton->step(checked_state(self, state), checked_scalar(scalar));
          },
          "state"_a,
          "scalar"_a,
          R"doc(
Follow one character.

Parameters
----------
state
    0 at the start of a text, or what the last step returned.
scalar
    The character.

Returns
-------
int
    The state after it, 65535 if the text is not its own normal form any more.

Raises
------
nextbyte.errors.InvalidInputError
    If there is no such state or no such character.
)doc")
      .def(
          "is_sensitive",
          [](const SharedAutomaton& self, std::uint32_t scalar) {
            return self.automaton->is_sensitive(checked_scalar(scalar));
          },
          "scalar"_a,
          R"doc(
Whether what a character does depends on the text before it.

Parameters
----------
scalar
    The character.

Returns
-------
bool
    True for combining marks and for what composes with a character before it.

Raises
------
nextbyte.errors.InvalidInputError
    If there is no such character.
)doc")
      .def(
          "survives_block",
          [](const SharedAutomaton& self, std::uint32_t state, unsigned bits, std::uint32_t block) {
            const std::uint16_t from = checked_state(self, state);
            if ((bits != 6 && bits != 12) || block > kLastScalar >> bits) {
              throw InvalidInput("there is no such block; pass 6 or 12 bits and a number below " +
                                 std::string("17,408 or 272"));
            }
            return bits == 6 ? self.automaton->survives_block64(from, block)
                             : self.automaton->survives_block4096(from, block);
          },
          "state"_a,
          "bits"_a,
          "block"_a,
          R"doc(
Whether some character of a block can follow.

Parameters
----------
state
    0 at the start of a text, or what the last step returned.
bits
    6 where one byte of the character's UTF-8 is missing, 12 where two are.
block
    The bits of the character above those.

Returns
-------
bool
    Whether one of the characters that it can become keeps the text its own normal form.

Raises
------
nextbyte.errors.InvalidInputError
    If there is no such state or no such block.
)doc")
      .def_prop_ro(
          "num_states",
          [](const SharedAutomaton& self) { return self.automaton->num_states(); },
          "Number of states, the dead one not counted.")
      .def_prop_ro(
          "num_classes",
          [](const SharedAutomaton& self) { return self.automaton->num_classes(); },
          "Number of classes of characters that step alike.");
}

}  // namespace nextbyte
