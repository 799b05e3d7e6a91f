// A radix sort over eight-byte keys that are padded with zeros, ties broken by the whole strings.
#include "tokenizer/byte_string_order.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

namespace nextbyte {
namespace {

constexpr std::size_t kKeyBytes = 8;
constexpr std::size_t kDigits = 256;

struct Entry {
  std::uint64_t key;
  TokenId id;
};

// The first byte in memory is the greatest digit.
std::uint64_t big_endian(std::uint64_t loaded) noexcept {
  return std::endian::native == std::endian::little ? __builtin_bswap64(loaded) : loaded;
}

std::uint64_t load(const char* bytes, std::size_t count) noexcept {
  std::uint64_t loaded = 0;
  std::memcpy(&loaded, bytes, count);
  return loaded;
}

// Bytes [offset, offset + 8), zeros past the end. Among strings that agree before `offset`, the
// order of the keys is that of the strings, except that "" and "\0" have the same key.
struct Forwards {
  static std::uint64_t key(std::string_view bytes, std::size_t offset) noexcept {
    if (bytes.size() <= offset) return 0;
    const char* const begin = bytes.data() + offset;
    const std::size_t left = bytes.size() - offset;
    return big_endian(left >= kKeyBytes ? load(begin, kKeyBytes) : load(begin, left));
  }
  static bool less(std::string_view a, std::string_view b) noexcept { return a < b; }
};

struct Backwards {
  static std::uint64_t key(std::string_view bytes, std::size_t offset) noexcept {
    if (bytes.size() <= offset) return 0;
    const std::size_t left = bytes.size() - offset;
    std::uint64_t key = 0;
    if (left >= kKeyBytes && std::endian::native == std::endian::little) {
      return load(bytes.data() + left - kKeyBytes, kKeyBytes);
    }
    for (std::size_t i = 0; i < kKeyBytes; ++i) {
      key = key << 8 | (i < left ? static_cast<std::uint8_t>(bytes[left - 1 - i]) : 0U);
    }
    return key;
  }
  static bool less(std::string_view a, std::string_view b) noexcept {
    return std::lexicographical_compare(
        a.rbegin(), a.rend(), b.rbegin(), b.rend(), [](char x, char y) {
          return static_cast<std::uint8_t>(x) < static_cast<std::uint8_t>(y);
        });
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

template <typename Direction>
void sort(const std::vector<std::string_view>& tokens, std::vector<TokenId>& ids) {
  if (ids.empty()) return;
  std::vector<Entry> entries;
  entries.reserve(ids.size());
  for (const TokenId id : ids) entries.push_back({Direction::key(tokens[id], 0), id});
  radix_sort(entries);
  for (std::size_t first = 0, last = 0; first < entries.size(); first = last) {
    while (last < entries.size() && entries[last].key == entries[first].key) ++last;
    if (last - first == 1) continue;
    for (std::size_t i = first; i < last; ++i) {
      entries[i].key = Direction::key(tokens[entries[i].id], kKeyBytes);
    }
    std::sort(entries.begin() + static_cast<std::ptrdiff_t>(first),
              entries.begin() + static_cast<std::ptrdiff_t>(last),
              [&](const Entry& a, const Entry& b) {
                if (a.key != b.key) return a.key < b.key;
                const std::string_view x = tokens[a.id];
                const std::string_view y = tokens[b.id];
                return x == y ? a.id < b.id : Direction::less(x, y);
              });
  }
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = entries[i].id;
}

}  // namespace

void sort_by_bytes(const std::vector<std::string_view>& tokens, std::vector<TokenId>& ids) {
  sort<Forwards>(tokens, ids);
}

void sort_by_reversed_bytes(const std::vector<std::string_view>& tokens,
                            std::vector<TokenId>& ids) {
  sort<Backwards>(tokens, ids);
}

std::size_t common_prefix(std::string_view a, std::string_view b) noexcept {
  const std::size_t limit = std::min(a.size(), b.size());
  std::size_t shared = 0;
  while (shared < limit && a[shared] == b[shared]) ++shared;
  return shared;
}

std::size_t common_suffix(std::string_view a, std::string_view b) noexcept {
  const std::size_t limit = std::min(a.size(), b.size());
  std::size_t shared = 0;
  while (shared < limit && a[a.size() - 1 - shared] == b[b.size() - 1 - shared]) ++shared;
  return shared;
}

}  // namespace nextbyte
