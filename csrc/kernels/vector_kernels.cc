// The float kernels, in vector extensions: compiled once per level, see CMakeLists.txt.
//
// No standard templates here: an instance compiled for one level could be merged into another.
#include "kernels/vector_kernels.h"

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/folded_exp.h"
#include "kernels/vector_sums.h"
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

// --- Masses --------------------------------------------------------------------------------------

// Stores are the bottleneck of bringing logits into order, so a few are put together for each.
#if defined(__SSE4_1__) || !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
constexpr size_t kGroup = 4;
typedef float Group __attribute__((vector_size(4 * kGroup)));

inline float logit_at(const float* from, uint32_t place) {
  float logit = 0.0F;
  memcpy(&logit, from + place, sizeof logit);
  return logit;
}

// Lane by lane: of each, compilers make an insertion from memory. A vector of four values they put
// together out of registers, and of a loop over the lanes.
inline Group group_of(const float* from, const uint32_t* order) {
  Group group = {logit_at(from, order[0])};
  group[1] = logit_at(from, order[1]);
  group[2] = logit_at(from, order[2]);
  group[3] = logit_at(from, order[3]);
  return group;
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

// Of the kLanes ranks from `first` on, a multiple of kLanes: all bits set where the mask has one.
#if defined(__AVX2__) && !defined(__AVX512F__)
struct LaneTable {
  int8_t lanes[256][kLanes] = {};
  constexpr LaneTable() {
    for (size_t bits = 0; bits < 256; ++bits) {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        lanes[bits][lane] = static_cast<int8_t>(bits >> lane & 1 ? -1 : 0);
      }
    }
  }
};
constexpr LaneTable kLaneTable;

inline Ints allowed_lanes(const uint64_t* mask, size_t first) {
  const uint8_t bits = reinterpret_cast<const uint8_t*>(mask)[first / 8];
  return (Ints)_mm256_cvtepi8_epi32(_mm_loadu_si64(kLaneTable.lanes[bits]));
}
#else
inline Ints allowed_lanes(const uint64_t* mask, size_t first) {
  const auto bits = static_cast<int32_t>(mask[first / 64] >> first % 64 & ((1U << kLanes) - 1));
  return (broadcast(bits) & (broadcast(int32_t{1}) << lane_numbers())) != 0;
}
#endif

// A stretch of logits, whole blocks: from `from` to `to`, which may be the same. `mask` is that of
// `from`. Meanwhile logits[order[i]] are brought to ahead[i].
struct Stretch {
  const float* from;
  float* to;
  const uint64_t* mask;
  size_t size;
  const float* logits;
  const uint32_t* order;
  float* ahead;
};

template <bool kAhead, bool kMasked, bool kShallow>
inline void exponentiate(const Stretch& task, Exponential& exponential, Total& total) {
  const Stretch stretch = task;
  Exponential local = exponential;
  Total sum = total;
  // Two vectors side by side: the processor sees no further than some vectors ahead. Where it has
  // loads to wait for, it is better not to ask for too many of them at once.
  constexpr size_t kVectors = kAhead ? 1 : 2;
  for (size_t first = 0; first < stretch.size; first += kVectors * kLanes) {
    Floats logits[kVectors], masses[kVectors];
    Ints lanes[kVectors] = {};
    for (size_t k = 0; kAhead && k < kVectors * kLanes; k += kGroup) {
      const Group group = group_of(stretch.logits, stretch.order + first + k);
      memcpy(stretch.ahead + first + k, &group, sizeof group);
    }
    for (size_t i = 0; i < kVectors; ++i) {
      logits[i] = load(stretch.from + first + i * kLanes);
      if (kMasked) lanes[i] = allowed_lanes(stretch.mask, first + i * kLanes);
    }
    local.make<kMasked, kShallow>(logits, lanes, masses);
    for (size_t i = 0; i < kVectors; ++i) {
      store(stretch.to + first + i * kLanes, masses[i]);
      sum.add(masses[i]);
    }
  }
  exponential = local;
  total = sum;
}

// Brings the logits of one block into rank order.
inline void bring(const MassTask& task, size_t first) {
  const size_t rest = task.size - first;
  float* const to = task.masses + first;
  for (size_t i = 0; i < kBlock && i < rest; ++i) {
    memcpy(to + i, task.logits + task.order[first + i], sizeof *to);
  }
  for (size_t i = rest; i < kBlock; ++i) to[i] = 0.0F;
}

// Ranks before this need no care for the end of the row.
template <bool kPermuted>
inline size_t end_of_bulk(size_t size) {
  const size_t end = size / kBlock * kBlock;
  return kPermuted && end > 0 ? end - kBlock : end;  // a block ahead is read
}

