// Failure links, what tokens complete, and the proof that one pending spelling is enough.
#include "tokenizer/spelling_automaton.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "support/error.h"
#include "tokenizer/unicode.h"

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
  for (const std::string& spelling : added) require_one_pending(spelling);
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

// A spelling that begins before an added token w, or with an earlier one, and is still pending
// behind w, would have to be followed next to the one that begins with w. It is not possible if the
// text up to the end of w would complete another spelling first. Let w be the first added token
// behind the spelling's own first byte, at its bytes [begin, end).
void SpellingAutomaton::require_one_pending(const std::string& spelling) const {
  constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();
  const std::size_t size = spelling.size();
  std::vector<std::vector<std::size_t>> ends(size);  // of the added spellings at each position
  for (std::size_t begin = 0; begin < size; ++begin) {
    Node node = ByteTrie::kRoot;
    for (std::size_t at = begin; at < size && node != ByteTrie::kOff; ++at) {
      node = trie_.step(node, static_cast<std::uint8_t>(spelling[at]));
      if (node != ByteTrie::kOff && is_added(node)) ends[begin].push_back(at + 1);
    }
  }
  const auto first_end = [&](std::size_t from, std::size_t to) {
    std::size_t first = kNowhere;
    for (std::size_t begin = from; begin < to; ++begin) {
      if (!ends[begin].empty()) first = std::min(first, ends[begin].front());
    }
    return first;
  };
  for (std::size_t begin = 1; begin < size; ++begin) {
    for (const std::size_t end : ends[begin]) {
      if (end == size) break;  // completed with w: w is not possible
      // All ordinary bytes before w: anything that begins there would be taken instead of w.
      const bool after_ordinary = first_end(0, begin) > end;
      // An added token of bytes [0, taken), then ordinary ones: no longer one is completed.
      std::size_t taken = 0;
      for (const std::size_t longer : ends[0]) {
        if (longer <= end) taken = longer;
      }
      const bool after_taken = taken > 0 && taken <= begin && first_end(taken, begin) > end;
      if (!after_ordinary && !after_taken) continue;
      throw UnsupportedTokenizer(
          "the added token '" + spelling + "' has the added token '" +
          spelling.substr(begin, end - begin) + "' inside, at byte " + std::to_string(begin) +
          ", and can still be completed behind it; such added tokens are not followed exactly");
    }
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

SpellingAutomaton::Pending SpellingAutomaton::pending_longer(Node node,
                                                             const TokenTable& table) const {
  Completions added;
  const auto counts = [&](std::uint32_t entry) { return entry < num_added_; };
  find_completions(trie_, node, table, counts, added);
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
