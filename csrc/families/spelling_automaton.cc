// Failure links, and what tokens do to pending spellings.
#include "families/spelling_automaton.h"

#include <algorithm>
#include <utility>

#include "support/error.h"
#include "text/unicode.h"

namespace nextbyte {
namespace {

std::vector<std::string> joined(std::vector<std::string> added,
                                const std::vector<std::string>& forbidden) {
  added.insert(added.end(), forbidden.begin(), forbidden.end());
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

SpellingAutomaton::Pending summed_up(Completions all, Completions added) {
  std::sort(all.inside.begin(), all.inside.end());
  all.inside.erase(std::unique(all.inside.begin(), all.inside.end()), all.inside.end());
  return {RankRanges(std::move(all.completing)),
          RankRanges(std::move(added.completing)),
          std::move(all.inside)};
}

}  // namespace

SpellingAutomaton::SpellingAutomaton(const std::vector<std::string>& added,
                                     const std::vector<std::string>& forbidden)
    : num_added_(added.size()),
      trie_(joined(added, forbidden)),
      failure_(trie_.num_nodes(), ByteTrie::kRoot),
      completes_(trie_.num_nodes(), false),
      has_longer_(trie_.num_nodes(), false) {
  add_failures();
  mark_longer(added);
}

void SpellingAutomaton::add_failures() {
  // Nodes are numbered breadth first, so a node's failure is done before the node. Linear: along a
  // spelling the failure's depth grows by at most one a byte.
  for (Node node = ByteTrie::kRoot; node < trie_.num_nodes(); ++node) {
    completes_[node] = trie_.is_terminal(node) || completes_[failure_[node]];
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
    if (!is_added(node)) continue;
    end = at + 1;
    *index = trie_.entry(node);
  }
  return end;
}

SpellingAutomaton::Pending SpellingAutomaton::pending_longer(const std::vector<Node>& nodes,
                                                             const TokenTable& table) const {
  Completions added;
  const auto counts = [&](std::uint32_t entry) { return entry < num_added_; };
  for (const Node node : nodes) find_completions(trie_, node, table, counts, added);
  return summed_up(added, added);
}

SpellingAutomaton::Pending SpellingAutomaton::pending(Node node, const TokenTable& table) const {
  Completions all, added;
  const auto counts = [&](std::uint32_t entry) { return entry < num_added_; };
  for (; node != ByteTrie::kRoot; node = failure_[node]) {
    find_completions(trie_, node, table, [](std::uint32_t) { return true; }, all);
    find_completions(trie_, node, table, counts, added);
  }
  return summed_up(std::move(all), std::move(added));
}

}  // namespace nextbyte
