// What is known about the tokens of a unigram tokenizer before any context is.
#ifndef NEXTBYTE_FAMILIES_UNIGRAM_INDEX_H_
#define NEXTBYTE_FAMILIES_UNIGRAM_INDEX_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "families/unigram_pieces.h"
#include "support/bits.h"
#include "support/bounded_cache.h"
#include "vocabulary/token_table.h"

namespace nextbyte {

// Behind a context whose starts are all dead, a token is the best path over its bytes iff it is so
// behind an empty text, up to rounding: its *margin* over the best path of several pieces decides.
// Where something does cross, most tokens still fall together: if the best path to the end of u
// beats the context's by more than the *gain* of u, which is the most that any token u·v has over
// the best path of v, then no token below u is. And once all that crosses has ended, at depths k,
// it is enough to look at each token's own gain there.
class UnigramIndex {
 public:
  using Node = UnigramPieces::Node;

  UnigramIndex(const UnigramPieces& pieces,
               const UnigramArithmetic& arithmetic,
               const TokenTable& table);

  Node node_of(Rank rank) const noexcept { return node_of_rank_[rank]; }  // kNone: no piece
  Rank rank_of(Node node) const noexcept { return rank_of_node_[node]; }  // kNoRank: no token
  // The first rank at or below the node or behind it; at num_nodes(): the table's size.
  Rank first_rank(Node node) const noexcept { return first_rank_[node]; }
  // The node of the first piece of rank >= `rank`; num_nodes() if none.
  Node first_node(Rank rank) const noexcept { return first_node_[rank]; }
  double gain(Node node) const noexcept { return gain_[node]; }
  // The gain of one token over the best path of what follows its first `depth` characters, rounded;
  // infinite if nothing does. 1 <= depth <= kDepths.
  static constexpr std::uint32_t kDepths = 8;
  float gain_at(std::uint32_t depth, Rank rank) const noexcept { return gains_[depth - 1][rank]; }
  double gain_tolerance() const noexcept { return 0x1p-20 * largest_; }

  // More than rounding can make of the difference of two paths that go on from a path of score
  // `base`, over at most `depth` characters.
  double tolerance(double base, std::uint32_t depth) const noexcept;

  // By rank: tokens that are allowed behind every quiet context of such a base, and those of which
  // only the sums can tell.
  struct Verdicts {
    std::vector<std::uint64_t> allowed, unsure;
  };
  std::shared_ptr<const Verdicts> verdicts(double base) const;

 private:
  void find_margins(const UnigramPieces& pieces, const UnigramArithmetic& arithmetic);
  void find_gains(const UnigramPieces& pieces, const UnigramArithmetic& arithmetic);

  double epsilon_;
  double largest_ = 0.0;  // magnitude of a best path over a piece
  std::vector<Node> node_of_rank_, first_node_;
  std::vector<Rank> rank_of_node_, first_rank_;
  std::vector<double> margin_;                     // by rank
  std::vector<std::uint32_t> length_;              // by rank, in characters
  std::vector<double> gain_;                       // by node
  std::array<std::vector<float>, kDepths> gains_;  // by depth - 1 and rank
  mutable BoundedCache<int, Verdicts> verdicts_{16};
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_UNIGRAM_INDEX_H_
