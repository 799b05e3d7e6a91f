// Sorts tokens by their bytes, forwards or backwards: the order that tables and splits stand on.
#ifndef NEXTBYTE_VOCABULARY_BYTE_STRING_ORDER_H_
#define NEXTBYTE_VOCABULARY_BYTE_STRING_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "vocabulary/merge_table.h"

namespace nextbyte {

// Strings in lexicographic order of bytes, equal ones by id.
struct ByteStringOrder {
  std::vector<TokenId> ids;
  // How many bytes each shares with the one before it in order; 0 for the first.
  std::vector<std::uint32_t> shared;

  // Leaves those out for which keep(index) is false; called once for each, in order.
  template <typename Keep>
  void filter(Keep keep) {
    std::size_t count = 0;
    std::uint32_t least = 0xFFFFFFFFU;  // since the last one kept
    for (std::size_t i = 0; i < ids.size(); ++i) {
      least = shared[i] < least ? shared[i] : least;
      if (!keep(i)) continue;
      ids[count] = ids[i];
      shared[count] = count == 0 ? 0 : least;
      ++count;
      least = 0xFFFFFFFFU;
    }
    ids.resize(count);
    shared.resize(count);
  }
};

// Strings by id, "" where there is none, and the order of the others.
struct OrderedStrings {
  std::vector<std::string_view> strings;
  ByteStringOrder order;
};

// Sorts the strings tokens[id] of `ids`, which must be shorter than 2^32 bytes. A radix sort of the
// first eight bytes, then comparisons among those that share them. The bytes are fetched once, in
// the order of `ids`; what neighbours share comes from the keys.
ByteStringOrder sorted_by_bytes(const std::vector<std::string_view>& tokens,
                                const std::vector<TokenId>& ids);

// The same with every string read from its last byte to its first.
ByteStringOrder sorted_by_reversed_bytes(const std::vector<std::string_view>& tokens,
                                         const std::vector<TokenId>& ids);

}  // namespace nextbyte

#endif  // NEXTBYTE_VOCABULARY_BYTE_STRING_ORDER_H_
