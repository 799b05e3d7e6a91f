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

struct RowScan {
  float maximum;    // -inf for a row of -inf alone; undefined if not `is_regular`
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
  float floor;         // logits at or below this are zero to a double, too
  float* masses;       // out: padded(size), zeros behind `size`; aligned to kMassAlignment
  double* range_sums;  // out: range_count
};

inline constexpr float kMaxExponent = 2800.0F;
inline constexpr std::size_t kMassAlignment = 64;

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
  // Sum of masses[first..last).
  double (*sum)(const float* masses, std::size_t first, std::size_t last);
};

}  // namespace nextbyte::kernels

#endif  // NEXTBYTE_KERNELS_VECTOR_KERNELS_H_
