// The levels that the float kernels were compiled for, and the one in use.
#ifndef NEXTBYTE_KERNELS_LEVELS_H_
#define NEXTBYTE_KERNELS_LEVELS_H_

#include <cstddef>

#include "kernels/vector_kernels.h"

namespace nextbyte::kernels {

struct Level {
  const VectorKernels* kernels;
  bool is_supported;  // by this processor
};

// From the baseline up; the baseline is always supported.
std::size_t level_count() noexcept;
Level level(std::size_t index) noexcept;

// The kernels in use: from load on the highest supported ones. Any thread may call.
const VectorKernels& active() noexcept;
// Takes a supported level into use, for all threads. False, and nothing changed, if none is named
// so.
bool use(const char* name) noexcept;

}  // namespace nextbyte::kernels

#endif  // NEXTBYTE_KERNELS_LEVELS_H_
