// Greedy longest match: at each position the longest token that fits (RWKV World).
#ifndef NEXTBYTE_FAMILIES_LONGEST_MATCH_FAMILY_H_
#define NEXTBYTE_FAMILIES_LONGEST_MATCH_FAMILY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "support/bits.h"
#include "support/bounded_cache.h"
#include "text/pretokenizer.h"
#include "tokenizer/byte_automaton.h"
#include "tokenizer/tokenizer_family.h"
#include "vocabulary/byte_trie.h"
#include "vocabulary/rank_ranges.h"
#include "vocabulary/vocabulary.h"

namespace nextbyte {

// A text's encoding is the only one in which no longer token fits where a token starts. So t1..tk
// is prefix-canonical iff some valid text that goes on from it never completes, from the start of
// any ti, a token longer than ti.
//
// A *pointer* is what the bytes since the start of one ti spell in the trie of all tokens, as long
// as they are on it beyond ti. A token that walks from a pointer to the end of a trie entry
// completes a longer token at that ti: it is *killed*. So the tokens killed by a pointer are, for
// each nearest entry below it, one range of ranks. Pointers of different starts are independent;
// off the trie a pointer is dropped. There are mostly one or two: the last token's own, and what is
// left of earlier ones.
//
// At the end of a character a context is always live, since the text may end there. Inside one, a
// search over the tokens that go on with it looks for a way to the end of a character, since each
// of them may be killed (docs/theory.md 9).
//
// Costs: a mask per (pending bytes, pointers) is made when first met (a pass over the table, then
// the killed ranges) and cached; test and any need the ranges only.
class LongestMatchFamily final : public TokenizerFamily {
 public:
  explicit LongestMatchFamily(std::shared_ptr<const Vocabulary> vocabulary);

  const TokenTable& table() const noexcept override { return table_; }
  ContextState initial() const override;
  std::shared_ptr<const AllowedTokens> allowed(const ContextState& context) const override;
  ContextState advance(const ContextState& context, Rank rank) const override;
  bool try_advance(const ContextState& context, Rank rank, ContextState& next) const override;
  bool may_end(const ContextState& context) const override;
  void encode(std::string_view text,
              std::size_t origin,
              std::vector<TokenId>& tokens) const override;

 private:
  friend class LongestMatchSuccessors;
  using Node = ByteTrie::Node;
  using Nodes = std::vector<Node>;  // ascending
  // The tokens that keep the text valid UTF-8, by where they end.
  struct Endings {
    BitSet whole;    // at the end of a character
    BitSet partial;  // inside one
  };
  // Where a context stands: the pending bytes, and the pointers.
  struct Position {
    ByteAutomatonState text;
    Nodes pointers;
    friend bool operator==(const Position&, const Position&) = default;
  };
  struct PositionHash {
    std::size_t operator()(const Position& position) const noexcept;
  };

  Position position_of(const ContextState& context) const;
  std::shared_ptr<const Endings> endings(const ByteAutomatonState& text) const;
  // The tokens that some pointer kills.
  std::shared_ptr<const RankRanges> killed(const Nodes& pointers) const;
  Position advanced(const Position& position, Rank rank) const;
  bool is_live(const Position& position) const;
  bool search(const Position& start) const;
  std::shared_ptr<const std::vector<std::uint64_t>> mask(const Position& position) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  Pretokenizer no_stages_;  // one piece: the automaton only sees to UTF-8
  ByteTrie no_pieces_;
  ByteAutomaton automaton_;
  ByteTrie trie_;  // of all tokens of a segment; entry i is the token i
  TokenTable table_;
  std::vector<Node> node_of_;  // by token: where it ends if longer ones begin with it, else kOff
  mutable BoundedCache<ByteAutomatonState, Endings, ByteAutomatonStateHash> endings_;
  mutable BoundedCache<Position, RankRanges, PositionHash> killed_;
  mutable BoundedCache<Position, bool, PositionHash> live_;
  mutable BoundedCache<Position, std::vector<std::uint64_t>, PositionHash> masks_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_LONGEST_MATCH_FAMILY_H_
