// Mask construction: groups of tokens, and co-liveness for the doubtful ends.
#include "families/successor_masks.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "tokenizer/token_scan.h"

namespace nextbyte {
namespace {

// Adds `more` to `mask`; shares a set where one of the two is empty or they are the same.
void unite(std::shared_ptr<const BitSet>& mask, std::shared_ptr<const BitSet> more) {
  if (!mask) {
    mask = std::move(more);
  } else if (more && more != mask) {
    mask = std::make_shared<const BitSet>(mask->united(*more));
  }
}

BitSet canonical_alone(const BpeMerges& merges, const TokenTable& table, BitSet ranks) {
  ranks.for_each([&](std::size_t rank) {
    if (!merges.is_canonical_alone(table.order()[rank])) ranks.clear(rank);
  });
  return ranks;
}

std::vector<Rank> sensitive_tokens(const ByteAutomaton& automaton, const TokenTable& table) {
  std::vector<Rank> ranks;
  for (Rank rank = 0; rank < table.size(); ++rank) {
    if (automaton.is_sensitive(table.bytes(rank))) ranks.push_back(rank);
  }
  return ranks;
}

}  // namespace

SuccessorMasks::SuccessorMasks(const BpeMerges& merges,
                               const TokenTable& table,
                               const Pretokenizer& pretokenizer,
                               const ByteAutomaton& automaton,
                               const ByteTrie& whole_pieces,
                               BitSet candidates,
                               const Limits& limits)
    : merges_(&merges),
      table_(&table),
      pretokenizer_(&pretokenizer),
      automaton_(&automaton),
      whole_pieces_(&whole_pieces),
      candidates_(std::move(candidates)),
      by_merges_(canonical_alone(merges, table, candidates_)),
      invalid_(merges, table, limits.invalid),
      groups_(pretokenizer, automaton, table, limits.group_entries),
      co_liveness_(merges,
                   table,
                   pretokenizer,
                   automaton,
                   groups_,
                   invalid_,
                   candidates_,
                   by_merges_,
                   limits.co_liveness),
      continuation_range_(table.first_byte_range(0x80, 0xBF)),
      sensitive_(sensitive_tokens(automaton, table)),
      waiting_(groups_,
               pretokenizer,
               limits.waiting_pairs,
               [this](SubsetId subset, unsigned flags, Rank rank) {
                 ByteAutomatonState state;
                 state.subset = subset;
                 return (flags == kBoundary ? candidates_ : by_merges_).test(rank) &&
                        lives_after(state, flags, rank);
               }),
      ways_(groups_, merges, table, pretokenizer, automaton, whole_pieces, by_merges_),
      by_state_(limits.cached_masks) {}

bool SuccessorMasks::lives_after(const ByteAutomatonState& state, unsigned flags, Rank rank) const {
  const TokenId token = table_->order()[rank];
  ByteAutomatonState end = state;
  if (!automaton_->run(end, table_->bytes(rank), flags)) return false;
  if (!merges_->is_canonical_alone(token)) {
    // Only the whole piece is this token; that a boundary follows is up to the pair test.
    if (flags != kBoundary || !state.at_character_boundary()) return false;
    end.piece = ByteTrie::kOff;
  }
  return co_liveness_.live(end, token);
}

BitSet SuccessorMasks::live_inside_character(const ByteAutomatonState& state,
                                             unsigned flags) const {
  // A token goes on with the character, so these are few.
  TokenScan scan = scan_tokens(
      *automaton_, *table_, state, flags, continuation_range_.first, continuation_range_.last);
  scan.alive.intersect(by_merges_);
  scan.accepting.intersect(by_merges_);
  BitSet live = std::move(scan.accepting);
  scan.alive.subtract(live);
  scan.alive.for_each([&](std::size_t index) {
    const auto rank = static_cast<Rank>(index);
    if (lives_after(state, flags, rank)) live.set(rank);
  });
  return live;
}

BitSet SuccessorMasks::live_tokens(const ByteAutomatonState& state, unsigned flags) const {
  if (!state.at_character_boundary()) return live_inside_character(state, flags);
  // Only the whole of a piece is a token that merges do not make. A boundary follows it, and of its
  // spelling nothing is on the trie any more; so for these, too, the pattern says if END may
  // follow.
  const BitSet& able = flags == kBoundary ? candidates_ : by_merges_;
  BitSet live(0, table_->size());
  const auto ask = [&](std::size_t index) {
    const auto rank = static_cast<Rank>(index);
    if (lives_after(state, flags, rank)) live.set(rank);
  };
  if (groups_.size() == 0) {
    TokenOutcomes found = groups_.outcomes(state.subset, flags);
    live = std::move(found.accepting);
    live.intersect(able);
    found.waiting.intersect(able);
    found.waiting.for_each(ask);
    return live;
  }
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    const SubsetId end = groups_.end_of(group, state.subset, flags);
    if (end == kDeadSubset) continue;
    if (pretokenizer_->accepts_end(end)) {
      for (const TokenGroups::Run& run : groups_.runs(group)) live.set_range(run.first, run.last);
    } else if (!waiting_.are_known(end, flags)) {
      for (const TokenGroups::Run& run : groups_.runs(group)) {
        for (Rank rank = run.first; rank < run.last; ++rank) {
          if (able.test(rank)) ask(rank);
        }
      }
    }
  }
  live.intersect(able);
  waiting_.add_live(state.subset, flags, live);
  add_live_tails(state, flags, live);
  return live;
}

