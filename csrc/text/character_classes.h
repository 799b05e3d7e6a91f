// The code points' equivalence classes: what no pattern tells apart is one symbol of the automaton.
#ifndef NEXTBYTE_TEXT_CHARACTER_CLASSES_H_
#define NEXTBYTE_TEXT_CHARACTER_CLASSES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/unicode.h"

namespace nextbyte {

inline constexpr unsigned kMaxClasses = 64;  // masks of classes are 64-bit words

// Two scalar values are in one class iff they are in the same of the given sets (the coarsest
// common refinement). Immutable. Surrogates belong to no class: they are absent from all masks, and
// class_of() must not be asked about them.
class CharacterClasses {
 public:
  // Throws UnsupportedTokenizer if there are more than kMaxClasses classes.
  explicit CharacterClasses(const std::vector<CodePointSet>& sets);

  unsigned size() const noexcept { return static_cast<unsigned>(representatives_.size()); }
  // One array look-up in a table of distinct pages (a few ten KiB).
  std::uint8_t class_of(char32_t scalar) const noexcept {
    return pages_[static_cast<std::size_t>(page_of_[scalar >> kPageBits]) << kPageBits |
                  (scalar & (kPageSize - 1))];
  }
  // The least member of a class.
  char32_t representative(std::uint8_t cls) const noexcept { return representatives_[cls]; }
  // The classes inside `set`, which must be one of the sets given at construction or a Boolean
  // combination of them.
  std::uint64_t mask_of(const CodePointSet& set) const;

  // The classes that occur among the code points 64 * block .. 64 * block + 63: what a UTF-8
  // sequence that lacks its last byte can become. block = code point >> 6, below 17,408.
  std::uint64_t classes_in_block64(std::uint32_t block) const noexcept { return blocks64_[block]; }
  // Likewise for 4,096 code points: two bytes are missing. block = code point >> 12, below 272.
  std::uint64_t classes_in_block4096(std::uint32_t block) const noexcept {
    return blocks4096_[block];
  }

 private:
  static constexpr unsigned kPageBits = 8;
  static constexpr std::size_t kPageSize = std::size_t{1} << kPageBits;
  static constexpr std::size_t kCodePoints = std::size_t{kLastScalar} + 1;

  std::vector<char32_t> representatives_;
  std::vector<std::uint16_t> page_of_;
  std::vector<std::uint8_t> pages_;
  std::vector<std::uint64_t> blocks64_;
  std::vector<std::uint64_t> blocks4096_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TEXT_CHARACTER_CLASSES_H_
