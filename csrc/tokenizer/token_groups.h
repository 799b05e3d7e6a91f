// Tokens that lead every state of the pre-tokenizer to the same place, and scans group by group.
#ifndef NEXTBYTE_TOKENIZER_TOKEN_GROUPS_H_
#define NEXTBYTE_TOKENIZER_TOKEN_GROUPS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "support/bits.h"
#include "tokenizer/byte_automaton.h"
#include "vocabulary/token_table.h"

namespace nextbyte {

// Which tokens a state lets follow, the past that only few tokens ask about left out: the current
// piece is off the trie of whole pieces, the state of the normal form is neutral. Merges and
// co-liveness are not looked at.
struct TokenOutcomes {
  BitSet
      accepting;   // the automaton survives the token, and its pattern lets the text end behind it
  BitSet waiting;  // it survives, but something must follow
};

// A token acts on the pre-tokenizer as a function: subset and flag of its first character -> subset
// after its last whole one. Few functions occur (20 to 110 for the vocabularies in use), since
// words act alike, and sorted tokens of one function come in runs. So a state is asked about each
// function once, and a mask is filled by runs: microseconds, where a pass of the automaton over all
// tokens takes milliseconds. (docs/theory.md 4)
//
// The tables are made at construction, in 0.8 to 4 ms. A pattern and vocabulary with so many
// functions that the tables would be large have no groups, and are scanned token by token.
// Immutable.
class TokenGroups {
 public:
  using Group = std::uint16_t;
  // The limit is there for the checks: entries of the table of functions, two bytes each.
  static constexpr std::size_t kMaxEntries = std::size_t{1} << 22;

  struct Run {
    Rank first, last;
  };
  // A token that ends inside a character.
  struct Tail {
    Rank rank;
    std::uint32_t length;    // of its whole characters; 0: its flag is that of the one in progress
    Group group;             // of its whole characters
    std::uint16_t normal;    // the state of the normal form behind its whole characters
    std::uint64_t possible;  // the classes of the characters that it may go on to
  };

  TokenGroups(const Pretokenizer& pretokenizer,
              const ByteAutomaton& automaton,
              const TokenTable& table,
              std::size_t max_entries = kMaxEntries);

  // Under one choice of `flags`, kBoundary or kContinue, on the first character.
  TokenOutcomes outcomes(SubsetId subset, unsigned flags) const;

  // How many groups there are; none where there would be too many.
  std::size_t size() const noexcept { return first_run_.empty() ? 0 : first_run_.size() - 1; }
  // The subset after the whole characters of a group's tokens; kDeadSubset if there is none.
  SubsetId end_of(std::size_t group, SubsetId subset, unsigned flags) const noexcept {
    return ends_[(group * 2 + (flags == kBoundary ? 1 : 0)) * num_subsets_ + subset];
  }
  // The tokens of a group that end with a character, by rank.
  std::span<const Run> runs(std::size_t group) const noexcept {
    return std::span(runs_).subspan(first_run_[group], first_run_[group + 1] - first_run_[group]);
  }
  // The tokens of the table that some state lets follow at the end of a character and that end
  // inside one, by rank. Empty where there are no groups.
  const std::vector<Tail>& tails() const noexcept { return tails_; }
  // The classes of the characters that a tail may go on to from here; 0 if none.
  std::uint64_t live_classes(const Tail& tail, SubsetId subset, unsigned flags) const noexcept {
    return pretokenizer_->live_classes(end_of(tail.group, subset, flags),
                                       flag_inside(tail, flags)) &
           tail.possible;
  }
  // Those behind which the text may end.
  std::uint64_t accepting_classes(const Tail& tail,
                                  SubsetId subset,
                                  unsigned flags) const noexcept {
    return pretokenizer_->accepting_classes(end_of(tail.group, subset, flags),
                                            flag_inside(tail, flags));
  }

 private:
  class Builder;

  // The flag of the character that a tail ends inside of.
  static unsigned flag_inside(const Tail& tail, unsigned flags) noexcept {
    return tail.length == 0 ? flags : kContinue;
  }
  TokenOutcomes scanned(SubsetId subset, unsigned flags) const;

  const Pretokenizer* pretokenizer_;
  const ByteAutomaton* automaton_;
  const TokenTable* table_;
  std::size_t num_subsets_;
  std::vector<SubsetId> ends_;            // by group, flag, subset
  std::vector<Run> runs_;                 // of each group, ascending
  std::vector<std::uint32_t> first_run_;  // by group; one more at the end
  std::vector<Tail> tails_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_TOKEN_GROUPS_H_
