// Tokenizers whose added tokens are cut out of the text before anything else.
#ifndef NEXTBYTE_FAMILIES_ADDED_TOKENS_H_
#define NEXTBYTE_FAMILIES_ADDED_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "families/spelling_automaton.h"
#include "support/bits.h"
#include "support/bounded_cache.h"
#include "support/interner.h"
#include "tokenizer/tokenizer_family.h"
#include "vocabulary/vocabulary.h"

namespace nextbyte {

// A text is cut, from left to right, at the leftmost place where an added token's spelling stands;
// of those that stand there the longest is taken. What is between two added tokens is a *segment*,
// encoded by the inner family. A sequence of tokens is an encoding iff its segments are encoded as
// the inner family does and, with the text known to its end,
//   inside:   no segment has a spelling inside;
//   leftmost: no spelling begins in a segment and ends in or behind the next added token;
//   longest:  no spelling longer than an added token begins where that token does.
// (That is the cut's definition, place by place. A spelling that begins inside an added token,
// behind its first byte, may be completed: that place is passed over.)
//
// So spellings that begin in a segment or with an added token are *pending* while the text agrees
// with them, and completing one kills. Those of the current segment are one node of an automaton
// (`ContextState::literal`). Those that begin with the last added token or before it are a set of
// trie nodes (`extension`, the number of the set): mostly empty or the last added token's node; one
// more for each spelling that began before an added token, and is not ended by it.
//
// An ordinary token that has a spelling inside is hidden (vocabulary.h). The end of the text, or of
// a segment, leaves what is pending without effect.
//
// Liveness: inner family and spellings may contradict each other: inside a character or before one
// that the pre-tokenizer waits for, every way on may complete a spelling. Contexts with pending
// bytes are searched for a way on, breadth first, unless the text may end there. The others count
// as live with the inner family: no spelling begins inside a character. (That is not so if the
// pre-tokenizer waits for a character of which every one is an added token by itself; no real
// vocabulary is like that.)
//
// Costs: what a token does to the pending spellings is a few ranges of ranks, found once for each
// node; nearly always none is pending.
class AddedTokensFamily final : public TokenizerFamily {
 public:
  // `inner` has a rank for each added token of `vocabulary`, and allows none of them.
  AddedTokensFamily(std::shared_ptr<const Vocabulary> vocabulary,
                    std::unique_ptr<const TokenizerFamily> inner);

  const TokenTable& table() const noexcept override { return inner_->table(); }
  ContextState initial() const override;
  ContextState segment_start() const override;
  std::shared_ptr<const AllowedTokens> allowed(const ContextState& context) const override;
  ContextState advance(const ContextState& context, Rank rank) const override;
  bool try_advance(const ContextState& context, Rank rank, ContextState& next) const override;
  bool may_end(const ContextState& context) const override;
  bool segment_may_end(const ContextState& context) const override {
    return inner_->segment_may_end(context);
  }
  void encode(std::string_view text,
              std::size_t origin,
              std::vector<TokenId>& tokens) const override;
  const Pretokenizer* pretokenizer() const noexcept override { return inner_->pretokenizer(); }
  const BpeMerges* merges() const noexcept override { return inner_->merges(); }

 private:
  friend class AddedTokensSuccessors;
  using Node = SpellingAutomaton::Node;
  using Pending = SpellingAutomaton::Pending;
  using Nodes = std::vector<Node>;  // ascending
  // ContextState::extension: no added token came before; nothing is pending since; from
  // kFirstSet on, the number of a set of nodes.
  static constexpr std::uint32_t kNoneTaken = 0, kNonePending = 1, kFirstSet = 2;
  struct SearchKey {
    ContextState context;
    friend bool operator==(const SearchKey& a, const SearchKey& b) noexcept {
      const ContextState &x = a.context, &y = b.context;
      return x.last == y.last && x.automaton == y.automaton && x.literal == y.literal &&
             x.extension == y.extension && x.detail == y.detail;
    }
  };
  struct SearchKeyHash {
    std::size_t operator()(const SearchKey& key) const noexcept;
  };

  std::shared_ptr<const Pending> pending(Node literal) const;
  std::shared_ptr<const Pending> pending_longer(std::uint32_t extension) const;
  const Nodes& nodes_of(std::uint32_t extension) const;
  std::uint32_t extension_of(Nodes nodes) const;
  // The nodes that are still below a spelling after more bytes.
  void follow(Node node, std::string_view bytes, Nodes& nodes) const;
  // May a text go on from here to its end?
  bool is_live(const ContextState& context) const;
  bool search(const ContextState& start) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const TokenizerFamily> inner_;
  SpellingAutomaton spellings_;
  std::vector<Rank> added_;        // ascending
  std::vector<Node> added_nodes_;  // of each
  BitSet is_added_;
  std::vector<Rank> doubtful_;    // ordinary tokens that end with the beginning of a spelling
  std::vector<Rank> exceptions_;  // added and doubtful ones, ascending
  BitSet is_doubtful_;
  mutable Interner<Nodes> node_sets_;
  mutable BoundedCache<std::uint32_t, Pending> pending_, pending_longer_;
  mutable BoundedCache<SearchKey, bool, SearchKeyHash> live_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_ADDED_TOKENS_H_
