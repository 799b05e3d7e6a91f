// The float kernels, in vector extensions: compiled once per level, see CMakeLists.txt.
//
// exp(x) 2^-K with a folded exponent. Let M = 1.5 * 2^23 - K. In t = x log2(e) + M, a float between
// 2^23 and 2^24, the sum is rounded to the integer n - K, n near x log2(e), and the low bits of t
// are that integer: shifted to the place of the exponent, they multiply by 2^(n - K). What is left,
// r = x - n ln 2, |r| <= ln 2 / 2, goes through a polynomial (scripts/fit_exp.py). x itself is
// reduced, not x - max, whose rounding would cost |x - max| 2^-24. Without fused multiply-adds n
// times the first 9 bits of ln 2 is still exact.
//
// No standard templates here: an instance compiled for one level could be merged into another.
#include "kernels/vector_kernels.h"

#include <float.h>
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
typedef double Doubles __attribute__((vector_size(4 * kLanes)));
typedef float HalfFloats __attribute__((vector_size(2 * kLanes)));
typedef uint16_t Shorts __attribute__((vector_size(2 * kLanes)));

inline Floats load(const float* from) {
  Floats value;
  memcpy(&value, from, sizeof value);
  return value;
}

inline void store(float* to, Floats value) { memcpy(to, &value, sizeof value); }

inline Doubles widened(const float* from) {
  HalfFloats value;
  memcpy(&value, from, sizeof value);
  return __builtin_convertvector(value, Doubles);
}

inline Ints load_shorts(const uint16_t* from) {
  Shorts value;
  memcpy(&value, from, sizeof value);
  return __builtin_convertvector(value, Ints);
}

inline Floats broadcast(float value) { return value - Floats{}; }
inline Ints broadcast(int32_t value) { return value - Ints{}; }

// --- The first pass: the greatest logit ----------------------------------------------------------

struct Scanner {
  Floats maximum = broadcast(-__builtin_inff());
  Ints regular = broadcast(int32_t{-1});

  inline void add(Floats x) {
    maximum = x > maximum ? x : maximum;
    regular &= x < broadcast(__builtin_inff());  // false for NaN, too
  }
  inline void add(const Scanner& other) {
    maximum = other.maximum > maximum ? other.maximum : maximum;
    regular &= other.regular;
  }
  RowScan result() const {
    RowScan scan = {maximum[0], regular[0] != 0};
    for (size_t lane = 1; lane < kLanes; ++lane) {
      if (maximum[lane] > scan.maximum) scan.maximum = maximum[lane];
      scan.is_regular = scan.is_regular && regular[lane] != 0;
    }
    return scan;
  }
};

RowScan scan(const float* logits, size_t size) {
  Scanner scanners[4];
  size_t i = 0;
  for (; i + 4 * kLanes <= size; i += 4 * kLanes) {
    scanners[0].add(load(logits + i));
    scanners[1].add(load(logits + i + kLanes));
    scanners[2].add(load(logits + i + 2 * kLanes));
    scanners[3].add(load(logits + i + 3 * kLanes));
  }
  for (; i < size; i += kLanes) {
    float rest[kLanes];
    const size_t count = size - i < kLanes ? size - i : kLanes;
    for (size_t j = 0; j < kLanes; ++j) rest[j] = -__builtin_inff();
    memcpy(rest, logits + i, count * sizeof *rest);
    scanners[0].add(load(rest));
  }
  for (int s = 1; s < 4; ++s) scanners[0].add(scanners[s]);
  return scanners[0].result();
}

inline Floats from_bfloat(Ints bits) { return (Floats)(bits << 16); }

// The exponent is rebased by 112; subnormals get their value from a subtraction.
inline Floats from_half(Ints bits) {
  const Ints magnitude = (bits & 0x7FFF) << 13;
  const Ints exponent = magnitude & 0x0F800000;
  const Ints normal = magnitude + (112 << 23);
  const Ints special = magnitude + (224 << 23);
  const Floats subnormal = (Floats)(normal + (1 << 23)) - 0x1p-14F;
  const Ints value = exponent == 0 ? (Ints)subnormal : exponent == 0x0F800000 ? special : normal;
  return (Floats)(value | (bits & 0x8000) << 16);
}

