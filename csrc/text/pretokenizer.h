// The whole pre-tokenizer as a deterministic automaton over character classes and boundary flags.
#ifndef NEXTBYTE_TEXT_PRETOKENIZER_H_
#define NEXTBYTE_TEXT_PRETOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/character_classes.h"
#include "text/pattern_parser.h"
#include "text/split_stage.h"

namespace nextbyte {

using SubsetId = std::uint16_t;
inline constexpr SubsetId kDeadSubset = 0;  // the empty subset
inline constexpr unsigned kContinue = 1;    // this character may continue the current piece
inline constexpr unsigned kBoundary = 2;    // a piece boundary may lie before this character

// The raw states of all stages run side by side: a boundary of one stage is END for the later ones,
// which restart there, so the last stage's flag is the flag of the whole. A *subset* is the set of
// product states that the flags given so far allow; it is empty (dead) iff no continuation of the
// text, the empty one included, makes the pre-tokenizer set exactly these boundaries.
//
// All subsets that any flags reach are built at construction (tens to hundreds for the patterns in
// use, milliseconds), so a step is one look-up. Immutable and safe to share between threads.
class Pretokenizer {
 public:
  // `stages`: one regular expression each, applied in order, each to every piece of the one before;
  // matches and gaps both become pieces. No stages: the text is one piece. Throws
  // UnsupportedTokenizer naming the stage, the construct and its position.
  explicit Pretokenizer(const std::vector<std::string>& stages);

  // {INIT}, the state before the first character: accepts END, steps only with kBoundary.
  SubsetId initial() const noexcept { return kInitialSubset; }
  unsigned num_classes() const noexcept { return classes_.size(); }
  std::size_t num_raw_states() const noexcept { return raw_.size(); }
  std::size_t num_subsets() const noexcept { return accepts_end_.size(); }
  std::uint8_t class_of(char32_t scalar) const noexcept { return classes_.class_of(scalar); }
  const CharacterClasses& classes() const noexcept { return classes_; }

  // After a character of class `cls` under any of the `flags` (1..3): the union over them.
  SubsetId step(SubsetId subset, std::uint8_t cls, unsigned flags) const noexcept {
    return steps_[(std::size_t{subset} * classes_.size() + cls) * kFlagValues + flags];
  }
  // Whether the text may end here.
  bool accepts_end(SubsetId subset) const noexcept { return accepts_end_[subset] != 0; }
  // The classes on which step() is not dead.
  std::uint64_t live_classes(SubsetId subset, unsigned flags) const noexcept {
    return live_classes_[std::size_t{subset} * kFlagValues + flags];
  }
  // Those of them behind which the text may end.
  std::uint64_t accepting_classes(SubsetId subset, unsigned flags) const noexcept {
    return accepting_classes_[std::size_t{subset} * kFlagValues + flags];
  }

  // The byte offsets at which the pieces of a complete text start: the one boundary set that
  // survives to END. Linear. Throws InvalidInput if the text is not UTF-8.
  std::vector<std::size_t> split(std::string_view utf8) const;

  // The same for a text that goes on in any way: every set of piece starts that split() of some
  // continuation sets in it. Linear in the text times the number of sets. Throws InvalidInput.
  std::vector<std::vector<std::size_t>> splits_of_prefix(std::string_view utf8) const;

 private:
  static constexpr SubsetId kInitialSubset = 1;
  static constexpr std::size_t kFlagValues = 4;  // flags 0 is there for alignment; always dead

  explicit Pretokenizer(const std::vector<PatternNode>& patterns);
  void build_subsets(WorkBudget& budget);

  CharacterClasses classes_;
  RawAutomaton raw_;
  std::vector<std::vector<RawStateId>> members_;  // of each subset, ascending
  std::vector<SubsetId> steps_;                   // by subset, class, flags
  std::vector<std::uint64_t> live_classes_;       // by subset, flags
  std::vector<std::uint64_t> accepting_classes_;  // likewise
  std::vector<std::uint8_t> accepts_end_;         // by subset
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TEXT_PRETOKENIZER_H_
