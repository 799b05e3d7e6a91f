// Counts the last tokens of each live context.
#include "cover/cover_groups.h"

#include <algorithm>

namespace nextbyte {

std::vector<CoverGroup> cover_groups(const CoverTracker& tracker, std::size_t examples) {
  const TokenTable& table = tracker.tokenizer().table();
  std::vector<CoverGroup> groups;
  for (const LiveContext& live : tracker.live()) {
    CoverGroup group;
    for (const Context* c = live.context.get(); c->parent() != nullptr; c = c->parent()) {
      group.tokens.push_back(c->token());
    }
    std::reverse(group.tokens.begin(), group.tokens.end());
    group.at_end = live.cursor.depth == 0;
    group.may_end = tracker.ends_at(live) && tracker.tokenizer().may_end(live.context->state());
    const bool has_exact = !group.at_end && table.exact(live.cursor) != kNoRank;
    const AllowedTokens& allowed = live.allowed(tracker.tokenizer());
    std::vector<TokenId> last;
    for (Rank rank = live.cursor.first + (has_exact ? 1 : 0); rank < live.cursor.last; ++rank) {
      if (allowed.test(rank)) last.push_back(table.order()[rank]);
    }
    group.count = last.size();
    const std::size_t shown = std::min(examples, last.size());
    std::partial_sort(last.begin(), last.begin() + static_cast<std::ptrdiff_t>(shown), last.end());
    group.last_tokens.assign(last.begin(), last.begin() + static_cast<std::ptrdiff_t>(shown));
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace nextbyte
