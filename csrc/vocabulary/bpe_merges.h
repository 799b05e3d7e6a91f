// Byte pair encoding inside one piece: which token sequences are what BPE itself would produce.
//
// BPE of a byte string: start from its byte tokens (the *base symbols*); repeat the applicable
// merge of least rank, the leftmost first, until none applies. Nothing below assumes that ranks
// grow along a run.
//
// Definitions. The *own run* of token t is BPE on dec(t); t is *canonical alone* if that ends in
// [t]. Its last step (l, r) -> t makes a binary tree over dec(t), whose subtrees are the own runs
// of their roots: the *right spine* of t is t, r, the right part of r, ... down to a byte token,
// i.e. every symbol that was the right edge at some time, latest first. The left spine likewise.
//
// Facts (proofs: docs/theory.md).
//   Locality: a sequence is canonical iff all its tokens are canonical alone and all its adjacent
//     pairs are canonical.
//   Crossing: a merge (l, r) -> m can join two tokens across their cut only if it is the last step
//   of
//     m's own run. So one merge per token suffices, and all others are dropped here.
//   Barriers: while symbol s is the edge of the tree of t, its parent p on the spine has steps
//   left.
//     The *barrier* of s is the greatest rank among the steps of p's own run after s was created,
//     up to the step that makes p. Steps of t outside p never exceed it (they would have had to
//     wait), so barriers belong to the edge s -> p and spines share storage. With last(t) the
//     greatest rank of t's own run (the moment at which it is complete) and p made from (l, r) at
//     rank k:
//       last(l) <= last(r):  barrier(l) = max(last(r), k),  barrier(r) = k
//       last(l) >  last(r):  barrier(l) = k,  barrier(r) = max(last(l), k)
//     because the two halves run side by side, the left one first on ties.
//
// Costs: construction one pair test per merge (per split of a token for ranks), in order of length;
// pair_ok one look-up per symbol on the two spines (3-4 each on real vocabularies, at most 11).
#ifndef NEXTBYTE_VOCABULARY_BPE_MERGES_H_
#define NEXTBYTE_VOCABULARY_BPE_MERGES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vocabulary/byte_string_order.h"
#include "vocabulary/merge_table.h"

namespace nextbyte {

// One line of a merge list. Its rank is its index in the list; lower ranks merge first.
struct Merge {
  TokenId left, right, result;
};

// How a token comes about: the last step of its own run. What construction has to find out, and all
// that a second construction of the same merges needs.
struct LastStep {
  // In place of a moment, where there is no step and the token is no base symbol either.
  static constexpr RankKey kTakesNoPart = kNever;
  static constexpr RankKey kNotCanonicalAlone = kNever - 1;

  bool is_step() const noexcept { return left != kNoToken; }
  bool is_base_symbol() const noexcept { return left == kNoToken && at == 0; }

  TokenId left, right;  // kNoToken if there is no step
  RankKey at;           // 0 for a base symbol
};

// What BPE starts from: the tokens of one byte, or those of one UTF-8 character. The theory above
// is the same for both, with "byte" read as "character".
enum class BaseSymbols { kBytes, kCharacters };

// Immutable after construction; safe to share between threads.
class BpeMerges {
 public:
  // In both: tokens[id] is the byte string of token id; "" is a special token or a hole and never
  // part of BPE. Of characters, the tokens must be valid UTF-8, or TokenizerFormat is thrown.

  // From an explicit merge list (Hugging Face). A later merge of the same (left, right) replaces an
  // earlier one, as in that library. Of several tokens with the same base symbol the lowest id is
  // that symbol; of longer duplicates the one that the merges yield is canonical.
  // Throws TokenizerFormat with the merge's index if it names an id out of range or an empty token,
  // or if its bytes are not those of its parts.
  static BpeMerges from_merges(const std::vector<std::string>& tokens,
                               const std::vector<Merge>& merges,
                               BaseSymbols base = BaseSymbols::kBytes);

  // From priorities of byte strings (tiktoken): every split of a token into two tokens is a merge
  // of rank ranks[id]; a token of rank 0xFFFFFFFF takes no part. Of tokens with equal bytes the one
  // of lowest rank (then lowest id) takes part. Throws TokenizerFormat if the sizes differ or a
  // rank is 0xFFFFFFFE. `order`: of all tokens with bytes, where it is known already.
  static BpeMerges from_ranks(const std::vector<std::string>& tokens,
                              const std::vector<std::uint32_t>& ranks,
                              BaseSymbols base = BaseSymbols::kBytes,
                              const ByteStringOrder* order = nullptr);

  // From what last_steps() of the same merges gave, by token id. Takes it for right, apart from
  // what would lead outside of memory or into a circle: throws TokenizerFormat with the token's id.
  static BpeMerges from_last_steps(const std::vector<std::string>& tokens,
                                   std::span<const LastStep> steps);
  std::vector<LastStep> last_steps() const;

