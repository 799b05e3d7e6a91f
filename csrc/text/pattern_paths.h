// The paths of a pattern's code on one symbol, in the engine's order of preference.
#ifndef NEXTBYTE_TEXT_PATTERN_PATHS_H_
#define NEXTBYTE_TEXT_PATTERN_PATHS_H_

#include <compare>
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include "text/pattern_code.h"
#include "text/thread_clauses.h"

namespace nextbyte {

// One way through the empty moves to an eaten character or the match. Threads are named by a
// number: here the index of the instruction behind the eaten character.
struct Path {
  ThreadId target;     // kMatchThread: the match
  Disjunction when;    // the condition of its look-aheads; never false
  Disjunction unless;  // its negation
  auto operator<=>(const Path&) const = default;
};
using Paths = std::vector<Path>;

// "Some path's condition holds and its target matches", and its negation.
Disjunction some_path_succeeds(const Paths& paths, WorkBudget& budget);
Disjunction every_path_fails(const Paths& paths, WorkBudget& budget);
// "The condition of path `index` holds and every preferred path fails."
Disjunction path_wins(const Paths& paths, std::size_t index, WorkBudget& budget);

// Follows the empty moves of one pattern's code. Bodies of look-aheads are evaluated on the same
// symbol, innermost first: a look-ahead becomes a formula over the threads of its body.
class PathFinder {
 public:
  // `end_symbol`: the number of classes.
  PathFinder(const std::vector<Instruction>& code, unsigned end_symbol, WorkBudget& budget)
      : code_(code), end_symbol_(end_symbol), budget_(budget) {}

  // The paths from the instruction `from`, up to the first that matches on no condition.
  Paths find(std::size_t from, unsigned symbol);

 private:
  using Conditions = std::vector<std::size_t>;  // undecided kLook instructions, ascending
  struct Body {
    Disjunction succeeds;
    Disjunction fails;
  };

  bool admits(const Instruction& instruction, unsigned symbol) const noexcept {
    return symbol == end_symbol_ ? instruction.passes_at_end
                                 : (instruction.classes >> symbol & 1U) != 0;
  }
  const Body& body(std::size_t look, unsigned symbol);
  Path path(ThreadId target, const Conditions& conditions, unsigned symbol);

  const std::vector<Instruction>& code_;
  unsigned end_symbol_;
  WorkBudget& budget_;
  std::map<std::pair<std::size_t, unsigned>, Body> bodies_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TEXT_PATTERN_PATHS_H_
