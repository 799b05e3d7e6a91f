// Binds the levels of the float kernels: which there are, which is in use.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "kernels/levels.h"

namespace nb = nanobind;

namespace nextbyte {

void register_simd(nb::module_& m) {
  m.def(
      "simd_levels",
      [] {
        std::vector<std::pair<std::string, bool>> levels;
        for (std::size_t i = 0; i < kernels::level_count(); ++i) {
          const kernels::Level level = kernels::level(i);
          levels.emplace_back(level.kernels->name, level.is_supported);
        }
        return levels;
      },
      "Every level that is built in, from the baseline up, and whether this processor has it.");
  m.def("simd_active", [] { return std::string(kernels::active().name); });
  m.def(
      "simd_use",
      [](const std::string& name) { return kernels::use(name.c_str()); },
      nb::arg("name"),
      "False, and nothing changed, if no supported level has this name.");
}

}  // namespace nextbyte
