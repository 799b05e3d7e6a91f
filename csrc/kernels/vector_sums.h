// Sums of masses in double: of vectors as they are made, and of ranges from memory.
#ifndef NEXTBYTE_KERNELS_VECTOR_SUMS_H_
#define NEXTBYTE_KERNELS_VECTOR_SUMS_H_

#include "kernels/vector_kernels.h"
#include "kernels/vector_types.h"

namespace nextbyte::kernels {
namespace NEXTBYTE_LEVEL {
namespace {

// A float that is not negative, its bits moved to where a double has them, is the double that is
// 2^-896 of it: zero is zero, and the least normal float is the least normal double. So lanes are
// widened where they are, two of them a step, and what they sum to is scaled back.
struct Total {
  Doubles even = {};
  Doubles odd = {};

  inline void add(Floats masses) {
    const Longs bits = (Longs)masses;
    even += (Doubles)(bits << 32 >> 3);
    odd += (Doubles)(bits >> 32 << 29);
  }
  double result() const {
    const Doubles both = even + odd;
    double total = 0.0;
    for (size_t lane = 0; lane < kLanes / 2; ++lane) total += both[lane];
    return total * 0x1p+896;
  }
};

// All bits of the lanes from `count` on, or of those before it.
struct Edges {
  int32_t bits[3 * kLanes] = {};
  constexpr Edges() {
    for (size_t i = kLanes; i < 2 * kLanes; ++i) bits[i] = -1;
  }
};
constexpr Edges kEdges;

inline Floats lanes_from(Floats vector, size_t count) {
  Ints kept;
  memcpy(&kept, kEdges.bits + kLanes - count, sizeof kept);
  return (Floats)((Ints)vector & kept);
}

inline Floats lanes_before(Floats vector, size_t count) {
  Ints kept;
  memcpy(&kept, kEdges.bits + 2 * kLanes - count, sizeof kept);
  return (Floats)((Ints)vector & kept);
}

// Adds masses[first..last), at least one: whole vectors, where they lie, and of the outer two what
// is inside. Vectors that were stored are read as such: others would have to wait for the cache.
inline void add_range(Total& total, const float* masses, size_t first, size_t last) {
  size_t at = first / kLanes * kLanes;
  Floats vector = lanes_from(load(masses + at), first - at);
  for (; at + 2 * kLanes < last; at += 2 * kLanes) {
    total.add(vector);
    total.add(load(masses + at + kLanes));
    vector = load(masses + at + 2 * kLanes);
  }
  if (at + kLanes < last) {
    total.add(vector);
    at += kLanes;
    vector = load(masses + at);
  }
  total.add(lanes_before(vector, last - at));
}

inline double sum_of_spans(const double* sums, size_t first, size_t last) {
  constexpr size_t kStep = kLanes / 2;
  Doubles even = {}, odd = {};
  for (; first + 2 * kStep <= last; first += 2 * kStep) {
    Doubles two[2];
    memcpy(two, sums + first, sizeof two);
    even += two[0];
    odd += two[1];
  }
  even += odd;
  double total = 0.0;
  for (size_t lane = 0; lane < kStep; ++lane) total += even[lane];
  for (; first < last; ++first) total += sums[first];
  return total;
}

inline double sum(const MadeMasses& made, size_t first, size_t last) {
  const size_t first_span = span_count(first);
  const size_t last_span = last / kSpan;
  Total ends;
  if (first_span >= last_span) {
    if (first < last) add_range(ends, made.masses, first, last);
    return ends.result();
  }
  if (first % kSpan != 0) add_range(ends, made.masses, first, first_span * kSpan);
  if (last % kSpan != 0) add_range(ends, made.masses, last_span * kSpan, last);
  return ends.result() + sum_of_spans(made.span_sums, first_span, last_span);
}

}  // namespace
}  // namespace NEXTBYTE_LEVEL
}  // namespace nextbyte::kernels

#endif  // NEXTBYTE_KERNELS_VECTOR_SUMS_H_
