// A walk from one context on, a token at a time, by the law that the byte stream sums up.
#ifndef NEXTBYTE_MASS_TOKEN_WALK_H_
#define NEXTBYTE_MASS_TOKEN_WALK_H_

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "mass/byte_stream.h"

namespace nextbyte {

// The law q(t | s) of docs/theory.md 2: the tokens that may follow s, and END_OF_TEXT where the
// text may end, locally renormalized. A cover drawn from cover_posterior() and then tokens drawn
// from q have A(x) as the law of their bytes: A is a sum of products of q over covers.
//
// Protocol: provide() the row of the context, ask or draw, advance() by a token, and again. One
// token costs one mask and one pass over the row. kNoToken stands for END_OF_TEXT.
class TokenWalk {
 public:
  // Begins at a live context of the stream, with its row if the stream has it.
  TokenWalk(const ByteStream& stream, const ContextPointer& context);

  bool has_row() const noexcept { return row_ != nullptr; }
  // Throws InvalidInput if the row is no row, or gives no mass to what may follow.
  void provide(const Logits& logits);
  // Throws InvalidInput if the token may not follow.
  void advance(TokenId token);

  // These need the row. `uniform` in [0, 1): inverts the distribution function in order of the
  // tokens' bytes, END_OF_TEXT last.
  TokenId draw(double uniform) const;
  double logprob(TokenId token) const;
  // Writes the probability of each token by id, then that of END_OF_TEXT:
  // Tokenizer::vocabulary_size() + 1 numbers.
  void probabilities(std::span<double> out) const;
  std::size_t law_size() const noexcept { return tokenizer_->vocabulary_size() + 1; }

 private:
  const MassRow& row() const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<TokenId> end_tokens_;
  ContextState state_;
  std::shared_ptr<const MassRow> row_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_MASS_TOKEN_WALK_H_
