// Breadth-first search for a canonical future, with the answers remembered.
#include "families/co_liveness.h"

#include <deque>
#include <unordered_set>

namespace nextbyte {
namespace {

constexpr std::size_t kWitnessTries = 64;

}  // namespace

CoLiveness::CoLiveness(const BpeMerges& merges,
                       const TokenTable& table,
                       const Pretokenizer& pretokenizer,
                       const ByteAutomaton& automaton,
                       const TokenGroups& groups,
                       const InvalidSuccessors& invalid,
                       const BitSet& candidates,
                       const BitSet& by_merges,
                       Limits limits)
    : merges_(&merges),
      table_(&table),
      automaton_(&automaton),
      groups_(&groups),
      invalid_(&invalid),
      candidates_(&candidates),
      by_merges_(&by_merges),
      limits_(limits),
      witnesses_(pretokenizer.num_subsets()),
      scans_(limits.scans) {
  table.for_each_child(table.root(), [&](std::uint8_t byte, Rank first, Rank last) {
    if ((byte & 0xC0) == 0x80) continuations_.push_back({byte, first, last});
  });
}

bool CoLiveness::live(const ByteAutomatonState& state, TokenId last) const {
  if (automaton_->accepts_end(state) || has_witness(state, last)) return true;
  const Node node{state, last};
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto it = known_.find(node); it != known_.end()) return it->second;
  }
  return search(node);
}

std::shared_ptr<const CoLiveness::BoundaryScan> CoLiveness::boundary_scan(SubsetId subset) const {
  return scans_.get(subset, [&] {
    BoundaryScan scan{groups_->outcomes(subset, kBoundary), groups_->outcomes(subset, kContinue)};
    scan.boundary.accepting.intersect(*candidates_);
    scan.boundary.waiting.intersect(*candidates_);
    scan.interior.accepting.intersect(*by_merges_);
    scan.interior.waiting.intersect(*by_merges_);
    scan.boundary.accepting.summarize();
    scan.interior.accepting.summarize();
    return scan;
  });
}

bool CoLiveness::has_witness(const ByteAutomatonState& state, TokenId last) const noexcept {
  if (!state.at_character_boundary() || state.piece != ByteTrie::kOff) return false;
  const Witness& witness = witnesses_[state.subset];
  if (witness.starts.load(std::memory_order_relaxed)) return true;
  const Rank goes_on = witness.goes_on.load(std::memory_order_relaxed);
  return goes_on != kNoRank && last != kNoToken && merges_->pair_ok(last, table_->order()[goes_on]);
}

void CoLiveness::look_for_witness(const Node& node, const BoundaryScan& scan) const {
  Witness& witness = witnesses_[node.state.subset];
  std::size_t tries = 0;
  const auto stop = [&] { return ++tries == kWitnessTries; };
  scan.boundary.accepting.any_of([&](std::size_t rank) {
    if (automaton_->is_sensitive(table_->bytes(static_cast<Rank>(rank)))) return stop();
    witness.starts.store(true, std::memory_order_relaxed);
    return true;
  });
  tries = 0;
  scan.interior.accepting.any_of([&](std::size_t index) {
    const auto rank = static_cast<Rank>(index);
    if (automaton_->is_sensitive(table_->bytes(rank))) return stop();
    if (!invalid_->pair_ok(node.last, rank)) return stop();
    witness.goes_on.store(rank, std::memory_order_relaxed);
    return true;
  });
}

template <typename Visit>
bool CoLiveness::any_successor_accepts(const Node& node, Visit visit) const {
  const auto accepts = [&](std::size_t index, unsigned flags) {
    const auto rank = static_cast<Rank>(index);
    if (!candidates_->test(rank)) return false;
    ByteAutomatonState next = node.state;
    const TokenId token = table_->order()[rank];
    // Rules out more than the pair test, at less cost.
    if (!automaton_->run(next, table_->bytes(rank), flags)) return false;
    if (flags == kContinue && !merges_->pair_ok(node.last, token)) return false;
    if (!merges_->is_canonical_alone(token)) next.piece = ByteTrie::kOff;  // a whole piece
    if (automaton_->accepts_end(next)) return true;
    visit(Node{next, token});
    return false;
  };
  const auto goes_on = [&](std::size_t rank) { return accepts(rank, kContinue); };
  if (!node.state.at_character_boundary()) {
    for (const FirstByte& child : continuations_) {
      ByteAutomatonState next = node.state;
      // One look for all of them, where there are more than the byte itself.
      if (child.last - child.first > 1 && !automaton_->step(next, child.byte)) continue;
      for (Rank rank = child.first; rank < child.last; ++rank) {
        if (goes_on(rank)) return true;
      }
    }
    return false;
  }
  // A boundary state that does not accept END is rare (a look-ahead that waits for its character).
  // What the scan says of the tokens holds where nothing else is known of the past. Where there is,
  // it can only hinder, and each token is looked at.
  const std::shared_ptr<const BoundaryScan> scan = boundary_scan(node.state.subset);
  const auto starts = [&](std::size_t rank) { return accepts(rank, kBoundary); };
  const bool is_neutral = node.state.normal == kNeutralNormalForm;
  const bool may_start = automaton_->may_split(node.state);
  const bool may_go_on = node.last != kNoToken && merges_->is_canonical_alone(node.last);
  const TokenOutcomes& boundary = scan->boundary;
  const TokenOutcomes& interior = scan->interior;
  if (may_go_on) look_for_witness(node, *scan);
  if (has_witness(node.state, node.last)) return true;
  if (may_start && is_neutral && boundary.accepting.any()) return true;
  if (may_go_on && invalid_->any_valid(node.last, interior.accepting, 0, table_->size())) {
    if (is_neutral && node.state.piece == ByteTrie::kOff) return true;
    if (interior.accepting.any_of(goes_on)) return true;
  }
  if (may_start &&
      ((!is_neutral && boundary.accepting.any_of(starts)) || boundary.waiting.any_of(starts))) {
    return true;
  }
  return may_go_on && interior.waiting.any_of(goes_on);
}

bool CoLiveness::search(const Node& start) const {
  std::unordered_set<Node, NodeHash> seen{start};
  std::deque<Node> queue{start};
  bool live = false;
  while (!live && !queue.empty()) {
    const Node node = queue.front();
    queue.pop_front();
    live = any_successor_accepts(node, [&](const Node& next) {
      if (seen.insert(next).second) queue.push_back(next);
    });
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (known_.size() + seen.size() > limits_.answers) known_.clear();
  if (live) {
    known_[start] = true;
  } else {
    for (const Node& node : seen) known_[node] = false;  // nothing reachable from here accepts END
  }
  return live;
}

}  // namespace nextbyte
