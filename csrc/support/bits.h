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
  // Likewise.
  void clear(std::size_t index) noexcept {
    words_[index / kWordBits - first_word_] &= ~(std::uint64_t{1} << (index % kWordBits));
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
  std::size_t first_word_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_SUPPORT_BITS_H_
