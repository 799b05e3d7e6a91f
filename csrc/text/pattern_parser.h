// Reads a pre-tokenizer's regular expression into a syntax tree, or says what it cannot take.
#ifndef NEXTBYTE_TEXT_PATTERN_PARSER_H_
#define NEXTBYTE_TEXT_PATTERN_PARSER_H_

#include <cstddef>
#include <limits>
#include <string_view>
#include <vector>

#include "text/unicode.h"

namespace nextbyte {

inline constexpr unsigned kUnboundedRepeat = std::numeric_limits<unsigned>::max();

// One node of the tree. Every set already holds what the engine matches there, case folding and
// negation included, so later stages know nothing of regex syntax.
struct PatternNode {
  enum class Kind { kCharacter, kLookahead, kConcatenation, kAlternation, kRepeat };
  // How a repeat orders "once more" against "go on"; kPossessive never takes a repetition back.
  enum class Greed { kGreedy, kLazy, kPossessive };

  Kind kind = Kind::kConcatenation;  // without children: the empty pattern
  std::size_t position = 0;          // in characters of the pattern's text, for messages
  CodePointSet set;                  // kCharacter: what matches
  bool negative = false;             // kLookahead: the only child must not match here
  char folded_letter = 0;            // kCharacter: a literal whose case is ignored, in lower case
  unsigned minimum = 0;              // kRepeat
  unsigned maximum = 0;              // kRepeat; kUnboundedRepeat for * and +
  Greed greed = Greed::kGreedy;      // kRepeat
  std::vector<PatternNode> children;
};

// The class of patterns: literals, escapes, character classes (nested ones are united), groups,
// (?i:...) over ASCII letters, alternation, greedy, lazy and possessive quantifiers, `$` and `\z`
// as the end of the text, `.` as any character but \n, look-ahead at any pattern of this class.
// Where the regex engines in use disagree on a construct it is refused, except for two that follow
// the Rust engines of tiktoken: `$` is only the end of the text, and {m,n}+ is possessive.
//
// Throws UnsupportedTokenizer naming the construct and its position, InvalidInput if `utf8` is not
// UTF-8.
PatternNode parse_pattern(std::string_view utf8);

// Appends every set that occurs in the tree.
void collect_sets(const PatternNode& node, std::vector<CodePointSet>& sets);

}  // namespace nextbyte

#endif  // NEXTBYTE_TEXT_PATTERN_PARSER_H_