void SuccessorMasks::add_live_tails(const ByteAutomatonState& state,
                                    unsigned flags,
                                    BitSet& live) const {
  const BitSet& able = flags == kBoundary ? candidates_ : by_merges_;
  const std::vector<TokenGroups::Tail>& tails = groups_.tails();
  for (std::size_t i = 0; i < tails.size(); ++i) {
    const TokenGroups::Tail& tail = tails[i];
    if (!ways_[i].exist || !able.test(tail.rank) ||
        groups_.live_classes(tail, state.subset, flags) == 0) {
      continue;
    }
    if ((ways_[i].classes & groups_.accepting_classes(tail, state.subset, flags)) != 0 ||
        lives_after(state, flags, tail.rank)) {
      live.set(tail.rank);
    }
  }
}

BitSet SuccessorMasks::with_past(const BitSet& common,
                                 const ByteAutomatonState& state,
                                 unsigned flags) const {
  BitSet live = common;
  const auto look_again = [&](Rank rank) {
    if (live.test(rank) && !lives_after(state, flags, rank)) live.clear(rank);
  };
  // The neutral state breaks on nothing that another one stands, so tokens only drop out.
  if (state.normal != kNeutralNormalForm)
    std::for_each(sensitive_.begin(), sensitive_.end(), look_again);
  // The tokens that stay on the trie of whole pieces: even where they complete none, every way on
  // may be bound to.
  std::vector<std::pair<ByteTrie::Node, TokenTable::Cursor>> stack;
  stack.emplace_back(state.piece, table_->root());
  while (!stack.empty()) {
    const ByteTrie::Node node = stack.back().first;
    const TokenTable::Cursor cursor = stack.back().second;
    stack.pop_back();
    whole_pieces_->for_each_child(node, [&](std::uint8_t byte, ByteTrie::Node child) {
      TokenTable::Cursor longer = cursor;
      if (!table_->step(longer, byte)) return;
      if (const Rank rank = table_->exact(longer); rank != kNoRank) look_again(rank);
      stack.emplace_back(child, longer);
    });
  }
  return live;
}

SuccessorMasks::Mask SuccessorMasks::mask(const ByteAutomatonState& state, unsigned flags) const {
  ByteAutomatonState start = state;
  automaton_->enter(start, flags);
  // A new piece starts the same wherever the one before it ended.
  if (start.at_character_boundary() && flags == kBoundary) start.piece = ByteTrie::kOff;
  ByteAutomatonState common = start;
  common.piece = ByteTrie::kOff;
  // Inside a character few tokens can follow, and each of them is sensitive.
  if (start.at_character_boundary()) common.normal = kNeutralNormalForm;
  return by_state_.get(start, [&] {
    BitSet made =
        start == common ? live_tokens(start, flags) : with_past(*mask(common, flags), start, flags);
    made.summarize();
    return made;
  });
}

std::shared_ptr<const AllowedTokens> SuccessorMasks::allowed(
    std::span<const ByteAutomatonState> states, TokenId last) const {
  Mask boundary, interior;
  for (const ByteAutomatonState& state : states) {
    if (!state.at_character_boundary()) {
      unite(interior, mask(state, state.flags));
      continue;
    }
    if (automaton_->may_split(state)) unite(boundary, mask(state, kBoundary));
    if (last != kNoToken) unite(interior, mask(state, kContinue));
  }
  return std::make_shared<const PairSuccessors>(
      invalid_, last, std::move(boundary), std::move(interior));
}

}  // namespace nextbyte
