// Memory for the masses of a row, used again and again: fresh pages cost more than the masses do.
#ifndef NEXTBYTE_MASS_MASS_BUFFER_H_
#define NEXTBYTE_MASS_MASS_BUFFER_H_

#include <cstddef>

namespace nextbyte {

// Aligned for any kernel; its content is undefined. A few of those given back are kept for the next
// rows of any thread (64 MiB at most).
class MassBuffer {
 public:
  MassBuffer() = default;
  explicit MassBuffer(std::size_t bytes);
  ~MassBuffer();
  MassBuffer(const MassBuffer&) = delete;
  MassBuffer& operator=(const MassBuffer&) = delete;
  MassBuffer(MassBuffer&& other) noexcept;
  MassBuffer& operator=(MassBuffer&& other) noexcept;

  void* data() const noexcept { return data_; }

 private:
  void* data_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_MASS_MASS_BUFFER_H_
