// The tokens that may follow one context where merges decide about some of them.
#ifndef NEXTBYTE_FAMILIES_PAIR_SUCCESSORS_H_
#define NEXTBYTE_FAMILIES_PAIR_SUCCESSORS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "support/bits.h"
#include "support/bounded_cache.h"
#include "tokenizer/tokenizer_family.h"
#include "vocabulary/bpe_merges.h"

namespace nextbyte {

// What cannot follow a token because BPE would have merged across the cut. Logically const and
// thread-safe; the masks are cached.
class InvalidSuccessors {
 public:
  // Both outlive this. Tokens without a rank are left out. The limits are there for the checks.
  struct Limits {
    std::size_t pair_tests = 32;      // that fail, in one question, before a mask is made
    std::size_t cached_masks = 1024;  // 6 KB (49k tokens) to 33 KB (262k): at most 2 * 33 MB
  };
  InvalidSuccessors(const BpeMerges& merges, const TokenTable& table)
      : InvalidSuccessors(merges, table, Limits()) {}
  InvalidSuccessors(const BpeMerges& merges, const TokenTable& table, Limits limits);

  std::shared_ptr<const BitSet> after(TokenId last) const;
  bool pair_ok(TokenId last, Rank rank) const noexcept {
    return merges_->pair_ok(last, table_->order()[rank]);
  }
  // May any of the `candidates` in the ranks [first, last) follow? Mostly some pair tests (50 ns):
  // each that fails rules out an interval, and many tokens of one beginning share it.
  bool any_valid(TokenId last_token, const BitSet& candidates, Rank first, Rank last) const;

 private:
  struct EulerRange {  // both inclusive
    std::uint32_t first = kNoRank, last = 0;
  };
  // The members of many intervals (behind a blank, nearly all there are) by what is between them.
  BitSet all_but_gaps(std::vector<std::pair<std::uint32_t, std::uint32_t>> intervals) const;

  const BpeMerges* merges_;
  const TokenTable* table_;
  std::size_t max_pair_tests_;
  std::vector<Rank> euler_to_rank_;
  std::vector<std::uint32_t> rank_to_euler_;  // kNoRank: not canonical alone
  std::vector<EulerRange> block_ranges_;      // of each kWordBits ranks; first > last: of none
  BitSet canonical_;                          // the ranks that have one
  mutable BoundedCache<TokenId, BitSet> by_last_token_;
};

// allowed = free | (bound & ~invalid after `last`)
//
// free and bound are shared masks. invalid is asked by pair tests as long as that is enough, which
// it is while a stream is only pushed, and becomes a mask when the whole row is wanted. From then
// on the mask is asked: behind a row, it is nearer than what the pair tests read.
class PairSuccessors final : public AllowedTokens {
 public:
  // nullptr: an empty mask. `last` matters only where there is something bound.
  PairSuccessors(const InvalidSuccessors& invalid,
                 TokenId last,
                 std::shared_ptr<const BitSet> free,
                 std::shared_ptr<const BitSet> bound)
      : invalid_(&invalid), last_(last), free_(std::move(free)), bound_(std::move(bound)) {}

  bool test(Rank rank) const override {
    return (free_ && free_->test(rank)) || (bound_ && bound_->test(rank) && follows_in_piece(rank));
  }
  bool any(Rank first, Rank last) const override;
  void copy_words(Rank size, std::vector<std::uint64_t>& words) const override;

 private:
  bool follows_in_piece(Rank rank) const {
    const BitSet* const mask = known_mask_.load(std::memory_order_acquire);
    return mask != nullptr ? !mask->test(rank) : invalid_->pair_ok(last_, rank);
  }

  const InvalidSuccessors* invalid_;
  TokenId last_;
  std::shared_ptr<const BitSet> free_, bound_;
  // What cannot follow `last`, once it has been made; forks may ask for it at the same time.
  mutable std::once_flag once_;
  mutable std::shared_ptr<const BitSet> mask_;
  mutable std::atomic<const BitSet*> known_mask_{nullptr};
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_PAIR_SUCCESSORS_H_
