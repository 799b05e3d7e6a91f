// Sets of Unicode scalar values, and the character properties that patterns name.
#ifndef NEXTBYTE_TEXT_UNICODE_H_
#define NEXTBYTE_TEXT_UNICODE_H_

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace nextbyte {

inline constexpr char32_t kLastScalar = 0x10FFFF;
inline constexpr char32_t kFirstSurrogate = 0xD800;
inline constexpr char32_t kLastSurrogate = 0xDFFF;

constexpr bool is_scalar(char32_t value) noexcept {
  return value <= kLastScalar && (value < kFirstSurrogate || value > kLastSurrogate);
}

// The code points first..last, both included.
struct CodePointRange {
  char32_t first;
  char32_t last;
  bool operator==(const CodePointRange&) const = default;
};

// A set of scalar values. Invariant: ranges ascending, disjoint, not
// adjacent, free of surrogates (U+D7FF and U+E000 count as adjacent to nothing). All operations are
// linear in the number of ranges.
class CodePointSet {
 public:
  CodePointSet() = default;
  // Any ranges in any order; surrogates and values above U+10FFFF are left out.
  explicit CodePointSet(std::vector<CodePointRange> ranges);
  static CodePointSet single(char32_t value) { return CodePointSet({{value, value}}); }
  static CodePointSet all() { return CodePointSet({{0, kLastScalar}}); }

  const std::vector<CodePointRange>& ranges() const noexcept { return ranges_; }
  bool empty() const noexcept { return ranges_.empty(); }
  bool contains(char32_t value) const noexcept;
  bool operator==(const CodePointSet&) const = default;

  CodePointSet complement() const;
  CodePointSet united(const CodePointSet& other) const;
  CodePointSet intersected(const CodePointSet& other) const;

 private:
  std::vector<CodePointRange> ranges_;
};

// The set of a general category by its short name ("Lu", "N", ...), long name ("Uppercase_Letter")
// or "White_Space"; case, blanks, hyphens and underscores do not matter. Nothing if unknown.
std::optional<CodePointSet> property_set(std::string_view name);

// What \s matches.
CodePointSet white_space();

// The other characters that match an ASCII letter when case is ignored (simple case folding): its
// other case and e.g. U+017F for s. Empty for a character that is no ASCII letter.
CodePointSet case_partners(char32_t ascii);

// The character at byte `position` < text.size(): its value and its length in bytes, 1 to 4; length
// 0 where the bytes are not the UTF-8 of a scalar value (overlong, surrogate, cut off, ...).
struct DecodedScalar {
  char32_t value;
  unsigned length;
};
DecodedScalar decode_scalar(std::string_view text, std::size_t position) noexcept;

}  // namespace nextbyte

#endif  // NEXTBYTE_TEXT_UNICODE_H_
