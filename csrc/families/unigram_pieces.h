// The pieces of a unigram tokenizer: a trie of characters with what ends at each of its nodes.
#ifndef NEXTBYTE_FAMILIES_UNIGRAM_PIECES_H_
#define NEXTBYTE_FAMILIES_UNIGRAM_PIECES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "vocabulary/merge_table.h"

namespace nextbyte {

// A string that the best segmentation may be made of.
struct UnigramPiece {
  std::string bytes;
  double score = 0.0;
  TokenId token = kNoToken;  // kNoToken: it competes, but a text that it wins has no encoding here
};

// How the tokenizer's own code adds scores up: rounding decides between paths that are as good.
enum class UnigramSums : std::uint8_t {
  kDouble,  // sums of doubles: Hugging Face tokenizers, llama.cpp
  kSingle,  // sums of floats: sentencepiece 0.2.3
  kMixed,   // a float and a piece's score are compared as doubles and kept as a float, an unknown
            // character is added as a float: sentencepiece up to 0.2.1
};

struct UnigramArithmetic {
  UnigramSums sums = UnigramSums::kDouble;
  double unknown = 0.0;  // the score of a character that is no piece

  static double rounded(double sum) noexcept {
    return static_cast<double>(static_cast<float>(sum));
  }
  double compared(double sum) const noexcept {
    return sums == UnigramSums::kSingle ? rounded(sum) : sum;
  }
  double kept(double sum) const noexcept {
    return sums == UnigramSums::kDouble ? sum : rounded(sum);
  }
  double with_unknown(double best) const noexcept { return kept(best + unknown); }
  double epsilon() const noexcept { return sums == UnigramSums::kDouble ? 0x1p-52 : 0x1p-23; }
};

// The best path that ends at one position, while starts of its last piece are offered in ascending
// order: of equal ones the first stays.
struct UnigramBest {
  double score = 0.0;
  std::uint32_t start = kNone;
  static constexpr std::uint32_t kNone = 0xFFFFFFFFU;

  void offer(double sum, std::uint32_t from, const UnigramArithmetic& arithmetic) noexcept {
    if (start != kNone && !(arithmetic.compared(sum) > score)) return;
    score = arithmetic.kept(sum);
    start = from;
  }
};

// Immutable. Nodes are numbered in the order of their strings (a node before those below it), so
// the nodes below one are a contiguous range. Node 0 is the root, the empty string.
class UnigramPieces {
 public:
  using Node = std::uint32_t;
  static constexpr Node kRoot = 0;
  static constexpr Node kNone = 0xFFFFFFFFU;

  // Throws TokenizerFormat if a piece is empty, no UTF-8, has no finite score, or comes twice.
  explicit UnigramPieces(std::vector<UnigramPiece> pieces);

  Node num_nodes() const noexcept { return static_cast<Node>(parent_.size()); }
  std::uint32_t max_depth() const noexcept { return max_depth_; }
  // The node one character down, or kNone.
  Node step(Node node, char32_t character) const noexcept;
  Node parent(Node node) const noexcept { return parent_[node]; }
  Node end(Node node) const noexcept { return end_[node]; }  // behind the nodes below
  bool has_children(Node node) const noexcept { return end_[node] > node + 1; }
  std::uint32_t depth(Node node) const noexcept { return depth_[node]; }  // characters
  char32_t character(Node node) const noexcept { return character_[node]; }
  bool is_piece(Node node) const noexcept { return is_piece_[node] != 0; }
  double score(Node node) const noexcept { return score_[node]; }          // of a piece
  TokenId token(Node node) const noexcept { return token_[node]; }         // kNoToken if none
  Node longest_suffix(Node node) const noexcept { return suffix_[node]; }  // proper; maybe kRoot
  Node longest_suffix_piece(Node node) const noexcept { return suffix_piece_[node]; }

  // Offers the paths that end at `node` and whose last piece starts strictly inside its string;
  // best[d] is the best path that ends after d of its characters.
  template <typename Columns>
  void offer_inner(Node node,
                   const Columns& best,
                   const UnigramArithmetic& arithmetic,
                   UnigramBest& offered) const noexcept {
    const std::uint32_t depth = depth_[node];
    Node last = node;
    for (Node piece = suffix_piece_[node]; piece != kRoot; piece = suffix_piece_[piece]) {
      last = piece;
      const std::uint32_t start = depth - depth_[piece];
      offered.offer(best[start].score + score_[piece], start, arithmetic);
    }
    const bool single_is_piece = depth_[last] == 1 && is_piece_[last] != 0;
    if (!single_is_piece && depth > 1) {
      offered.offer(arithmetic.with_unknown(best[depth - 1].score), depth - 1, arithmetic);
    }
  }

 private:
  void build_nodes(const std::vector<UnigramPiece>& pieces);
  void build_children();
  void build_suffixes();

  std::uint32_t max_depth_ = 0;
  std::vector<Node> parent_, end_;
  std::vector<std::uint32_t> depth_;
  std::vector<char32_t> character_;
  std::vector<std::uint8_t> is_piece_;
  std::vector<double> score_;
  std::vector<TokenId> token_;
  std::vector<Node> suffix_, suffix_piece_;
  std::vector<std::uint32_t> first_child_;  // by node, one more at the end
  std::vector<Node> children_;              // of each node, by character
  std::array<Node, 128> root_child_{};
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_UNIGRAM_PIECES_H_
