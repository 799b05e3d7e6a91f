// Encodes complete texts.
#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "support/error.h"
#include "text/unicode.h"

namespace nextbyte {

Tokenizer::Tokenizer(std::shared_ptr<const Vocabulary> vocabulary,
                     std::unique_ptr<const TokenizerFamily> family,
                     std::string lead)
    : vocabulary_(std::move(vocabulary)), family_(std::move(family)), lead_(std::move(lead)) {
  for (const TokenId token : vocabulary_->added()) {
    // It would be the first token of a text, and by itself that of none.
    if (lead_.empty() || vocabulary_->bytes(token) != lead_) continue;
    throw UnsupportedTokenizer("the added token " + std::to_string(token) +
                               " is what the tokenizer puts in front of each text; such a token "
                               "is not supported yet");
  }
  const std::vector<TokenId>& tokens = family_->table().order();
  row_size_ = std::size_t{*std::max_element(tokens.begin(), tokens.end())} + 1;
  for (std::size_t id = 0; id < vocabulary_size(); ++id) {
    const TokenId token = static_cast<TokenId>(id);
    if (table().rank_of(token) == kNoRank) unranked_.push_back(token);
  }
}

std::size_t Tokenizer::presorted_place(TokenId unranked_token) const noexcept {
  const auto after = std::lower_bound(unranked_.begin(), unranked_.end(), unranked_token);
  const std::size_t place = table().size() + static_cast<std::size_t>(after - unranked_.begin());
  return unranked_token < vocabulary_size() ? place : place + unranked_token - vocabulary_size();
}

TokenId Tokenizer::token_at_place(std::size_t place) const noexcept {
  const std::vector<TokenId>& ranked = table().order();
  if (place < ranked.size()) return ranked[place];
  place -= ranked.size();
  if (place < unranked_.size()) return unranked_[place];
  return static_cast<TokenId>(place - unranked_.size() + vocabulary_size());
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> tokens;
  if (text.empty()) return tokens;
  for (std::size_t at = 0; at < text.size();) {
    const unsigned length = decode_scalar(text, at).length;
    if (length == 0) {
      throw InvalidInput("the text is not valid UTF-8 at byte " + std::to_string(at));
    }
    at += length;
  }
  if (lead_.empty()) {
    family_->encode(text, 0, tokens);
  } else {
    family_->encode(lead_ + std::string(text), -lead_.size(), tokens);
  }
  return tokens;
}

}  // namespace nextbyte
