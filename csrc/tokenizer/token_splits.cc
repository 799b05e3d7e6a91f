// Links prefixes and suffixes: in sorted order, what a string begins with comes before it.
#include "tokenizer/token_splits.h"

#include "tokenizer/byte_string_order.h"

namespace nextbyte {
namespace {

// `shared(a, b)`: how much of their beginnings two neighbours share. The stack holds the tokens
// that the last one begins with, itself on top; of them the new one begins with those that are no
// longer than what the two share.
template <typename Link, typename Shared>
void link(const std::vector<std::string_view>& tokens,
          const std::vector<TokenId>& sorted,
          Shared shared,
          std::vector<Link>& links) {
  links.resize(tokens.size());
  std::vector<TokenId> stack;
  std::string_view previous;
  for (const TokenId token : sorted) {
    const std::string_view bytes = tokens[token];
    const std::size_t common = shared(previous, bytes);
    while (!stack.empty() && links[stack.back()].length > common) stack.pop_back();
    links[token] = {stack.empty() ? kNoToken : stack.back(),
                    static_cast<std::uint32_t>(bytes.size())};
    stack.push_back(token);
    previous = bytes;
  }
}

}  // namespace

TokenSplits::TokenSplits(const std::vector<std::string_view>& tokens,
                         const std::vector<TokenId>& sorted) {
  link(tokens, sorted, common_prefix, prefixes_);
  std::vector<TokenId> reversed;
  reversed.reserve(sorted.size());
  for (TokenId token = 0; token < tokens.size(); ++token) {
    if (prefixes_[token].length != 0) reversed.push_back(token);
  }
  sort_by_reversed_bytes(tokens, reversed);
  link(tokens, reversed, common_suffix, suffixes_);
}

}  // namespace nextbyte
