// Tells the type of a row of logits.
#include "bindings/logit_row_in.h"

#include "support/error.h"

namespace nb = nanobind;

namespace nextbyte {

Logits logits_in(const LogitArray& array, bool is_presorted) {
  const nb::dlpack::dtype type = array.dtype();
  kernels::LogitType logit_type{};
  if (type == nb::dtype<float>()) {
    logit_type = kernels::LogitType::kFloat32;
  } else if (type == nb::dtype<double>()) {
    logit_type = kernels::LogitType::kFloat64;
  } else if (type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float) &&
             type.bits == 16) {
    logit_type = kernels::LogitType::kFloat16;
  } else if (type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Bfloat) &&
             type.bits == 16) {
    logit_type = kernels::LogitType::kBFloat16;
  } else {
    throw InvalidInput("logits must be float16, bfloat16, float32 or float64");
  }
  return {{array.data(), logit_type, array.shape(0)}, is_presorted};
}

}  // namespace nextbyte
