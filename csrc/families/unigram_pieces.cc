// Builds the trie of pieces: nodes in order, children by character, longest suffixes.
#include "families/unigram_pieces.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "support/error.h"
#include "text/unicode.h"

namespace nextbyte {
namespace {

std::vector<char32_t> characters_of(const UnigramPiece& piece) {
  std::vector<char32_t> characters;
  for (std::size_t at = 0; at < piece.bytes.size();) {
    const DecodedScalar scalar = decode_scalar(piece.bytes, at);
    if (scalar.length == 0) {
      throw TokenizerFormat("the piece of token " + std::to_string(piece.token) + " is no UTF-8");
    }
    characters.push_back(scalar.value);
    at += scalar.length;
  }
  return characters;
}

}  // namespace

UnigramPieces::UnigramPieces(std::vector<UnigramPiece> pieces) {
  std::sort(pieces.begin(), pieces.end(), [](const UnigramPiece& a, const UnigramPiece& b) {
    return a.bytes < b.bytes;  // of UTF-8: the order of the characters
  });
  build_nodes(pieces);
  build_children();
  build_suffixes();
}

void UnigramPieces::build_nodes(const std::vector<UnigramPiece>& pieces) {
  std::vector<Node> path;  // the nodes above the place where the next one goes
  const auto add = [&](Node parent, char32_t character) {
    path.push_back(num_nodes());
    parent_.push_back(parent);
    depth_.push_back(static_cast<std::uint32_t>(path.size() - 1));
    character_.push_back(character);
    is_piece_.push_back(0);
    score_.push_back(0.0);
    token_.push_back(kNoToken);
    end_.push_back(0);
  };
  const auto leave = [&](std::size_t length) {
    for (; path.size() > length; path.pop_back()) end_[path.back()] = num_nodes();
  };
  add(kRoot, 0);
  for (const UnigramPiece& piece : pieces) {
    const std::vector<char32_t> characters = characters_of(piece);
    if (characters.empty()) throw TokenizerFormat("a piece has no bytes");
    if (!std::isfinite(piece.score)) {
      throw TokenizerFormat("the score of token " + std::to_string(piece.token) + " is not finite");
    }
    std::size_t shared = 0;
    while (shared < characters.size() && shared + 1 < path.size() &&
           character_[path[shared + 1]] == characters[shared]) {
      ++shared;
    }
    leave(shared + 1);
    for (std::size_t i = shared; i < characters.size(); ++i) add(path.back(), characters[i]);
    const Node node = path.back();
    if (is_piece_[node] != 0) {
      throw TokenizerFormat("tokens " + std::to_string(token_[node]) + " and " +
                            std::to_string(piece.token) + " are the same piece");
    }
    is_piece_[node] = 1;
    score_[node] = piece.score;
    token_[node] = piece.token;
    max_depth_ = std::max(max_depth_, depth_[node]);
  }
  leave(0);
}

void UnigramPieces::build_children() {
  first_child_.assign(num_nodes() + 1, 0);
  for (Node node = 1; node < num_nodes(); ++node) ++first_child_[parent_[node] + 1];
  for (Node node = 0; node < num_nodes(); ++node) first_child_[node + 1] += first_child_[node];
  children_.resize(num_nodes() - 1);
  std::vector<std::uint32_t> next(first_child_.begin(), first_child_.end() - 1);
  for (Node node = 1; node < num_nodes(); ++node) children_[next[parent_[node]]++] = node;
  root_child_.fill(kNone);
  for (std::uint32_t i = 0; i < first_child_[1]; ++i) {
    if (character_[children_[i]] < root_child_.size()) {
      root_child_[character_[children_[i]]] = children_[i];
    }
  }
}

UnigramPieces::Node UnigramPieces::step(Node node, char32_t character) const noexcept {
  if (node == kRoot && character < root_child_.size()) return root_child_[character];
  const auto begin = children_.begin() + first_child_[node];
  const auto end = children_.begin() + first_child_[node + 1];
  const auto child = std::lower_bound(
      begin, end, character, [&](Node at, char32_t wanted) { return character_[at] < wanted; });
  return child == end || character_[*child] != character ? kNone : *child;
}

void UnigramPieces::build_suffixes() {
  suffix_.assign(num_nodes(), kRoot);
  suffix_piece_.assign(num_nodes(), kRoot);
  std::vector<Node> by_depth(num_nodes());
  for (Node node = 0; node < num_nodes(); ++node) by_depth[node] = node;
  std::stable_sort(
      by_depth.begin(), by_depth.end(), [&](Node a, Node b) { return depth_[a] < depth_[b]; });
  for (const Node node : by_depth) {
    if (depth_[node] < 2) continue;
    // The longest suffix that goes on with this character: of the parent's suffixes, longest first.
    for (Node from = suffix_[parent_[node]];; from = suffix_[from]) {
      const Node found = step(from, character_[node]);
      if (found != kNone) {
        suffix_[node] = found;
        break;
      }
      if (from == kRoot) break;
    }
    const Node suffix = suffix_[node];
    suffix_piece_[node] = is_piece_[suffix] != 0 ? suffix : suffix_piece_[suffix];
  }
}

}  // namespace nextbyte