// The masses [first, last) of the bulk. If kPermuted, the block from `first` on is in rank order
// already, and the one from `last` on will be.
template <bool kPermuted, bool kShallow>
inline void make_stretch(
    const MassTask& task, size_t first, size_t last, Exponential& exponential, Total& total) {
  uint64_t all = ~uint64_t{0}, any = 0;
  for (size_t block = first; task.mask != nullptr && block < last; block += kBlock) {
    all &= task.mask[block / kBlock];
    any |= task.mask[block / kBlock];
  }
  Stretch stretch = {};
  stretch.to = task.masses + first;
  stretch.from = kPermuted ? stretch.to : task.logits + first;
  stretch.size = last - first;
  if (kPermuted) {
    stretch.logits = task.logits;
    stretch.order = task.order + first + kBlock;
    stretch.ahead = stretch.to + kBlock;
  }
  if (~all == 0) {
    exponentiate<kPermuted, false, kShallow>(stretch, exponential, total);
  } else if (any != 0) {
    stretch.mask = task.mask + first / kBlock;
    exponentiate<kPermuted, true, kShallow>(stretch, exponential, total);
  } else {
    memset(stretch.to, 0, stretch.size * sizeof *stretch.to);
    if (kPermuted) bring(task, last);
  }
}

// One of the last blocks.
template <bool kPermuted, bool kShallow>
inline void make_late(const MassTask& task, size_t first, Exponential& exponential, Total& total) {
  Stretch stretch = {};
  stretch.to = task.masses + first;
  stretch.from = stretch.to;
  stretch.size = kBlock;
  const size_t rest = task.size - first < kBlock ? task.size - first : kBlock;
  if (kPermuted) {
    bring(task, first);
  } else {
    memset(stretch.to, 0, kBlock * sizeof *stretch.to);
    memcpy(stretch.to, task.logits + first, rest * sizeof *stretch.to);
  }
  uint64_t allowed = task.mask == nullptr ? ~uint64_t{0} : task.mask[first / kBlock];
  if (rest < kBlock) allowed &= (uint64_t{1} << rest) - 1;
  stretch.mask = &allowed;
  exponentiate<false, true, kShallow>(stretch, exponential, total);
}

// All masses, and the sums of ranges and spans. Logits are brought into order a block ahead, a
// vector of them for each vector of exponentials: so loads are always under way while the processor
// computes, and what was stored in groups is read as vectors only once it has reached the cache.
template <bool kPermuted, bool kShallow>
inline void make(const MassTask& task, Exponential& exponential) {
  const size_t bulk = end_of_bulk<kPermuted>(task.size);
  if (kPermuted && bulk > 0) bring(task, 0);
  size_t range = 0;
  double range_sum = 0.0;  // of the range, up to the span
  double span_sum = 0.0;   // of the span, up to the range
  Total total;             // since then
  for (size_t first = 0, last = 0; first < task.size; first = last) {
    const size_t end = range < task.range_count ? task.range_ends[range] : task.size;
    last = end / kBlock * kBlock;
    const bool is_divided = last == first;  // ranges end inside the block
    if (is_divided || first >= bulk) {
      last = first + kBlock;
    } else {
      const size_t span_end = (first / kSpan + 1) * kSpan;
      if (last > span_end) last = span_end;
      if (last > bulk) last = bulk;
    }
    Total unused;
    Total& made = is_divided ? unused : total;
    if (first < bulk) {
      make_stretch<kPermuted, kShallow>(task, first, last, exponential, made);
    } else {
      make_late<kPermuted, kShallow>(task, first, exponential, made);
    }
    size_t rest = is_divided ? first : last;  // what is not in `total` yet
    for (; range < task.range_count && task.range_ends[range] <= last; ++range) {
      const size_t range_end = task.range_ends[range];
      double sum = 0.0;
      if (rest != first && range_end - rest == 1) {
        sum = static_cast<double>(task.masses[rest]);
      } else {
        if (rest < range_end) add_range(total, task.masses, rest, range_end);
        sum = total.result();
        total = Total{};
      }
      rest = range_end;
      task.range_sums[range] = range_sum + sum;
      range_sum = 0.0;
      span_sum += sum;
    }
    if (rest < last) add_range(total, task.masses, rest, last);
    if (last % kSpan != 0 && last < task.size) continue;
    const double sum = total.result();
    total = Total{};
    range_sum += sum;
    task.span_sums[(last - 1) / kSpan] = span_sum + sum;
    span_sum = 0.0;
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
