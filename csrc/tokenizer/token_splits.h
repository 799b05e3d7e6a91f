// Finds all ways to cut a token into two tokens, without hashing or comparing bytes.
#ifndef NEXTBYTE_TOKENIZER_TOKEN_SPLITS_H_
#define NEXTBYTE_TOKENIZER_TOKEN_SPLITS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"

namespace nextbyte {

// Every token knows the longest other token that it begins with, and the longest that it ends with.
// The chains of these are all its prefixes and suffixes among the tokens, by falling length (3 or 4
// on real vocabularies); a split is a pair of them whose lengths add up. Immutable. Build: two
// sorts; a chain step is one look-up.
class TokenSplits {
 public:
  // `sorted`: the ids of the tokens that count, in the order of sort_by_bytes, no two with the same
  // bytes, none empty.
  TokenSplits(const std::vector<std::string_view>& tokens, const std::vector<TokenId>& sorted);

  // Calls visit(left, right) for every split of t, which must be one of `sorted`.
  template <typename Visit>
  void for_each(TokenId t, Visit visit) const {
    const std::uint32_t size = prefixes_[t].length;
    for (TokenId left = prefixes_[t].shorter, right = suffixes_[t].shorter; left != kNoToken;
         left = prefixes_[left].shorter) {
      // Prefixes get shorter, so suffixes must get longer: the chain of t's suffixes is walked anew
      // for each. Both are short, and most tokens have one prefix of more than a byte.
      const std::uint32_t wanted = size - prefixes_[left].length;
      TokenId at = right;
      while (at != kNoToken && suffixes_[at].length > wanted) at = suffixes_[at].shorter;
      if (at != kNoToken && suffixes_[at].length == wanted) visit(left, at);
    }
  }

 private:
  struct Link {
    TokenId shorter = kNoToken;  // the next of the chain
    std::uint32_t length = 0;
  };
  std::vector<Link> prefixes_, suffixes_;  // by token id
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_TOKEN_SPLITS_H_
