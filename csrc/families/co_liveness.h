// Co-liveness: whether a context that pre-tokenizer and merges each allow has any common future.
#ifndef NEXTBYTE_FAMILIES_CO_LIVENESS_H_
#define NEXTBYTE_FAMILIES_CO_LIVENESS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "families/pair_successors.h"
#include "support/bits.h"
#include "support/bounded_cache.h"
#include "tokenizer/byte_automaton.h"
#include "tokenizer/token_groups.h"
#include "vocabulary/bpe_merges.h"
#include "vocabulary/token_table.h"

namespace nextbyte {

// BPE and the pre-tokenizer can contradict each other in the future: a token that ends inside a
// character may have only completions that BPE would have merged, or a blank may demand a next
// character that merges with it. Such a context is the prefix of no canonical sequence.
//
// Rule (docs/theory.md 5): a state that accepts END is live; otherwise search breadth first, over
// tokens that automaton and pair test allow, for an END-accepting state. The answer depends only on
// (automaton state, last token). Nearly every query ends after one step. Memory: bounded caches.
class CoLiveness {
 public:
  // Both are there for the checks: small ones change no answer.
  struct Limits {
    std::size_t answers = std::size_t{1} << 18;  // kept before the memo starts afresh
    std::size_t scans = 32;  // four masks each: at most 2 * 32 * 4 * 33 KB = 8 MB at 262k tokens
  };

  // All outlive this. `candidates`: the ranks that can follow anything at all; `by_merges`: those
  // of them that are canonical alone, so that they can follow in the middle of a piece.
  CoLiveness(const BpeMerges& merges,
             const TokenTable& table,
             const Pretokenizer& pretokenizer,
             const ByteAutomaton& automaton,
             const TokenGroups& groups,
             const InvalidSuccessors& invalid,
             const BitSet& candidates,
             const BitSet& by_merges,
             Limits limits);

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
  // By subset, a token that was seen to lead to a possible end of text: it starts a piece, so that
  // it may follow any token, or goes on in one. It is no matter what else is known of the past. A
  // guess that spares a search: none, or one that the last token hinders, says nothing.
  struct Witness {
    std::atomic<bool> starts{false};
    std::atomic<Rank> goes_on{kNoRank};
  };
  struct FirstByte {
    std::uint8_t byte;
    Rank first, last;  // the tokens
  };
  struct BoundaryScan {
    TokenOutcomes boundary;  // the token starts a new piece
    TokenOutcomes interior;  // the token goes on in the current piece
  };
  // Does some successor of `node` accept END? If none does, visit(next node) was called for each.
  template <typename Visit>
  bool any_successor_accepts(const Node& node, Visit visit) const;
  std::shared_ptr<const BoundaryScan> boundary_scan(SubsetId subset) const;
  bool search(const Node& start) const;
  bool has_witness(const ByteAutomatonState& state, TokenId last) const noexcept;
  void look_for_witness(const Node& node, const BoundaryScan& scan) const;

  const BpeMerges* merges_;
  const TokenTable* table_;
  const ByteAutomaton* automaton_;
  const TokenGroups* groups_;
  const InvalidSuccessors* invalid_;
  const BitSet* candidates_;
  const BitSet* by_merges_;
  Limits limits_;
  std::vector<FirstByte> continuations_;  // tokens that start with a UTF-8 continuation byte
  mutable std::vector<Witness> witnesses_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<Node, bool, NodeHash> known_;
  mutable BoundedCache<SubsetId, BoundaryScan> scans_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_CO_LIVENESS_H_
