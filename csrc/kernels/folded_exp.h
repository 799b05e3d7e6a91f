// exp(x) 2^-K of a vector: the arithmetic of the kernels, and the lanes that are zero.
//
// exp(x) 2^-K with a folded exponent. Let M = 1.5 * 2^23 - K. In t = x log2(e) + M, a float between
// 2^23 and 2^24, the sum is rounded to the integer n - K, n near x log2(e), and the low bits of t
// are that integer: shifted to the place of the exponent, they multiply by 2^(n - K). What is left,
// r = x - n ln 2, |r| <= ln 2 / 2, goes through a polynomial (scripts/fit_exp.py). x itself is
// reduced, not x - max, whose rounding would cost |x - max| 2^-24. Without fused multiply-adds n
// times the first 9 bits of ln 2 is still exact.
//
// Where a register can be permuted, n counts steps of 1/8 or 1/32: its lowest bits look up a power
// of two, and what is left is small enough for a degree of 3 or 2.
#ifndef NEXTBYTE_KERNELS_FOLDED_EXP_H_
#define NEXTBYTE_KERNELS_FOLDED_EXP_H_

#include "kernels/vector_types.h"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace nextbyte::kernels {
namespace NEXTBYTE_LEVEL {
namespace {

// power(): 2^(i / kSteps), i the lowest bits of t, less i in the place where t is added to the
// exponent. less_one(): exp(r) - 1.
#if defined(__AVX512F__)
constexpr int kStepBits = 5;
constexpr uint32_t kPowers[] = {
    0x3F800000, 0x3F7ECD87, 0x3F7DAAC3, 0x3F7C980F, 0x3F7B95C2, 0x3F7AA43A, 0x3F79C3D3, 0x3F78F4F0,
    0x3F7837F0, 0x3F778D3A, 0x3F76F532, 0x3F767043, 0x3F75FED7, 0x3F75A15B, 0x3F75583F, 0x3F7523F6,
    0x3F7504F3, 0x3F74FBAF, 0x3F7508A4, 0x3F752C4D, 0x3F75672A, 0x3F75B9BE, 0x3F76248C, 0x3F76A81E,
    0x3F7744FD, 0x3F77FBB8, 0x3F78CCDF, 0x3F79B907, 0x3F7AC0C7, 0x3F7BE4BA, 0x3F7D257D, 0x3F7E83B3,
};
inline Floats power(Words t) {
  Floats low, high;
  memcpy(&low, kPowers, sizeof low);
  memcpy(&high, kPowers + kLanes, sizeof high);
  return _mm512_permutex2var_ps(low, (__m512i)t, high);
}
inline Floats less_one(Floats r) { return (0x1.0000a4p-1F * r + 0x1.0000f6p+0F) * r; }
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int kStepBits = 3;
constexpr uint32_t kPowers[] = {
    0x3F800000,
    0x3F7B95C2,
    0x3F7837F0,
    0x3F75FED7,
    0x3F7504F3,
    0x3F75672A,
    0x3F7744FD,
    0x3F7AC0C7,
};
inline Floats power(Words t) {
  Floats powers;
  memcpy(&powers, kPowers, sizeof powers);
  return _mm256_permutevar8x32_ps(powers, (__m256i)t);
}
inline Floats less_one(Floats r) { return ((0x1.555556p-3F * r + 0x1.00087ep-1F) * r + 1.0F) * r; }
#else
constexpr int kStepBits = 0;
#endif
constexpr float kSteps = 1 << kStepBits;

// exp(x) 2^-K from t = x log2(e) kSteps + magic, of N vectors side by side.
template <size_t N>
inline void folded_exp(const Floats (&x)[N],
                       const Floats (&t)[N],
                       Floats magic,
                       Floats (&result)[N]) {
  Floats n[N], r[N], p[N];
  for (size_t i = 0; i < N; ++i) n[i] = t[i] - magic;
#if defined(__AVX2__) && defined(__FMA__)
  Floats scale[N];
  for (size_t i = 0; i < N; ++i) r[i] = x[i] - n[i] * (0x1.62e43p-1F / kSteps);
  for (size_t i = 0; i < N; ++i) r[i] += n[i] * (0x1.05c61p-29F / kSteps);
  for (size_t i = 0; i < N; ++i)
    scale[i] = (Floats)((Words)power((Words)t[i]) + ((Words)t[i] << (23 - kStepBits)));
  for (size_t i = 0; i < N; ++i) p[i] = less_one(r[i]);
  for (size_t i = 0; i < N; ++i) result[i] = p[i] * scale[i] + scale[i];
#else
  for (size_t i = 0; i < N; ++i) r[i] = (x[i] - n[i] * 0x1.63p-1F) + n[i] * 0x1.bd0106p-13F;
  for (size_t i = 0; i < N; ++i) p[i] = 0x1.6ab7acp-10F * r[i] + 0x1.126f34p-7F;
  for (size_t i = 0; i < N; ++i) p[i] = p[i] * r[i] + 0x1.55591p-5F;
  for (size_t i = 0; i < N; ++i) p[i] = p[i] * r[i] + 0x1.555442p-3F;
  for (size_t i = 0; i < N; ++i) p[i] = p[i] * r[i] + 0x1.fffffap-2F;
  for (size_t i = 0; i < N; ++i) p[i] = p[i] * r[i] + 0x1p+0F;
  for (size_t i = 0; i < N; ++i) p[i] = p[i] * r[i] + 1.0F;
  for (size_t i = 0; i < N; ++i) result[i] = (Floats)((Words)p[i] + ((Words)t[i] << 23));
#endif
}

struct Exponential {
  Floats magic;   // 1.5 * 2^23 - K kSteps
  Floats lowest;  // of t, for which the mass is no subnormal
  Floats floor;   // of x
  Ints lost;      // lanes that were flushed

  // The masses of x where `allowed` has all bits set, elsewhere 0. In a shallow row no mass is too
  // small.
  template <bool kMasked, bool kShallow, size_t N>
  inline void make(const Floats (&x)[N], const Ints (&allowed)[N], Floats (&masses)[N]) {
    Floats t[N];
    for (size_t i = 0; i < N; ++i) t[i] = x[i] * (0x1.715476p+0F * kSteps) + magic;
    folded_exp(x, t, magic, masses);
    for (size_t i = 0; i < N; ++i) {
      const Ints bits = (Ints)masses[i];
      if (kShallow) {
        masses[i] = (Floats)(kMasked ? bits & allowed[i] : bits);
        continue;
      }
      Ints kept = t[i] >= lowest;  // false for -inf
      Ints small = (t[i] < lowest) & (x[i] > floor);
      if (kMasked) {
        kept &= allowed[i];
        small &= allowed[i];
      }
      lost |= small;
      masses[i] = (Floats)(bits & kept);
    }
  }
};

}  // namespace
}  // namespace NEXTBYTE_LEVEL
}  // namespace nextbyte::kernels

#endif  // NEXTBYTE_KERNELS_FOLDED_EXP_H_
