// Which tokens may follow a context: masks per automaton state and per last token, cached.
#ifndef NEXTBYTE_TOKENIZER_SUCCESSOR_MASKS_H_
#define NEXTBYTE_TOKENIZER_SUCCESSOR_MASKS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "support/bits.h"
#include "support/bounded_cache.h"
#include "tokenizer/bpe_merges.h"
#include "tokenizer/byte_automaton.h"
#include "tokenizer/co_liveness.h"
#include "tokenizer/token_table.h"

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
class AllowedTokens {
 public:
  AllowedTokens(const SuccessorMasks& masks,
                TokenId last,
                std::shared_ptr<const BitSet> boundary,
                std::shared_ptr<const BitSet> interior)
      : masks_(&masks),
        last_(last),
        boundary_(std::move(boundary)),
        interior_(std::move(interior)) {}

  bool test(Rank rank) const noexcept {
    return (boundary_ && boundary_->test(rank)) || test_interior(rank);
  }
  // May the token go on in the current piece (not only start a new one)?
  bool test_interior(Rank rank) const noexcept;
  // Is any token of the ranks [first, last) allowed?
  bool any(Rank first, Rank last) const;
  // Words covering the ranks [0, size), for the kernels.
  void copy_words(Rank size, std::vector<std::uint64_t>& words) const;

 private:
  const SuccessorMasks* masks_;
  TokenId last_;
  std::shared_ptr<const BitSet> boundary_, interior_;
};

// Makes and caches the masks. Logically const and thread-safe. Memory: two masks per automaton
// subset met at a token end, and bounded caches for the rest.
class SuccessorMasks {
 public:
  SuccessorMasks(const BpeMerges& merges, const TokenTable& table, const ByteAutomaton& automaton);

  AllowedTokens allowed(const ByteAutomatonState& state, TokenId last) const;
  // The tokens that cannot go on in the piece after `last`.
  std::shared_ptr<const BitSet> invalid(TokenId last) const;
  bool pair_ok(TokenId last, Rank rank) const noexcept {
    return merges_->pair_ok(last, table_->order()[rank]);
  }

 private:
  // Tokens of [first, last) that survive `flags` from `state` and are live afterwards.
  BitSet live_tokens(const ByteAutomatonState& state, unsigned flags, Rank first, Rank last) const;

  const BpeMerges* merges_;
  const TokenTable* table_;
  const ByteAutomaton* automaton_;
  CoLiveness co_liveness_;
  TokenTable::Cursor continuation_range_;
  std::vector<Rank> euler_to_rank_;
  // Keys: the automaton state with the flags of the first character; the last token.
  mutable BoundedCache<std::uint64_t, BitSet> by_state_;
  mutable BoundedCache<TokenId, BitSet> by_last_token_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_SUCCESSOR_MASKS_H_
