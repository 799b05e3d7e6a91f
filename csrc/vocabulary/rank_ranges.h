// Sets of tokens given as ranges of ranks: all tokens that complete something already begun.
#ifndef NEXTBYTE_VOCABULARY_RANK_RANGES_H_
#define NEXTBYTE_VOCABULARY_RANK_RANGES_H_

#include <cstdint>
#include <vector>

#include "vocabulary/byte_trie.h"
#include "vocabulary/token_table.h"

namespace nextbyte {

// The ranks [first, last).
struct RankRange {
  Rank first, last;
};

// Invariant: ascending, disjoint, not adjacent, none empty.
class RankRanges {
 public:
  RankRanges() = default;
  // Any ranges in any order.
  explicit RankRanges(std::vector<RankRange> ranges);

  bool empty() const noexcept { return ranges_.empty(); }
  const std::vector<RankRange>& ranges() const noexcept { return ranges_; }
  // O(log ranges).
  bool contains(Rank rank) const noexcept;
  // Takes the members out of a set of bits.
  void clear(std::vector<std::uint64_t>& words) const noexcept;
  // Calls visit(first, last) for the parts of [first, last) that are outside, until it returns
  // true. Did it?
  template <typename Visit>
  bool any_gap(Rank first, Rank last, Visit visit) const {
    for (const RankRange* range = first_ending_after(first);
         range != ranges_.data() + ranges_.size() && range->first < last;
         ++range) {
      if (first < range->first && visit(first, range->first)) return true;
      first = range->last;
    }
    return first < last && visit(first, last);
  }

 private:
  const RankRange* first_ending_after(Rank rank) const noexcept;

  std::vector<RankRange> ranges_;
};

// What can follow a string that stands at a node of a trie.
struct Completions {
  std::vector<RankRange> completing;  // the token runs through the end of an entry
  std::vector<Rank> inside;           // the whole token is on the trie, and completes no entry
};

// Adds the tokens that walk from `node` to an entry, and those that end before. Trie and table are
// walked together: O(nodes they share below `node`, down to the first entry on each branch).
void find_completions(const ByteTrie& trie,
                      ByteTrie::Node node,
                      const TokenTable& table,
                      Completions& found);

}  // namespace nextbyte

#endif  // NEXTBYTE_VOCABULARY_RANK_RANGES_H_
