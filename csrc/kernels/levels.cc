// Chooses a level when the library is loaded; compiled for the baseline, like all else.
#include "kernels/levels.h"

#include <string.h>

namespace nextbyte::kernels {

// One object file each, all from vector_kernels.cc.
namespace baseline {
extern const VectorKernels kKernels;
}
#ifdef NEXTBYTE_X86_LEVELS
namespace x86_64_v3 {
extern const VectorKernels kKernels;
}
namespace x86_64_v4 {
extern const VectorKernels kKernels;
}
#endif

namespace {

#ifdef NEXTBYTE_X86_LEVELS
// Each feature that CMakeLists.txt lets the compiler use for the level.
bool has_v3() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("popcnt");
}

bool has_v4() noexcept {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

constexpr std::size_t kLevels = 3;
#else
constexpr std::size_t kLevels = 1;
#endif

const VectorKernels* highest() noexcept {
  const VectorKernels* found = nullptr;
  for (std::size_t i = 0; i < kLevels; ++i) {
    if (level(i).is_supported) found = level(i).kernels;
  }
  return found;
}

const VectorKernels* in_use = highest();

}  // namespace

std::size_t level_count() noexcept { return kLevels; }

Level level(std::size_t index) noexcept {
#ifdef NEXTBYTE_X86_LEVELS
  if (index == 1) return {&x86_64_v3::kKernels, has_v3()};
  if (index == 2) return {&x86_64_v4::kKernels, has_v4()};
#endif
  (void)index;
  return {&baseline::kKernels, true};
}

const VectorKernels& active() noexcept { return *__atomic_load_n(&in_use, __ATOMIC_RELAXED); }

bool use(const char* name) noexcept {
  for (std::size_t i = 0; i < kLevels; ++i) {
    const Level candidate = level(i);
    if (!candidate.is_supported || strcmp(candidate.kernels->name, name) != 0) continue;
    __atomic_store_n(&in_use, candidate.kernels, __ATOMIC_RELAXED);
    return true;
  }
  return false;
}

}  // namespace nextbyte::kernels
