// Dynamic programming behind a context: the best paths that end inside the tokens that may follow.
#ifndef NEXTBYTE_FAMILIES_UNIGRAM_COLUMNS_H_
#define NEXTBYTE_FAMILIES_UNIGRAM_COLUMNS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "families/text_guard.h"
#include "families/unigram_pieces.h"

namespace nextbyte {

// A place in the text before here at which a piece may have started that goes on behind here.
struct UnigramStart {
  UnigramPieces::Node node;  // of the text between that place and here
  double score;              // of the best path to that place
};

// What decides which pieces may follow: all that the library's forward pass knows here.
struct UnigramPosition {
  std::vector<UnigramStart> starts;  // before here, ascending
  double score = 0.0;                // of the best path to here: the context
  TextGuard::State guard = 0;
  std::string pending;     // bytes of an unknown character; the rest is as before it
  bool is_start = false;   // of a text that must begin with the lead
  bool only_lead = false;  // the lead's own token and nothing else
};

// The columns of the nodes on one path of the trie, whose string stands behind a position.
class UnigramColumns {
 public:
  using Node = UnigramPieces::Node;
  static constexpr std::uint32_t kHere = 0;              // a piece that starts at the position
  static constexpr std::uint32_t kBefore = 0xFFFFFFFEU;  // one that starts before it
  static constexpr char32_t kBlank = U' ';

  // split_at_blank: the text is cut before every blank, and each part segmented by itself.
  UnigramColumns(const UnigramPieces& pieces,
                 const UnigramArithmetic& arithmetic,
                 const UnigramPosition& position,
                 bool split_at_blank)
      : pieces_(&pieces),
        arithmetic_(arithmetic),
        position_(&position),
        split_at_blank_(split_at_blank),
        best_(pieces.max_depth() + 1),
        starts_end_(pieces.max_depth() + 1) {}

  // Computes the node's column; those of the nodes above it must be the last ones computed.
  void enter(Node node) {
    const std::uint32_t depth = pieces_->depth(node);
    if (depth == 1) begin(pieces_->character(node));
    const std::size_t first = depth == 1 ? 0 : starts_end_[depth - 2];
    const std::size_t last = starts_end_[depth - 1];
    starts_.resize(last);
    UnigramBest best;
    for (std::size_t i = first; i < last; ++i) {
      const Node next = pieces_->step(starts_[i].node, pieces_->character(node));
      if (next == UnigramPieces::kNone) continue;
      const double score = starts_[i].score;
      if (pieces_->is_piece(next)) best.offer(score + pieces_->score(next), kBefore, arithmetic_);
      if (pieces_->has_children(next)) starts_.push_back({next, score});
    }
    starts_end_[depth] = starts_.size();
    if (pieces_->is_piece(node)) {
      best.offer(best_[0].score + pieces_->score(node), kHere, arithmetic_);
    } else if (depth == 1) {
      best.offer(arithmetic_.with_unknown(best_[0].score), kHere, arithmetic_);
    }
    pieces_->offer_inner(node, best_, arithmetic_, best);
    best_[depth] = best;
  }
  // The nodes below the root down to `node`, in order.
  std::vector<Node> path_to(Node node) const {
    std::vector<Node> path(pieces_->depth(node));
    for (std::size_t i = path.size(); i-- > 0; node = pieces_->parent(node)) path[i] = node;
    return path;
  }
  void enter_path(Node node) {
    for (const Node at : path_to(node)) enter(at);
  }

  double base() const noexcept { return best_[0].score; }
  double score(std::uint32_t depth) const noexcept { return best_[depth].score; }
  // Is the last piece of the best path the whole string behind the position?
  bool is_whole(std::uint32_t depth) const noexcept { return best_[depth].start == kHere; }
  // Is the last piece of the best path one that starts before the position?
  bool is_crossed(std::uint32_t depth) const noexcept { return best_[depth].start == kBefore; }
  // May a piece that started before the position end further down?
  bool is_crossed_below(std::uint32_t depth) const noexcept {
    return starts_end_[depth] > starts_end_[depth - 1];
  }

  // The position behind the node's string, of which the last piece is the whole.
  UnigramPosition behind(Node node, TextGuard::State guard) const {
    const std::uint32_t depth = pieces_->depth(node);
    UnigramPosition next;
    next.score = best_[depth].score;
    next.guard = guard;
    next.starts.assign(starts_.begin() + static_cast<std::ptrdiff_t>(starts_end_[depth - 1]),
                       starts_.begin() + static_cast<std::ptrdiff_t>(starts_end_[depth]));
    for (Node at = node; at != UnigramPieces::kRoot; at = pieces_->longest_suffix(at)) {
      if (!pieces_->has_children(at)) continue;
      next.starts.push_back({at, best_[depth - pieces_->depth(at)].score});
    }
    return next;
  }

 private:
  void begin(char32_t first_character) {
    const bool cut = split_at_blank_ && first_character == kBlank;
    best_[0] = {cut ? 0.0 : position_->score, kHere};
    starts_.clear();
    if (!cut) starts_ = position_->starts;
    starts_end_[0] = starts_.size();
  }

  const UnigramPieces* pieces_;
  UnigramArithmetic arithmetic_;
  const UnigramPosition* position_;
  bool split_at_blank_;
  std::vector<UnigramBest> best_;        // by depth
  std::vector<UnigramStart> starts_;     // before the position, alive at each depth, one by one
  std::vector<std::size_t> starts_end_;  // by depth
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_UNIGRAM_COLUMNS_H_
