// Binds the construction of greedy longest-match tokenizers from plain data.
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/tokens_in.h"
#include "families/longest_match_family.h"

namespace nb = nanobind;

namespace nextbyte {

void register_longest_match(nb::module_& m) {
  m.def(
      "compile_longest_match",
      [](const TokenBytes& token_bytes, const std::vector<TokenId>& added) {
        std::vector<std::string> tokens = to_strings(token_bytes);
        const nb::gil_scoped_release released;
        auto vocabulary = std::make_shared<const Vocabulary>(std::move(tokens), added);
        auto family = std::make_unique<const LongestMatchFamily>(vocabulary);
        return assemble(std::move(vocabulary), std::move(family));
      },
      nb::arg("token_bytes"),
      nb::kw_only(),
      nb::arg("added"),
      "At each position the longest token that fits.");
}

}  // namespace nextbyte
