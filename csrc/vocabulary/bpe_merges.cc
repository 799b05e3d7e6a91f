// The pair test, its inverse (all invalid successors), and the reference run; see bpe_merges.h.
#include "vocabulary/bpe_merges.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "support/error.h"

namespace nextbyte {

// Runs both own runs backwards, from complete to bytes. The two edge symbols a and b coexist, and
// of the two the one completed later goes down first: b on equal ranks, since the left run is ahead
// then. A crossing merge of rank k fires while both exist iff k beats what is still to come on the
// left strictly (a step inside a lies further left and goes first) and on the right weakly.
bool BpeMerges::crosses_below(TokenId a, TokenId b) const noexcept {
  RankKey left_barrier = kNever;
  RankKey right_barrier = kNever;
  for (;;) {
    const SpineSymbol& left = right_[a];
    const SpineSymbol& right = left_[b];
    if (right.last >= left.last) {
      if (right.last == 0) return false;
      right_barrier = right.barrier;
      b = right.part;
    } else {
      left_barrier = left.barrier;
      a = left.part;
    }
    const RankKey rank = fireable_.rank(a, b);
    if (rank < left_barrier && rank <= right_barrier) return true;
  }
}

bool BpeMerges::pair_ok(TokenId a, TokenId b) const noexcept {
  return right_[a].last != kNever && left_[b].last != kNever && fireable_.rank(a, b) == kNever &&
         !crosses_below(a, b);
}

std::pair<std::uint32_t, std::uint32_t> BpeMerges::invalid_by(TokenId alpha,
                                                              TokenId beta,
                                                              RankKey rank) const noexcept {
  const RankKey made = right_[alpha].last;
  const RankKey threshold = left_[beta].last < made ? std::max(rank, made) : rank;
  const auto children = child_barrier_.begin() + group_[beta];
  const auto end = std::partition_point(children,
                                        child_barrier_.begin() + group_[beta + 1],
                                        [&](RankKey b) { return b >= threshold; });
  const std::uint32_t first = euler_[beta];
  return {first,
          end == children ? first + 1
                          : child_end_[static_cast<std::size_t>(end - child_barrier_.begin() - 1)]};
}

std::pair<std::uint32_t, std::uint32_t> BpeMerges::invalid_around(TokenId a,
                                                                  TokenId b) const noexcept {
  if (!is_canonical_alone(a)) return {0, static_cast<std::uint32_t>(euler_order_.size())};
  // As in crosses_below, from the whole tokens on.
  RankKey left_barrier = kNever, right_barrier = kNever;
  TokenId alpha = a, beta = b;
  for (;;) {
    const RankKey rank = fireable_.rank(alpha, beta);
    if (rank < left_barrier && rank <= right_barrier) return invalid_by(alpha, beta, rank);
    const SpineSymbol& left = right_[alpha];
    const SpineSymbol& right = left_[beta];
    if (right.last >= left.last) {
      if (right.last == 0) return {0, 0};
      right_barrier = right.barrier;
      beta = right.part;
    } else {
      left_barrier = left.barrier;
      alpha = left.part;
    }
  }
}

// For each symbol alpha on the right spine of a and each merge (alpha, beta) of rank k < barrier of
// alpha: the b to exclude have beta on their left spine, alive at the right time. With alpha
// existing from its last(alpha) to `consumed`:
//   beta must appear before alpha is consumed: last(beta) < consumed;
//   beta must outlast the merge: its barrier in b is at least k;
//   beta must outlast alpha's making: last(beta) >= last(alpha), or its barrier is at least that.
// So the b are beta itself (never consumed) and the subtrees of its children with a barrier of at
// least the threshold: the children are sorted by barrier, hence one interval.
void BpeMerges::invalid_successors(
    TokenId a, std::vector<std::pair<std::uint32_t, std::uint32_t>>& intervals) const {
  intervals.clear();
  if (!is_canonical_alone(a)) {
    if (!euler_order_.empty()) {
      intervals.emplace_back(0, static_cast<std::uint32_t>(euler_order_.size()));
    }
    return;
  }
  RankKey barrier = kNever;
  for (TokenId alpha = a;;) {
    const SpineSymbol& symbol = right_[alpha];
    const RankKey consumed = std::max(symbol.last, barrier);
    for (std::uint32_t k = group_[alpha]; k < group_[alpha + 1]; ++k) {
      const auto [rank, beta] = successors_[k];
      if (rank >= barrier) break;
      if (left_[beta].last >= consumed) continue;
      intervals.push_back(invalid_by(alpha, beta, rank));
    }
    if (symbol.last == 0) return;
    barrier = symbol.barrier;
    alpha = symbol.part;
  }
}

std::vector<TokenId> BpeMerges::encode_piece(std::string_view piece) const {
  if (piece.size() >= kNoToken) throw InvalidInput("a piece must be shorter than 2^32 - 1 bytes");
  std::vector<TokenId> symbols(piece.size());
  for (std::size_t i = 0; i < piece.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(piece[i]);
    symbols[i] = byte_tokens_[byte];
    if (symbols[i] == kNoToken) {
      throw InvalidInput("the byte at position " + std::to_string(i) + " of the piece (value " +
                         std::to_string(byte) + ") has no token in this vocabulary");
    }
  }
  return merge(std::move(symbols));
}

std::vector<TokenId> BpeMerges::merge(std::vector<TokenId> symbols) const {
  const auto size = static_cast<std::uint32_t>(symbols.size());
  // Symbols by start position; next[i] is the start of the following one, kNoToken = merged away.
  std::vector<std::uint32_t> next(size), previous(size);
  for (std::uint32_t i = 0; i < size; ++i) {
    next[i] = i + 1;
    previous[i] = i - 1;  // wraps at 0, and is not read there
  }
  // A heap of (rank, position of the left symbol), least first. Entries are not removed when a
  // neighbour merges; an entry counts only if its position still merges with that rank.
  std::vector<std::uint64_t> heap;
  const auto offer = [&](std::uint32_t at) {
    const RankKey rank = fireable_.rank(symbols[at], symbols[next[at]]);
    if (rank == kNever) return;
    heap.push_back(std::uint64_t{rank} << 32 | at);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  for (std::uint32_t i = 0; i + 1 < size; ++i) offer(i);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const auto at = static_cast<std::uint32_t>(heap.back());
    const auto rank = static_cast<RankKey>(heap.back() >> 32);
    heap.pop_back();
    if (symbols[at] == kNoToken || next[at] == size) continue;
    const std::uint32_t right = next[at];
    const MergeTable::Slot* merge = fireable_.find(symbols[at], symbols[right]);
    if (merge == nullptr || merge->rank != rank) continue;
    symbols[at] = merge->result;
    symbols[right] = kNoToken;
    next[at] = next[right];
    if (next[at] != size) {
      previous[next[at]] = at;
      offer(at);
    }
    if (at != 0) offer(previous[at]);
  }
  std::erase(symbols, kNoToken);
  return symbols;
}

}  // namespace nextbyte
