// BPE over characters with byte fallback: SentencePiece's BPE models, and what was made from them.
#ifndef NEXTBYTE_FAMILIES_CHARACTER_PAIR_FAMILY_H_
#define NEXTBYTE_FAMILIES_CHARACTER_PAIR_FAMILY_H_

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "families/byte_fallback.h"
#include "families/pair_successors.h"
#include "support/bounded_cache.h"
#include "tokenizer/tokenizer_family.h"
#include "vocabulary/bpe_merges.h"
#include "vocabulary/vocabulary.h"

namespace nextbyte {

// The text starts as one symbol per character; symbols merge by rank, leftmost first, over the
// whole segment. A character without a token is spelled by byte tokens, which never merge; where
// it has none, it is in no text. So (docs/theory.md 11):
//   a sequence is canonical iff each maximal run of pieces is (locality: the pair test), and the
//   byte tokens between them spell whole characters that have no token;
//   every such sequence is the encoding of its bytes, so a context is live iff its byte tokens at
//   the end begin such a character.
// Context state: `last`; the bytes of the character in progress in automaton.pending; the phase in
// automaton.flags.
//
// Lead. A text that is not empty gets a blank in front. So the sequence of the blank's token alone
// is the encoding of no text, and every encoding starts with a blank.
class CharacterPairFamily final : public TokenizerFamily {
 public:
  // `merges`: with BaseSymbols::kCharacters, over the ids of `vocabulary`; byte tokens take no
  // part. `byte_tokens`: their ids by byte. `has_lead`: the tokenizer's lead is one blank.
  // Throws TokenizerFormat if a byte token's bytes are not its byte.
  CharacterPairFamily(std::shared_ptr<const Vocabulary> vocabulary,
                      BpeMerges merges,
                      const ByteFallback::ByteTokens& byte_tokens,
                      bool has_lead);

  const TokenTable& table() const noexcept override { return table_; }
  ContextState initial() const override;
  ContextState segment_start() const override;
  std::shared_ptr<const AllowedTokens> allowed(const ContextState& context) const override;
  ContextState advance(const ContextState& context, Rank rank) const override;
  bool may_end(const ContextState& context) const override;
  bool segment_may_end(const ContextState& context) const override;
  void encode(std::string_view text,
              std::size_t origin,
              std::vector<TokenId>& tokens) const override;
  const BpeMerges* merges() const noexcept override { return &merges_; }

 private:
  using Mask = std::shared_ptr<const BitSet>;

  std::vector<std::string> table_entries() const;
  std::shared_ptr<const AllowedTokens> successors(TokenId last, Mask free, Mask bound) const;
  // The byte tokens that go on in a character; a token of another kind never starts so.
  Mask continuations(const CharacterPrefix& prefix) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  BpeMerges merges_;
  std::unordered_map<char32_t, TokenId> characters_;  // that have a token
  ByteFallback fallback_;
  std::vector<bool> is_byte_token_;  // by token id
  TokenTable table_;
  InvalidSuccessors invalid_;
  bool has_lead_;
  Mask pieces_;            // all tokens but the byte tokens (and the added ones)
  Mask character_starts_;  // the byte tokens that begin a spelled character
  Mask after_no_piece_;    // the union of the two
  Mask text_starts_;       // those of the union that start with the lead, and are live
  mutable BoundedCache<std::uint64_t, BitSet> continuations_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_CHARACTER_PAIR_FAMILY_H_
