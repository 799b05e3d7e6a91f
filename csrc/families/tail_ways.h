// How tokens that end inside a character may go on with it.
#ifndef NEXTBYTE_FAMILIES_TAIL_WAYS_H_
#define NEXTBYTE_FAMILIES_TAIL_WAYS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/bits.h"
#include "tokenizer/byte_automaton.h"
#include "tokenizer/token_groups.h"
#include "vocabulary/bpe_merges.h"
#include "vocabulary/byte_trie.h"
#include "vocabulary/token_table.h"

namespace nextbyte {

// What merges let follow a tail, whatever the state before it. Found for all tails at construction,
// a few million instructions. Immutable.
class TailWays {
 public:
  struct Ways {
    bool exist = false;  // some token may follow; if none may, no text goes on so
    // Of characters that one or two more tokens complete, some of them. With the tail they are no
    // whole piece, so that a piece of their own may end there.
    std::uint64_t classes = 0;
  };

  // `by_merges`: the ranks of the tokens that can follow inside a character. Nothing is kept of
  // what is passed.
  TailWays(const TokenGroups& groups,
           const BpeMerges& merges,
           const TokenTable& table,
           const Pretokenizer& pretokenizer,
           const ByteAutomaton& automaton,
           const ByteTrie& whole_pieces,
           const BitSet& by_merges);

  const Ways& operator[](std::size_t tail) const noexcept { return ways_[tail]; }

 private:
  class Finder;

  std::vector<Ways> ways_;  // by tail
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_TAIL_WAYS_H_
