// What a family of tokenizers (byte pairs, unigram, ...) must answer about its sequences.
#ifndef NEXTBYTE_TOKENIZER_TOKENIZER_FAMILY_H_
#define NEXTBYTE_TOKENIZER_TOKENIZER_FAMILY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/context_state.h"
#include "vocabulary/token_table.h"

namespace nextbyte {

class BpeMerges;
class Pretokenizer;

// The tokens that may follow one context: those that lead to a prefix-canonical sequence, i.e. to
// the beginning of the encoding of some text. Exact; or, see TokenizerFamily, a superset. Valid
// while the tokenizer lives.
class AllowedTokens {
 public:
  virtual ~AllowedTokens() = default;
  virtual bool test(Rank rank) const = 0;
  // Is any token of the ranks [first, last) allowed?
  virtual bool any(Rank first, Rank last) const = 0;
  // Replaces `words` by the bits of the ranks [0, size), for the kernels; size is the table's.
  virtual void copy_words(Rank size, std::vector<std::uint64_t>& words) const = 0;

  // A family that can only find out one by one which tokens are allowed (WitnessFamily) says so
  // here, and is asked through choose() with the model's masses of all ranks (not normalized); it
  // may leave out tokens of little mass.
  virtual bool wants_masses() const noexcept { return false; }
  virtual void choose(std::span<const double> masses, std::vector<std::uint64_t>& words) const {
    copy_words(static_cast<Rank>(masses.size()), words);
  }
};

// A tokenizer's sequences as an automaton over tokens. A context is a prefix-canonical sequence,
// known by its state. Logically immutable: caches fill up under locks, so it is shared between
// threads. States of different families are never mixed.
//
// Promise (docs/theory.md 5): a token is allowed in a context iff some text's encoding begins with
// the context and the token. So an allowed token always leads to a context that may end the text or
// has an allowed token itself.
class TokenizerFamily {
 public:
  virtual ~TokenizerFamily() = default;
  TokenizerFamily() = default;
  TokenizerFamily(const TokenizerFamily&) = delete;
  TokenizerFamily& operator=(const TokenizerFamily&) = delete;

  // Only the tokens that occur in some text's encoding have a rank; no two have the same bytes.
  virtual const TokenTable& table() const noexcept = 0;
  // The empty sequence, from where a text begins.
  virtual ContextState initial() const = 0;
  // Where a segment begins that is not the text's first, behind a token that was read out of text.
  // Differs from initial() only where a text has something in front that a segment has not.
  virtual ContextState segment_start() const { return initial(); }
  virtual std::shared_ptr<const AllowedTokens> allowed(const ContextState& context) const = 0;
  // The state after `rank`, which must be allowed in `context`.
  virtual ContextState advance(const ContextState& context, Rank rank) const = 0;
  // Steps if the past of the context lets `rank` follow, which may be any rank; false and `next`
  // undefined if not. True for every allowed token, and possibly for one from where no text goes
  // on. For single steps where allowed() would have to make a mask first.
  virtual bool try_advance(const ContextState& context, Rank rank, ContextState& next) const {
    if (!allowed(context)->test(rank)) return false;
    next = advance(context, rank);
    return true;
  }
  // Is the context the whole encoding of a text?
  virtual bool may_end(const ContextState& context) const = 0;
  // May the segment end here because a token that was read out of text comes next? Differs from
  // may_end only where a text has something in front that a segment has not.
  virtual bool segment_may_end(const ContextState& context) const { return may_end(context); }
  // The encoding of a complete segment, appended to `tokens`: the family's own algorithm,
  // independent of everything above. `text` is valid UTF-8. Throws InvalidInput with
  // the position of what has no token: its offset in `text` plus `origin` (modulo 2^64: before the
  // text is -1).
  virtual void encode(std::string_view text,
                      std::size_t origin,
                      std::vector<TokenId>& tokens) const = 0;

  // Are sequences only allowed once the tokenizer itself has confirmed them (WitnessFamily)?
  virtual bool is_witnessed() const noexcept { return false; }
  // What splits the text before the tokens are made; nullptr if nothing does.
  virtual const Pretokenizer* pretokenizer() const noexcept { return nullptr; }
  // The merges behind the tokens; nullptr if there are none.
  virtual const BpeMerges* merges() const noexcept { return nullptr; }
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_TOKENIZER_FAMILY_H_
