// A pattern as prioritised threads over character classes: what may happen next, most wanted first.
#ifndef NEXTBYTE_TOKENIZER_PATTERN_PROGRAM_H_
#define NEXTBYTE_TOKENIZER_PATTERN_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/character_classes.h"
#include "tokenizer/pattern_parser.h"

namespace nextbyte {

using ThreadId = std::uint16_t;
inline constexpr ThreadId kStartThread = 0;
inline constexpr ThreadId kMatchThread = 0xFFFF;  // not a thread: the match is complete

// A backtracking engine that looks for the leftmost match tries paths in an order of preference;
// the first that succeeds is the match. A thread is a place in the pattern *before* its empty moves
// (splits, assertions) are followed: those wait until the next symbol, a character's class or END,
// is known, which is what settles a look-ahead of one character.
//
//   closure(t, a) = the moves of t on symbol a in order of preference: a thread (the character was
//                   eaten) or kMatchThread (the match ends before the character). Nothing behind
//                   kMatchThread can win, so a list ends with it.
//
// Threads that behave alike are one thread (coarsest bisimulation; a repeated move is dropped: its
// earlier twin succeeds whenever it does).
class PatternProgram {
 public:
  // `classes` must refine the sets of `pattern`. Throws UnsupportedTokenizer if the pattern can
  // match the empty string, repeats something that can be empty, has a possessive quantifier that
  // differs from the greedy one, or is too large.
  PatternProgram(const PatternNode& pattern, const CharacterClasses& classes);

  unsigned num_classes() const noexcept { return num_classes_; }
  std::size_t num_threads() const noexcept { return num_threads_; }
  // The symbol "the text ends here".
  unsigned end_symbol() const noexcept { return num_classes_; }
  std::span<const ThreadId> closure(ThreadId thread, unsigned symbol) const noexcept {
    const std::size_t cell = thread * (num_classes_ + std::size_t{1}) + symbol;
    return {moves_.data() + first_move_[cell], moves_.data() + first_move_[cell + 1]};
  }
  bool matches_at(ThreadId thread, unsigned symbol) const noexcept {
    const std::span<const ThreadId> moves = closure(thread, symbol);
    return !moves.empty() && moves.back() == kMatchThread;
  }

 private:
  unsigned num_classes_;
  std::size_t num_threads_ = 0;
  std::vector<std::uint32_t> first_move_;  // by thread, then symbol; one more at the end
  std::vector<ThreadId> moves_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_PATTERN_PROGRAM_H_
