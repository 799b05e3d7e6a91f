// From logits to masses: the float kernels where they can answer, else the exact loops.
#include "mass/mass_row.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/exact_masses.h"
#include "kernels/levels.h"
#include "kernels/vector_kernels.h"
#include "support/error.h"

namespace nextbyte {

using kernels::LogitType;

namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();
constexpr double kLog2 = 0.6931471805599453094;

// A logit this far below the maximum of the row is zero next to any that a float can hold:
// exp(-745) is the least double, and an allowed mass in float is at least exp(-88) of the maximum.
constexpr float kDeepest = 840.0F;

[[noreturn]] void complain(const Tokenizer& tokenizer, const Logits& logits) {
  const kernels::RowCheck check = kernels::check_row(logits.row);
  const std::size_t token =
      logits.is_presorted ? tokenizer.token_at_place(check.index) : check.index;
  throw InvalidInput("the logit of token " + std::to_string(token) +
                     (check.status == kernels::RowStatus::kNan ? " is NaN" : " is +inf"));
}

// Lets the family confirm the tokens that weigh most. Returns the share of the mass of all tokens
// that it did not confirm.
double choose_tokens(const AllowedTokens& allowed,
                     const kernels::LogitRow& row,
                     const TokenId* order,
                     std::size_t size,
                     std::vector<std::uint64_t>& mask) {
  mask.assign((size + 63) / 64, ~std::uint64_t{0});
  if (size % 64 != 0) mask.back() >>= 64 - size % 64;
  const double shift = kernels::masked_maximum(row, order, mask.data(), size);
  if (shift == kImpossible) return 0.0;
  std::vector<double> masses(size);
  kernels::exact_masses(row, order, mask.data(), size, shift, masses.data());
  const double total = kernels::exact_sum(masses.data(), 0, size);
  allowed.choose(masses, mask);
  double confirmed = 0.0;
  for (std::size_t rank = 0; rank < size; ++rank) {
    if ((mask[rank / 64] >> (rank % 64) & 1U) != 0) confirmed += masses[rank];
  }
  return std::max(0.0, 1.0 - confirmed / total);
}

// What rows need while they are made. One per thread: rows come one after the other.
struct Scratch {
  std::vector<std::uint64_t> mask;
  std::vector<float> widened;
};

}  // namespace

struct MassRow::Task {
  kernels::LogitRow row;
  const TokenId* order;  // null: in rank order
  const std::vector<std::uint64_t>& mask;
  std::size_t size;
  std::array<std::uint32_t, 256> range_ends;
  std::array<double, 8> end_logits;  // the first few
  std::vector<double> more_end_logits;
  std::size_t end_count;

  template <typename Visit>
  void for_each_end(Visit visit) const {
    for (std::size_t i = 0; i < end_count; ++i) {
      visit(i < end_logits.size() ? end_logits[i] : more_end_logits[i - end_logits.size()]);
    }
  }
};

