// Breadth-first search for a canonical future, with the answers remembered.
#include "families/co_liveness.h"

#include <deque>
#include <unordered_set>

namespace nextbyte {
namespace {

constexpr std::size_t kMaxKnown = std::size_t{1}
                                  << 18;  // answers kept before the memo starts afresh

}  // namespace

CoLiveness::CoLiveness(const BpeMerges& merges,
                       const TokenTable& table,
                       const ByteAutomaton& automaton,
                       const BitSet& candidates)
    : merges_(&merges),
      table_(&table),
      automaton_(&automaton),
      candidates_(&candidates),
      continuation_range_(table.first_byte_range(0x80, 0xBF)) {}

bool CoLiveness::live(const ByteAutomatonState& state, TokenId last) const {
  if (automaton_->accepts_end(state)) return true;
  const Node node{state, last};
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto it = known_.find(node); it != known_.end()) return it->second;
  }
  return search(node);
}

std::shared_ptr<const CoLiveness::BoundaryScan> CoLiveness::boundary_scan(
    const ByteAutomatonState& state) const {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto it = scans_.find(state.subset); it != scans_.end()) return it->second;
  }
  // The tokens that survive with nothing known of the past but the subset; there may be fewer.
  ByteAutomatonState start = state;
  start.piece = ByteTrie::kOff;
  start.normal = kNeutralNormalForm;
  auto made = std::make_shared<const BoundaryScan>(
      BoundaryScan{scan_tokens(*automaton_, *table_, start, kBoundary, 0, table_->size()),
                   scan_tokens(*automaton_, *table_, start, kContinue, 0, table_->size())});
  const std::lock_guard<std::mutex> lock(mutex_);
  return scans_.emplace(state.subset, std::move(made)).first->second;
}

template <typename Visit>
bool CoLiveness::any_successor(const Node& node, Visit visit) const {
  const auto try_token = [&](Rank rank, unsigned flags) {
    if (!candidates_->test(rank)) return false;
    ByteAutomatonState next = node.state;
    const TokenId token = table_->order()[rank];
    if (!automaton_->run(next, table_->bytes(rank), flags)) return false;
    if (!merges_->is_canonical_alone(token)) next.piece = ByteTrie::kOff;  // a whole piece
    return visit(Node{next, token});
  };
  if (!node.state.at_character_boundary()) {
    for (Rank rank = continuation_range_.first; rank < continuation_range_.last; ++rank) {
      if (merges_->pair_ok(node.last, table_->order()[rank]) && try_token(rank, kContinue))
        return true;
    }
    return false;
  }
  // A boundary state that does not accept END is rare (a look-ahead that waits for its character).
  const std::shared_ptr<const BoundaryScan> scan = boundary_scan(node.state);
  bool found = false;
  if (automaton_->may_split(node.state)) {
    scan->boundary.alive.for_each([&](std::size_t rank) {
      if (!found) found = try_token(static_cast<Rank>(rank), kBoundary);
    });
  }
  if (node.last == kNoToken) return found;
  scan->interior.alive.for_each([&](std::size_t rank) {
    if (!found && merges_->pair_ok(node.last, table_->order()[rank])) {
      found = try_token(static_cast<Rank>(rank), kContinue);
    }
  });
  return found;
}

bool CoLiveness::search(const Node& start) const {
  std::unordered_set<Node, NodeHash> seen{start};
  std::deque<Node> queue{start};
  bool live = false;
  while (!live && !queue.empty()) {
    const Node node = queue.front();
    queue.pop_front();
    live = any_successor(node, [&](const Node& next) {
      if (automaton_->accepts_end(next.state)) return true;
      if (seen.insert(next).second) queue.push_back(next);
      return false;
    });
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (known_.size() + seen.size() > kMaxKnown) known_.clear();
  if (live) {
    known_[start] = true;
  } else {
    for (const Node& node : seen) known_[node] = false;  // nothing reachable from here accepts END
  }
  return live;
}

}  // namespace nextbyte
