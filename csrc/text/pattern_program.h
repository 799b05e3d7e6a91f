// A pattern as prioritised threads over character classes: what may happen next, most wanted first.
#ifndef NEXTBYTE_TEXT_PATTERN_PROGRAM_H_
#define NEXTBYTE_TEXT_PATTERN_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/character_classes.h"
#include "text/pattern_parser.h"
#include "text/thread_clauses.h"

namespace nextbyte {

inline constexpr ThreadId kStartThread = 0;
inline constexpr ThreadId kMatchThread = 0xFFFF;  // not a thread: the match is complete

// A backtracking engine that looks for the leftmost match tries paths in an order of preference;
// the first that succeeds is the match. A thread is a place in the pattern, or in the body of a
// look-ahead, *before* its empty moves (splits, assertions) are followed: those wait until the next
// symbol, a character's class or END, is known. A thread *matches* a text if some path from it
// does.
//
// On a symbol a thread t has paths in order of preference. Each leads to a thread (the character
// was eaten) or to kMatchThread (the match ends before the character), on a condition: the formula
// that its look-aheads make of what the threads of their bodies do after the symbol. A look-ahead
// at one character leaves no condition, since the symbol settles it.
//
//   choices(t, a):   every target with the formula "the path's condition holds, and each preferred
//                    path fails: its condition does not hold or its target does not match".
//   succeeds(t, a):  "some path's condition holds and its target matches", so that t matches the
//                    symbol and the text x behind it iff the formula is true of x.
//   fails(t, a):     the negation of succeeds(t, a).
//
// After END there are no threads and each formula is true or false. Threads that behave alike are
// one thread (coarsest bisimulation).
class PatternProgram {
 public:
  struct Choice {
    ThreadId target;
    Disjunction when;  // never requires or forbids the target itself
  };

  // `classes` must refine the sets of `pattern`. Throws UnsupportedTokenizer if the pattern can
  // match the empty string, for the reasons of compile_pattern(), or if `budget` runs out.
  PatternProgram(const PatternNode& pattern, const CharacterClasses& classes, WorkBudget& budget);

  unsigned num_classes() const noexcept { return num_classes_; }
  // The symbol "the text ends here".
  unsigned end_symbol() const noexcept { return num_classes_; }

  const std::vector<Choice>& choices(ThreadId thread, unsigned symbol) const noexcept {
    return moves(thread, symbol).choices;
  }
  const Disjunction& succeeds(ThreadId thread, unsigned symbol) const noexcept {
    return moves(thread, symbol).succeeds;
  }
  const Disjunction& fails(ThreadId thread, unsigned symbol) const noexcept {
    return moves(thread, symbol).fails;
  }

 private:
  struct Moves {
    std::vector<Choice> choices;
    Disjunction succeeds;
    Disjunction fails;
  };

  const Moves& moves(ThreadId thread, unsigned symbol) const noexcept {
    return moves_[moves_of_[thread * (num_classes_ + std::size_t{1}) + symbol]];
  }

  unsigned num_classes_;
  std::vector<std::uint32_t> moves_of_;  // by thread, then symbol: an index of moves_
  std::vector<Moves> moves_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TEXT_PATTERN_PROGRAM_H_
