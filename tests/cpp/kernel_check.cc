// Checks the float kernels of every level against long double: masses, sums, masks, types, edges.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/exact_masses.h"
#include "kernels/levels.h"
#include "kernels/vector_kernels.h"

namespace {

using namespace nextbyte::kernels;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr long double kLog2 = 0.693147180559945309417232121458176568L;
constexpr float kCanary = 123456.0F;

void require(bool holds, const char* what, const char* level) {
  if (holds) return;
  std::fprintf(stderr, "kernel_check: %s (%s)\n", what, level);
  std::exit(1);
}

// Aligned as the kernels want it, with canaries behind what they may write.
struct Masses {
  explicit Masses(std::size_t size)
      : storage(padded(size) + 64, kCanary), values(storage.data()), end(padded(size)) {
    while (reinterpret_cast<std::uintptr_t>(values) % kMassAlignment != 0) ++values;
    std::fill(values + end, storage.data() + storage.size(), kCanary);
  }
  bool is_intact() const {
    const float* const behind = storage.data() + storage.size();
    return std::count(static_cast<const float*>(values) + end, behind, kCanary) ==
           behind - (values + end);
  }
  std::vector<float> storage;
  float* values;
  std::size_t end;
};

struct Row {
  std::vector<float> logits;
  std::vector<std::uint32_t> order;  // empty: in rank order
  std::vector<std::uint64_t> mask;   // empty: all may follow
  std::vector<std::uint32_t> range_ends;

  std::size_t size() const { return order.empty() ? logits.size() : order.size(); }
  float at(std::size_t rank) const { return logits[order.empty() ? rank : order[rank]]; }
  bool allows(std::size_t rank) const {
    return mask.empty() || (mask[rank / 64] >> (rank % 64) & 1U) != 0;
  }
};

// Checks one row; returns the greatest relative error of a mass.
long double check(const Row& row, const VectorKernels& kernels) {
  const std::size_t size = row.size();
  const RowScan scan = kernels.scan(row.logits.data(), row.logits.size());
  require(scan.is_regular, "a regular row", kernels.name);
  require(scan.maximum == *std::max_element(row.logits.begin(), row.logits.end()),
          "the maximum",
          kernels.name);
  require(scan.minimum == *std::min_element(row.logits.begin(), row.logits.end()),
          "the minimum",
          kernels.name);
  const double exponent = std::nearbyint(static_cast<double>(scan.maximum / kLog2));
  const float floor = scan.maximum - 840.0F;
  Masses masses(size);
  std::vector<double> sums(row.range_ends.size(), -1.0);
  std::vector<double> span_sums(span_count(size) + 1, -1.0);
  const bool flushed = kernels.make_masses({.logits = row.logits.data(),
                                            .order = row.order.empty() ? nullptr : row.order.data(),
                                            .mask = row.mask.empty() ? nullptr : row.mask.data(),
                                            .size = size,
                                            .range_ends = row.range_ends.data(),
                                            .range_count = row.range_ends.size(),
                                            .exponent = static_cast<float>(exponent),
                                            .is_shallow = is_shallow(scan.minimum, exponent),
                                            .floor = floor,
                                            .masses = masses.values,
                                            .range_sums = sums.data(),
                                            .span_sums = span_sums.data()});
  require(masses.is_intact(), "nothing is written behind the buffer", kernels.name);
  long double worst = 0.0L;
  bool lost = false;
  for (std::size_t r = 0; r < padded(size); ++r) {
    const float mass = masses.values[r];
    if (r >= size || !row.allows(r) || row.at(r) == -kInfinity) {
      require(mass == 0.0F && !std::signbit(mass), "an exact zero", kernels.name);
      continue;
    }
    const long double expected = std::exp(static_cast<long double>(row.at(r)) - exponent * kLog2);
    if (mass == 0.0F) {
      require(expected < 0x1p-124L, "no mass is lost that a float can hold", kernels.name);
      lost = lost || row.at(r) > floor;
      continue;
    }
    worst = std::max(worst, std::fabs(mass / expected - 1.0L));
  }
  require(flushed == lost, "the flag says whether a mass was lost", kernels.name);
  require(span_sums.back() == -1.0, "nothing is written behind the sums", kernels.name);
  const auto require_sum = [&](double sum, std::size_t first, std::size_t last, const char* what) {
    long double expected = 0.0L;
    for (std::size_t r = first; r < last; ++r) expected += masses.values[r];
    const auto count = static_cast<long double>(last - first);
    const auto bound = (1e-15L + 0x1p-53L * count / 8) * expected;
    require(std::fabs(sum - expected) <= bound, what, kernels.name);
  };
  const MadeMasses made = {masses.values, span_sums.data()};
  std::size_t first = 0;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const std::size_t last = row.range_ends[i];
    require_sum(sums[i], first, last, "the sum of a range");
    require_sum(kernels.sum(made, first, last), first, last, "the direct sum of a range");
    require_sum(kernels.sum(made, first / 2, last), first / 2, last, "the sum of several ranges");
    first = last;
  }
  for (std::size_t i = 0; i < span_count(size); ++i) {
    require_sum(span_sums[i], i * kSpan, std::min(size, (i + 1) * kSpan), "the sum of a span");
  }
  return worst;
}

