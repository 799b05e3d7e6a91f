// Characters without a piece, which byte tokens spell: what can begin with some bytes.
#ifndef NEXTBYTE_FAMILIES_UNKNOWN_CHARACTERS_H_
#define NEXTBYTE_FAMILIES_UNKNOWN_CHARACTERS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "text/unicode.h"

namespace nextbyte {

// The scalar values first..last whose UTF-8 begins with `bytes` (1 to 4 of them); first > last if
// there are none. Surrogates may lie between them.
CodePointRange scalars_that_begin_with(std::string_view bytes) noexcept;

// Immutable. A character is *free* if no piece and no forbidden string ends with it: it is unknown
// wherever it stands, whatever is around it. All but those of the vocabulary are free, so mostly a
// look at their number is enough.
class UnknownCharacters {
 public:
  // `bound`: the characters that are not free, ascending, each once.
  explicit UnknownCharacters(std::vector<char32_t> bound) : bound_(std::move(bound)) {}

  bool has_free(CodePointRange range) const noexcept;
  // Does is_unknown(character) hold for a character in the range that is not free?
  template <typename Test>
  bool any_bound(CodePointRange range, Test is_unknown) const {
    auto at = std::lower_bound(bound_.begin(), bound_.end(), range.first);
    for (; at != bound_.end() && *at <= range.last; ++at) {
      if (is_unknown(*at)) return true;
    }
    return false;
  }

 private:
  std::vector<char32_t> bound_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_UNKNOWN_CHARACTERS_H_
