// Builds the token table: sort, common prefixes, and the child lists in breadth-first order.
#include "vocabulary/token_table.h"

#include <algorithm>
#include <array>
#include <utility>

#include "support/error.h"
#include "vocabulary/byte_string_order.h"

namespace nextbyte {

constexpr std::size_t kAhead = 12;

namespace {

OrderedStrings ordered(const std::vector<std::string>& tokens) {
  OrderedStrings strings{{tokens.begin(), tokens.end()}, {}};
  std::vector<TokenId> ids;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (!tokens[id].empty()) ids.push_back(static_cast<TokenId>(id));
  }
  strings.order = sorted_by_bytes(strings.strings, ids);
  return strings;
}

}  // namespace

TokenTable::TokenTable(const std::vector<std::string>& tokens) : TokenTable(ordered(tokens)) {}

TokenTable::TokenTable(OrderedStrings ordered_tokens)
    : order_(std::move(ordered_tokens.order.ids)),
      ranks_(ordered_tokens.strings.size(), kNoRank),
      shared_prefix_(std::move(ordered_tokens.order.shared)) {
  if (order_.empty()) throw TokenizerFormat("the vocabulary has no token with bytes");
  const std::vector<std::string_view>& tokens = ordered_tokens.strings;
  std::size_t total = 0;
  for (const std::string_view token : tokens) total += token.size();
  offsets_.reserve(order_.size() + 1);
  offsets_.push_back(0);
  bytes_.reserve(total);
  for (std::size_t rank = 0; rank < order_.size(); ++rank) {
    // In this order the bytes lie anywhere; waiting for them would take longer than all the rest.
    if (rank + 2 * kAhead < order_.size()) {
      __builtin_prefetch(&tokens[order_[rank + 2 * kAhead]]);
      __builtin_prefetch(tokens[order_[rank + kAhead]].data());
    }
    const TokenId token = order_[rank];
    ranks_[token] = static_cast<Rank>(rank);
    bytes_ += tokens[token];
    offsets_.push_back(static_cast<std::uint32_t>(bytes_.size()));
    const Rank previous = static_cast<Rank>(rank) - 1;
    if (rank > 0 && shared_prefix_[rank] == tokens[token].size() &&
        shared_prefix_[rank] == length(previous)) {
      throw TokenizerFormat("tokens " + std::to_string(order_[previous]) + " and " +
                            std::to_string(token) + " have the same bytes");
    }
  }

  // Node i is nodes[i]; its children are appended when it is reached, so nodes come in
  // breadth-first order and each node's children are contiguous.
  std::vector<Cursor> nodes{root()};
  child_offsets_.push_back(0);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Cursor node = nodes[i];
    Rank rank = node.first;
    if (length(rank) == node.depth) ++rank;  // the token that is the prefix itself sorts first
    while (rank < node.last) {
      const std::uint8_t byte = static_cast<std::uint8_t>(bytes_[offsets_[rank] + node.depth]);
      Rank end = rank + 1;
      while (end < node.last && shared_prefix_[end] > node.depth) ++end;
      const bool leaf = end - rank == 1;
      const std::uint32_t child = leaf ? kLeaf : static_cast<std::uint32_t>(nodes.size());
      if (!leaf) nodes.push_back({rank, end, node.depth + 1, child});
      children_.push_back({rank, end, child, byte});
      rank = end;
    }
    child_offsets_.push_back(static_cast<std::uint32_t>(children_.size()));
  }
  root_child_.assign(256, kLeaf);
  for (std::uint32_t i = 0; i < child_offsets_[1]; ++i) root_child_[children_[i].byte] = i;
}

bool TokenTable::step(Cursor& cursor, std::uint8_t byte) const noexcept {
  if (cursor.node == kLeaf) {
    if (length(cursor.first) <= cursor.depth) return false;
    if (static_cast<std::uint8_t>(bytes_[offsets_[cursor.first] + cursor.depth]) != byte)
      return false;
    ++cursor.depth;
    return true;
  }
  const Child* child = nullptr;
  if (cursor.depth == 0) {
    if (root_child_[byte] == kLeaf) return false;
    child = &children_[root_child_[byte]];
  } else {
    const Child* const begin = children_.data() + child_offsets_[cursor.node];
    const Child* const end = children_.data() + child_offsets_[cursor.node + 1];
    child = std::lower_bound(
        begin, end, byte, [](const Child& c, std::uint8_t b) { return c.byte < b; });
    if (child == end || child->byte != byte) return false;
  }
  cursor = {child->first, child->last, cursor.depth + 1, child->node};
  return true;
}

TokenTable::Cursor TokenTable::first_byte_range(std::uint8_t first_byte,
                                                std::uint8_t last_byte) const noexcept {
  Rank first = size();
  Rank last = 0;
  for (std::uint32_t i = 0; i < child_offsets_[1]; ++i) {
    if (children_[i].byte < first_byte || children_[i].byte > last_byte) continue;
    first = std::min(first, children_[i].first);
    last = std::max(last, children_[i].last);
  }
  if (first >= last) return {0, 0, 0, kLeaf};
  return {first, last, 0, kLeaf};
}

}  // namespace nextbyte
