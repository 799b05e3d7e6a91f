// One pass of the automaton over the token table: which tokens survive from a state, and how they
// end.
#ifndef NEXTBYTE_TOKENIZER_TOKEN_SCAN_H_
#define NEXTBYTE_TOKENIZER_TOKEN_SCAN_H_

#include "support/bits.h"
#include "tokenizer/byte_automaton.h"
#include "vocabulary/token_table.h"

namespace nextbyte {

// The tokens (by rank) that the automaton alone lets follow a state under one choice of flags;
// merges and co-liveness are not looked at.
struct TokenScan {
  BitSet alive;      // the automaton survives the token
  BitSet accepting;  // ... and the text may end right after it
};

// Runs every token with rank in [first, last) from `state` with `flags` on its first character.
// Tokens come in sorted order, so each shared prefix is stepped once: O(trie nodes that live).
TokenScan scan_tokens(const ByteAutomaton& automaton,
                      const TokenTable& table,
                      const ByteAutomatonState& state,
                      unsigned flags,
                      Rank first,
                      Rank last);

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_TOKEN_SCAN_H_
