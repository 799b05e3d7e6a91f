// Ranges of characters by their first bytes.
#include "families/unknown_characters.h"

namespace nextbyte {

CodePointRange scalars_that_begin_with(std::string_view bytes) noexcept {
  constexpr CodePointRange kEmpty{1, 0};
  const auto byte_at = [&](std::size_t i) {
    return static_cast<unsigned>(static_cast<unsigned char>(bytes[i]));
  };
  const unsigned lead = byte_at(0);
  if (lead < 0x80) return bytes.size() == 1 ? CodePointRange{lead, lead} : kEmpty;
  if (lead < 0xC2 || lead > 0xF4) return kEmpty;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (bytes.size() > length) return kEmpty;
  char32_t first = lead & (0x7FU >> length);
  for (std::size_t i = 1; i < bytes.size(); ++i) {
    if ((byte_at(i) & 0xC0U) != 0x80U) return kEmpty;
    first = first << 6 | (byte_at(i) & 0x3FU);
  }
  const unsigned missing = static_cast<unsigned>(6 * (length - bytes.size()));
  char32_t last = (first << missing) | ((char32_t{1} << missing) - 1);
  first <<= missing;
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  first = std::max(first, kLeast[length]);
  last = std::min(last, kLastScalar);
  if (first >= kFirstSurrogate && first <= kLastSurrogate) first = kLastSurrogate + 1;
  if (last >= kFirstSurrogate && last <= kLastSurrogate) last = kFirstSurrogate - 1;
  return {first, last};
}

bool UnknownCharacters::has_free(CodePointRange range) const noexcept {
  if (range.first > range.last) return false;
  std::size_t count = range.last - range.first + 1;
  if (range.first < kFirstSurrogate && range.last > kLastSurrogate) {
    count -= kLastSurrogate - kFirstSurrogate + 1;
  }
  const auto first = std::lower_bound(bound_.begin(), bound_.end(), range.first);
  const auto last = std::upper_bound(first, bound_.end(), range.last);
  return count > static_cast<std::size_t>(last - first);
}

}  // namespace nextbyte
