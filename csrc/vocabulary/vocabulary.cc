// Finds the ordinary tokens that have an added token's spelling inside.
#include "vocabulary/vocabulary.h"

#include <string_view>
#include <utility>

#include "support/error.h"

namespace nextbyte {
namespace {

std::vector<std::string> spellings_of(const std::vector<std::string>& token_bytes,
                                      const std::vector<TokenId>& added) {
  std::vector<std::string> spellings;
  for (const TokenId token : added) {
    if (token >= token_bytes.size() || token_bytes[token].empty()) {
      throw TokenizerFormat("the added token " + std::to_string(token) + " has no bytes");
    }
    spellings.push_back(token_bytes[token]);
  }
  return spellings;
}

ByteStringOrder sorted_tokens(const std::vector<std::string>& tokens) {
  std::vector<TokenId> ids;
  ids.reserve(tokens.size());
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (!tokens[id].empty()) ids.push_back(static_cast<TokenId>(id));
  }
  return sorted_by_bytes({tokens.begin(), tokens.end()}, ids);
}

bool has_entry_inside(const ByteTrie& trie, std::string_view bytes) {
  for (std::size_t start = 0; start < bytes.size(); ++start) {
    ByteTrie::Node node = ByteTrie::kRoot;
    for (std::size_t at = start; at < bytes.size() && node != ByteTrie::kOff; ++at) {
      node = trie.step(node, static_cast<std::uint8_t>(bytes[at]));
      if (node != ByteTrie::kOff && trie.is_terminal(node)) return true;
    }
  }
  return false;
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> token_bytes, const std::vector<TokenId>& added)
    : token_bytes_(std::move(token_bytes)),
      order_(sorted_tokens(token_bytes_)),
      added_(added),
      is_added_(token_bytes_.size(), false),
      is_hidden_(token_bytes_.size(), false),
      spellings_(spellings_of(token_bytes_, added_)) {
  std::vector<bool> spelled(added_.size(), false);
  spellings_.for_each_below(
      ByteTrie::kRoot, [&](std::uint32_t entry, ByteTrie::Node) { return spelled[entry] = true; });
  for (std::size_t i = 0; i < added_.size(); ++i) {
    if (!spelled[i]) {
      throw TokenizerFormat("the added token " + std::to_string(added_[i]) +
                            " has the bytes of another one");
    }
    is_added_[added_[i]] = true;
  }
  if (spellings_.empty()) return;
  for (std::size_t id = 0; id < token_bytes_.size(); ++id) {
    is_hidden_[id] = !is_added_[id] && has_entry_inside(spellings_, token_bytes_[id]);
  }
}

}  // namespace nextbyte
