// Random BPE over characters: with and without byte tokens and a lead.
#include <algorithm>
#include <cstdint>
#include <utility>

#include "families/character_pair_family.h"
#include "random_family.h"

using nextbyte::BaseSymbols;
using nextbyte::BpeMerges;
using nextbyte::ByteFallback;
using nextbyte::TokenId;

namespace {

// Appends the byte tokens: none, those of the characters' bytes but for a few, or all.
ByteFallback::ByteTokens append_byte_tokens(FuzzedDataProvider& source,
                                            const Characters& characters,
                                            std::vector<std::string>& tokens) {
  ByteFallback::ByteTokens byte_tokens;
  byte_tokens.fill(nextbyte::kNoToken);
  std::string bytes;
  switch (source.ConsumeIntegralInRange(0, 3)) {
    case 0:
    case 1:
      break;
    case 2:
      bytes = bytes_in(characters);
      std::erase_if(bytes, [&](char) { return chance(source, 10); });
      break;
    default:
      for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  }
  for (const char byte : bytes) {
    byte_tokens[static_cast<std::uint8_t>(byte)] = static_cast<TokenId>(tokens.size());
    tokens.emplace_back(1, byte);
  }
  return byte_tokens;
}

}  // namespace

RandomFamily random_character_pairs(FuzzedDataProvider& source, const Characters& characters) {
  // Tokens are read with a blank for U+2581, so that no piece has this character.
  Characters written = characters;
  for (std::string& character : written) {
    if (character == "\xE2\x96\x81") character = " ";
  }
  std::vector<std::string> tokens;
  for (const std::string& character : written) {
    const bool is_new = std::find(tokens.begin(), tokens.end(), character) == tokens.end();
    if (is_new && !chance(source, 25)) tokens.push_back(character);
  }
  const std::vector<nextbyte::Merge> list = random_merges(source, 0, 8, tokens);
  append_random_tokens(source, written, false, tokens);  // that nothing merges
  std::vector<std::string> pieces = tokens;
  const ByteFallback::ByteTokens byte_tokens = append_byte_tokens(source, characters, tokens);
  const std::vector<TokenId> added = append_random_tokens(source, characters, true, tokens);

  pieces.resize(tokens.size());
  std::vector<std::uint32_t> ranks(tokens.size(), nextbyte::kNoToken);
  for (std::uint32_t id = 0; id < ranks.size() && !pieces[id].empty(); ++id) ranks[id] = id;
  for (const TokenId token : added) pieces[token] = tokens[token];
  const bool by_ranks = source.ConsumeBool();
  BpeMerges merges = by_ranks ? BpeMerges::from_ranks(pieces, ranks, BaseSymbols::kCharacters)
                              : BpeMerges::from_merges(pieces, list, BaseSymbols::kCharacters);
  if (source.ConsumeBool()) merges = BpeMerges::from_last_steps(pieces, merges.last_steps());
  const bool has_lead = source.ConsumeBool();
  RandomFamily result;
  result.vocabulary = std::make_shared<const nextbyte::Vocabulary>(std::move(tokens), added);
  result.family = std::make_unique<const nextbyte::CharacterPairFamily>(
      result.vocabulary, std::move(merges), byte_tokens, has_lead);
  if (has_lead) result.lead = " ";
  result.description =
      "character pairs by" + (by_ranks ? " ranks" : shown(list)) + (has_lead ? ", lead" : "");
  return result;
}
