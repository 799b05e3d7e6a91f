// Where a context stands: everything that decides which tokens may follow it.
#ifndef NEXTBYTE_TOKENIZER_CONTEXT_STATE_H_
#define NEXTBYTE_TOKENIZER_CONTEXT_STATE_H_

#include <cstdint>
#include <memory>

#include "tokenizer/byte_automaton.h"
#include "vocabulary/merge_table.h"

namespace nextbyte {

// A small value that each family reads in its own way; nobody else looks inside.
struct ContextState {
  TokenId last = kNoToken;                       // kNoToken at the start of a segment
  ByteAutomatonState automaton;                  // pre-tokenizer and character in progress
  std::uint32_t literal = 0;                     // AddedTokens: spelling in progress
  std::uint32_t extension = 0;                   // AddedTokens: longer spelling of the one taken
  std::shared_ptr<const void> detail = nullptr;  // what does not fit: mostly nothing
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_CONTEXT_STATE_H_
