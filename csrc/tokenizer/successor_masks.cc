// Mask construction: an automaton pass, co-liveness for the doubtful ends, merge intervals.
#include "tokenizer/successor_masks.h"

#include <bit>
#include <utility>

namespace nextbyte {
namespace {

// Masks are 6 KB (49k tokens) to 33 KB (262k): at most 2 * 1024 * 33 KB = 68 MB for each cache.
constexpr std::size_t kCachedMasks = 1024;

// Pair tests (about 30 ns) before a mask of all invalid successors (about 20 us, cached) is used
// instead.
constexpr int kMaxPairTests = 8;

std::uint64_t word_of(const std::shared_ptr<const BitSet>& set, std::size_t index) noexcept {
  return set ? set->word(index) : 0;
}

}  // namespace

bool AllowedTokens::test_interior(Rank rank) const noexcept {
  return interior_ && interior_->test(rank) && masks_->pair_ok(last_, rank);
}

bool AllowedTokens::any(Rank first, Rank last) const {
  int tests = 0;
  std::shared_ptr<const BitSet> invalid;
  for (std::size_t index = first / kWordBits; index * kWordBits < last; ++index) {
    const std::uint64_t range = word_range_mask(index, first, last);
    if ((word_of(boundary_, index) & range) != 0) return true;
    std::uint64_t bits = word_of(interior_, index) & range;
    if (invalid) {
      if ((bits & ~invalid->word(index)) != 0) return true;
      continue;
    }
    for (; bits != 0; bits &= bits - 1, ++tests) {
      const auto rank =
          static_cast<Rank>(index * kWordBits + static_cast<std::size_t>(std::countr_zero(bits)));
      if (masks_->pair_ok(last_, rank)) return true;
    }
    if (tests > kMaxPairTests) invalid = masks_->invalid(last_);
  }
  return false;
}

void AllowedTokens::copy_words(Rank size, std::vector<std::uint64_t>& words) const {
  words.resize((size + kWordBits - 1) / kWordBits);
  const std::shared_ptr<const BitSet> invalid = interior_ ? masks_->invalid(last_) : nullptr;
  for (std::size_t index = 0; index < words.size(); ++index) {
    words[index] =
        word_of(boundary_, index) | (word_of(interior_, index) & ~word_of(invalid, index));
  }
}

SuccessorMasks::SuccessorMasks(const BpeMerges& merges,
                               const TokenTable& table,
                               const ByteAutomaton& automaton)
    : merges_(&merges),
      table_(&table),
      automaton_(&automaton),
      co_liveness_(merges, table, automaton),
      continuation_range_(table.first_byte_range(0x80, 0xBF)),
      by_state_(kCachedMasks),
      by_last_token_(kCachedMasks) {
  euler_to_rank_.reserve(merges.euler_order().size());
  for (const TokenId token : merges.euler_order()) euler_to_rank_.push_back(table.rank_of(token));
}

BitSet SuccessorMasks::live_tokens(const ByteAutomatonState& state,
                                   unsigned flags,
                                   Rank first,
                                   Rank last) const {
  TokenScan scan = scan_tokens(*automaton_, *table_, state, flags, first, last);
  scan.alive.for_each([&](std::size_t rank) {
    if (scan.accepting.test(rank)) return;
    ByteAutomatonState end = state;
    automaton_->run(end, table_->bytes(static_cast<Rank>(rank)), flags);
    if (co_liveness_.live(end, table_->order()[rank])) scan.accepting.set(rank);
  });
  return std::move(scan.accepting);
}

std::shared_ptr<const BitSet> SuccessorMasks::invalid(TokenId last) const {
  return by_last_token_.get(last, [&] {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> intervals;
    merges_->invalid_successors(last, intervals);
    BitSet mask(0, table_->size());
    for (const auto& [begin, end] : intervals) {
      for (std::uint32_t euler = begin; euler < end; ++euler) mask.set(euler_to_rank_[euler]);
    }
    return mask;
  });
}

AllowedTokens SuccessorMasks::allowed(const ByteAutomatonState& state, TokenId last) const {
  const auto masks = [&](unsigned flags, Rank begin, Rank end) {
    ByteAutomatonState start = state;
    if (start.at_character_boundary()) start.flags = static_cast<std::uint8_t>(flags);
    return by_state_.get(start.key(), [&] { return live_tokens(start, flags, begin, end); });
  };
  if (!state.at_character_boundary()) {
    return {*this,
            last,
            nullptr,
            masks(state.flags, continuation_range_.first, continuation_range_.last)};
  }
  std::shared_ptr<const BitSet> boundary = masks(kBoundary, 0, table_->size());
  if (last == kNoToken) return {*this, last, std::move(boundary), nullptr};
  return {*this, last, std::move(boundary), masks(kContinue, 0, table_->size())};
}

}  // namespace nextbyte
