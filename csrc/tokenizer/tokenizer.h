// The compiled tokenizer: vocabulary, merges, pre-tokenizer, token table and masks, built once.
#ifndef NEXTBYTE_TOKENIZER_TOKENIZER_H_
#define NEXTBYTE_TOKENIZER_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/bpe_merges.h"
#include "tokenizer/byte_automaton.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/successor_masks.h"
#include "tokenizer/token_table.h"

namespace nextbyte {

// Where a context stands: the automaton after all its bytes, and its last token (kNoToken at the
// start of a segment). Everything that decides which tokens may follow.
struct ContextState {
  ByteAutomatonState automaton;
  TokenId last = kNoToken;
};

// A byte-level BPE tokenizer with its exact successor relation. Logically immutable after
// construction (only caches fill up, under locks), so it is shared freely between threads.
class Tokenizer {
 public:
  // token_bytes[id] = the token's bytes, "" for special tokens and holes. `stages` are the
  // pre-tokenizer's split patterns in order.
  Tokenizer(std::vector<std::string> token_bytes,
            BpeMerges merges,
            const std::vector<std::string>& stages);
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  std::size_t vocabulary_size() const noexcept { return token_bytes_.size(); }
  const std::string& token_bytes(TokenId token) const noexcept { return token_bytes_[token]; }
  const BpeMerges& merges() const noexcept { return merges_; }
  const Pretokenizer& pretokenizer() const noexcept { return pretokenizer_; }
  // Only the tokens that BPE can produce have a rank.
  const TokenTable& table() const noexcept { return table_; }
  const ByteAutomaton& automaton() const noexcept { return automaton_; }
  const SuccessorMasks& masks() const noexcept { return masks_; }

  ContextState initial() const noexcept { return {automaton_.initial(), kNoToken}; }
  AllowedTokens allowed(const ContextState& context) const {
    return masks_.allowed(context.automaton, context.last);
  }
  // The state after `token`, which must be allowed in `context`.
  ContextState advance(const ContextState& context,
                       TokenId token,
                       bool may_continue_piece) const noexcept;

  // The tokenizer's own encoding of a complete text: split, then BPE on each piece. Independent of
  // the masks. Throws InvalidInput naming the position of invalid UTF-8 or of a byte without token.
  std::vector<TokenId> encode(std::string_view text) const;

 private:
  std::vector<std::string> token_bytes_;
  BpeMerges merges_;
  Pretokenizer pretokenizer_;
  TokenTable table_;
  ByteAutomaton automaton_;
  SuccessorMasks masks_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_TOKENIZER_H_
