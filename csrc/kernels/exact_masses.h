// The exact path over one row of logits: plain loops in double, for float64 rows and hard cases.
#ifndef NEXTBYTE_KERNELS_EXACT_MASSES_H_
#define NEXTBYTE_KERNELS_EXACT_MASSES_H_

#include <cstddef>
#include <cstdint>

#include "kernels/logit_row.h"

namespace nextbyte::kernels {

// Looks at all logits for NaN and +inf, and for at least one that is finite.
RowCheck check_row(const LogitRow& row);

// One logit as a double.
double logit_at(const LogitRow& row, std::size_t index);

// In both, `order` null means that the row is in rank order: order[r] = r.

// masses[r] = exp(logit[order[r]] - shift) where bit r of `mask` is set, else exactly 0, for
// r in [0, n). -inf gives exactly 0. Doubles throughout: errors stay near 1e-16.
void exact_masses(const LogitRow& row,
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
double exact_sum(const double* values, std::size_t first, std::size_t last);

}  // namespace nextbyte::kernels

#endif  // NEXTBYTE_KERNELS_EXACT_MASSES_H_
