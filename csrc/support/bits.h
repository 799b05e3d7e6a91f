// Bit sets over a contiguous range of indices, stored in 64-bit words.
#ifndef NEXTBYTE_SUPPORT_BITS_H_
#define NEXTBYTE_SUPPORT_BITS_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace nextbyte {

inline constexpr std::size_t kWordBits = 64;

// The bits of word `word` that lie in [first, last); `word` must overlap that range or follow it.
inline std::uint64_t word_range_mask(std::size_t word,
                                     std::size_t first,
                                     std::size_t last) noexcept {
  const std::size_t begin = word * kWordBits;
  std::uint64_t mask = ~std::uint64_t{0};
  if (first > begin) {
    mask = first - begin >= kWordBits ? 0 : mask << (first - begin);
  }
  if (last < begin + kWordBits) {
    mask = last <= begin ? 0 : mask & (~std::uint64_t{0} >> (kWordBits - (last - begin)));
  }
  return mask;
}

// A set of indices that may store only the words [first_word, first_word + words.size()); bits
// outside are zero. Long runs of zeros on either side of a small range then cost nothing.
class BitSet {
 public:
  BitSet() = default;
  // Room for the indices [first, last).
  BitSet(std::size_t first, std::size_t last)
      : first_word_(first / kWordBits),
        words_(last > first ? (last - 1) / kWordBits - first / kWordBits + 1 : 0) {}

  std::size_t first_word() const noexcept { return first_word_; }
  std::size_t end_word() const noexcept { return first_word_ + words_.size(); }
  std::uint64_t word(std::size_t index) const noexcept {
    return index - first_word_ < words_.size() ? words_[index - first_word_] : 0;
  }
  bool test(std::size_t index) const noexcept {
    return (word(index / kWordBits) >> (index % kWordBits) & 1U) != 0;
  }
  // `index` must be inside the range given at construction.
  void set(std::size_t index) noexcept {
    words_[index / kWordBits - first_word_] |= std::uint64_t{1} << (index % kWordBits);
  }
  // Likewise for all of [first, last), which must not be empty.
  void set_range(std::size_t first, std::size_t last) noexcept {
    std::uint64_t* const words = words_.data();
    const std::size_t begin = first / kWordBits - first_word_;
    const std::size_t end = (last - 1) / kWordBits - first_word_;
    const std::uint64_t from = ~std::uint64_t{0} << (first % kWordBits);
    const std::uint64_t to = ~std::uint64_t{0} >> (kWordBits - 1 - (last - 1) % kWordBits);
    if (begin == end) {
      words[begin] |= from & to;
      return;
    }
    words[begin] |= from;
    std::fill(words + begin + 1, words + end, ~std::uint64_t{0});
    words[end] |= to;
  }
  // Likewise for one.
  void clear(std::size_t index) noexcept {
    words_[index / kWordBits - first_word_] &= ~(std::uint64_t{1} << (index % kWordBits));
  }
  // Leaves only the members of `other`.
  void intersect(const BitSet& other) noexcept {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= other.word(first_word_ + i);
  }
  // Leaves only the members that are not in `other`.
  void subtract(const BitSet& other) noexcept {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= ~other.word(first_word_ + i);
  }
  // The union of two sets with room for different ranges.
  BitSet united(const BitSet& other) const {
    const std::size_t first = std::min(first_word_, other.first_word_);
    const std::size_t end = std::max(end_word(), other.end_word());
    BitSet result(first * kWordBits, end * kWordBits);
    for (std::size_t index = first; index < end; ++index) {
      result.words_[index - first] = word(index) | other.word(index);
    }
    return result;
  }
  // Is there a member in [first, last)? With a summary, O(words / 64).
  bool any(std::size_t first, std::size_t last) const noexcept {
    for (std::size_t index = next_word(first / kWordBits, last); index * kWordBits < last;
         index = next_word(index + 1, last)) {
      if ((word(index) & word_range_mask(index, first, last)) != 0) return true;
    }
    return false;
  }
  // The same for members that are not in `other`.
  bool any_outside(const BitSet& other, std::size_t first, std::size_t last) const noexcept {
    for (std::size_t index = next_word(first / kWordBits, last); index * kWordBits < last;
         index = next_word(index + 1, last)) {
      if ((word(index) & ~other.word(index) & word_range_mask(index, first, last)) != 0)
        return true;
    }
    return false;
  }
  // The first word from `index` on that has members, as far as the summary knows, or one that
  // begins at `last` or behind it. For loops over the members of a range.
  std::size_t next_word(std::size_t index, std::size_t last) const noexcept {
    if (index < first_word_) index = first_word_;
    if (index >= end_word() || index * kWordBits >= last) return end_of(last);
    if (summary_.empty()) return index;
    std::size_t at = index - first_word_;
    std::uint64_t bits = summary_[at / kWordBits] >> (at % kWordBits);
    if (bits == 0) {
      at = at / kWordBits + 1;
      while (at < summary_.size() && summary_[at] == 0) ++at;
      if (at == summary_.size()) return end_of(last);
      bits = summary_[at];
      at *= kWordBits;
    }
    return first_word_ + at + static_cast<std::size_t>(std::countr_zero(bits));
  }
  // For a set that is asked for ranges many times and does not change any more: remembers which
  // words have members.
  void summarize() {
    summary_.assign((words_.size() + kWordBits - 1) / kWordBits, 0);
    for (std::size_t i = 0; i < words_.size(); ++i) {
      if (words_[i] != 0) summary_[i / kWordBits] |= std::uint64_t{1} << (i % kWordBits);
    }
  }
  // Is holds(index) true for some member? Asked in increasing order until it is.
  template <typename Holds>
  bool any_of(Holds holds) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      for (std::uint64_t bits = words_[i]; bits != 0; bits &= bits - 1) {
        const auto bit = static_cast<std::size_t>(std::countr_zero(bits));
        if (holds((first_word_ + i) * kWordBits + bit)) return true;
      }
    }
    return false;
  }
  bool any() const noexcept {
    for (const std::uint64_t bits : words_) {
      if (bits != 0) return true;
    }
    return false;
  }
  std::size_t count() const noexcept {
    std::size_t total = 0;
    for (const std::uint64_t bits : words_) total += static_cast<std::size_t>(std::popcount(bits));
    return total;
  }
  // Calls visit(index) for each member, in increasing order.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      for (std::uint64_t bits = words_[i]; bits != 0; bits &= bits - 1) {
        visit((first_word_ + i) * kWordBits + static_cast<std::size_t>(std::countr_zero(bits)));
      }
    }
  }

 private:
  static std::size_t end_of(std::size_t last) noexcept {
    return (last + kWordBits - 1) / kWordBits;
  }

  std::size_t first_word_ = 0;
  std::vector<std::uint64_t> words_;
  std::vector<std::uint64_t> summary_;  // empty, or one bit for each word: has it members?
};

}  // namespace nextbyte

#endif  // NEXTBYTE_SUPPORT_BITS_H_
