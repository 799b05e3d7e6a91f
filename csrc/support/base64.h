// Decodes base64 in its one canonical form (RFC 4648, section 4).
#ifndef NEXTBYTE_SUPPORT_BASE64_H_
#define NEXTBYTE_SUPPORT_BASE64_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nextbyte {

inline constexpr std::uint8_t kNoDigit = 64;

inline constexpr std::array<std::uint8_t, 256> kBase64Digits = [] {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    digits[static_cast<std::uint8_t>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return digits;
}();

// Replaces `bytes` by what `text` stands for. False, and `bytes` unspecified, if it is not whole
// groups of four, has another character, misplaced padding, or bits behind the last byte.
inline bool decode_base64(std::string_view text, std::string& bytes) {
  bytes.clear();
  if (text.size() % 4 != 0) return false;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  for (std::size_t group = 0; group < text.size(); group += 4) {
    const std::size_t digits = 4 - (group + 4 == text.size() ? padding : 0);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::uint8_t digit =
          i < digits ? kBase64Digits[static_cast<std::uint8_t>(text[group + i])] : 0;
      if (digit == kNoDigit) return false;
      bits = bits << 6 | digit;
    }
    for (std::size_t i = 0; i + 1 < digits; ++i) {
      bytes.push_back(static_cast<char>(bits >> (16 - 8 * i) & 0xFF));
    }
    if (digits < 4 && (bits & (digits == 3 ? 0xFFU : 0xFFFFU)) != 0) return false;
  }
  return true;
}

}  // namespace nextbyte

#endif  // NEXTBYTE_SUPPORT_BASE64_H_
