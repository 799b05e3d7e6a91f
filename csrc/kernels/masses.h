// Array kernels over one row of logits: check it, turn it into masses in rank order, sum ranges.
#ifndef NEXTBYTE_KERNELS_MASSES_H_
#define NEXTBYTE_KERNELS_MASSES_H_

#include <cstddef>
#include <cstdint>

namespace nextbyte::kernels {

enum class LogitType : std::uint8_t { kFloat16, kBFloat16, kFloat32, kFloat64 };

// A row of logits in token-id order, read in place.
struct LogitRow {
  const void* data;
  LogitType type;
  std::size_t size;
};

enum class RowStatus : std::uint8_t {
  kOk,
  kNan,               // some logit is NaN; `index` is the first
  kPositiveInfinity,  // some logit is +inf; `index` is the first
  kNoMass,            // every logit looked at is -inf
};

struct RowCheck {
  RowStatus status;
  std::size_t index;
};

// Looks at all logits for NaN and +inf, and for at least one that is finite.
RowCheck check_row(const LogitRow& row);

// One logit as a double.
double logit_at(const LogitRow& row, std::size_t index);

// masses[r] = exp(logit[order[r]] - shift) where bit r of `mask` is set, else exactly 0, for
// r in [0, n). Returns the sum. -inf gives exactly 0. Doubles throughout: errors stay near 1e-16.
double masked_masses(const LogitRow& row,
                     const std::uint32_t* order,
                     const std::uint64_t* mask,
                     std::size_t n,
                     double shift,
                     double* masses);

// The greatest logit[order[r]] over set bits of `mask`; -inf if there is none.
double masked_maximum(const LogitRow& row,
                      const std::uint32_t* order,
                      const std::uint64_t* mask,
                      std::size_t n);

// Sum of values[first..last). Always a direct sum of the terms, never a difference of running sums:
// that would lose small masses entirely.
double range_sum(const double* values, std::size_t first, std::size_t last);

}  // namespace nextbyte::kernels

#endif  // NEXTBYTE_KERNELS_MASSES_H_
