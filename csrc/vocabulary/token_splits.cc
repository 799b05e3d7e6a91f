// Links prefixes and suffixes: in sorted order, what a string begins with comes before it.
#include "vocabulary/token_splits.h"

namespace nextbyte {

// The stack holds the tokens that the last one begins with, itself on top. Of them the new one
// begins with those that are no longer than what the two share.
std::vector<TokenSplits::Link> TokenSplits::linked(const std::vector<std::string_view>& tokens,
                                                   const ByteStringOrder& order) {
  std::vector<Link> links(tokens.size());
  for (const TokenId token : order.ids) {
    links[token].length = static_cast<std::uint32_t>(tokens[token].size());
  }
  struct Open {
    TokenId token;
    std::uint32_t length;
  };
  std::vector<Open> stack;
  for (std::size_t i = 0; i < order.ids.size(); ++i) {
    const TokenId token = order.ids[i];
    while (!stack.empty() && stack.back().length > order.shared[i]) stack.pop_back();
    if (!stack.empty()) links[token].shorter = stack.back().token;
    stack.push_back({token, links[token].length});
  }
  return links;
}

TokenSplits::TokenSplits(const std::vector<std::string_view>& tokens, const ByteStringOrder& order)
    : prefixes_(linked(tokens, order)) {
  std::vector<TokenId> ids;  // ascending, so that their bytes are fetched in order
  ids.reserve(order.ids.size());
  for (TokenId token = 0; token < tokens.size(); ++token) {
    if (prefixes_[token].length != 0) ids.push_back(token);
  }
  suffixes_ = linked(tokens, sorted_by_reversed_bytes(tokens, ids));
}

}  // namespace nextbyte
