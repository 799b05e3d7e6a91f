// Assembles the compiled tokenizer and encodes complete texts.
#include "tokenizer/tokenizer.h"

#include <utility>

#include "support/error.h"

namespace nextbyte {
namespace {

// The bytes of the tokens that BPE can produce; the others can be in no canonical sequence.
std::vector<std::string> reachable_tokens(const std::vector<std::string>& token_bytes,
                                          const BpeMerges& merges) {
  std::vector<std::string> reachable(token_bytes.size());
  for (std::size_t id = 0; id < token_bytes.size(); ++id) {
    if (merges.is_canonical_alone(static_cast<TokenId>(id))) reachable[id] = token_bytes[id];
  }
  return reachable;
}

}  // namespace

Tokenizer::Tokenizer(std::vector<std::string> token_bytes,
                     BpeMerges merges,
                     const std::vector<std::string>& stages)
    : token_bytes_(std::move(token_bytes)),
      merges_(std::move(merges)),
      pretokenizer_(stages),
      table_(reachable_tokens(token_bytes_, merges_)),
      automaton_(pretokenizer_),
      masks_(merges_, table_, automaton_) {}

ContextState Tokenizer::advance(const ContextState& context,
                                TokenId token,
                                bool may_continue_piece) const noexcept {
  // At a character boundary the token may start a new piece, and go on in the current one if BPE
  // leaves the cut alone. (The start of a segment has only the first choice.)
  const unsigned flags = may_continue_piece ? kContinue | kBoundary : kBoundary;
  ContextState next{context.automaton, token};
  automaton_.run(next.automaton, token_bytes_[token], flags);
  return next;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> tokens;
  if (text.empty()) return tokens;
  std::vector<std::size_t> starts = pretokenizer_.split(text);
  starts.push_back(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    TokenTable::Cursor cursor = table_.root();
    if (!table_.step(cursor, static_cast<std::uint8_t>(text[i])) ||
        table_.exact(cursor) == kNoRank) {
      throw InvalidInput("byte " + std::to_string(static_cast<unsigned char>(text[i])) +
                         " at position " + std::to_string(i) + " has no token in this vocabulary");
    }
  }
  for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
    const std::string_view piece = text.substr(starts[i], starts[i + 1] - starts[i]);
    const std::vector<TokenId> encoded = merges_.encode_piece(piece);
    tokens.insert(tokens.end(), encoded.begin(), encoded.end());
  }
  return tokens;
}

}  // namespace nextbyte
