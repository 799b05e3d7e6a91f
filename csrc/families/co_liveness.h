// Co-liveness: whether a context that pre-tokenizer and merges each allow has any common future.
#ifndef NEXTBYTE_FAMILIES_CO_LIVENESS_H_
#define NEXTBYTE_FAMILIES_CO_LIVENESS_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "tokenizer/byte_automaton.h"
#include "tokenizer/token_scan.h"
#include "vocabulary/bpe_merges.h"
#include "vocabulary/token_table.h"

namespace nextbyte {

// BPE and the pre-tokenizer can contradict each other in the future: a token that ends inside a
// character may have only completions that BPE would have merged, or a blank may demand a next
// character that merges with it. Such a context is the prefix of no canonical sequence.
//
// Rule (docs/theory.md 5): a state that accepts END is live; otherwise search breadth first, over
// tokens that automaton and pair test allow, for an END-accepting state. The answer depends only on
// (automaton state, last token). Nearly every query ends after one step.
class CoLiveness {
 public:
  // `candidates`: the ranks that can follow anything at all.
  CoLiveness(const BpeMerges& merges,
             const TokenTable& table,
             const ByteAutomaton& automaton,
             const BitSet& candidates);

  // Is a context with this state and last token the prefix of some canonical sequence?
  bool live(const ByteAutomatonState& state, TokenId last) const;

 private:
  struct Node {
    ByteAutomatonState state;
    TokenId last;
    friend bool operator==(const Node&, const Node&) = default;
  };
  struct NodeHash {
    std::size_t operator()(const Node& node) const noexcept {
      return static_cast<std::size_t>(
          (ByteAutomatonStateHash()(node.state) ^ std::uint64_t{node.last} << 20) *
          0x9E3779B97F4A7C15ULL);
    }
  };
  struct BoundaryScan {
    TokenScan boundary;  // the token starts a new piece
    TokenScan interior;  // the token goes on in the current piece
  };
  // Calls visit(next node, accepting) for the successors of `node` until visit returns true.
  template <typename Visit>
  bool any_successor(const Node& node, Visit visit) const;
  std::shared_ptr<const BoundaryScan> boundary_scan(const ByteAutomatonState& state) const;
  bool search(const Node& start) const;

  const BpeMerges* merges_;
  const TokenTable* table_;
  const ByteAutomaton* automaton_;
  const BitSet* candidates_;
  TokenTable::Cursor continuation_range_;  // tokens that start with a UTF-8 continuation byte
  mutable std::mutex mutex_;
  mutable std::unordered_map<Node, bool, NodeHash> known_;
  mutable std::unordered_map<SubsetId, std::shared_ptr<const BoundaryScan>> scans_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_CO_LIVENESS_H_
