// Failure links, and what tokens do to pending spellings.
#include "families/spelling_automaton.h"

#include <algorithm>
#include <utility>

#include "support/error.h"
#include "text/unicode.h"

namespace nextbyte {
namespace {

const std::vector<std::string>& checked(const std::vector<std::string>& added) {
  for (const std::string& spelling : added) {
    for (std::size_t at = 0; at < spelling.size();) {
      const unsigned length = decode_scalar(spelling, at).length;
      if (length == 0) {
        throw UnsupportedTokenizer("the added token " + spelling + " is not valid UTF-8 at byte " +
                                   std::to_string(at));
      }
      at += length;
    }
  }
  return added;
}

SpellingAutomaton::Pending summed_up(Completions found) {
  std::sort(found.inside.begin(), found.inside.end());
  found.inside.erase(std::unique(found.inside.begin(), found.inside.end()), found.inside.end());
  return {RankRanges(std::move(found.completing)), std::move(found.inside)};
}

}  // namespace

SpellingAutomaton::SpellingAutomaton(const std::vector<std::string>& added)
    : trie_(checked(added)),
      failure_(trie_.num_nodes(), ByteTrie::kRoot),
      has_longer_(trie_.num_nodes(), false) {
  add_failures();
  mark_longer(added);
}

void SpellingAutomaton::add_failures() {
  // Nodes are numbered breadth first, so a node's failure is done before the node. Linear: along a
  // spelling the failure's depth grows by at most one a byte.
  for (Node node = ByteTrie::kRoot; node < trie_.num_nodes(); ++node) {
    if (node == ByteTrie::kRoot) continue;
    trie_.for_each_child(
        node, [&](std::uint8_t byte, Node child) { failure_[child] = step(failure_[node], byte); });
  }
}

void SpellingAutomaton::mark_longer(const std::vector<std::string>& added) {
  for (const std::string& spelling : added) {
    Node node = ByteTrie::kRoot;
    for (const char byte : spelling) {
      has_longer_[node] = true;
      node = trie_.step(node, static_cast<std::uint8_t>(byte));
    }
    added_nodes_.push_back(node);
  }
}

std::size_t SpellingAutomaton::longest_added(std::string_view text,
                                             std::size_t start,
                                             std::size_t* index) const noexcept {
  std::size_t end = start;
  Node node = ByteTrie::kRoot;
  for (std::size_t at = start; at < text.size(); ++at) {
    node = trie_.step(node, static_cast<std::uint8_t>(text[at]));
    if (node == ByteTrie::kOff) break;
    if (!trie_.is_terminal(node)) continue;
    end = at + 1;
    *index = trie_.entry(node);
  }
  return end;
}

SpellingAutomaton::Pending SpellingAutomaton::pending_longer(const std::vector<Node>& nodes,
                                                             const TokenTable& table) const {
  Completions found;
  for (const Node node : nodes) find_completions(trie_, node, table, found);
  return summed_up(std::move(found));
}

SpellingAutomaton::Pending SpellingAutomaton::pending(Node node, const TokenTable& table) const {
  Completions found;
  for (; node != ByteTrie::kRoot; node = failure_[node]) {
    find_completions(trie_, node, table, found);
  }
  return summed_up(std::move(found));
}

}  // namespace nextbyte
