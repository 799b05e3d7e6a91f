// A pattern as instructions of a backtracking engine.
#ifndef NEXTBYTE_TEXT_PATTERN_CODE_H_
#define NEXTBYTE_TEXT_PATTERN_CODE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/character_classes.h"
#include "text/pattern_parser.h"

namespace nextbyte {

struct Instruction {
  enum class Operation : std::uint8_t {
    kCharacter,  // eats a character of `classes`, goes on behind
    kAssert,     // goes on behind if the next character is of `classes`, or at the end
    kLook,       // goes on at `target` if the code behind, up to its kMatch, matches here (or not)
    kSplit,      // goes on at `target`, else at `alternative`
    kJump,       // goes on at `target`
    kMatch,      // the pattern, or the body of a look-ahead, has matched
  };
  Operation operation = Operation::kMatch;
  std::uint64_t classes = 0;    // kCharacter, kAssert
  bool passes_at_end = false;   // kAssert
  bool negative = false;        // kLook
  char folded_letter = 0;       // kCharacter: a literal whose case is ignored
  std::size_t target = 0;       // kLook, kSplit, kJump
  std::size_t alternative = 0;  // kSplit
  std::size_t position = 0;     // in the pattern's text, for messages
};

// The code of `pattern`, from its start at 0. A look-ahead that the next character or the end
// decides becomes one kAssert. A possessive repeat of a character is the greedy one with "no
// further such character" asserted where it stops early. Loops never turn without eating a
// character.
//
// Throws UnsupportedTokenizer if the pattern repeats something that can be empty, has a possessive
// quantifier on a group, ignores the case of letters that engines fold differently, or is too
// large.
std::vector<Instruction> compile_pattern(const PatternNode& pattern,
                                         const CharacterClasses& classes);

}  // namespace nextbyte

#endif  // NEXTBYTE_TEXT_PATTERN_CODE_H_
