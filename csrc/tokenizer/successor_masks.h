// Which tokens may follow a context of byte pairs: masks per automaton state and per last token.
#ifndef NEXTBYTE_TOKENIZER_SUCCESSOR_MASKS_H_
#define NEXTBYTE_TOKENIZER_SUCCESSOR_MASKS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "support/bits.h"
#include "support/bounded_cache.h"
#include "tokenizer/bpe_merges.h"
#include "tokenizer/byte_automaton.h"
#include "tokenizer/byte_trie.h"
#include "tokenizer/co_liveness.h"
#include "tokenizer/tokenizer_family.h"

namespace nextbyte {

class SuccessorMasks;

// The tokens that may follow one context:
//   allowed = boundary | (interior & ~invalid)                                     docs/theory.md 4
// A token of `boundary` starts a new piece; one of `interior` goes on in the piece, so BPE must
// leave the cut alone: `invalid` are the successors with which it would not. Every allowed token
// leads to a context that is live (docs/theory.md 5).
//
// boundary and interior are shared masks. invalid is asked token by token (a pair test) as long as
// that is enough, which it is while a stream is only pushed, and becomes a mask when the whole row
// is wanted. Valid while the Tokenizer lives.
class BytePairSuccessors final : public AllowedTokens {
 public:
  BytePairSuccessors(const SuccessorMasks& masks,
                     TokenId last,
                     std::shared_ptr<const BitSet> boundary,
                     std::shared_ptr<const BitSet> interior)
      : masks_(&masks),
        last_(last),
        boundary_(std::move(boundary)),
        interior_(std::move(interior)) {}

  bool test(Rank rank) const override;
  bool any(Rank first, Rank last) const override;
  void copy_words(Rank size, std::vector<std::uint64_t>& words) const override;

 private:
  const SuccessorMasks* masks_;
  TokenId last_;
  std::shared_ptr<const BitSet> boundary_, interior_;  // nullptr: empty
};

// Makes and caches the masks. Logically const and thread-safe. Memory: two masks per automaton
// subset met at a token end, and bounded caches for the rest.
class SuccessorMasks {
 public:
  // `candidates`: the ranks of the tokens that merges or the whole-piece rule can produce.
  // `whole_pieces`: the tokens that only the whole-piece rule produces (docs/theory.md 7).
  SuccessorMasks(const BpeMerges& merges,
                 const TokenTable& table,
                 const ByteAutomaton& automaton,
                 const ByteTrie& whole_pieces,
                 BitSet candidates);

  // `states`: the automaton may be in any of these after the context.
  std::shared_ptr<const AllowedTokens> allowed(std::span<const ByteAutomatonState> states,
                                               TokenId last) const;
  // The tokens that cannot go on in the piece after `last`.
  std::shared_ptr<const BitSet> invalid(TokenId last) const;
  bool pair_ok(TokenId last, Rank rank) const noexcept {
    return merges_->pair_ok(last, table_->order()[rank]);
  }

 private:
  using Mask = std::shared_ptr<const BitSet>;
  // Tokens that survive `flags` from `state` and are live afterwards.
  Mask mask(const ByteAutomatonState& state, unsigned flags) const;
  BitSet live_tokens(const ByteAutomatonState& state, unsigned flags) const;
  // `common` is the mask of the same pre-tokenizer state with nothing else known of the past: off
  // the trie of whole pieces, neutral in the normal form. Looks again at the tokens for which that
  // past matters: those that complete a whole piece, and sensitive ones.
  BitSet with_past(const BitSet& common, const ByteAutomatonState& state, unsigned flags) const;
  bool lives_after(const ByteAutomatonState& state, unsigned flags, Rank rank) const;

  const BpeMerges* merges_;
  const TokenTable* table_;
  const ByteAutomaton* automaton_;
  const ByteTrie* whole_pieces_;
  BitSet candidates_;
  CoLiveness co_liveness_;
  TokenTable::Cursor continuation_range_;
  std::vector<Rank> euler_to_rank_;
  std::vector<Rank> sensitive_;  // to the state of the normal form
  // Keys: the automaton state with the flags of the first character; the last token.
  mutable BoundedCache<ByteAutomatonState, BitSet, ByteAutomatonStateHash> by_state_;
  mutable BoundedCache<TokenId, BitSet> by_last_token_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_SUCCESSOR_MASKS_H_
