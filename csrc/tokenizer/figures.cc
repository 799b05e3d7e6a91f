// Counts tokens and bytes for a report.
#include "tokenizer/figures.h"

#include <array>
#include <cstdint>

namespace nextbyte {

TokenizerFigures figures(const Tokenizer& tokenizer) {
  TokenizerFigures figures;
  std::array<bool, 256> spelled{};
  std::size_t longest = 0;
  for (std::size_t id = 0; id < tokenizer.vocabulary_size(); ++id) {
    const auto token = static_cast<TokenId>(id);
    const std::string& bytes = tokenizer.token_bytes(token);
    if (bytes.empty()) continue;
    if (tokenizer.table().rank_of(token) == kNoRank) {
      figures.unreachable.push_back(token);
      continue;
    }
    ++figures.reachable;
    for (const char byte : bytes) spelled[static_cast<std::uint8_t>(byte)] = true;
    if (bytes.size() > longest) {
      longest = bytes.size();
      figures.longest = token;
    }
  }
  for (std::size_t byte = 0; byte < spelled.size(); ++byte) {
    if (!spelled[byte]) figures.missing_bytes += static_cast<char>(byte);
  }
  return figures;
}

}  // namespace nextbyte
