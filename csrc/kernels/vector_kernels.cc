// The float kernels, in vector extensions: compiled once per level, see CMakeLists.txt.
//
// No standard templates here: an instance compiled for one level could be merged into another.
#include "kernels/vector_kernels.h"

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/folded_exp.h"
#include "kernels/vector_types.h"

namespace nextbyte::kernels {
namespace NEXTBYTE_LEVEL {
namespace {

// --- The first pass: the greatest and the least logit ------------------------------------------

struct Scanner {
  Floats minimum = broadcast(__builtin_inff());
  Floats maximum = broadcast(-__builtin_inff());
  Ints regular = broadcast(int32_t{-1});

  inline void add(Floats x) {
    maximum = x > maximum ? x : maximum;
    minimum = x < minimum ? x : minimum;
    regular &= x < broadcast(__builtin_inff());  // false for NaN, too
  }
  inline void add(const Scanner& other) {
    maximum = other.maximum > maximum ? other.maximum : maximum;
    minimum = other.minimum < minimum ? other.minimum : minimum;
    regular &= other.regular;
  }
  RowScan result() const {
    RowScan scan = {minimum[0], maximum[0], regular[0] != 0};
    for (size_t lane = 1; lane < kLanes; ++lane) {
      if (maximum[lane] > scan.maximum) scan.maximum = maximum[lane];
      if (minimum[lane] < scan.minimum) scan.minimum = minimum[lane];
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
    memcpy(rest, logits + i, count * sizeof *rest);
    for (size_t j = count; j < kLanes; ++j) rest[j] = rest[0];
    scanners[0].add(load(rest));
  }
  for (int s = 1; s < 4; ++s) scanners[0].add(scanners[s]);
  return scanners[0].result();
}

inline Floats from_bfloat(Ints bits) { return (Floats)((Words)bits << 16); }

// The exponent is rebased by 112; subnormals get their value from a subtraction.
inline Floats from_half(Ints bits) {
  const Ints magnitude = (bits & 0x7FFF) << 13;
  const Ints exponent = magnitude & 0x0F800000;
  const Ints normal = magnitude + (112 << 23);
  const Ints special = magnitude + (224 << 23);
  const Floats subnormal = (Floats)(normal + (1 << 23)) - 0x1p-14F;
  const Ints value = exponent == 0 ? (Ints)subnormal : exponent == 0x0F800000 ? special : normal;
  return (Floats)((Words)value | ((Words)bits & 0x8000) << 16);
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

double sum(const float* masses, size_t first, size_t last) {
  const float* at = masses + first;
  const float* const end = masses + last;
  double total = 0.0;
  if (end - at >= static_cast<ptrdiff_t>(kLanes)) {
    Total first_half, second_half;
    for (; end - at >= static_cast<ptrdiff_t>(2 * kLanes); at += 2 * kLanes) {
      first_half.add(load(at));
      second_half.add(load(at + kLanes));
    }
    if (end - at >= static_cast<ptrdiff_t>(kLanes)) {
      first_half.add(load(at));
      at += kLanes;
    }
    first_half.even += second_half.even;
    first_half.odd += second_half.odd;
    total = first_half.result();
  }
  for (; at < end; ++at) total += static_cast<double>(*at);
  return total;
}

// --- Masses --------------------------------------------------------------------------------------

inline Ints lane_numbers() {
  Ints numbers = {};
  for (size_t lane = 0; lane < kLanes; ++lane) numbers[lane] = static_cast<int32_t>(lane);
  return numbers;
}

// The masses of one block of logits, added to `total`; `from` may be `to`. Before each vector,
// meanwhile(its first place).
template <bool kShallow, typename Meanwhile>
inline void exponentiate(const float* from,
                         float* to,
                         uint64_t allowed,
                         Exponential& exponential,
                         Total& total,
                         Meanwhile meanwhile) {
  if (allowed == ~uint64_t{0}) {
    for (size_t i = 0; i < kBlock; i += kLanes) {
      meanwhile(i);
      const Floats masses = exponential.of<false, kShallow>(load(from + i), Ints{});
      store(to + i, masses);
      total.add(masses);
    }
    return;
  }
  const Ints lane_bits = broadcast(int32_t{1}) << lane_numbers();
  for (size_t i = 0; i < kBlock; i += kLanes) {
    meanwhile(i);
    const Ints bits = broadcast(static_cast<int32_t>(allowed >> i & ((1U << kLanes) - 1)));
    const Ints lanes = (bits & lane_bits) != 0;
    const Floats masses = exponential.of<true, kShallow>(load(from + i), lanes);
    store(to + i, masses);
    total.add(masses);
  }
}

// The allowed ranks of the block that starts at `first`.
inline uint64_t allowed_bits(const MassTask& task, size_t first) {
  const uint64_t allowed = task.mask == nullptr ? ~uint64_t{0} : task.mask[first / kBlock];
  const size_t rest = task.size - first;
  return rest >= kBlock ? allowed : allowed & ((uint64_t{1} << rest) - 1);
}

// Stores are the bottleneck of bringing logits into order, so a few are put together for each.
#if defined(__AVX512F__) || !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
constexpr size_t kGroup = 4;
typedef float Group __attribute__((vector_size(4 * kGroup)));

inline Group group_of(const float* from, const uint32_t* order) {
  float group[kGroup];
  for (size_t i = 0; i < kGroup; ++i) memcpy(group + i, from + order[i], sizeof *group);
  return Group{group[0], group[1], group[2], group[3]};
}
#else
constexpr size_t kGroup = 2;
typedef uint64_t Group;

inline Group group_of(const float* from, const uint32_t* order) {
  uint32_t low = 0, high = 0;
  memcpy(&low, from + order[0], sizeof low);
  memcpy(&high, from + order[1], sizeof high);
  return low | uint64_t{high} << 32;
}
#endif

// Brings the logits of one block into rank order.
inline void bring(const MassTask& task, size_t first) {
  const size_t rest = task.size - first;
  float* const to = task.masses + first;
  for (size_t i = 0; i < kBlock && i < rest; ++i) {
    memcpy(to + i, task.logits + task.order[first + i], sizeof *to);
  }
  for (size_t i = rest; i < kBlock; ++i) to[i] = 0.0F;
}

// All blocks, and the sums of the ranges: of those that hold a whole block as it is made, of the
// ends from memory. Logits are brought into order a block ahead, a vector of them for each vector
// of exponentials: so loads are always under way while the processor computes, and what was stored
// in groups is read as vectors only once it has reached the cache.
template <bool kPermuted, bool kShallow>
inline void make(const MassTask& task, Exponential& exponential) {
  if (kPermuted) bring(task, 0);
  size_t range = 0;
  double before = 0.0;  // of the range, what is not in `total`
  Total total;
  for (size_t block = 0; block < task.size; block += kBlock) {
    float* const masses = task.masses + block;
    const float* from = kPermuted ? masses : task.logits + block;
    float rest[kBlock];
    if (!kPermuted && task.size - block < kBlock) {
      memset(rest, 0, sizeof rest);
      memcpy(rest, from, (task.size - block) * sizeof *rest);
      from = rest;
    }
    const size_t next = block + kBlock;
    const auto ends_here = [&] {
      return range < task.range_count && task.range_ends[range] <= next;
    };
    const bool is_divided = ends_here();
    if (is_divided) before += total.result();
    const uint64_t allowed = allowed_bits(task, block);
    const bool is_next_needed = kPermuted && next < task.size && allowed_bits(task, next) != 0;
    if (kPermuted && allowed == 0) {  // of a presorted row this slows all other blocks
      memset(masses, 0, kBlock * sizeof *masses);
      if (is_next_needed) bring(task, next);
    } else if (is_next_needed && task.size - next >= kBlock) {
      const uint32_t* const order = task.order + next;
      float* const to = task.masses + next;
      exponentiate<kShallow>(from, masses, allowed, exponential, total, [=](size_t first) {
        for (size_t i = first; i < first + kLanes; i += kGroup) {
          const Group group = group_of(task.logits, order + i);
          memcpy(to + i, &group, sizeof group);
        }
      });
    } else {
      if (is_next_needed) bring(task, next);
      exponentiate<kShallow>(from, masses, allowed, exponential, total, [](size_t) {});
    }
    if (!is_divided) continue;
    total = Total{};
    size_t first = block;
    for (; ends_here(); ++range) {
      task.range_sums[range] = before + sum(task.masses, first, task.range_ends[range]);
      first = task.range_ends[range];
      before = 0.0;
    }
    before = sum(task.masses, first, next);
  }
}

bool make_masses(const MassTask& task) {
  Exponential exponential;
  const float magic = 0x1.8p+23F - task.exponent * kSteps;
  exponential.magic = broadcast(magic);
  exponential.lowest = broadcast(0x1.8p+23F - 125.0F * kSteps);
  exponential.floor = broadcast(task.floor);
  exponential.lost = Ints{};
  if (task.order == nullptr) {
    task.is_shallow ? make<false, true>(task, exponential) : make<false, false>(task, exponential);
  } else {
    task.is_shallow ? make<true, true>(task, exponential) : make<true, false>(task, exponential);
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
