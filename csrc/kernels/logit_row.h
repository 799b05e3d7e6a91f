// One row of logits, read where it lies, and what can be wrong with it.
#ifndef NEXTBYTE_KERNELS_LOGIT_ROW_H_
#define NEXTBYTE_KERNELS_LOGIT_ROW_H_

#include <cstddef>
#include <cstdint>

namespace nextbyte::kernels {

enum class LogitType : std::uint8_t { kFloat16, kBFloat16, kFloat32, kFloat64 };

// Need not be aligned. Whoever has the row knows whether it is in the order of token ids.
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

}  // namespace nextbyte::kernels

#endif  // NEXTBYTE_KERNELS_LOGIT_ROW_H_
