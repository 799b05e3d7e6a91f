// Mask construction: an automaton pass, and co-liveness for the doubtful ends.
#include "families/successor_masks.h"

#include <algorithm>
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

}  // namespace

SuccessorMasks::SuccessorMasks(const BpeMerges& merges,
                               const TokenTable& table,
                               const ByteAutomaton& automaton,
                               const ByteTrie& whole_pieces,
                               BitSet candidates,
                               std::size_t cached_masks)
    : merges_(&merges),
      table_(&table),
      automaton_(&automaton),
      whole_pieces_(&whole_pieces),
      candidates_(std::move(candidates)),
      by_merges_(0, table.size()),
      co_liveness_(merges, table, automaton, candidates_),
      continuation_range_(table.first_byte_range(0x80, 0xBF)),
      invalid_(merges, table),
      by_state_(cached_masks) {
  for (Rank rank = 0; rank < table.size(); ++rank) {
    if (automaton.is_sensitive(table.bytes(rank))) sensitive_.push_back(rank);
    if (candidates_.test(rank) && merges.is_canonical_alone(table.order()[rank]))
      by_merges_.set(rank);
  }
}

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

BitSet SuccessorMasks::live_tokens(const ByteAutomatonState& state, unsigned flags) const {
  // Inside a character a token goes on with it.
  const bool inside = !state.at_character_boundary();
  const Rank first = inside ? continuation_range_.first : 0;
  const Rank last = inside ? continuation_range_.last : table_->size();
  TokenScan scan = scan_tokens(*automaton_, *table_, state, flags, first, last);
  // Nearly all are seen to live at once: made by merges, and the text may end behind them.
  scan.alive.intersect(candidates_);
  BitSet live = std::move(scan.accepting);
  live.intersect(by_merges_);
  scan.alive.subtract(live);
  scan.alive.for_each([&](std::size_t index) {
    const auto rank = static_cast<Rank>(index);
    if (lives_after(state, flags, rank)) live.set(rank);
  });
  return live;
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
