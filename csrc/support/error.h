// The exception types of the core; the bindings map each to one Python class in nextbyte.errors.
#ifndef NEXTBYTE_SUPPORT_ERROR_H_
#define NEXTBYTE_SUPPORT_ERROR_H_

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace nextbyte {

// A value handed to the core is wrong (shape, range, NaN, ...). Python: InvalidInputError.
class InvalidInput : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A tokenizer's data contradict themselves. Python: TokenizerFormatError.
class TokenizerFormat : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A tokenizer uses a construct that is outside the exact class. Python: UnsupportedTokenizerError.
class UnsupportedTokenizer : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// No cover encoding exists once this byte is appended. Python: UnreachableByteError.
class UnreachableByte : public std::runtime_error {
 public:
  UnreachableByte(std::size_t position, std::uint8_t byte, const std::string& message)
      : std::runtime_error(message), position_(position), byte_(byte) {}
  std::size_t position() const noexcept { return position_; }
  std::uint8_t byte() const noexcept { return byte_; }

 private:
  std::size_t position_;
  std::uint8_t byte_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_SUPPORT_ERROR_H_
