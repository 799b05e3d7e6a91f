// Computes margins and gains of all tokens, and the verdicts that follow from them.
#include "families/unigram_index.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace nextbyte {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

UnigramIndex::UnigramIndex(const UnigramPieces& pieces,
                           const UnigramArithmetic& arithmetic,
                           const TokenTable& table)
    : epsilon_(arithmetic.epsilon()),
      node_of_rank_(table.size(), UnigramPieces::kNone),
      first_node_(table.size() + 1, pieces.num_nodes()),
      rank_of_node_(pieces.num_nodes(), kNoRank),
      first_rank_(pieces.num_nodes() + 1, table.size()),
      margin_(table.size(), -kInfinity),
      length_(table.size(), 0),
      gain_(pieces.num_nodes(), -kInfinity) {
  for (Node node = pieces.num_nodes(); node-- > 0;) {
    first_rank_[node] = first_rank_[node + 1];
    const TokenId token = pieces.token(node);
    if (token == kNoToken) continue;
    const Rank rank = table.rank_of(token);
    if (rank == kNoRank) continue;
    rank_of_node_[node] = rank;
    first_rank_[node] = rank;
    node_of_rank_[rank] = node;
    length_[rank] = pieces.depth(node);
  }
  for (Rank rank = table.size(); rank-- > 0;) {
    first_node_[rank] =
        node_of_rank_[rank] == UnigramPieces::kNone ? first_node_[rank + 1] : node_of_rank_[rank];
  }
  const UnigramArithmetic exact{UnigramSums::kDouble, arithmetic.unknown};
  find_margins(pieces, exact);
  find_gains(pieces, exact);
}

void UnigramIndex::find_margins(const UnigramPieces& pieces, const UnigramArithmetic& arithmetic) {
  std::vector<UnigramBest> best(pieces.max_depth() + 1);
  best[0].start = 0;
  for (Node node = 1; node < pieces.num_nodes(); ++node) {
    UnigramBest several;
    pieces.offer_inner(node, best, arithmetic, several);
    if (const Rank rank = rank_of_node_[node]; rank != kNoRank) {
      margin_[rank] =
          several.start == UnigramBest::kNone ? kInfinity : pieces.score(node) - several.score;
    }
    if (pieces.is_piece(node)) {
      several.offer(pieces.score(node), 0, arithmetic);
    } else if (pieces.depth(node) == 1) {
      several.offer(arithmetic.unknown, 0, arithmetic);
    }
    best[pieces.depth(node)] = several;
    largest_ = std::max(largest_, std::abs(several.score));
  }
}

void UnigramIndex::find_gains(const UnigramPieces& pieces, const UnigramArithmetic& arithmetic) {
  for (std::vector<float>& gains : gains_) {
    gains.assign(node_of_rank_.size(), std::numeric_limits<float>::infinity());
  }
  std::vector<Node> path;      // path[k]: the node of the token's first k characters
  std::vector<double> behind;  // behind[k]: the best path from there to the token's end
  for (Node node = 1; node < pieces.num_nodes(); ++node) {
    if (rank_of_node_[node] == kNoRank) continue;
    const std::uint32_t depth = pieces.depth(node);
    path.assign(depth + 1, UnigramPieces::kRoot);
    Node above = node;
    for (std::uint32_t k = depth; k > 0; --k, above = pieces.parent(above)) path[k] = above;
    behind.assign(depth + 1, -kInfinity);
    behind[depth] = 0.0;
    for (std::uint32_t k = depth - 1; k > 0; --k) {
      Node at = UnigramPieces::kRoot;
      bool single_is_piece = false;
      for (std::uint32_t end = k + 1; end <= depth; ++end) {
        at = pieces.step(at, pieces.character(path[end]));
        if (at == UnigramPieces::kNone) break;
        if (!pieces.is_piece(at)) continue;
        single_is_piece = single_is_piece || end == k + 1;
        behind[k] = std::max(behind[k], pieces.score(at) + behind[end]);
      }
      if (!single_is_piece) behind[k] = std::max(behind[k], arithmetic.unknown + behind[k + 1]);
      const double gain = pieces.score(node) - behind[k];
      gain_[path[k]] = std::max(gain_[path[k]], gain);
      if (k <= kDepths) gains_[k - 1][rank_of_node_[node]] = static_cast<float>(gain);
      largest_ = std::max(largest_, std::abs(behind[k]));
    }
  }
}

double UnigramIndex::tolerance(double base, std::uint32_t depth) const noexcept {
  return 2.0 * (depth + 2) * epsilon_ * (std::abs(base) + largest_);
}

std::shared_ptr<const UnigramIndex::Verdicts> UnigramIndex::verdicts(double base) const {
  // One set for all bases up to the same power of two: those of the greatest are right for each.
  int level = 0;
  std::frexp(std::abs(base) + largest_, &level);
  return verdicts_.get(level, [&] {
    Verdicts verdicts;
    const std::size_t words = (margin_.size() + kWordBits - 1) / kWordBits;
    verdicts.allowed.assign(words, 0);
    verdicts.unsure.assign(words, 0);
    const double greatest = std::ldexp(1.0, level);
    for (std::size_t rank = 0; rank < margin_.size(); ++rank) {
      if (node_of_rank_[rank] == UnigramPieces::kNone) continue;
      const double limit = tolerance(greatest, length_[rank]);
      const std::uint64_t bit = std::uint64_t{1} << (rank % kWordBits);
      if (margin_[rank] > limit) {
        verdicts.allowed[rank / kWordBits] |= bit;
      } else if (margin_[rank] >= -limit) {
        verdicts.unsure[rank / kWordBits] |= bit;
      }
    }
    return verdicts;
  });
}

}  // namespace nextbyte
