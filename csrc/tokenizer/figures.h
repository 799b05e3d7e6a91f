// Figures of a compiled tokenizer for its report: what a text can never contain or produce.
#ifndef NEXTBYTE_TOKENIZER_FIGURES_H_
#define NEXTBYTE_TOKENIZER_FIGURES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace nextbyte {

struct TokenizerFigures {
  std::size_t reachable = 0;         // tokens that have a rank, a superset of those in encodings
  std::vector<TokenId> unreachable;  // tokens with bytes that are in no text's encoding, ascending
  std::string missing_bytes;         // no token that has a rank has them, so no text can
  TokenId longest = kNoToken;        // the token with a rank that has most bytes; the first by id
};

// Linear in the bytes of the vocabulary.
TokenizerFigures figures(const Tokenizer& tokenizer);

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_FIGURES_H_
