// The compiled tokenizer: a vocabulary, the family that tokenizes segments, and what goes around
// it.
#ifndef NEXTBYTE_TOKENIZER_TOKENIZER_H_
#define NEXTBYTE_TOKENIZER_TOKENIZER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer_family.h"
#include "vocabulary/vocabulary.h"

namespace nextbyte {

// What streams and bindings see of a tokenizer. Shared freely between threads.
class Tokenizer {
 public:
  // `lead`: bytes that every non-empty text's tokens spell before the text itself (SentencePiece's
  // dummy prefix, one blank). Throws UnsupportedTokenizer if that is an added token.
  Tokenizer(std::shared_ptr<const Vocabulary> vocabulary,
            std::unique_ptr<const TokenizerFamily> family,
            std::string lead = "");

  std::size_t vocabulary_size() const noexcept { return vocabulary_->size(); }
  // Rows of logits must be at least so wide: one more than the greatest id of a token that a text
  // can have. Special tokens behind it need no logit.
  std::size_t row_size() const noexcept { return row_size_; }
  // The tokens of the vocabulary without a rank, ascending. A *presorted* row has the logits of the
  // ranked tokens in order of rank, then those of these, then those of ids behind the vocabulary.
  const std::vector<TokenId>& unranked() const noexcept { return unranked_; }
  // Where the logit of a token without a rank is in a presorted row, and the token at a place.
  std::size_t presorted_place(TokenId unranked_token) const noexcept;
  TokenId token_at_place(std::size_t place) const noexcept;
  const std::string& token_bytes(TokenId token) const noexcept { return vocabulary_->bytes(token); }
  const Vocabulary& vocabulary() const noexcept { return *vocabulary_; }
  const std::string& lead() const noexcept { return lead_; }
  const TokenizerFamily& family() const noexcept { return *family_; }
  // Only the tokens that occur in some text's encoding have a rank.
  const TokenTable& table() const noexcept { return family_->table(); }

  ContextState initial() const { return family_->initial(); }
  std::shared_ptr<const AllowedTokens> allowed(const ContextState& context) const {
    return family_->allowed(context);
  }
  ContextState advance(const ContextState& context, Rank rank) const {
    return family_->advance(context, rank);
  }
  bool may_end(const ContextState& context) const { return family_->may_end(context); }

  // The tokenizer's own encoding of a complete text, `lead` added. Independent of the masks. Throws
  // InvalidInput naming the position of invalid UTF-8 or of what has no token.
  std::vector<TokenId> encode(std::string_view text) const;

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const TokenizerFamily> family_;
  std::string lead_;
  std::size_t row_size_;
  std::vector<TokenId> unranked_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_TOKENIZER_H_
