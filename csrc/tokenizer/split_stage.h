// One splitting step of the pre-tokenizer as a nondeterministic automaton that guesses the future.
#ifndef NEXTBYTE_TOKENIZER_SPLIT_STAGE_H_
#define NEXTBYTE_TOKENIZER_SPLIT_STAGE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/pattern_program.h"

namespace nextbyte {

using RawStateId = std::uint16_t;

// The nondeterministic transitions state -> class -> boundary flag -> states, and who accepts END.
struct RawAutomaton {
  unsigned num_classes = 0;
  std::vector<std::uint8_t> accepts_end;    // by state; state 0 is initial
  std::vector<std::uint32_t> first_target;  // by (state * num_classes + class) * 2 + flag, one more
  std::vector<RawStateId> targets;

  std::size_t size() const noexcept { return accepts_end.size(); }
  std::span<const RawStateId> step(RawStateId state, unsigned cls, bool boundary) const noexcept {
    const std::size_t cell = (std::size_t{state} * num_classes + cls) * 2 + (boundary ? 1 : 0);
    return {targets.data() + first_target[cell], targets.data() + first_target[cell + 1]};
  }
};

// Without the states from which no END-accepting state is reached, and without the moves to them.
// State 0 stays state 0. Linear in the number of transitions.
RawAutomaton trimmed(const RawAutomaton& automaton);

// The automaton of one pattern, matches and the gaps between them alike being pieces.
//
// A raw state is (w, F): w wins the attempt under way, F are the threads that must never match,
// because each was preferred to a winner already announced (of this attempt or an earlier one). On
// a character of class a all of F move; the state dies if one of them matches. Then
//   flag 0: w takes one of its moves; the moves it prefers to that one join F.
//   flag 1: a piece boundary lies before the character. w matches here, its other moves join F, and
//           a new attempt starts on the same character with a winner chosen freely.
// END accepts iff w matches there and none of F does. A gap is the maximal run of characters at
// which no match starts. Its winner GAP stands for "no match starts at this character": every move
// of an attempt at each of its characters joins F; it ends before a character at which an attempt
// has a real winner, or at END. INIT is the state before the first character: it steps with flag 1
// only, and accepts END.
//
// For a complete text exactly one sequence of flags leads from INIT to an accepting state, the one
// the engine makes; for a prefix, those that survive (after trimming) are those that some
// continuation realises: F carries "fails" over the whole future, trimming removes what no future
// can satisfy.
//
// Throws UnsupportedTokenizer if there are too many raw states.
RawAutomaton build_split_stage(const PatternProgram& program);

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_SPLIT_STAGE_H_