std::vector<std::uint32_t> random_ranges(std::mt19937_64& random, std::size_t size) {
  std::vector<std::uint32_t> ends{static_cast<std::uint32_t>(size)};
  for (std::size_t i = random() % 256; i > 0; --i) {
    const auto most = random() % 2 == 0 ? size : std::min<std::size_t>(size, 40);
    ends.push_back(static_cast<std::uint32_t>(1 + random() % most));
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  return ends;
}

void check_rows(const VectorKernels& kernels) {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  long double worst = 0.0L;
  for (int trial = 0; trial < 600; ++trial) {
    Row row;
    const std::size_t size =
        trial < 200 ? static_cast<std::size_t>(trial) + 1 : 1 + random() % 9000;
    const float width = trial % 3 == 0 ? 2.5F : trial % 3 == 1 ? 12.0F : 70.0F;
    const float offset = trial % 5 == 0 ? 700.0F * normal(random) : 0.0F;
    row.logits.resize(size + random() % 70);
    for (float& x : row.logits) x = std::clamp(offset + width * normal(random), -1900.0F, 1900.0F);
    for (std::size_t i = random() % 20; i > 0; --i) {
      static const float kSpecial[] = {-kInfinity, -3e38F, 1e-42F, -1e-45F, 0.0F, -0.0F};
      row.logits[random() % row.logits.size()] = kSpecial[random() % 6];
    }
    if (*std::max_element(row.logits.begin(), row.logits.end()) < -1900.0F) row.logits[0] = -3.0F;
    if (trial % 2 == 0) {
      row.order.resize(row.logits.size());
      std::iota(row.order.begin(), row.order.end(), 0U);
      std::shuffle(row.order.begin(), row.order.end(), random);
      row.order.resize(size);
    } else {
      row.logits.resize(size);
      if (*std::max_element(row.logits.begin(), row.logits.end()) < -1900.0F) row.logits[0] = 1.0F;
    }
    if (trial % 4 >= 2) {
      row.mask.resize(padded(size) / 64);
      for (std::uint64_t& word : row.mask) {
        const auto kind = random() % 4;
        word = kind == 0 ? 0 : kind == 1 ? ~std::uint64_t{0} : random() & (kind == 2 ? ~0U : ~0ULL);
      }
    }
    row.range_ends = random_ranges(random, row.size());
    worst = std::max(worst, check(row, kernels));
  }
  std::printf("%-10s rows: mass error %.3Lg\n", kernels.name, worst);
  require(worst <= 2e-7L, "masses of rows within 2e-7", kernels.name);
}

// Every so many-th float of a range, one row after the other.
void check_exponentials(const VectorKernels& kernels, float from, float to, std::uint32_t step) {
  long double worst = 0.0L;
  std::uint32_t bits = 0, last = 0;
  std::memcpy(&bits, &from, sizeof bits);
  std::memcpy(&last, &to, sizeof last);
  Row row;
  row.range_ends = {1U << 16};
  for (std::uint64_t at = bits; at < last;) {
    row.logits.clear();
    while (row.logits.size() < (1U << 16)) {
      const auto pattern = static_cast<std::uint32_t>(std::min<std::uint64_t>(at, last));
      float value = 0.0F;
      std::memcpy(&value, &pattern, sizeof value);
      row.logits.push_back(value);
      at += step;
    }
    worst = std::max(worst, check(row, kernels));
  }
  std::printf("%-10s exp on [%g, %g]: error %.3Lg\n",
              kernels.name,
              static_cast<double>(from),
              static_cast<double>(to),
              worst);
  require(worst <= 2e-7L, "exponentials within 2e-7", kernels.name);
}

// Rows whose least logit is at, and next to, the limit of what is shallow.
void check_limit(const VectorKernels& kernels) {
  for (const float maximum : {-1940.0F, -1900.0F, -40.5F, 0.0F, 3.3F, 88.0F, 1900.0F, 1940.0F}) {
    const double exponent = std::nearbyint(static_cast<double>(maximum / kLog2));
    Row row;
    row.range_ends = {2};
    auto limit = static_cast<float>((exponent - 124.0) * static_cast<double>(kLog2)) - 0.01F;
    for (; !is_shallow(limit, exponent); limit = std::nextafter(limit, kInfinity)) {
    }
    for (int step = 0; step < 3; ++step, limit = std::nextafter(limit, -kInfinity)) {
      row.logits = {maximum, limit};
      require(check(row, kernels) <= 2e-7L, "masses at the limit within 2e-7", kernels.name);
    }
  }
}

void check_irregular(const VectorKernels& kernels) {
  for (std::size_t size = 1; size < 200; ++size) {
    std::vector<float> row(size, -2.0F);
    for (const std::size_t place : {std::size_t{0}, size / 2, size - 1}) {
      for (const float bad : {kInfinity,
                              std::numeric_limits<float>::quiet_NaN(),
                              -std::numeric_limits<float>::quiet_NaN()}) {
        row[place] = bad;
        require(!kernels.scan(row.data(), size).is_regular, "NaN and +inf", kernels.name);
      }
      row[place] = -kInfinity;
      require(kernels.scan(row.data(), size).is_regular, "-inf is regular", kernels.name);
      row[place] = -2.0F;
    }
    std::fill(row.begin(), row.end(), -kInfinity);
    const RowScan scan = kernels.scan(row.data(), size);
    require(scan.is_regular && scan.maximum == -kInfinity, "a row of -inf", kernels.name);
  }
}

void check_widening(const VectorKernels& kernels) {
  for (const LogitType type : {LogitType::kFloat16, LogitType::kBFloat16}) {
    const auto widen = type == LogitType::kFloat16 ? kernels.widen_half : kernels.widen_bfloat;
    for (std::size_t size : {1U, 3U, 16U, 31U, 33U, 100U, 65536U}) {
      std::vector<unsigned char> bytes(size * 2 + 1);
      std::vector<std::uint16_t> bits(size);
      for (std::size_t i = 0; i < size; ++i) {
        bits[i] = static_cast<std::uint16_t>(i * (size < 65536 ? 9973 : 1));
      }
      // Not aligned, on purpose.
      std::memcpy(bytes.data() + 1, bits.data(), size * 2);
      const void* const data = bytes.data() + 1;
      std::vector<float> widened(size + 16, kCanary);
      widen(static_cast<const std::uint16_t*>(data), size, widened.data());
      for (std::size_t i = 0; i < size; ++i) {
        const double expected = logit_at({data, type, size}, i);
        const auto actual = static_cast<double>(widened[i]);
        require(std::isnan(expected)
                    ? std::isnan(actual)
                    : actual == expected && std::signbit(actual) == std::signbit(expected),
                "a widened float",
                kernels.name);
      }
      for (std::size_t i = size; i < widened.size(); ++i) {
        require(widened[i] == kCanary, "nothing is written behind the scratch", kernels.name);
      }
      const std::uint16_t low[] = {0xC000, 0xC000, 0xC000};  // -2 in either type
      require(widen(low, 3, widened.data()).maximum == -2.0F, "a small row", kernels.name);
    }
  }
}

}  // namespace

int main() {
  require(level_count() > 0 && !use("no such level"), "unknown levels are refused", "-");
  for (std::size_t i = 0; i < level_count(); ++i) {
    const auto [kernels, is_supported] = level(i);
    if (!is_supported) continue;
    require(use(kernels->name) && &active() == kernels, "a level in use", kernels->name);
    check_rows(*kernels);
    // Steps of about a million floats each; the first range includes subnormals.
    check_exponentials(*kernels, 0.0F, 1.0F, 997);
    check_exponentials(*kernels, 1.0F, 80.0F, 61);
    check_exponentials(*kernels, 80.0F, 1900.0F, 37);
    check_exponentials(*kernels, -0.0F, -1.0F, 997);
    check_exponentials(*kernels, -1.0F, -80.0F, 61);
    check_exponentials(*kernels, -80.0F, -1900.0F, 37);
    check_limit(*kernels);
    check_irregular(*kernels);
    check_widening(*kernels);
  }
  return 0;
}
