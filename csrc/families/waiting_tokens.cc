// Judges the tokens subset by subset, as long as there are not too many.
#include "families/waiting_tokens.h"

namespace nextbyte {
namespace {

// A group, and a subset from which its tokens lead to the end in question.
struct Source {
  TokenGroups::Group group;
  SubsetId start;
};

}  // namespace

WaitingTokens::WaitingTokens(const TokenGroups& groups,
                             const Pretokenizer& pretokenizer,
                             std::size_t max_pairs,
                             const Judge& lives)
    : groups_(&groups) {
  const std::size_t num_subsets = pretokenizer.num_subsets();
  std::size_t left = max_pairs;
  for (const unsigned flags : {kContinue, kBoundary}) {
    std::vector<std::vector<Source>> sources(num_subsets);
    for (std::size_t group = 0; group < groups.size(); ++group) {
      if (groups.runs(group).empty()) continue;
      for (std::size_t subset = 0; subset < num_subsets; ++subset) {
        const auto start = static_cast<SubsetId>(subset);
        const SubsetId end = groups.end_of(group, start, flags);
        if (end == kDeadSubset || pretokenizer.accepts_end(end)) continue;
        const auto id = static_cast<TokenGroups::Group>(group);
        if (sources[end].empty() || sources[end].back().group != id)
          sources[end].push_back({id, start});
      }
    }
    BitSet& known = known_[index_of(flags)] = BitSet(0, num_subsets);
    std::vector<LiveRun>& live = live_[index_of(flags)];
    for (std::size_t end = 0; end < num_subsets; ++end) {
      std::size_t pairs = 0;
      for (const Source& source : sources[end]) {
        for (const TokenGroups::Run& run : groups.runs(source.group)) pairs += run.last - run.first;
      }
      if (pairs > left) continue;
      left -= pairs;
      known.set(end);
      for (const auto& [group, start] : sources[end]) {
        for (const TokenGroups::Run& run : groups.runs(group)) {
          for (Rank rank = run.first; rank < run.last; ++rank) {
            if (!lives(start, flags, rank)) continue;
            if (rank == run.first || live.empty() || live.back().run.last != rank ||
                live.back().group != group || live.back().end != end) {
              live.push_back({static_cast<SubsetId>(end), group, {rank, rank}});
            }
            live.back().run.last = rank + 1;
          }
        }
      }
    }
  }
}

void WaitingTokens::add_live(SubsetId subset, unsigned flags, BitSet& tokens) const noexcept {
  for (const LiveRun& live : live_[index_of(flags)]) {
    if (groups_->end_of(live.group, subset, flags) == live.end)
      tokens.set_range(live.run.first, live.run.last);
  }
}

}  // namespace nextbyte