template <Floats (*kConvert)(Ints)>
inline RowScan widen(const uint16_t* logits, size_t size, float* widened) {
  Scanner even, odd;
  size_t i = 0;
  for (; i + 2 * kLanes <= size; i += 2 * kLanes) {
    const Floats first = kConvert(load_shorts(logits + i));
    const Floats second = kConvert(load_shorts(logits + i + kLanes));
    store(widened + i, first);
    store(widened + i + kLanes, second);
    even.add(first);
    odd.add(second);
  }
  for (; i < size; i += kLanes) {
    const size_t count = size - i < kLanes ? size - i : kLanes;
    uint16_t rest[kLanes];
    for (size_t j = 0; j < kLanes; ++j) rest[j] = 0xFF80;  // some negative number in either type
    memcpy(rest, logits + i, count * sizeof *rest);
    for (size_t j = count; j < kLanes; ++j) rest[j] = rest[0];
    const Floats value = kConvert(load_shorts(rest));
    memcpy(widened + i, &value, count * sizeof *widened);
    even.add(value);
  }
  even.add(odd);
  return even.result();
}

RowScan widen_half(const uint16_t* logits, size_t size, float* widened) {
  return widen<from_half>(logits, size, widened);
}

RowScan widen_bfloat(const uint16_t* logits, size_t size, float* widened) {
  return widen<from_bfloat>(logits, size, widened);
}

// --- Sums ----------------------------------------------------------------------------------------

double sum(const float* masses, size_t first, size_t last) {
  const float* at = masses + first;
  const float* const end = masses + last;
  double total = 0.0;
  if (end - at >= static_cast<ptrdiff_t>(kLanes / 2)) {
    Doubles sums[4] = {};
    for (; end - at >= static_cast<ptrdiff_t>(2 * kLanes); at += 2 * kLanes) {
      sums[0] += widened(at);
      sums[1] += widened(at + kLanes / 2);
      sums[2] += widened(at + kLanes);
      sums[3] += widened(at + kLanes + kLanes / 2);
    }
    for (; end - at >= static_cast<ptrdiff_t>(kLanes / 2); at += kLanes / 2) sums[0] += widened(at);
    const Doubles together = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (size_t lane = 0; lane < kLanes / 2; ++lane) total += together[lane];
  }
  for (; at < end; ++at) total += static_cast<double>(*at);
  return total;
}

// --- Masses --------------------------------------------------------------------------------------

constexpr size_t kAhead = 1;  // blocks

struct Exponential {
  Floats magic;   // 1.5 * 2^23 - K
  Floats lowest;  // of t, for which 2^(n - K) p(r) is no subnormal
  Floats floor;   // of x
  Ints lost;      // lanes that were flushed

  // The masses of x where `allowed` has all bits set, elsewhere 0.
  template <bool kMasked>
  inline Floats of(Floats x, Ints allowed) {
    const Floats t = x * 0x1.715476p+0F + magic;
    const Floats n = t - magic;
    const Floats r = (x - n * 0x1.63p-1F) + n * 0x1.bd0106p-13F;
    Floats p = 0x1.0fe4e6p-7F * r + 0x1.575f4ap-5F;
    p = p * r + 0x1.555aaep-3F;
    p = p * r + 0x1.fffd6cp-2F;
    p = p * r + 0x1.fffff4p-1F;
    p = p * r + 1.0F;
    const Ints bits = (Ints)p + ((Ints)t << 23);
    Ints kept = t >= lowest;  // false for -inf
    Ints small = (t < lowest) & (x > floor);
    if (kMasked) {
      kept &= allowed;
      small &= allowed;
    }
    lost |= small;
    return (Floats)(bits & kept);
  }
};

inline Ints lane_numbers() {
  Ints numbers = {};
  for (size_t lane = 0; lane < kLanes; ++lane) numbers[lane] = static_cast<int32_t>(lane);
  return numbers;
}

// The masses of one block of logits; `from` may be `to`.
inline void exponentiate(const float* from, float* to, uint64_t allowed, Exponential& exponential) {
  if (allowed == ~uint64_t{0}) {
    for (size_t i = 0; i < kBlock; i += kLanes) {
      store(to + i, exponential.of<false>(load(from + i), Ints{}));
    }
    return;
  }
  const Ints lane_bits = broadcast(int32_t{1}) << lane_numbers();
  for (size_t i = 0; i < kBlock; i += kLanes) {
    const Ints bits = broadcast(static_cast<int32_t>(allowed >> i & ((1U << kLanes) - 1)));
    const Ints lanes = (bits & lane_bits) != 0;
    store(to + i, exponential.of<true>(load(from + i), lanes));
  }
}

