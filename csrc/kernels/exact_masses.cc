// The exact path: one plain loop each, generic over the type of the logits.
#include "kernels/exact_masses.h"

#include <math.h>
#include <string.h>

namespace nextbyte::kernels {
namespace {

// Rows may lie anywhere, such as inside a mapped file.
template <typename T>
T load_at(const void* data, std::size_t i) {
  T value;
  memcpy(&value, static_cast<const char*>(data) + i * sizeof value, sizeof value);
  return value;
}

double from_half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 0x1F;
  const int mantissa = bits & 0x3FF;
  double value = 0.0;
  if (exponent == 0) {
    value = ldexp(mantissa, -24);
  } else if (exponent == 31) {
    value = mantissa == 0 ? HUGE_VAL : static_cast<double>(NAN);
  } else {
    value = ldexp(mantissa + 1024, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

double from_bfloat(std::uint16_t bits) {
  const std::uint32_t wide = std::uint32_t{bits} << 16;
  float value = 0.0F;
  memcpy(&value, &wide, sizeof value);
  return value;
}

// Calls body(load) with load(i) = logit i as a double: the type is looked at once a row, not once
// an element.
template <typename Body>
auto with_loader(const LogitRow& row, Body body) {
  const void* data = row.data;
  switch (row.type) {
    case LogitType::kFloat16:
      return body([data](std::size_t i) { return from_half(load_at<std::uint16_t>(data, i)); });
    case LogitType::kBFloat16:
      return body([data](std::size_t i) { return from_bfloat(load_at<std::uint16_t>(data, i)); });
    case LogitType::kFloat64:
      return body([data](std::size_t i) { return load_at<double>(data, i); });
    case LogitType::kFloat32:
      break;
  }
  return body([data](std::size_t i) { return static_cast<double>(load_at<float>(data, i)); });
}

// Calls visit(r) for each set bit r < n of `mask`.
template <typename Visit>
void for_each_bit(const std::uint64_t* mask, std::size_t n, Visit visit) {
  for (std::size_t word = 0; word * 64 < n; ++word) {
    for (std::uint64_t bits = mask[word]; bits != 0; bits &= bits - 1) {
      visit(word * 64 + static_cast<std::size_t>(__builtin_ctzll(bits)));
    }
  }
}

}  // namespace

RowCheck check_row(const LogitRow& row) {
  return with_loader(row, [&](auto load) {
    bool any_finite = false;
    for (std::size_t i = 0; i < row.size; ++i) {
      const double logit = load(i);
      if (isnan(logit)) return RowCheck{RowStatus::kNan, i};
      if (logit == HUGE_VAL) return RowCheck{RowStatus::kPositiveInfinity, i};
      any_finite = any_finite || logit != -HUGE_VAL;
    }
    return RowCheck{any_finite ? RowStatus::kOk : RowStatus::kNoMass, 0};
  });
}

double logit_at(const LogitRow& row, std::size_t index) {
  return with_loader(row, [&](auto load) { return load(index); });
}

void exact_masses(const LogitRow& row,
                  const std::uint32_t* order,
                  const std::uint64_t* mask,
                  std::size_t n,
                  double shift,
                  double* masses) {
  with_loader(row, [&](auto load) {
    memset(masses, 0, n * sizeof *masses);
    for_each_bit(mask, n, [&](std::size_t r) {
      masses[r] = exp(load(order == nullptr ? r : order[r]) - shift);
    });
    return 0;
  });
}

double masked_maximum(const LogitRow& row,
                      const std::uint32_t* order,
                      const std::uint64_t* mask,
                      std::size_t n) {
  return with_loader(row, [&](auto load) {
    double maximum = -HUGE_VAL;
    for_each_bit(mask, n, [&](std::size_t r) {
      const double logit = load(order == nullptr ? r : order[r]);
      if (logit > maximum) maximum = logit;
    });
    return maximum;
  });
}

// In halves, so that the roundings of a long sum do not add up.
double exact_sum(const double* values, std::size_t first, std::size_t last) {
  if (last - first > 128) {
    const std::size_t middle = first + (last - first) / 2;
    return exact_sum(values, first, middle) + exact_sum(values, middle, last);
  }
  double sum = 0.0;
  for (std::size_t i = first; i < last; ++i) sum += values[i];
  return sum;
}

}  // namespace nextbyte::kernels
