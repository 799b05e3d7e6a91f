// Python binding of the pre-tokenizer automaton.
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/bindings.h"
#include "text/pretokenizer.h"

namespace nextbyte {

namespace nb = nanobind;
using namespace nb::literals;

void register_pretokenizer(nb::module_& m) {
  nb::class_<Pretokenizer>(m, "Pretokenizer", R"doc(
Split patterns, compiled to an exact online automaton.

Parameters
----------
stages
    One regular expression each, applied in order, each to every piece of the one before; matches
    and the gaps between them both become pieces. No stages: a text is one piece.

Raises
------
nextbyte.errors.UnsupportedTokenizerError
    If a pattern is outside the class that is compiled exactly.
)doc")
      .def(
          "__init__",
          [](Pretokenizer* self, const std::vector<std::string>& stages) {
            const nb::gil_scoped_release release;
            new (self) Pretokenizer(stages);
          },
          "stages"_a)
      .def(
          "split",
          [](const Pretokenizer& self, const nb::bytes& text) {
            const std::string_view bytes(static_cast<const char*>(text.data()), text.size());
            const nb::gil_scoped_release release;
            return self.split(bytes);
          },
          "text"_a,
          R"doc(
Byte offsets at which the pieces of a complete text start.

Parameters
----------
text
    Valid UTF-8.

Returns
-------
list of int
    Ascending; the first is 0. Empty for the empty text.

Raises
------
nextbyte.errors.InvalidInputError
    If the text is not UTF-8.
)doc")
      .def(
          "splits_of_prefix",
          [](const Pretokenizer& self, const nb::bytes& text) {
            const std::string_view bytes(static_cast<const char*>(text.data()), text.size());
            const nb::gil_scoped_release release;
            return self.splits_of_prefix(bytes);
          },
          "text"_a,
          R"doc(
Every way in which a text is split when it goes on.

Parameters
----------
text
    Valid UTF-8.

Returns
-------
list of list of int
    The byte offsets inside `text` at which pieces start, for each outcome that some continuation
    of `text`, the empty one included, brings about. Not the offset behind the text.

Raises
------
nextbyte.errors.InvalidInputError
    If the text is not UTF-8.
)doc")
      .def_prop_ro("num_classes", &Pretokenizer::num_classes, "Number of character classes.")
      .def_prop_ro("num_raw_states", &Pretokenizer::num_raw_states, "Number of live raw states.")
      .def_prop_ro("num_subsets",
                   &Pretokenizer::num_subsets,
                   "Number of subsets of raw states, the dead one included.");
}

}  // namespace nextbyte
