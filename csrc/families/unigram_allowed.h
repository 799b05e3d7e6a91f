// The tokens that may follow one context of a unigram tokenizer.
#ifndef NEXTBYTE_FAMILIES_UNIGRAM_ALLOWED_H_
#define NEXTBYTE_FAMILIES_UNIGRAM_ALLOWED_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "families/unigram_family.h"
#include "tokenizer/tokenizer_family.h"

namespace nextbyte {

// A walk down the trie of pieces behind the context; see UnigramIndex for what it may leave out.
// Answers of any() are remembered, since a context is asked again with each byte that follows it.
class UnigramAllowed final : public AllowedTokens {
 public:
  // Valid while `family` lives.
  UnigramAllowed(const UnigramFamily& family, std::shared_ptr<const UnigramPosition> position);

  bool test(Rank rank) const override;
  bool any(Rank first, Rank last) const override;
  void copy_words(Rank size, std::vector<std::uint64_t>& words) const override;

 private:
  using Node = UnigramPieces::Node;
  using Ranks = std::pair<Rank, Rank>;

  bool test_piece(Rank rank) const;
  bool test_byte(Rank rank) const;
  // Of a blank that the text may not end with.
  bool must_go_on(Rank rank) const;
  // The least rank in [first, last) that is allowed, or kNoRank.
  Rank find_first(Rank first, Rank last) const;
  Rank find_first_piece(Rank first, Rank last) const;
  // Visits the pieces of the ranks [first, last), of which the guard knows nothing: settled(word,
  // allowed, unsure) for up to 64 ranks at once, whole(rank) for single ones that win. Stops when
  // one of them returns true.
  template <typename Settled, typename Whole>
  void walk(Rank first, Rank last, Settled settled, Whole whole) const;
  // The ranks of [from, to), all of one subtree in which nothing crosses the context any more: what
  // did has ended at `depths` of the columns.
  template <typename Settled>
  bool settle(Rank from,
              Rank to,
              const UnigramColumns& columns,
              const std::vector<std::uint32_t>& depths,
              Settled settled) const;

  const UnigramFamily* family_;
  std::shared_ptr<const UnigramPosition> position_;
  std::shared_ptr<const UnigramIndex::Verdicts> verdicts_;
  std::vector<Ranks> forbidden_;  // by the guard; ascending, disjoint
  mutable std::mutex mutex_;
  mutable std::vector<std::uint64_t> words_;  // once they were asked for
  mutable Rank searched_ = kNoRank;           // nothing in [searched_, found_) is allowed
  mutable Rank found_ = kNoRank;              // and this is
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_UNIGRAM_ALLOWED_H_
