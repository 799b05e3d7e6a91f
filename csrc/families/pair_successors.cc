// Masks of invalid successors from the merges' intervals, and questions to them.
#include "families/pair_successors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace nextbyte {
namespace {

// Intervals of Euler numbers known to be invalid that are looked at for each token.
constexpr std::size_t kKnownIntervals = 4;

std::uint64_t word_of(const std::shared_ptr<const BitSet>& set, std::size_t index) noexcept {
  return set ? set->word(index) : 0;
}

}  // namespace

InvalidSuccessors::InvalidSuccessors(const BpeMerges& merges,
                                     const TokenTable& table,
                                     Limits limits)
    : merges_(&merges),
      table_(&table),
      max_pair_tests_(limits.pair_tests),
      canonical_(0, table.size()),
      by_last_token_(limits.cached_masks) {
  euler_to_rank_.reserve(merges.euler_order().size());
  rank_to_euler_.assign(table.size(), kNoRank);
  block_ranges_.resize((table.size() + kWordBits - 1) / kWordBits);
  for (const TokenId token : merges.euler_order()) {
    const Rank rank = table.rank_of(token);
    const auto euler = static_cast<std::uint32_t>(euler_to_rank_.size());
    euler_to_rank_.push_back(rank);
    if (rank == kNoRank) continue;
    rank_to_euler_[rank] = euler;
    canonical_.set(rank);
    EulerRange& block = block_ranges_[rank / kWordBits];
    block = {std::min(block.first, euler), std::max(block.last, euler)};
  }
}

std::shared_ptr<const BitSet> InvalidSuccessors::after(TokenId last) const {
  return by_last_token_.get(last, [&] {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> intervals;
    merges_->invalid_successors(last, intervals);
    std::size_t members = 0;
    for (const auto& [begin, end] : intervals) members += end - begin;
    if (members > euler_to_rank_.size() / 2) return all_but_gaps(std::move(intervals));
    BitSet mask(0, table_->size());
    for (const auto& [begin, end] : intervals) {
      for (std::uint32_t euler = begin; euler < end; ++euler) {
        if (euler_to_rank_[euler] != kNoRank) mask.set(euler_to_rank_[euler]);
      }
    }
    return mask;
  });
}

BitSet InvalidSuccessors::all_but_gaps(
    std::vector<std::pair<std::uint32_t, std::uint32_t>> intervals) const {
  BitSet mask = canonical_;
  std::sort(intervals.begin(), intervals.end());
  intervals.emplace_back(static_cast<std::uint32_t>(euler_to_rank_.size()), 0);
  std::uint32_t euler = 0;
  for (const auto& [begin, end] : intervals) {
    for (; euler < begin; ++euler) {
      if (euler_to_rank_[euler] != kNoRank) mask.clear(euler_to_rank_[euler]);
    }
    euler = std::max(euler, end);
  }
  return mask;
}

bool InvalidSuccessors::any_valid(TokenId last_token,
                                  const BitSet& candidates,
                                  Rank first,
                                  Rank last) const {
  // Of `size` numbers from `begin` on; the oldest is overwritten.
  struct Interval {
    std::uint32_t begin = 0, size = 0;
    bool has(std::uint32_t euler) const noexcept { return euler - begin < size; }
  };
  std::array<Interval, kKnownIntervals> known;
  const auto rules_out = [&](const EulerRange& range) {
    return std::any_of(known.begin(), known.end(), [&](const Interval& interval) {
      return interval.has(range.first) && interval.has(range.last);
    });
  };
  std::size_t tests = 0;
  for (std::size_t index = candidates.next_word(first / kWordBits, last); index * kWordBits < last;
       index = candidates.next_word(index + 1, last)) {
    if (rules_out(block_ranges_[index])) continue;
    std::uint64_t bits = candidates.word(index) & word_range_mask(index, first, last);
    for (; bits != 0; bits &= bits - 1) {
      const auto rank =
          static_cast<Rank>(index * kWordBits + static_cast<std::size_t>(std::countr_zero(bits)));
      const std::uint32_t euler = rank_to_euler_[rank];
      if (euler == kNoRank || rules_out({euler, euler})) continue;
      const auto [begin, end] = merges_->invalid_around(last_token, table_->order()[rank]);
      if (begin == end) return true;
      known[tests % kKnownIntervals] = {begin, end - begin};
      if (++tests < max_pair_tests_) continue;
      return candidates.any_outside(*after(last_token), rank + 1, last);
    }
  }
  return false;
}

bool PairSuccessors::any(Rank first, Rank last) const {
  if (last - first == 1) return test(first);  // most are, inside a long token
  if (first >= last) return false;
  if (free_ && free_->any(first, last)) return true;
  if (!bound_) return false;
  if (const BitSet* const mask = known_mask_.load(std::memory_order_acquire)) {
    return bound_->any_outside(*mask, first, last);
  }
  return invalid_->any_valid(last_, *bound_, first, last);
}

void PairSuccessors::copy_words(Rank size, std::vector<std::uint64_t>& words) const {
  words.resize((size + kWordBits - 1) / kWordBits);
  if (bound_) {
    std::call_once(once_, [&] {
      mask_ = invalid_->after(last_);
      known_mask_.store(mask_.get(), std::memory_order_release);
    });
  }
  for (std::size_t index = 0; index < words.size(); ++index) {
    words[index] = word_of(free_, index) | (word_of(bound_, index) & ~word_of(mask_, index));
  }
}

}  // namespace nextbyte
