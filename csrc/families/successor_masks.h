// Which tokens may follow a context of byte pairs: masks per automaton state and per last token.
#ifndef NEXTBYTE_FAMILIES_SUCCESSOR_MASKS_H_
#define NEXTBYTE_FAMILIES_SUCCESSOR_MASKS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "families/co_liveness.h"
#include "families/pair_successors.h"
#include "families/tail_ways.h"
#include "families/waiting_tokens.h"
#include "support/bits.h"
#include "support/bounded_cache.h"
#include "tokenizer/byte_automaton.h"
#include "tokenizer/token_groups.h"
#include "vocabulary/bpe_merges.h"
#include "vocabulary/byte_trie.h"

namespace nextbyte {

// The tokens that may follow one context:
//   allowed = boundary | (interior & ~invalid)                                     docs/theory.md 4
// A token of `boundary` starts a new piece; one of `interior` goes on in the piece, so BPE must
// leave the cut alone. Every allowed token leads to a context that is live (docs/theory.md 5).
//
// Makes and caches the masks. A mask is a few runs of ranks for each group of tokens that act alike
// (TokenGroups); of tokens behind which something must follow the answers are known (WaitingTokens,
// TailWays). All that is made at construction. Logically const and thread-safe. Memory: bounded
// caches. (docs/adr/0025)
class SuccessorMasks {
 public:
  // Small ones, there for the checks, change no answer.
  struct Limits {
    // Masks are 6 KB (49k tokens) to 33 KB (262k): at most 2 * 1024 * 33 KB = 68 MB.
    std::size_t cached_masks = 1024;
    std::size_t group_entries = TokenGroups::kMaxEntries;
    std::size_t waiting_pairs = WaitingTokens::kMaxPairs;
    CoLiveness::Limits co_liveness = {};
    InvalidSuccessors::Limits invalid = {};
  };

  // `candidates`: the ranks of the tokens that merges or the whole-piece rule can produce.
  // `whole_pieces`: the tokens that only the whole-piece rule produces (docs/theory.md 7).
  SuccessorMasks(const BpeMerges& merges,
                 const TokenTable& table,
                 const Pretokenizer& pretokenizer,
                 const ByteAutomaton& automaton,
                 const ByteTrie& whole_pieces,
                 BitSet candidates)
      : SuccessorMasks(
            merges, table, pretokenizer, automaton, whole_pieces, std::move(candidates), Limits()) {
  }
  SuccessorMasks(const BpeMerges& merges,
                 const TokenTable& table,
                 const Pretokenizer& pretokenizer,
                 const ByteAutomaton& automaton,
                 const ByteTrie& whole_pieces,
                 BitSet candidates,
                 const Limits& limits);

  // `states`: the automaton may be in any of these after the context.
  std::shared_ptr<const AllowedTokens> allowed(std::span<const ByteAutomatonState> states,
                                               TokenId last) const;

 private:
  using Mask = std::shared_ptr<const BitSet>;
  // Tokens that survive `flags` from `state` and are live afterwards.
  Mask mask(const ByteAutomatonState& state, unsigned flags) const;
  BitSet live_tokens(const ByteAutomatonState& state, unsigned flags) const;
  BitSet live_inside_character(const ByteAutomatonState& state, unsigned flags) const;
  // Adds the live tails, which end inside a character.
  void add_live_tails(const ByteAutomatonState& state, unsigned flags, BitSet& live) const;
  // `common` is the mask of the same pre-tokenizer state with nothing else known of the past: off
  // the trie of whole pieces, neutral in the normal form. Looks again at the tokens for which that
  // past matters: those that stay on the trie, and sensitive ones.
  BitSet with_past(const BitSet& common, const ByteAutomatonState& state, unsigned flags) const;
  bool lives_after(const ByteAutomatonState& state, unsigned flags, Rank rank) const;

  const BpeMerges* merges_;
  const TokenTable* table_;
  const Pretokenizer* pretokenizer_;
  const ByteAutomaton* automaton_;
  const ByteTrie* whole_pieces_;
  BitSet candidates_;
  BitSet by_merges_;  // those of them that are canonical alone
  InvalidSuccessors invalid_;
  TokenGroups groups_;
  CoLiveness co_liveness_;
  TokenTable::Cursor continuation_range_;
  std::vector<Rank> sensitive_;  // to the state of the normal form
  WaitingTokens waiting_;
  TailWays ways_;
  // By the automaton state with the flags of the first character.
  mutable BoundedCache<ByteAutomatonState, BitSet, ByteAutomatonStateHash> by_state_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_SUCCESSOR_MASKS_H_
