// Sorted ranges of ranks: union, look-up, the bits they take out of a mask, and which complete.
#include "vocabulary/rank_ranges.h"

#include <algorithm>

#include "support/bits.h"

namespace nextbyte {

RankRanges::RankRanges(std::vector<RankRange> ranges) : ranges_(std::move(ranges)) {
  std::sort(ranges_.begin(), ranges_.end(), [](const RankRange& a, const RankRange& b) {
    return a.first < b.first;
  });
  std::size_t kept = 0;
  for (const RankRange& range : ranges_) {
    if (range.first >= range.last) continue;
    if (kept > 0 && range.first <= ranges_[kept - 1].last) {
      ranges_[kept - 1].last = std::max(ranges_[kept - 1].last, range.last);
    } else {
      ranges_[kept++] = range;
    }
  }
  ranges_.resize(kept);
}

const RankRange* RankRanges::first_ending_after(Rank rank) const noexcept {
  const RankRange* const begin = ranges_.data();
  return std::upper_bound(begin, begin + ranges_.size(), rank, [](Rank r, const RankRange& range) {
    return r < range.last;
  });
}

bool RankRanges::contains(Rank rank) const noexcept {
  const RankRange* const range = first_ending_after(rank);
  return range != ranges_.data() + ranges_.size() && range->first <= rank;
}

void RankRanges::clear(std::vector<std::uint64_t>& words) const noexcept {
  for (const RankRange& range : ranges_) {
    const std::size_t end = (range.last - 1) / kWordBits + 1;
    for (std::size_t index = range.first / kWordBits; index < end; ++index) {
      words[index] &= ~word_range_mask(index, range.first, range.last);
    }
  }
}

void find_completions(const ByteTrie& trie,
                      ByteTrie::Node node,
                      const TokenTable& table,
                      Completions& found) {
  struct Position {
    ByteTrie::Node node;
    TokenTable::Cursor cursor;
  };
  std::vector<Position> stack{{node, table.root()}};
  while (!stack.empty()) {
    const Position at = stack.back();
    stack.pop_back();
    trie.for_each_child(at.node, [&](std::uint8_t byte, ByteTrie::Node child) {
      TokenTable::Cursor cursor = at.cursor;
      if (!table.step(cursor, byte)) return;
      if (trie.is_terminal(child)) {
        found.completing.push_back({cursor.first, cursor.last});
        return;
      }
      if (const Rank exact = table.exact(cursor); exact != kNoRank) found.inside.push_back(exact);
      stack.push_back({child, cursor});
    });
  }
}

}  // namespace nextbyte
