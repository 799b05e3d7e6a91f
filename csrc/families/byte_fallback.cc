// Marks the spelled characters; a prefix of UTF-8 bytes is then one range of scalar values.
#include "families/byte_fallback.h"

#include <algorithm>
#include <cstddef>

#include "text/unicode.h"

namespace nextbyte {
namespace {

// The number of bytes of a character that starts with `lead`; 0 if none does.
unsigned utf8_length(std::uint32_t lead) noexcept {
  if (lead < 0x80) return 1;
  if (lead < 0xC0) return 0;
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) return 3;
  return lead < 0xF8 ? 4 : 0;
}

// The least scalar value of a character of so many bytes (what is below would be overlong).
constexpr std::array<std::uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};

std::uint8_t byte_at(std::uint32_t bytes, unsigned length, unsigned index) noexcept {
  return static_cast<std::uint8_t>(bytes >> (8 * (length - 1 - index)));
}

// The UTF-8 bytes of a scalar value.
CharacterPrefix encoded(std::uint32_t value) noexcept {
  if (value < 0x80) return {value, 1};
  CharacterPrefix result;
  const unsigned length = value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
  const std::uint32_t mark = length == 2 ? 0xC0 : length == 3 ? 0xE0 : 0xF0;
  for (unsigned i = 0; i < length; ++i) {
    const std::uint32_t bits = value >> (6 * (length - 1 - i));
    result =
        result.followed_by(static_cast<std::uint8_t>(i == 0 ? mark | bits : 0x80 | (bits & 0x3F)));
  }
  return result;
}

}  // namespace

bool CharacterPrefix::is_complete() const noexcept {
  return length != 0 && utf8_length(byte_at(bytes, length, 0)) == length;
}

ByteFallback::ByteFallback(const ByteTokens& byte_tokens, const std::vector<char32_t>& excluded)
    : byte_tokens_(byte_tokens), spelled_(0, kLastScalar + 1) {
  if (std::all_of(byte_tokens.begin(), byte_tokens.end(), [](TokenId token) {
        return token == kNoToken;
      })) {
    return;
  }
  BitSet left_out(0, kLastScalar + 1);
  for (const char32_t character : excluded) left_out.set(character);
  for (std::uint32_t value = 0; value <= kLastScalar; ++value) {
    if (!is_scalar(value) || left_out.test(value)) continue;
    const auto [bytes, length] = encoded(value);
    bool complete = true;
    for (unsigned i = 0; i < length; ++i) {
      complete = complete && byte_tokens_[byte_at(bytes, length, i)] != kNoToken;
    }
    if (!complete) continue;
    spelled_.set(value);
    for (unsigned i = 0; i < length; ++i) occurs_[byte_at(bytes, length, i)] = true;
  }
}

bool ByteFallback::begins(const CharacterPrefix& prefix) const noexcept {
  const std::uint32_t lead = byte_at(prefix.bytes, prefix.length, 0);
  const unsigned length = utf8_length(lead);
  if (length == 0 || prefix.length > length) return false;
  std::uint32_t value = length == 1 ? lead : lead & (0x7FU >> length);
  for (unsigned i = 1; i < prefix.length; ++i) {
    const std::uint32_t byte = byte_at(prefix.bytes, prefix.length, i);
    if ((byte & 0xC0) != 0x80) return false;
    value = value << 6 | (byte & 0x3F);
  }
  const unsigned open_bits = 6 * (length - prefix.length);
  const std::size_t first = std::max<std::size_t>(std::size_t{value} << open_bits, kLeast[length]);
  const std::size_t last = (std::size_t{value} + 1) << open_bits;
  for (std::size_t word = first / kWordBits; word * kWordBits < last; ++word) {
    if ((spelled_.word(word) & word_range_mask(word, first, last)) != 0) return true;
  }
  return false;
}

}  // namespace nextbyte
