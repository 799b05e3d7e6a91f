// The tokens of a vocabulary as bytes, and which of them are read out of text before all else.
#ifndef NEXTBYTE_VOCABULARY_VOCABULARY_H_
#define NEXTBYTE_VOCABULARY_VOCABULARY_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "vocabulary/byte_string_order.h"
#include "vocabulary/byte_trie.h"
#include "vocabulary/merge_table.h"

namespace nextbyte {

// Immutable. An *added* token is cut out of the text wherever its spelling stands (leftmost, then
// longest); what is between two of them is a *segment*, and the family tokenizes segments only. So
// an ordinary token that has such a spelling inside is in no encoding: it is *hidden*.
class Vocabulary {
 public:
  // token_bytes[id] = the token's bytes, "" for special tokens and holes. `added`: ids with bytes.
  // Throws TokenizerFormat if one is out of range, has no bytes, or two have the same.
  explicit Vocabulary(std::vector<std::string> token_bytes, const std::vector<TokenId>& added = {});

  std::size_t size() const noexcept { return token_bytes_.size(); }
  const std::vector<std::string>& token_bytes() const noexcept { return token_bytes_; }
  const std::string& bytes(TokenId token) const noexcept { return token_bytes_[token]; }
  const std::vector<TokenId>& added() const noexcept { return added_; }
  bool is_added(TokenId token) const noexcept { return is_added_[token]; }
  bool is_hidden(TokenId token) const noexcept { return is_hidden_[token]; }
  // Entry i spells added()[i].
  const ByteTrie& spellings() const noexcept { return spellings_; }

  // The tokens with bytes, sorted; equal ones by id.
  const ByteStringOrder& order() const noexcept { return order_; }

  // What a token table is made of: the bytes of the added tokens and of those ordinary ones that
  // `occurs` (called with an id that is neither added nor hidden nor empty) says some segment's
  // encoding has. Valid while the vocabulary lives.
  template <typename Occurs>
  OrderedStrings ordered_entries(Occurs occurs) const {
    OrderedStrings entries{std::vector<std::string_view>(size()), order_};
    for (std::size_t id = 0; id < size(); ++id) {
      if (token_bytes_[id].empty() || is_hidden_[id]) continue;
      if (is_added_[id] || occurs(static_cast<TokenId>(id))) entries.strings[id] = token_bytes_[id];
    }
    entries.order.filter([&](std::size_t i) { return !entries.strings[order_.ids[i]].empty(); });
    return entries;
  }

  // The same without their order.
  template <typename Occurs>
  std::vector<std::string> table_entries(Occurs occurs) const {
    const std::vector<std::string_view> strings = ordered_entries(occurs).strings;
    return {strings.begin(), strings.end()};
  }

 private:
  std::vector<std::string> token_bytes_;
  ByteStringOrder order_;
  std::vector<TokenId> added_;
  std::vector<bool> is_added_, is_hidden_;
  ByteTrie spellings_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_VOCABULARY_VOCABULARY_H_
