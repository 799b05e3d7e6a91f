// Finds all ways to cut a token into two tokens, without hashing or comparing bytes.
#ifndef NEXTBYTE_VOCABULARY_TOKEN_SPLITS_H_
#define NEXTBYTE_VOCABULARY_TOKEN_SPLITS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "vocabulary/byte_string_order.h"

namespace nextbyte {

// Every token knows the longest other token that it begins with, and the longest that it ends with.
// The chains of these are all its prefixes and suffixes among the tokens, by falling length (3 or 4
// on real vocabularies); a split is a pair of them whose lengths add up. Build: a sort of the
// reversed strings and two linear passes; a chain step is one look-up.
class TokenSplits {
 public:
  // `order`: the tokens that count, sorted by bytes, no two with the same bytes, none empty.
  TokenSplits(const std::vector<std::string_view>& tokens, const ByteStringOrder& order);

  // Calls visit(left, right) for every split of t, which must be one of `order`. Linear in the
  // length of the two chains.
  template <typename Visit>
  void for_each(TokenId t, Visit visit) {
    TokenId left = prefixes_[t].shorter;
    if (left == kNoToken) return;
    chain_.clear();
    for (TokenId right = suffixes_[t].shorter; right != kNoToken;
         right = suffixes_[right].shorter) {
      chain_.push_back(right);
    }
    for (const std::uint32_t size = length(t); left != kNoToken; left = prefixes_[left].shorter) {
      const std::uint32_t wanted = size - length(left);  // grows from one to the next
      while (!chain_.empty() && length(chain_.back()) < wanted) chain_.pop_back();
      if (chain_.empty()) return;
      if (length(chain_.back()) == wanted) visit(left, chain_.back());
    }
  }

  // 0 for a token that is not one of `order`.
  std::uint32_t length(TokenId t) const noexcept { return prefixes_[t].length; }

 private:
  struct Link {
    TokenId shorter = kNoToken;  // the next of the chain
    std::uint32_t length = 0;
  };
  static std::vector<Link> linked(const std::vector<std::string_view>& tokens,
                                  const ByteStringOrder& order);

  std::vector<Link> prefixes_, suffixes_;  // by token id
  std::vector<TokenId> chain_;             // scratch of for_each
};

}  // namespace nextbyte

#endif  // NEXTBYTE_VOCABULARY_TOKEN_SPLITS_H_
