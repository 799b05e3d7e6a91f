// Byte-level BPE behind a pre-tokenizer, with the whole-piece rule where a tokenizer has it.
#ifndef NEXTBYTE_FAMILIES_BYTE_PAIR_FAMILY_H_
#define NEXTBYTE_FAMILIES_BYTE_PAIR_FAMILY_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "families/successor_masks.h"
#include "text/pretokenizer.h"
#include "tokenizer/byte_automaton.h"
#include "tokenizer/tokenizer_family.h"
#include "vocabulary/bpe_merges.h"
#include "vocabulary/byte_trie.h"
#include "vocabulary/vocabulary.h"

namespace nextbyte {

// A context is known by its last token and by where the pre-tokenizer may stand after its bytes:
// mostly one automaton state, more only while the current piece could become one of the whole
// pieces under one assumption about where it began and not under another.
//
// The whole-piece rule (`ignore_merges`, and always in tiktoken): a piece that is a token becomes
// that token. It changes nothing for tokens that merges produce. The others, the whole pieces w,
// may only stand for a piece of their own; and no piece equal to w may be spelled by other tokens
// (docs/theory.md 7).
class BytePairFamily final : public TokenizerFamily {
 public:
  BytePairFamily(std::shared_ptr<const Vocabulary> vocabulary,
                 BpeMerges merges,
                 const std::vector<std::string>& stages,
                 bool whole_pieces,
                 NormalForm normal_form = NormalForm::kNone);

  const TokenTable& table() const noexcept override { return table_; }
  ContextState initial() const override;
  std::shared_ptr<const AllowedTokens> allowed(const ContextState& context) const override;
  ContextState advance(const ContextState& context, Rank rank) const override;
  bool try_advance(const ContextState& context, Rank rank, ContextState& next) const override;
  bool may_end(const ContextState& context) const override;
  void encode(std::string_view text,
              std::size_t origin,
              std::vector<TokenId>& tokens) const override;
  const Pretokenizer* pretokenizer() const noexcept override { return &pretokenizer_; }
  const BpeMerges* merges() const noexcept override { return &merges_; }

 private:
  // The automaton states that are in ContextState::detail, behind the one in `automaton`.
  using MoreStates = std::vector<ByteAutomatonState>;
  static std::vector<ByteAutomatonState> states_of(const ContextState& context);
  // Different states; the first, mostly the only one, without an allocation.
  class States {
   public:
    void add(const ByteAutomatonState& state);
    bool empty() const noexcept { return size_ == 0; }
    const ByteAutomatonState& front() const noexcept { return first_; }
    const MoreStates& more() const noexcept { return more_; }

   private:
    std::size_t size_ = 0;
    ByteAutomatonState first_;
    MoreStates more_;
  };
  // Adds where the token leads from `state`, under each assumption about a boundary before it.
  // is_allowed: it is known to follow under one of them.
  void advance_state(const ByteAutomatonState& state,
                     TokenId last,
                     Rank rank,
                     bool is_allowed,
                     States& next) const;
  bool step(const ContextState& context, Rank rank, bool is_allowed, ContextState& next) const;
  bool leaves_whole_pieces(ByteTrie::Node piece, std::string_view bytes) const noexcept;

  std::shared_ptr<const Vocabulary> vocabulary_;
  BpeMerges merges_;
  Pretokenizer pretokenizer_;
  std::vector<TokenId> whole_piece_tokens_;  // entry i of whole_pieces_ is the i-th
  ByteTrie whole_pieces_;
  TokenTable table_;
  ByteAutomaton automaton_;
  SuccessorMasks masks_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_BYTE_PAIR_FAMILY_H_
