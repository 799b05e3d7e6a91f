// Mask construction: an automaton pass, and co-liveness for the doubtful ends.
#include "families/successor_masks.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "tokenizer/token_scan.h"

namespace nextbyte {
namespace {

// Of the tokens that go on inside a tail's character and do not end it: so many are followed.
constexpr std::size_t kTriedFirstTokens = 3;

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
      by_merges_(0, table.size()),
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
      by_state_(limits.cached_masks) {
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

SuccessorMasks::Ways SuccessorMasks::ways_on(TokenId token,
                                             std::uint16_t normal,
                                             std::string_view beginning,
                                             bool may_take_two) const {
  Ways ways;
  const std::uint64_t possible = automaton_->classes_ahead(normal, beginning);
  std::string bytes(beginning);
  std::size_t tries = 0;
  for (Rank rank = continuation_range_.first; rank < continuation_range_.last; ++rank) {
    if (!by_merges_.test(rank)) continue;
    const TokenId next = table_->order()[rank];
    bytes.replace(beginning.size(), std::string::npos, table_->bytes(rank));
    const DecodedScalar scalar = decode_scalar(bytes, 0);
    if (scalar.length == 0) {  // goes on inside the character, if it does
      if ((ways.exist && !may_take_two) || automaton_->classes_ahead(normal, bytes) == 0 ||
          !merges_->pair_ok(token, next)) {
        continue;
      }
      ways.exist = true;
      if (may_take_two && tries < kTriedFirstTokens) {
        ++tries;
        ways.classes |= ways_on(next, normal, bytes, false).classes;
      }
      continue;
    }
    const std::uint64_t bit = std::uint64_t{1} << pretokenizer_->class_of(scalar.value);
    const bool is_new = scalar.length == bytes.size() && (ways.classes & bit) == 0;
    if (ways.exist && !is_new) continue;
    if (std::uint16_t after = normal; !automaton_->stays_normal(after, scalar.value)) continue;
    if (!merges_->pair_ok(token, next)) continue;
    ways.exist = true;
    if (is_new) ways.classes |= bit;
    if (ways.classes == possible) break;
  }
  return ways;
}

SuccessorMasks::Ways SuccessorMasks::ways_on(std::size_t index) const {
  const std::vector<TokenGroups::Tail>& tails = groups_.tails();
  std::call_once(once_, [&] { ways_ = decltype(ways_)(tails.size()); });
  KnownWays& known = ways_[index];
  if (known.is_known.load(std::memory_order_acquire))
    return {known.exist.load(std::memory_order_relaxed),
            known.classes.load(std::memory_order_relaxed)};
  const TokenGroups::Tail& tail = tails[index];
  const std::string_view beginning = table_->bytes(tail.rank).substr(tail.length);
  const TokenId token = table_->order()[tail.rank];
  Ways ways = ways_on(token, tail.normal, beginning, false);
  if (ways.exist && ways.classes == 0) ways = ways_on(token, tail.normal, beginning, true);
  // Whoever finds them finds the same.
  known.exist.store(ways.exist, std::memory_order_relaxed);
  known.classes.store(ways.classes, std::memory_order_relaxed);
  known.is_known.store(true, std::memory_order_release);
  return ways;
}

void SuccessorMasks::settle_tails(SubsetId subset, unsigned flags, TokenOutcomes& found) const {
  const std::vector<TokenGroups::Tail>& tails = groups_.tails();
  const auto is_on_trie = [&](std::string_view bytes) {
    ByteTrie::Node node = ByteTrie::kRoot;
    for (std::size_t i = 0; i < bytes.size() && node != ByteTrie::kOff; ++i)
      node = whole_pieces_->step(node, static_cast<std::uint8_t>(bytes[i]));
    return node != ByteTrie::kOff;
  };
  for (std::size_t i = 0; i < tails.size(); ++i) {
    const TokenGroups::Tail& tail = tails[i];
    if (!found.waiting.test(tail.rank)) continue;
    const std::uint64_t accepting = pretokenizer_->accepting_classes(
        groups_.subset_before(tail, subset, flags), tail.length == 0 ? flags : kContinue);
    const Ways ways = ways_on(i);
    if (!ways.exist) {
      found.waiting.clear(tail.rank);
      continue;
    }
    if ((ways.classes & accepting) == 0) continue;
    // Where the piece may become a whole piece, it may not end just anywhere.
    if (flags == kBoundary && !whole_pieces_->empty() && is_on_trie(table_->bytes(tail.rank)))
      continue;
    found.accepting.set(tail.rank);
    found.waiting.clear(tail.rank);
  }
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
  TokenOutcomes found = groups_.outcomes(state.subset, flags);
  // Only the whole of a piece is a token that merges do not make. A boundary follows it, and of its
  // spelling nothing is on the trie any more; so for these, too, the pattern says if END may
  // follow.
  const BitSet& able = flags == kBoundary ? candidates_ : by_merges_;
  found.accepting.intersect(able);
  found.waiting.intersect(able);
  settle_tails(state.subset, flags, found);
  found.waiting.for_each([&](std::size_t index) {
    const auto rank = static_cast<Rank>(index);
    if (lives_after(state, flags, rank)) found.accepting.set(rank);
  });
  return std::move(found.accepting);
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
