// Unigram tokenizers: the encoding of a text is its segmentation of the greatest sum of scores.
#ifndef NEXTBYTE_FAMILIES_UNIGRAM_FAMILY_H_
#define NEXTBYTE_FAMILIES_UNIGRAM_FAMILY_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "families/text_guard.h"
#include "families/unigram_columns.h"
#include "families/unigram_index.h"
#include "families/unigram_pieces.h"
#include "families/unknown_characters.h"
#include "tokenizer/tokenizer_family.h"
#include "vocabulary/byte_trie.h"
#include "vocabulary/token_table.h"
#include "vocabulary/vocabulary.h"

namespace nextbyte {

struct UnigramOptions {
  UnigramArithmetic arithmetic;
  bool split_at_blank = false;       // before every blank, so that no piece has one inside
  std::vector<TokenId> byte_tokens;  // by byte: they spell what is no piece; empty if nothing does
  TextGuard::Options guard;          // the texts there are; blank_before is set here
  bool has_lead = false;             // every text begins with one blank that is not its own
};

// The library's forward pass goes over the starts of pieces in ascending order and keeps, for each
// end, the best path so far (an equal one does not replace it). What it keeps for an end depends on
// the text up to there only. Hence:
//
// - Of a text whose encoding has a cut at i, the encoding up to i is that of the text up to i. So
//   at a character boundary prefix-canonical is canonical: one context a position, it may end.
// - A token t may follow the context of x iff the pass over x·t keeps (|x|, t) for the end. Nothing
//   else is asked of it, since that context may end in turn.
//
// Inside a character that no piece begins with, its bytes are tokens: b1..bk may stand iff the pass
// keeps the unknown character for the end of some character that begins so.
class UnigramFamily final : public TokenizerFamily {
 public:
  // `pieces`: with a token of the vocabulary, or without one, see UnigramPiece. Throws
  // TokenizerFormat; UnsupportedTokenizer for what would make the masks inexact.
  UnigramFamily(std::shared_ptr<const Vocabulary> vocabulary,
                std::vector<UnigramPiece> pieces,
                UnigramOptions options);

  const TokenTable& table() const noexcept override { return table_; }
  ContextState initial() const override;
  std::shared_ptr<const AllowedTokens> allowed(const ContextState& context) const override;
  ContextState advance(const ContextState& context, Rank rank) const override;
  bool may_end(const ContextState& context) const override;
  bool segment_may_end(const ContextState& context) const override;
  void encode(std::string_view text,
              std::size_t origin,
              std::vector<TokenId>& tokens) const override;

 private:
  friend class UnigramAllowed;
  using Position = UnigramPosition;

  static const Position& position_of(const ContextState& context) noexcept;
  UnigramColumns columns(const Position& position) const {
    return UnigramColumns(pieces_, arithmetic_, position, split_at_blank_);
  }
  Position behind_piece(const Position& position, Rank rank) const;
  Position behind_byte(const Position& position, Rank rank) const;
  // Does the pass keep the unknown character for its end, and may the text go on with it?
  bool is_unknown_there(const Position& position, char32_t character) const;
  // May anything follow? Asked only where the text may not end.
  bool goes_on(const Position& position) const;
  void encode_part(std::string_view text, std::size_t origin, std::vector<TokenId>& tokens) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  UnigramArithmetic arithmetic_;
  bool split_at_blank_;
  bool has_lead_;
  std::vector<TokenId> byte_tokens_;
  TextGuard guard_;
  std::vector<UnigramPiece> piece_list_;
  UnigramPieces pieces_;
  ByteTrie encoder_trie_;  // entry i is piece_list_[i]
  UnknownCharacters unknown_;
  TokenTable table_;
  UnigramIndex index_;
  std::vector<Rank> byte_ranks_;         // ascending
  Rank blank_rank_ = kNoRank;            // the token of one blank
  Rank first_lead_ = 0, last_lead_ = 0;  // the tokens that begin with the lead
  std::shared_ptr<const Position> initial_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_UNIGRAM_FAMILY_H_
