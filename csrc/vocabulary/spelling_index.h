// Finds the ids of spellings, and of two spellings written one after the other.
#ifndef NEXTBYTE_VOCABULARY_SPELLING_INDEX_H_
#define NEXTBYTE_VOCABULARY_SPELLING_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "vocabulary/merge_table.h"

namespace nextbyte {

// Immutable. Open addressing over polynomial hashes, so that the hash of two strings put together
// comes from theirs; a hit is always confirmed on the bytes. The strings must outlive the index.
class SpellingIndex {
 public:
  // A string and its hash.
  struct Hashed {
    std::string_view text;
    std::uint64_t hash = 0;
  };
  static Hashed hashed(std::string_view text) noexcept {
    std::uint64_t hash = 0;
    for (const char byte : text) hash = hash * kBase + static_cast<std::uint8_t>(byte) + 1;
    return {text, hash};
  }

  // Entry i is the string spellings[i] for the id ids[i]; no two strings are the same.
  SpellingIndex(std::vector<std::string_view> spellings, std::vector<TokenId> ids);

  // The id, or kNoToken.
  TokenId find(const Hashed& spelling) const noexcept;
  // That of the two written together. `nearby` is where the last one was found: lists of merges
  // mostly go through their results in order, so the same entry and the next are tried first.
  TokenId find(const Hashed& left, const Hashed& right, std::uint32_t& nearby) const noexcept;
  // Fetches what find() will touch first.
  void prefetch(const Hashed& spelling) const noexcept;

 private:
  static constexpr std::uint64_t kBase = 0x9E3779B97F4A7C15U;
  static constexpr std::uint32_t kFree = 0xFFFFFFFFU;
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t entry = kFree;
  };
  // The entry, or kFree.
  template <typename IsEqual>
  std::uint32_t entry_of(std::uint64_t hash, IsEqual is_equal) const noexcept;

  std::vector<std::string_view> spellings_;
  std::vector<TokenId> ids_;
  std::vector<Slot> slots_;
  std::vector<std::uint64_t> powers_;  // of kBase
  int shift_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_VOCABULARY_SPELLING_INDEX_H_
