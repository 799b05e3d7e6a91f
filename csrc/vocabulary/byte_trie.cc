// Builds the trie breadth first from the sorted entries.
#include "vocabulary/byte_trie.h"

#include <algorithm>

namespace nextbyte {

ByteTrie::ByteTrie(const std::vector<std::string>& entries) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].empty()) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return entries[a] < entries[b];
  });
  // Each node stands for a range of `order`; nodes are made when their parent is looked at.
  struct Range {
    std::size_t first, last;
  };
  std::vector<Range> ranges{{0, 0}, {0, order.size()}};
  entry_ = {kNoEntry, kNoEntry};
  depth_ = {0, 0};
  first_child_ = {0, 0};
  for (Node node = kRoot; node < ranges.size(); ++node) {
    const std::uint32_t depth = depth_[node];
    const std::size_t end = ranges[node].last;
    std::size_t at = ranges[node].first;
    if (at < end && entries[order[at]].size() == depth && depth > 0) entry_[node] = order[at];
    while (at < end && entries[order[at]].size() == depth) ++at;
    while (at < end) {
      const char byte = entries[order[at]][depth];
      std::size_t next = at + 1;
      while (next < end && entries[order[next]][depth] == byte) ++next;
      children_.push_back({static_cast<std::uint8_t>(byte), static_cast<Node>(ranges.size())});
      ranges.push_back({at, next});
      entry_.push_back(kNoEntry);
      depth_.push_back(depth + 1);
      at = next;
    }
    first_child_.push_back(static_cast<std::uint32_t>(children_.size()));
  }
  for (std::uint32_t i = first_child_[kRoot]; i < first_child_[kRoot + 1]; ++i) {
    root_child_[children_[i].byte] = children_[i].node;
  }
}

ByteTrie::Node ByteTrie::step(Node node, std::uint8_t byte) const noexcept {
  if (node == kOff) return kOff;
  if (node == kRoot) return root_child_[byte];
  const Child* const begin = children_.data() + first_child_[node];
  const Child* const end = children_.data() + first_child_[node + 1];
  const Child* const found = std::lower_bound(
      begin, end, byte, [](const Child& child, std::uint8_t b) { return child.byte < b; });
  return found == end || found->byte != byte ? kOff : found->node;
}

}  // namespace nextbyte
