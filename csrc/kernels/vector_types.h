// Vectors of the level that a kernel is compiled for, and what they are loaded from.
#ifndef NEXTBYTE_KERNELS_VECTOR_TYPES_H_
#define NEXTBYTE_KERNELS_VECTOR_TYPES_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(__GNUC__)
#error "nextbyte's kernels need GCC's vector extensions: build with GCC or Clang (also clang-cl)"
#endif
#ifndef NEXTBYTE_LEVEL
#error "NEXTBYTE_LEVEL must name the level that this file is compiled for"
#endif

namespace nextbyte::kernels {
namespace NEXTBYTE_LEVEL {
namespace {

#if defined(__AVX512F__)
constexpr size_t kLanes = 16;
#elif defined(__AVX2__)
constexpr size_t kLanes = 8;
#else
constexpr size_t kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef uint32_t Words __attribute__((vector_size(4 * kLanes)));  // wrap around
typedef double Doubles __attribute__((vector_size(4 * kLanes)));
typedef uint64_t Longs __attribute__((vector_size(4 * kLanes)));
typedef uint16_t Shorts __attribute__((vector_size(2 * kLanes)));

inline Floats load(const float* from) {
  Floats value;
  memcpy(&value, from, sizeof value);
  return value;
}

inline void store(float* to, Floats value) { memcpy(to, &value, sizeof value); }

inline Ints load_shorts(const uint16_t* from) {
  Shorts value;
  memcpy(&value, from, sizeof value);
  return __builtin_convertvector(value, Ints);
}

inline Floats broadcast(float value) { return value - Floats{}; }
inline Ints broadcast(int32_t value) { return value - Ints{}; }

inline Ints lane_numbers() {
  Ints numbers = {};
  for (size_t lane = 0; lane < kLanes; ++lane) numbers[lane] = static_cast<int32_t>(lane);
  return numbers;
}

}  // namespace
}  // namespace NEXTBYTE_LEVEL
}  // namespace nextbyte::kernels

#endif  // NEXTBYTE_KERNELS_VECTOR_TYPES_H_
