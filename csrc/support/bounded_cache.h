// A thread-safe map from keys to shared immutable values that never holds more than two
// generations.
#ifndef NEXTBYTE_SUPPORT_BOUNDED_CACHE_H_
#define NEXTBYTE_SUPPORT_BOUNDED_CACHE_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace nextbyte {

// When the young generation holds `capacity` entries it becomes the old one and the former old one
// is forgotten; a hit in the old generation moves the entry to the young. So at most 2 * capacity
// values are kept, and what is in use stays. Values handed out live as long as their users want.
template <typename Key, typename Value, typename Hash = std::hash<Key>>
class BoundedCache {
 public:
  explicit BoundedCache(std::size_t capacity) : capacity_(capacity) {}

  // The value under `key`, made by make() on a miss. make() runs outside the lock (it may be slow
  // and may use other caches); when two threads race, both get one of two equal values.
  template <typename Make>
  std::shared_ptr<const Value> get(const Key& key, Make make) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (std::shared_ptr<const Value> found = find(key)) return found;
    }
    std::shared_ptr<const Value> made = std::make_shared<const Value>(make());
    const std::lock_guard<std::mutex> lock(mutex_);
    insert(key, made);
    return made;
  }

 private:
  using Map = std::unordered_map<Key, std::shared_ptr<const Value>, Hash>;

  std::shared_ptr<const Value> find(const Key& key) {
    if (const auto it = young_.find(key); it != young_.end()) return it->second;
    const auto it = old_.find(key);
    if (it == old_.end()) return nullptr;
    std::shared_ptr<const Value> value = it->second;
    insert(key, value);
    return value;
  }
  void insert(const Key& key, std::shared_ptr<const Value> value) {
    if (young_.size() >= capacity_) {
      old_ = std::move(young_);
      young_ = Map{};
    }
    young_[key] = std::move(value);
  }

  std::size_t capacity_;
  std::mutex mutex_;
  Map young_, old_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_SUPPORT_BOUNDED_CACHE_H_
