// The masses of the tokens after one context, from the context's row of logits.
#ifndef NEXTBYTE_MASS_MASS_ROW_H_
#define NEXTBYTE_MASS_MASS_ROW_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/logit_row.h"
#include "kernels/vector_kernels.h"
#include "mass/mass_buffer.h"
#include "tokenizer/tokenizer.h"

namespace nextbyte {

// A row as a model gives it; presorted: see Tokenizer::unranked.
struct Logits {
  kernels::LogitRow row;
  bool is_presorted = false;
};

// Masses in rank order on a common scale, so that the tokens below any byte prefix are one range of
// them. Rows of 32 and 16 bits give floats, each within 2e-7 of exp(x), unless floats cannot hold
// some mass that a double can; then, and for rows of 64 bits, it is doubles (docs/adr/0024). Sums
// are direct, and made in double, always.
class MassRow {
 public:
  // allowed: the tokens that may follow, null for all that have a rank; end_tokens: those that end
  // the text, empty if it may not end. Throws InvalidInput if the row is too narrow, or has NaN or
  // +inf. A row without any mass is no error here: total() is 0.
  MassRow(const Tokenizer& tokenizer,
          const Logits& logits,
          const AllowedTokens* allowed,
          std::span<const TokenId> end_tokens);

  // The mass of the ranks [first, last).
  double sum(Rank first, Rank last) const noexcept;
  double mass(Rank rank) const noexcept { return sum(rank, rank + 1); }
  // The sums below the children of the table's root, in their order.
  std::span<const double> root_sums() const noexcept { return {root_sums_.data(), root_count_}; }
  double end_of_text() const noexcept { return end_of_text_; }
  // The normalizer, end of text included; 0 where the model rules out all that may follow.
  double total() const noexcept { return total_; }
  // A mass is exp(logit - log_scale()).
  double log_scale() const noexcept { return log_scale_; }
  bool any_finite() const noexcept { return any_finite_; }  // false: every logit was -inf
  // Share of the model's mass on tokens that are left out although nothing rules them out.
  double unconfirmed() const noexcept { return unconfirmed_; }

 private:
  enum class Kind : std::uint8_t { kNone, kFloat, kDouble };
  struct Task;  // what the steps of the constructor share

  // False if floats cannot hold the masses.
  bool make_floats(const Task& task, const float* logits, const kernels::RowScan& scan);
  void make_doubles(const Task& task);
  kernels::MadeMasses floats() const noexcept {
    const auto* const masses = static_cast<const float*>(masses_.data());
    return {masses, reinterpret_cast<const double*>(masses + kernels::padded(size_))};
  }

  MassBuffer masses_;
  Kind kind_ = Kind::kNone;
  bool any_finite_ = true;
  std::uint32_t size_ = 0;  // ranks
  std::uint32_t root_count_ = 0;
  double total_ = 0.0;
  double end_of_text_ = 0.0;
  double log_scale_ = 0.0;
  double unconfirmed_ = 0.0;
  std::array<double, 256> root_sums_{};
};

}  // namespace nextbyte

#endif  // NEXTBYTE_MASS_MASS_ROW_H_
