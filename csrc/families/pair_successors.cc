// Masks of invalid successors from the merges' intervals, and questions to them.
#include "families/pair_successors.h"

#include <bit>

namespace nextbyte {
namespace {

// Masks are 6 KB (49k tokens) to 33 KB (262k): at most 2 * 1024 * 33 KB = 68 MB.
constexpr std::size_t kCachedMasks = 1024;

// Pair tests (about 30 ns) before a mask of all invalid successors (about 20 us, cached) is used
// instead.
constexpr int kMaxPairTests = 8;

std::uint64_t word_of(const std::shared_ptr<const BitSet>& set, std::size_t index) noexcept {
  return set ? set->word(index) : 0;
}

}  // namespace

InvalidSuccessors::InvalidSuccessors(const BpeMerges& merges, const TokenTable& table)
    : merges_(&merges), table_(&table), by_last_token_(kCachedMasks) {
  euler_to_rank_.reserve(merges.euler_order().size());
  for (const TokenId token : merges.euler_order()) euler_to_rank_.push_back(table.rank_of(token));
}

std::shared_ptr<const BitSet> InvalidSuccessors::after(TokenId last) const {
  return by_last_token_.get(last, [&] {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> intervals;
    merges_->invalid_successors(last, intervals);
    BitSet mask(0, table_->size());
    for (const auto& [begin, end] : intervals) {
      for (std::uint32_t euler = begin; euler < end; ++euler) {
        if (euler_to_rank_[euler] != kNoRank) mask.set(euler_to_rank_[euler]);
      }
    }
    return mask;
  });
}

bool PairSuccessors::any(Rank first, Rank last) const {
  int tests = 0;
  std::shared_ptr<const BitSet> invalid;
  for (std::size_t index = first / kWordBits; index * kWordBits < last; ++index) {
    const std::uint64_t range = word_range_mask(index, first, last);
    if ((word_of(free_, index) & range) != 0) return true;
    std::uint64_t bits = word_of(bound_, index) & range;
    if (invalid) {
      if ((bits & ~invalid->word(index)) != 0) return true;
      continue;
    }
    for (; bits != 0; bits &= bits - 1, ++tests) {
      const auto rank =
          static_cast<Rank>(index * kWordBits + static_cast<std::size_t>(std::countr_zero(bits)));
      if (invalid_->pair_ok(last_, rank)) return true;
    }
    if (tests > kMaxPairTests) invalid = invalid_->after(last_);
  }
  return false;
}

void PairSuccessors::copy_words(Rank size, std::vector<std::uint64_t>& words) const {
  words.resize((size + kWordBits - 1) / kWordBits);
  const std::shared_ptr<const BitSet> invalid = bound_ ? invalid_->after(last_) : nullptr;
  for (std::size_t index = 0; index < words.size(); ++index) {
    words[index] = word_of(free_, index) | (word_of(bound_, index) & ~word_of(invalid, index));
  }
}

}  // namespace nextbyte
