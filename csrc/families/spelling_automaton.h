// Follows, while a text grows, the added tokens' spellings that it begins (Aho and Corasick).
#ifndef NEXTBYTE_FAMILIES_SPELLING_AUTOMATON_H_
#define NEXTBYTE_FAMILIES_SPELLING_AUTOMATON_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vocabulary/byte_trie.h"
#include "vocabulary/rank_ranges.h"

namespace nextbyte {

// A node stands for the longest beginning of a spelling that the bytes so far end with; its failure
// link for the next shorter one, down to the root. Immutable. Memory and construction are linear in
// the total length of the spellings.
class SpellingAutomaton {
 public:
  using Node = ByteTrie::Node;

  // Throws UnsupportedTokenizer if a spelling is no valid UTF-8.
  explicit SpellingAutomaton(const std::vector<std::string>& added);

  // The node after one more byte; never off the trie.
  Node step(Node node, std::uint8_t byte) const noexcept {
    for (;;) {
      if (const Node child = trie_.step(node, byte); child != ByteTrie::kOff) return child;
      if (node == ByteTrie::kRoot) return node;
      node = failure_[node];
    }
  }
  Node failure(Node node) const noexcept { return failure_[node]; }
  const ByteTrie& trie() const noexcept { return trie_; }
  // Does a longer spelling begin with what the node spells?
  bool has_longer(Node node) const noexcept { return has_longer_[node]; }
  // The node of each spelling, in the order given.
  const std::vector<Node>& added_nodes() const noexcept { return added_nodes_; }
  // Where the longest spelling at `start` ends; `start` if there is none. *index is its own.
  std::size_t longest_added(std::string_view text,
                            std::size_t start,
                            std::size_t* index) const noexcept;

  // What a token does to pending spellings.
  struct Pending {
    RankRanges completing;     // it completes one
    std::vector<Rank> inside;  // it goes on with one to its own end; ascending
  };
  // ... to those that the bytes so far end with.
  Pending pending(Node node, const TokenTable& table) const;
  // ... to those that begin with the bytes of one of the nodes.
  Pending pending_longer(const std::vector<Node>& nodes, const TokenTable& table) const;

 private:
  void add_failures();
  void mark_longer(const std::vector<std::string>& added);

  ByteTrie trie_;
  std::vector<Node> failure_;
  std::vector<bool> has_longer_;
  std::vector<Node> added_nodes_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_SPELLING_AUTOMATON_H_