  // Does BPE of dec(t) give [t]? Precondition here and below: ids are less than num_tokens().
  bool is_canonical_alone(TokenId t) const noexcept { return left_[t].last != kNever; }

  // Is there a token of this byte, so that BPE can begin?
  bool has_byte(std::uint8_t byte) const noexcept { return byte_tokens_[byte] != kNoToken; }

  // Are a and b canonical alone and [a, b] the BPE of dec(a) + dec(b)? O(spine lengths).
  bool pair_ok(TokenId a, TokenId b) const noexcept;

  // Replaces `intervals` by the Euler numbers [first, last) of all b, among the tokens canonical
  // alone, with !pair_ok(a, b). Each interval names at least one such b; they come in no order and
  // two are either disjoint or nested. O(right spine of a + intervals * log children).
  void invalid_successors(TokenId a,
                          std::vector<std::pair<std::uint32_t, std::uint32_t>>& intervals) const;

  // The Euler numbers [first, last) of b and of others that are invalid after `a` for the same
  // reason; empty if pair_ok(a, b). For those who look for one valid token among many: whole
  // intervals can be passed over. Precondition: b is canonical alone. Cost of pair_ok.
  std::pair<std::uint32_t, std::uint32_t> invalid_around(TokenId a, TokenId b) const noexcept;

  // Precondition: t is canonical alone.
  std::uint32_t euler_number(TokenId t) const noexcept { return euler_[t]; }
  // Euler number -> token id, for the tokens canonical alone: preorder of the forest in which the
  // parent of a token is its left part.
  const std::vector<TokenId>& euler_order() const noexcept { return euler_order_; }

  // BPE of base symbols, run as defined in O(n log n): the reference for everything above.
  // Precondition: fewer than 2^32 - 1.
  std::vector<TokenId> merge(std::vector<TokenId> symbols) const;

  // The same for one piece, if the base symbols are bytes. Throws InvalidInput with the position of
  // the first byte that has no token.
  std::vector<TokenId> encode_piece(std::string_view piece) const;

  std::size_t num_tokens() const noexcept { return left_.size(); }

  // Diagnostics. Tokens that take part in BPE but are not canonical alone:
  std::size_t num_not_canonical_alone() const noexcept { return num_not_canonical_alone_; }
  // The most symbols on one spine; 1 if there are byte tokens only, 0 without any. O(all spines).
  std::size_t max_spine_depth() const noexcept;
  // Are the ranks non-decreasing along every own run?
  bool is_proper() const noexcept { return is_proper_; }

 private:
  // One symbol of a spine and the way down it. A byte token has last = 0 and no part; a token that
  // is not canonical alone has last = kNever.
  struct SpineSymbol {
    TokenId part = kNoToken;  // the next symbol down: the left or right part of the last step
    RankKey barrier = 0;      // of that part
    RankKey last = kNever;    // greatest rank of the own run
  };
  struct Successor {
    RankKey rank;
    TokenId right;
  };

  BpeMerges(std::size_t num_tokens, std::size_t max_merges)
      : left_(num_tokens),
        right_(num_tokens),
        fireable_(max_merges),
        takes_part_(num_tokens, false) {
    byte_tokens_.fill(kNoToken);
  }
  // Construction: the base symbols first, then last steps in order of length, then finish().
  void add_base_symbol(std::string_view bytes, TokenId t);
  bool add_if_last_step(const Merge& merge, RankKey rank);
  void add_last_step(const Merge& merge, RankKey rank);
  void prefetch(const Merge& merge) const noexcept;  // what the former will touch
  void finish();
  bool crosses_below(TokenId a, TokenId b) const noexcept;
  // What the merge of rank `rank` of alpha, on a right spine, with beta makes invalid: beta itself
  // and what its children begin in which it lives long enough.
  std::pair<std::uint32_t, std::uint32_t> invalid_by(TokenId alpha,
                                                     TokenId beta,
                                                     RankKey rank) const noexcept;

  std::vector<SpineSymbol> left_, right_;  // by token id
  MergeTable fireable_;                    // the last steps of all tokens canonical alone
  std::array<TokenId, 256> byte_tokens_;   // kNoToken: no such byte
  std::vector<TokenId> euler_order_;       // before finish(): parts before wholes
  std::vector<std::uint32_t> euler_;       // by token id; undefined if not canonical alone
  // The tokens with left part p are the entries [group_[p], group_[p + 1]) of the three arrays
  // below.
  std::vector<std::uint32_t> group_;
  std::vector<RankKey> child_barrier_;    // of p in each, greatest first
  std::vector<std::uint32_t> child_end_;  // first Euler number after that child's subtree
  std::vector<Successor> successors_;     // what p merges with, by rank
  std::vector<bool> takes_part_;          // by token id
  std::size_t num_not_canonical_alone_ = 0;
  bool is_proper_ = true;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_VOCABULARY_BPE_MERGES_H_
