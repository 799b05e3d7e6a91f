// The token table: tokens sorted by bytes, so that each byte prefix is one contiguous range of
// ranks.
#ifndef NEXTBYTE_VOCABULARY_TOKEN_TABLE_H_
#define NEXTBYTE_VOCABULARY_TOKEN_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vocabulary/byte_string_order.h"
#include "vocabulary/merge_table.h"

namespace nextbyte {

using Rank = std::uint32_t;
inline constexpr Rank kNoRank = 0xFFFFFFFFU;

// A trie in sorted-array form. `rank` is a token's place in lexicographic order of bytes. A prefix
// that two or more tokens share is a node with an explicit list of children; a prefix of a single
// token is answered from that token's bytes. Build: O(total bytes). Step: a binary search among at
// most 256 children (the root is a direct look-up).
class TokenTable {
 public:
  // The ranks [first, last) of the tokens that start with a prefix of `depth` bytes.
  struct Cursor {
    Rank first;
    Rank last;
    std::uint32_t depth;
    std::uint32_t node;  // kLeaf when the range holds a single token
  };
  struct Child {
    Rank first;
    Rank last;
    std::uint32_t node;
    std::uint8_t byte;
  };
  static constexpr std::uint32_t kLeaf = 0xFFFFFFFFU;

  // tokens[id] = byte string; empty strings (special tokens, holes) have no rank.
  // Throws TokenizerFormat if there is no token at all or two tokens have the same bytes.
  explicit TokenTable(const std::vector<std::string>& tokens);
  explicit TokenTable(OrderedStrings tokens);

  Rank size() const noexcept { return static_cast<Rank>(order_.size()); }
  Cursor root() const noexcept { return {0, size(), 0, 0}; }

  // Narrows the cursor by one byte. False, and the cursor untouched, if no token goes on so.
  bool step(Cursor& cursor, std::uint8_t byte) const noexcept;

  // The rank of the token whose bytes are exactly the cursor's prefix, or kNoRank.
  Rank exact(const Cursor& cursor) const noexcept {
    return length(cursor.first) == cursor.depth ? cursor.first : kNoRank;
  }

  // Calls visit(byte, first, last) for each continuation of the prefix by one byte. The token that
  // equals the prefix itself is in none of these ranges.
  template <typename Visit>
  void for_each_child(const Cursor& cursor, Visit visit) const {
    if (cursor.node == kLeaf) {
      if (length(cursor.first) > cursor.depth) {
        visit(static_cast<std::uint8_t>(bytes(cursor.first)[cursor.depth]),
              cursor.first,
              cursor.last);
      }
      return;
    }
    for (std::uint32_t i = child_offsets_[cursor.node]; i < child_offsets_[cursor.node + 1]; ++i) {
      visit(children_[i].byte, children_[i].first, children_[i].last);
    }
  }

  // The ranks of the tokens whose first byte is in [first_byte, last_byte].
  Cursor first_byte_range(std::uint8_t first_byte, std::uint8_t last_byte) const noexcept;

  const std::vector<TokenId>& order() const noexcept { return order_; }  // rank -> token id
  Rank rank_of(TokenId token) const noexcept { return ranks_[token]; }   // kNoRank if none
  std::string_view bytes(Rank rank) const noexcept {
    return std::string_view(bytes_).substr(offsets_[rank], length(rank));
  }
  std::uint32_t length(Rank rank) const noexcept { return offsets_[rank + 1] - offsets_[rank]; }
  // The number of leading bytes that a token shares with the one before it in order (0 for rank 0).
  std::uint32_t shared_prefix(Rank rank) const noexcept { return shared_prefix_[rank]; }

 private:
  std::vector<TokenId> order_;
  std::vector<Rank> ranks_;
  std::string bytes_;                   // all tokens' bytes in rank order
  std::vector<std::uint32_t> offsets_;  // rank -> start in bytes_; one more at the end
  std::vector<std::uint32_t> shared_prefix_;
  std::vector<Child> children_;  // children of node i: [child_offsets_[i], child_offsets_[i+1])
  std::vector<std::uint32_t> child_offsets_;
  std::vector<std::uint32_t> root_child_;  // byte -> index into children_, or kLeaf
};

}  // namespace nextbyte

#endif  // NEXTBYTE_VOCABULARY_TOKEN_TABLE_H_
