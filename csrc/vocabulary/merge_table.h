// Maps two neighbouring symbols to the merge that joins them: open addressing behind a bit filter.
#ifndef NEXTBYTE_VOCABULARY_MERGE_TABLE_H_
#define NEXTBYTE_VOCABULARY_MERGE_TABLE_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace nextbyte {

using TokenId = std::uint32_t;
inline constexpr TokenId kNoToken = 0xFFFFFFFFu;

// A moment of a BPE run: 0 = before its first step, rank + 1 = the step of that rank, kNever =
// later than every step. Ranks are therefore at most kMaxRank.
using RankKey = std::uint32_t;
inline constexpr RankKey kNever = 0xFFFFFFFFu;
inline constexpr std::uint32_t kMaxRank = kNever - 2;

// Invariant: at most half of the slots are taken, so every probe ends at a free slot. The filter
// has at least eight bits per merge and sets two of them, in one word: 95 of 100 absent pairs end
// there, in a few hundred KiB that stay in the second-level cache while the table itself need not.
class MergeTable {
 public:
  struct Slot {
    TokenId left = kNoToken;
    TokenId right = kNoToken;
    RankKey rank = kNever;
    TokenId result = kNoToken;  // kNoToken marks a free slot
  };

  explicit MergeTable(std::size_t capacity)
      : slots_(std::bit_ceil(2 * capacity + 2)),
        filter_(std::bit_ceil(8 * capacity + 128) / 64),
        slot_shift_(64 - std::countr_zero(slots_.size())),
        filter_shift_(64 - std::countr_zero(filter_.size())) {}

  // Precondition: the pair is absent and fewer than `capacity` merges were inserted.
  void insert(TokenId left, TokenId right, RankKey rank, TokenId result) noexcept {
    const std::uint64_t hash = hash_of(left, right);
    filter_[hash >> filter_shift_] |= filter_bits(hash);
    std::size_t at = first_slot(hash);
    while (slots_[at].result != kNoToken) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = {left, right, rank, result};
  }

  // Fetches what insert() of the pair will touch.
  void prefetch(TokenId left, TokenId right) const noexcept {
    const std::uint64_t hash = hash_of(left, right);
    __builtin_prefetch(&slots_[first_slot(hash)], 1);
    __builtin_prefetch(&filter_[hash >> filter_shift_], 1);
  }

  // The merge of (left, right), or nullptr.
  const Slot* find(TokenId left, TokenId right) const noexcept {
    const std::uint64_t hash = hash_of(left, right);
    const std::uint64_t bits = filter_bits(hash);
    if ((filter_[hash >> filter_shift_] & bits) != bits) return nullptr;
    for (std::size_t at = first_slot(hash);; at = (at + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[at];
      if (slot.left == left && slot.right == right) return &slot;
      if (slot.result == kNoToken) return nullptr;
    }
  }

  RankKey rank(TokenId left, TokenId right) const noexcept {
    const Slot* slot = find(left, right);
    return slot == nullptr ? kNever : slot->rank;
  }

 private:
  // Fibonacci hashing: the upper bits of the product depend on both ids.
  static std::uint64_t hash_of(TokenId left, TokenId right) noexcept {
    return (std::uint64_t{left} << 32 | right) * 0x9E3779B97F4A7C15u;
  }
  // By bits of the hash below those that choose the word, that depend on both ids.
  static std::uint64_t filter_bits(std::uint64_t hash) noexcept {
    return std::uint64_t{1} << (hash >> 38 & 63) | std::uint64_t{1} << (hash >> 32 & 63);
  }
  // A second product, so that pairs sharing a filter bit do not share their slots as well.
  std::size_t first_slot(std::uint64_t hash) const noexcept {
    return static_cast<std::size_t>((hash ^ hash >> 32) * 0xD6E8FEB86659FD93u >> slot_shift_);
  }

  std::vector<Slot> slots_;
  std::vector<std::uint64_t> filter_;
  int slot_shift_;
  int filter_shift_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_VOCABULARY_MERGE_TABLE_H_
