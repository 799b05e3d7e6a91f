// Byte fallback: the characters that are spelled by byte tokens because they have no token.
#ifndef NEXTBYTE_FAMILIES_BYTE_FALLBACK_H_
#define NEXTBYTE_FAMILIES_BYTE_FALLBACK_H_

#include <array>
#include <cstdint>
#include <vector>

#include "support/bits.h"
#include "vocabulary/merge_table.h"

namespace nextbyte {

// The UTF-8 bytes of a character from its first on, the first most significant.
struct CharacterPrefix {
  std::uint32_t bytes = 0;
  unsigned length = 0;

  CharacterPrefix followed_by(std::uint8_t byte) const noexcept {
    return {bytes << 8 | byte, length + 1};
  }
  // Is it a whole character? Precondition: it begins one.
  bool is_complete() const noexcept;
};

// A character is *spelled* by the tokens of its UTF-8 bytes iff it is not excluded (it has a token,
// or can be in no text) and all these tokens exist. A test of neighbouring byte tokens would not
// do: the bytes of a character that has a token pass every such test. So the bytes of the current
// character are kept, and its prefix is alive iff some spelled character starts so
// (docs/theory.md 11). Immutable.
class ByteFallback {
 public:
  using ByteTokens = std::array<TokenId, 256>;  // kNoToken: there is none

  // O(number of characters there are): some milliseconds, or nothing without byte tokens.
  ByteFallback(const ByteTokens& byte_tokens, const std::vector<char32_t>& excluded);

  // The token of a byte, or kNoToken.
  TokenId token(std::uint8_t byte) const noexcept { return byte_tokens_[byte]; }
  bool is_spelled(char32_t character) const noexcept { return spelled_.test(character); }
  // Does some spelled character start with these bytes? Precondition: 1 <= length <= 4.
  bool begins(const CharacterPrefix& prefix) const noexcept;
  // Is the byte in some spelled character?
  bool occurs(std::uint8_t byte) const noexcept { return occurs_[byte]; }

 private:
  ByteTokens byte_tokens_;
  BitSet spelled_;  // by scalar value
  std::array<bool, 256> occurs_{};
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_BYTE_FALLBACK_H_
