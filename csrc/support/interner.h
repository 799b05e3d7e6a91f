// Gives equal values the same small number.
#ifndef NEXTBYTE_SUPPORT_INTERNER_H_
#define NEXTBYTE_SUPPORT_INTERNER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>

namespace nextbyte {

// Thread-safe. Values are kept as long as the interner, so it is for values of which there are few.
template <typename Value>
class Interner {
 public:
  // The number of a value; new ones get the next number from 0 on.
  std::uint32_t number(const Value& value) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto [it, is_new] =
        numbers_.emplace(value, static_cast<std::uint32_t>(by_number_.size()));
    if (is_new) by_number_.push_back(&it->first);
    return it->second;
  }
  // Valid as long as the interner.
  const Value& value(std::uint32_t number) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return *by_number_[number];
  }

 private:
  mutable std::mutex mutex_;
  std::map<Value, std::uint32_t> numbers_;  // never moves its keys
  std::deque<const Value*> by_number_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_SUPPORT_INTERNER_H_
