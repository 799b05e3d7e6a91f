// A trie of byte strings with small integer nodes: spellings that are followed while a text grows.
#ifndef NEXTBYTE_VOCABULARY_BYTE_TRIE_H_
#define NEXTBYTE_VOCABULARY_BYTE_TRIE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace nextbyte {

// Immutable. Node 0 is "off the trie", node 1 the root. Step: one look-up among the children (at
// the root, a direct one).
class ByteTrie {
 public:
  using Node = std::uint32_t;
  static constexpr Node kOff = 0;
  static constexpr Node kRoot = 1;
  static constexpr std::uint32_t kNoEntry = 0xFFFFFFFFU;

  // Entry i is the string `entries[i]`; empty ones are left out. Of equal ones the first counts.
  explicit ByteTrie(const std::vector<std::string>& entries);

  std::size_t num_nodes() const noexcept { return entry_.size(); }  // kOff included
  bool empty() const noexcept { return num_nodes() <= 2; }
  // kOff steps to kOff.
  Node step(Node node, std::uint8_t byte) const noexcept;
  // The index of the entry that ends at the node, or kNoEntry.
  std::uint32_t entry(Node node) const noexcept { return entry_[node]; }
  bool is_terminal(Node node) const noexcept { return entry_[node] != kNoEntry; }
  std::uint32_t depth(Node node) const noexcept { return depth_[node]; }

  // Calls visit(entry index, node) for every entry that ends strictly below `node`; not below one
  // for which visit returns false.
  template <typename Visit>
  void for_each_below(Node node, Visit visit) const {
    if (node == kOff) return;
    std::vector<Node> stack{node};
    while (!stack.empty()) {
      const Node at = stack.back();
      stack.pop_back();
      for (std::uint32_t i = first_child_[at]; i < first_child_[at + 1]; ++i) {
        const Node child = children_[i].node;
        if (!is_terminal(child) || visit(entry_[child], child)) stack.push_back(child);
      }
    }
  }

  // Calls visit(byte, child) for each child, by byte.
  template <typename Visit>
  void for_each_child(Node node, Visit visit) const {
    if (node == kOff) return;
    for (std::uint32_t i = first_child_[node]; i < first_child_[node + 1]; ++i) {
      visit(children_[i].byte, children_[i].node);
    }
  }
  bool has_children(Node node) const noexcept {
    return first_child_[node] != first_child_[node + 1];
  }

 private:
  struct Child {
    std::uint8_t byte;
    Node node;
  };
  std::vector<std::uint32_t> entry_;
  std::vector<std::uint32_t> depth_;
  std::vector<std::uint32_t> first_child_;  // by node, one more at the end
  std::vector<Child> children_;             // of each node, by byte
  std::array<Node, 256> root_child_{};
};

}  // namespace nextbyte

#endif  // NEXTBYTE_VOCABULARY_BYTE_TRIE_H_
