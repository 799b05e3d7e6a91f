// Tokens behind whose last character the text cannot end: those that are live all the same.
#ifndef NEXTBYTE_FAMILIES_WAITING_TOKENS_H_
#define NEXTBYTE_FAMILIES_WAITING_TOKENS_H_

#include <array>
#include <cstddef>
#include <functional>
#include <vector>

#include "support/bits.h"
#include "text/pretokenizer.h"
#include "tokenizer/token_groups.h"

namespace nextbyte {

// A blank may demand a next character, a capital a small letter. Whether a token is live there
// depends on the token and on the subset behind it, not on where it began, and few pairs of the two
// occur (10 to 4,000 for the vocabularies in use). So all are judged at construction. Immutable.
class WaitingTokens {
 public:
  // There for the checks, and bounds the time that a hostile pattern takes.
  static constexpr std::size_t kMaxPairs = std::size_t{1} << 14;
  // Is the token live that starts in `subset`, nothing else known of the past?
  using Judge = std::function<bool(SubsetId subset, unsigned flags, Rank rank)>;

  WaitingTokens(const TokenGroups& groups,
                const Pretokenizer& pretokenizer,
                std::size_t max_pairs,
                const Judge& lives);

  // Were the tokens with these `flags` on their first character judged that lead to `end`?
  bool are_known(SubsetId end, unsigned flags) const noexcept {
    return known_[index_of(flags)].test(end);
  }
  // Adds the known live ones that `subset` lets follow.
  void add_live(SubsetId subset, unsigned flags, BitSet& tokens) const noexcept;

 private:
  struct LiveRun {
    SubsetId end;
    TokenGroups::Group group;
    TokenGroups::Run run;
  };
  static std::size_t index_of(unsigned flags) noexcept { return flags == kBoundary ? 1 : 0; }

  const TokenGroups* groups_;
  std::array<BitSet, 2> known_;               // by flags; the subsets
  std::array<std::vector<LiveRun>, 2> live_;  // by flags
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_WAITING_TOKENS_H_
