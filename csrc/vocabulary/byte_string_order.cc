// A radix sort over eight-byte keys that are padded with zeros, ties broken by the whole strings.
#include "vocabulary/byte_string_order.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

namespace nextbyte {
namespace {

constexpr std::uint32_t kKeyBytes = 8;
constexpr std::size_t kDigits = 256;

struct Entry {
  std::uint64_t key;
  TokenId id;
  std::uint32_t length;
};

std::uint64_t load(const char* bytes, std::size_t count) noexcept {
  std::uint64_t loaded = 0;
  std::memcpy(&loaded, bytes, count);
  return loaded;
}

// Bytes [offset, offset + 8), the first as the greatest digit, zeros past the end. Among strings
// that agree before `offset` keys are in the order of the strings, or equal.
struct Forwards {
  static std::uint64_t key(std::string_view bytes, std::size_t offset) noexcept {
    if (bytes.size() <= offset) return 0;
    const char* const begin = bytes.data() + offset;
    const std::size_t left = bytes.size() - offset;
    const std::uint64_t loaded = left >= kKeyBytes ? load(begin, kKeyBytes) : load(begin, left);
    return std::endian::native == std::endian::little ? __builtin_bswap64(loaded) : loaded;
  }
  static char at(std::string_view bytes, std::size_t i) noexcept { return bytes[i]; }
};

struct Backwards {
  static std::uint64_t key(std::string_view bytes, std::size_t offset) noexcept {
    if (bytes.size() <= offset) return 0;
    const std::size_t left = bytes.size() - offset;
    if (left >= kKeyBytes && std::endian::native == std::endian::little) {
      return load(bytes.data() + left - kKeyBytes, kKeyBytes);
    }
    std::uint64_t key = 0;
    for (std::size_t i = 0; i < kKeyBytes; ++i) {
      key = key << 8 | (i < left ? static_cast<std::uint8_t>(bytes[left - 1 - i]) : 0U);
    }
    return key;
  }
  static char at(std::string_view bytes, std::size_t i) noexcept {
    return bytes[bytes.size() - 1 - i];
  }
};

// Stable; least digit first. Digits that are the same in all keys cost nothing.
void radix_sort(std::vector<Entry>& entries) {
  std::array<std::array<std::uint32_t, kDigits>, kKeyBytes> counts{};
  for (const Entry& entry : entries) {
    for (std::size_t digit = 0; digit < kKeyBytes; ++digit) {
      ++counts[digit][entry.key >> (8 * digit) & 0xFF];
    }
  }
  std::vector<Entry> sorted(entries.size());
  for (std::size_t digit = 0; digit < kKeyBytes; ++digit) {
    std::array<std::uint32_t, kDigits>& start = counts[digit];
    if (start[entries[0].key >> (8 * digit) & 0xFF] == entries.size()) continue;
    std::uint32_t before = 0;
    for (std::uint32_t& count : start) before += std::exchange(count, before);
    for (const Entry& entry : entries) sorted[start[entry.key >> (8 * digit) & 0xFF]++] = entry;
    entries.swap(sorted);
  }
}

// The bytes that two strings share from where their keys begin, as far as the keys tell.
std::uint32_t shared_in_keys(std::uint64_t a, std::uint64_t b) noexcept {
  return static_cast<std::uint32_t>(std::countl_zero(a ^ b)) / 8;
}

template <typename Direction>
std::uint32_t shared_from(std::string_view a, std::string_view b, std::uint32_t begin) noexcept {
  const auto limit = static_cast<std::uint32_t>(std::min(a.size(), b.size()));
  std::uint32_t shared = std::min(begin, limit);
  while (shared < limit && Direction::at(a, shared) == Direction::at(b, shared)) ++shared;
  return shared;
}

// Sorts entries whose first eight bytes (with zeros past the end) are the same, and writes what
// each shares with the one before it, except for the first. The keys are used up.
template <typename Direction>
void sort_group(const std::vector<std::string_view>& tokens,
                Entry* first,
                Entry* last,
                std::uint32_t* shared) {
  for (Entry* entry = first; entry != last; ++entry) {
    entry->key = Direction::key(tokens[entry->id], kKeyBytes);
  }
  std::sort(first, last, [&](const Entry& a, const Entry& b) {
    if (a.key != b.key) return a.key < b.key;
    const std::string_view x = tokens[a.id];
    const std::string_view y = tokens[b.id];
    const std::uint32_t common = shared_from<Direction>(x, y, 2 * kKeyBytes);
    if (common == a.length || common == b.length) {
      return a.length != b.length ? a.length < b.length : a.id < b.id;
    }
    return static_cast<std::uint8_t>(Direction::at(x, common)) <
           static_cast<std::uint8_t>(Direction::at(y, common));
  });
  for (Entry* entry = first + 1; entry != last; ++entry) {
    const Entry& previous = entry[-1];
    const std::uint32_t by_keys = kKeyBytes + shared_in_keys(previous.key, entry->key);
    shared[entry - first] =
        by_keys < 2 * kKeyBytes
            ? std::min({by_keys, previous.length, entry->length})
            : shared_from<Direction>(tokens[previous.id], tokens[entry->id], 2 * kKeyBytes);
  }
}

template <typename Direction>
ByteStringOrder sorted(const std::vector<std::string_view>& tokens,
                       const std::vector<TokenId>& ids) {
  ByteStringOrder order;
  if (ids.empty()) return order;
  std::vector<Entry> entries;
  entries.reserve(ids.size());
  for (const TokenId id : ids) {
    entries.push_back(
        {Direction::key(tokens[id], 0), id, static_cast<std::uint32_t>(tokens[id].size())});
  }
  radix_sort(entries);
  order.shared.assign(ids.size(), 0);
  order.ids.reserve(ids.size());
  std::uint64_t previous_key = 0;
  for (std::size_t first = 0, last = 0; first < entries.size(); first = last) {
    const std::uint64_t key = entries[first].key;
    while (last < entries.size() && entries[last].key == key) ++last;
    if (last - first > 1) {
      sort_group<Direction>(
          tokens, &entries[first], entries.data() + last, order.shared.data() + first);
    }
    if (first > 0) {
      order.shared[first] = std::min(
          {shared_in_keys(previous_key, key), entries[first - 1].length, entries[first].length});
    }
    previous_key = key;
  }
  for (const Entry& entry : entries) order.ids.push_back(entry.id);
  return order;
}

}  // namespace

ByteStringOrder sorted_by_bytes(const std::vector<std::string_view>& tokens,
                                const std::vector<TokenId>& ids) {
  return sorted<Forwards>(tokens, ids);
}

ByteStringOrder sorted_by_reversed_bytes(const std::vector<std::string_view>& tokens,
                                         const std::vector<TokenId>& ids) {
  return sorted<Backwards>(tokens, ids);
}

}  // namespace nextbyte
