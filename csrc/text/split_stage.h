// One splitting step of the pre-tokenizer as a nondeterministic automaton that guesses the future.
#ifndef NEXTBYTE_TEXT_SPLIT_STAGE_H_
#define NEXTBYTE_TEXT_SPLIT_STAGE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "text/pattern_program.h"

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
// A raw state is (w, M, F): w wins the attempt under way, the threads of M must match what follows,
// those of F must not. F holds what was preferred to a winner already announced (of this attempt or
// an earlier one) and the bodies of negative look-aheads, M the bodies of positive ones. M and F
// heed no boundary: they go on to the END of the text. On a character of class a
//   M and F   become any one clause of the formula "succeeds(t, a) for t in M, fails(t, a) for t in
//             F": where several ways lead to it, the automaton guesses. With look-aheads at single
//             characters only there is never more than one clause, and M stays empty.
//   flag 0:   w becomes the target of one of its choices, whose formula is joined.
//   flag 1:   a piece boundary lies before the character. One of w's choices is the match; its
//             formula is joined, and so is that of a choice of a new attempt on the same character.
// END accepts iff w matches there, all of M and none of F does. A gap is the maximal run of
// characters at which no match starts. Its winner GAP stands for "no match starts at this
// character": fails(start, a) is joined at each of its characters; it ends before a character at
// which an attempt has a real winner, or at END. INIT is the state before the first character: it
// steps with flag 1 only, and accepts END.
//
// For a complete text exactly one sequence of flags leads from INIT to an accepting state, the one
// the engine makes; for a prefix, those that survive (after trimming) are those that some
// continuation realises. Proof. Of (w, M, F) before the text y, some run with flags f accepts iff
// w's match, taken as an engine with perfect foresight takes it, and the attempts after it, set the
// boundaries f in y, all of M match y and none of F does: by induction on the length of y, since
// "t matches ay" iff some clause of succeeds(t, a) is true of y, "t does not match ay" iff some
// clause of fails(t, a) is, and the first successful path from w is the one whose choice's formula
// is true of y. An engine finds just that path, by trying. At INIT nothing is owed, so the accepted
// flags are the engine's. A state survives trimming iff some y is accepted from it.
//
// A state that owes more than another of the same step and winner adds no boundaries, and is left
// out. Throws UnsupportedTokenizer if there are too many raw states or `budget` runs out.
RawAutomaton build_split_stage(const PatternProgram& program, WorkBudget& budget);

}  // namespace nextbyte

#endif  // NEXTBYTE_TEXT_SPLIT_STAGE_H_