// The allowed ranks of the block that starts at `first`.
inline uint64_t allowed_bits(const MassTask& task, size_t first) {
  const uint64_t allowed = task.mask == nullptr ? ~uint64_t{0} : task.mask[first / kBlock];
  const size_t rest = task.size - first;
  return rest >= kBlock ? allowed : allowed & ((uint64_t{1} << rest) - 1);
}

// Brings the logits of one block into rank order.
inline void bring(const MassTask& task, size_t first) {
  float* const to = task.masses + first;
  const uint32_t* const order = task.order + first;
  if (task.size - first >= kBlock) {
    for (size_t i = 0; i < kBlock; ++i) memcpy(to + i, task.logits + order[i], sizeof *to);
    return;
  }
  const size_t count = task.size - first;
  for (size_t i = 0; i < count; ++i) memcpy(to + i, task.logits + order[i], sizeof *to);
  for (size_t i = count; i < kBlock; ++i) to[i] = 0.0F;
}

// The masses of the ranks [begin, end) of a row in rank order; `begin` starts a block.
inline void make_sorted(const MassTask& task, size_t begin, size_t end, Exponential& exponential) {
  size_t block = begin;
  for (; block + kBlock <= end; block += kBlock) {
    exponentiate(task.logits + block, task.masses + block, allowed_bits(task, block), exponential);
  }
  if (block == end) return;
  float rest[kBlock] = {};
  memcpy(rest, task.logits + block, (end - block) * sizeof *rest);
  exponentiate(rest, task.masses + block, allowed_bits(task, block), exponential);
}

// The same of a row in another order. Logits are brought some blocks ahead: loads wait for memory
// while exponentials are computed, and what was stored one by one is read as vectors only once it
// has reached the cache.
inline void make_permuted(const MassTask& task,
                          size_t begin,
                          size_t end,
                          Exponential& exponential) {
  const size_t ahead = kAhead * kBlock;
  const size_t lead = end - begin < ahead ? end - begin : ahead;
  for (size_t block = begin; block < begin + lead; block += kBlock) bring(task, block);
  for (size_t block = begin; block < end; block += kBlock) {
    if (block + ahead < end) bring(task, block + ahead);
    float* const masses = task.masses + block;
    exponentiate(masses, masses, allowed_bits(task, block), exponential);
  }
}

bool make_masses(const MassTask& task) {
  // Ranges are summed this many ranks behind, while the masses are in the first cache.
  constexpr size_t kChunk = 2048;
  Exponential exponential;
  const float magic = 0x1.8p+23F - task.exponent;
  exponential.magic = broadcast(magic);
  exponential.lowest = broadcast(0x1.8p+23F - 125.0F);
  exponential.floor = broadcast(task.floor);
  exponential.lost = Ints{};
  size_t range = 0;
  size_t summed = 0;  // ranks that are in a range's sum
  if (task.range_count > 0) task.range_sums[0] = 0.0;
  for (size_t begin = 0; begin < task.size; begin += kChunk) {
    const size_t end = task.size - begin < kChunk ? task.size : begin + kChunk;
    if (task.order == nullptr) {
      make_sorted(task, begin, end, exponential);
    } else {
      make_permuted(task, begin, end, exponential);
    }
    while (range < task.range_count) {
      const size_t range_end = task.range_ends[range];
      const size_t stop = range_end < end ? range_end : end;
      task.range_sums[range] += sum(task.masses, summed, stop);
      summed = stop;
      if (range_end > end) break;
      if (++range < task.range_count) task.range_sums[range] = 0.0;
    }
  }
  bool lost = false;
  for (size_t lane = 0; lane < kLanes; ++lane) lost = lost || exponential.lost[lane] != 0;
  return lost;
}

}  // namespace

extern const VectorKernels kKernels;
const VectorKernels kKernels = {
    NEXTBYTE_LEVEL_NAME, scan, widen_half, widen_bfloat, make_masses, sum};

}  // namespace NEXTBYTE_LEVEL
}  // namespace nextbyte::kernels