MassRow::MassRow(const Tokenizer& tokenizer,
                 const Logits& logits,
                 const AllowedTokens* allowed,
                 std::span<const TokenId> end_tokens) {
  static thread_local Scratch scratch;
  const kernels::LogitRow& row = logits.row;
  if (row.size < tokenizer.row_size()) {
    throw InvalidInput("a row of " + std::to_string(row.size) +
                       " logits is too narrow: the vocabulary has " +
                       std::to_string(tokenizer.row_size()) + " tokens");
  }
  const kernels::VectorKernels& vector = kernels::active();
  kernels::RowScan scan{};
  const float* floats = nullptr;
  if (row.type == LogitType::kFloat64) {
    const kernels::RowStatus status = kernels::check_row(row).status;
    scan.is_regular = status == kernels::RowStatus::kOk || status == kernels::RowStatus::kNoMass;
    any_finite_ = status == kernels::RowStatus::kOk;
  } else {
    if (row.type == LogitType::kFloat32) {
      floats = static_cast<const float*>(row.data);
      scan = vector.scan(floats, row.size);
    } else {
      scratch.widened.resize(row.size);
      const auto* halves = static_cast<const std::uint16_t*>(row.data);
      scan = (row.type == LogitType::kFloat16 ? vector.widen_half : vector.widen_bfloat)(
          halves, row.size, scratch.widened.data());
      floats = scratch.widened.data();
    }
    any_finite_ = scan.maximum > -std::numeric_limits<float>::infinity();
  }
  if (!scan.is_regular) complain(tokenizer, logits);

  const TokenTable& table = tokenizer.table();
  Task task{row,
            logits.is_presorted ? nullptr : table.order().data(),
            scratch.mask,
            table.size(),
            {},
            {},
            {},
            end_tokens.size()};
  if (allowed == nullptr) {
    scratch.mask.assign((table.size() + 63) / 64, ~std::uint64_t{0});
    if (table.size() % 64 != 0) scratch.mask.back() >>= 64 - table.size() % 64;
  } else if (allowed->wants_masses()) {
    unconfirmed_ = choose_tokens(*allowed, row, task.order, task.size, scratch.mask);
  } else {
    allowed->copy_words(table.size(), scratch.mask);
  }
  table.for_each_child(
      table.root(), [&](std::uint8_t, Rank, Rank last) { task.range_ends[root_count_++] = last; });
  for (std::size_t i = 0; i < end_tokens.size(); ++i) {
    const std::size_t place =
        logits.is_presorted ? tokenizer.presorted_place(end_tokens[i]) : std::size_t{end_tokens[i]};
    if (place >= row.size) {
      throw InvalidInput("end-of-text token " + std::to_string(end_tokens[i]) +
                         " is outside the row of " + std::to_string(row.size) + " logits");
    }
    const double logit = kernels::logit_at(row, place);
    if (i < task.end_logits.size()) {
      task.end_logits[i] = logit;
    } else {
      task.more_end_logits.push_back(logit);
    }
  }
  size_ = static_cast<std::uint32_t>(table.size());
  if (!any_finite_) return;
  if (floats == nullptr || !make_floats(task, floats, scan)) make_doubles(task);
  if (kind_ == Kind::kNone) return;  // an error only once the context has any weight
  task.for_each_end([&](double logit) { end_of_text_ += std::exp(logit - log_scale_); });
  for (const double sum : root_sums()) total_ += sum;
  total_ += end_of_text_;
}

bool MassRow::make_floats(const Task& task, const float* logits, const kernels::RowScan& scan) {
  const double exponent = std::nearbyint(static_cast<double>(scan.maximum) / kLog2);
  if (!(std::fabs(exponent) <= static_cast<double>(kernels::kMaxExponent))) return false;
  const std::size_t floats = kernels::padded(task.size);  // and the sums of the spans behind them
  masses_ = MassBuffer(floats * sizeof(float) + kernels::span_count(task.size) * sizeof(double));
  auto* const masses = static_cast<float*>(masses_.data());
  const bool flushed =
      kernels::active().make_masses({.logits = logits,
                                     .order = task.order,
                                     .mask = task.mask.data(),
                                     .size = task.size,
                                     .range_ends = task.range_ends.data(),
                                     .range_count = root_count_,
                                     .exponent = static_cast<float>(exponent),
                                     .is_shallow = kernels::is_shallow(scan.minimum, exponent),
                                     .floor = scan.maximum - kDeepest,
                                     .masses = masses,
                                     .range_sums = root_sums_.data(),
                                     .span_sums = reinterpret_cast<double*>(masses + floats)});
  // If all is zero, the allowed maximum may be below anything that the flag knows of.
  if (flushed ||
      std::all_of(root_sums().begin(), root_sums().end(), [](double sum) { return sum == 0.0; })) {
    return false;
  }
  log_scale_ = exponent * kLog2;
  kind_ = Kind::kFloat;
  return true;
}

void MassRow::make_doubles(const Task& task) {
  double shift = kernels::masked_maximum(task.row, task.order, task.mask.data(), task.size);
  task.for_each_end([&](double logit) { shift = std::max(shift, logit); });
  std::fill_n(root_sums_.begin(), root_count_, 0.0);
  if (shift == kImpossible) return;
  masses_ = MassBuffer(task.size * sizeof(double));
  auto* const masses = static_cast<double*>(masses_.data());
  kernels::exact_masses(task.row, task.order, task.mask.data(), task.size, shift, masses);
  Rank first = 0;
  for (std::size_t i = 0; i < root_count_; ++i) {
    root_sums_[i] = kernels::exact_sum(masses, first, task.range_ends[i]);
    first = task.range_ends[i];
  }
  log_scale_ = shift;
  kind_ = Kind::kDouble;
}

double MassRow::sum(Rank first, Rank last) const noexcept {
  if (kind_ == Kind::kNone) return 0.0;
  if (kind_ == Kind::kDouble) {
    return kernels::exact_sum(static_cast<const double*>(masses_.data()), first, last);
  }
  const kernels::MadeMasses made = floats();
  if (last - first > 6) return kernels::active().sum(made, first, last);
  double sum = 0.0;
  for (Rank rank = first; rank < last; ++rank) sum += static_cast<double>(made.masses[rank]);
  return sum;
}

}  // namespace nextbyte
