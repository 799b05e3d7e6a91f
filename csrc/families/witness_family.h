// Tokenizers whose rule is not compiled: sequences count once the tokenizer itself confirms them.
#ifndef NEXTBYTE_FAMILIES_WITNESS_FAMILY_H_
#define NEXTBYTE_FAMILIES_WITNESS_FAMILY_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer_family.h"
#include "vocabulary/vocabulary.h"

namespace nextbyte {

// The tokenizer's own encoder: the ids of each text. Texts are valid UTF-8.
using EncodeBatch =
    std::function<std::vector<std::vector<TokenId>>(const std::vector<std::string>&)>;

// A *witness* of a sequence is a text whose encoding begins with it: a proof that the sequence is
// prefix-canonical. Witnesses are looked for among the sequence's own bytes followed by each of a
// list of tails (docs/theory.md, Witnesses). So what counts is sound; what is found no witness for
// may be missing. Tokens are tested in order of the mass that the model gives them, until what is
// left untested weighs less than a thousandth; the stream reports all mass that was not confirmed.
//
// Costs a few encodings of the whole text so far for a token that is confirmed, one per tail for
// one that is not: milliseconds to tenths of a second a context.
class WitnessFamily final : public TokenizerFamily {
 public:
  WitnessFamily(std::shared_ptr<const Vocabulary> vocabulary, EncodeBatch encode_batch);

  const TokenTable& table() const noexcept override { return table_; }
  ContextState initial() const override;
  std::shared_ptr<const AllowedTokens> allowed(const ContextState& context) const override;
  ContextState advance(const ContextState& context, Rank rank) const override;
  bool may_end(const ContextState& context) const override;
  void encode(std::string_view text,
              std::size_t origin,
              std::vector<TokenId>& tokens) const override;
  bool is_witnessed() const noexcept override { return true; }

  std::vector<std::vector<TokenId>> encode_batch(const std::vector<std::string>& texts) const {
    return encode_batch_(texts);
  }

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  EncodeBatch encode_batch_;
  TokenTable table_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_WITNESS_FAMILY_H_
