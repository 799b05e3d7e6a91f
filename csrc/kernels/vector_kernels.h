// What one level of the processor offers: the float kernels over a row of logits.
#ifndef NEXTBYTE_KERNELS_VECTOR_KERNELS_H_
#define NEXTBYTE_KERNELS_VECTOR_KERNELS_H_

#include <cstddef>
#include <cstdint>

namespace nextbyte::kernels {

// Masses are written in whole blocks: buffers have room for a multiple of this many floats.
inline constexpr std::size_t kBlock = 64;

constexpr std::size_t padded(std::size_t size) noexcept {
  return (size + kBlock - 1) / kBlock * kBlock;
}

// The sums of so many masses are kept along with them: so a long range is a sum of these.
inline constexpr std::size_t kSpan = 16 * kBlock;

constexpr std::size_t span_count(std::size_t size) noexcept { return (size + kSpan - 1) / kSpan; }

struct RowScan {
  float minimum;    // of the whole row, -inf included
  float maximum;    // both undefined if not `is_regular`
  bool is_regular;  // neither NaN nor +inf in it
};

// A row to turn into masses exp(x) 2^-K, in float.
struct MassTask {
  const float* logits;         // may be unaligned; without NaN and +inf
  const std::uint32_t* order;  // rank -> position in `logits`; null: already in rank order
  const std::uint64_t* mask;   // bit r: may rank r follow? padded(size) bits; null: all may
  std::size_t size;            // ranks, at least 1
  // Disjoint ranges of ranks that cover [0, size): range i ends before range_ends[i].
  const std::uint32_t* range_ends;
  std::size_t range_count;
  float exponent;      // K, an integer with |K| <= kMaxExponent
  bool is_shallow;     // does is_shallow() hold for the row's least logit? Faster then
  float floor;         // logits at or below this are zero to a double, too
  float* masses;       // out: padded(size), zeros behind `size`; aligned to kMassAlignment
  double* range_sums;  // out: range_count
  double* span_sums;   // out: span_count(size); of kSpan masses each, the last of what is left
};

inline constexpr float kMaxExponent = 2800.0F;
// Is no mass too small for the scale 2^-exponent? (kernel_check.cc goes to the limit.)
constexpr bool is_shallow(float minimum, double exponent) noexcept {
  return static_cast<double>(minimum) * 1.4426950408889634 - exponent > -124.0;
}

inline constexpr std::size_t kMassAlignment = 64;

// What make_masses() wrote.
struct MadeMasses {
  const float* masses;
  const double* span_sums;
};

// All entries are functions of one level. Errors (relative): 2e-7 per mass; a sum is that of the
// stored masses, in double.
struct VectorKernels {
  const char* name;
  RowScan (*scan)(const float* logits, std::size_t size);
  // Widens a row of 16-bit floats, and scans it.
  RowScan (*widen_half)(const std::uint16_t* logits, std::size_t size, float* widened);
  RowScan (*widen_bfloat)(const std::uint16_t* logits, std::size_t size, float* widened);
  // Returns whether some allowed mass above 0 was too small for the scale and is 0 now.
  bool (*make_masses)(const MassTask& task);
  // Sum of the masses [first, last): of whole spans, and of masses at the ends.
  double (*sum)(const MadeMasses& made, std::size_t first, std::size_t last);
};

}  // namespace nextbyte::kernels

#endif  // NEXTBYTE_KERNELS_VECTOR_KERNELS_H_
