// The pool of mass buffers: a short list under a lock.
#include "mass/mass_buffer.h"

#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "kernels/vector_kernels.h"

namespace nextbyte {
namespace {

constexpr std::size_t kMaxKept = std::size_t{64} << 20U;  // bytes
constexpr std::align_val_t kAlignment{kernels::kMassAlignment};

struct Block {
  void* data;
  std::size_t capacity;
};

struct Pool {
  std::mutex mutex;
  std::vector<Block> blocks;
  std::size_t bytes = 0;
};

// Never destroyed: rows may outlive every other static object.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

}  // namespace

MassBuffer::MassBuffer(std::size_t bytes) {
  Pool& kept = pool();
  {
    const std::lock_guard<std::mutex> lock(kept.mutex);
    for (std::size_t i = kept.blocks.size(); i-- > 0;) {  // the latest is in the cache
      const Block block = kept.blocks[i];
      if (block.capacity < bytes || block.capacity / 4 > bytes) continue;
      kept.blocks.erase(kept.blocks.begin() + static_cast<std::ptrdiff_t>(i));
      kept.bytes -= block.capacity;
      data_ = block.data;
      capacity_ = block.capacity;
      return;
    }
  }
  data_ = ::operator new(bytes, kAlignment);
  capacity_ = bytes;
}

MassBuffer::~MassBuffer() {
  if (data_ == nullptr) return;
  Pool& kept = pool();
  {
    const std::lock_guard<std::mutex> lock(kept.mutex);
    if (kept.bytes + capacity_ <= kMaxKept) {
      kept.blocks.push_back({data_, capacity_});
      kept.bytes += capacity_;
      return;
    }
  }
  ::operator delete(data_, kAlignment);
}

MassBuffer::MassBuffer(MassBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}

MassBuffer& MassBuffer::operator=(MassBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(capacity_, other.capacity_);
  return *this;
}

}  // namespace nextbyte
