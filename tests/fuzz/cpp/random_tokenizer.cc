// Chooses characters and a family, and puts added tokens around it.
#include "random_tokenizer.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "families/added_tokens.h"
#include "random_family.h"

using nextbyte::TokenId;

std::string random_text(FuzzedDataProvider& source,
                        const Characters& characters,
                        std::size_t longest) {
  std::string text;
  for (auto n = source.ConsumeIntegralInRange<std::size_t>(0, longest); n > 0; --n) {
    text += characters[source.ConsumeIntegralInRange<std::size_t>(0, characters.size() - 1)];
  }
  return text;
}

bool chance(FuzzedDataProvider& source, unsigned percent) {
  return source.ConsumeIntegralInRange<unsigned>(0, 99) >= 100 - percent;
}

std::vector<nextbyte::Merge> random_merges(FuzzedDataProvider& source,
                                           TokenId first,
                                           std::size_t longest,
                                           std::vector<std::string>& tokens) {
  std::vector<nextbyte::Merge> merges;
  const auto count = source.ConsumeIntegralInRange<unsigned>(0, 12);
  for (unsigned i = 0; i < count && first < tokens.size(); ++i) {
    const auto pick = [&] {
      return source.ConsumeIntegralInRange<TokenId>(first, static_cast<TokenId>(tokens.size() - 1));
    };
    const TokenId left = pick(), right = pick();
    const std::string joined = tokens[left] + tokens[right];
    if (tokens[left].empty() || tokens[right].empty() || joined.size() > longest) continue;
    const auto known = std::find(tokens.begin() + first, tokens.end(), joined);
    const auto result = static_cast<TokenId>(known - tokens.begin());
    if (known == tokens.end()) tokens.push_back(joined);
    merges.push_back({left, right, result});
  }
  return merges;
}

std::vector<TokenId> append_random_tokens(FuzzedDataProvider& source,
                                          const Characters& characters,
                                          bool may_repeat,
                                          std::vector<std::string>& tokens) {
  std::vector<TokenId> appended;
  const std::size_t first = tokens.size();
  const auto count = source.ConsumeIntegralInRange<unsigned>(0, 3);
  for (unsigned i = 0; i < count; ++i) {
    const std::string spelling = random_text(source, characters, 4);
    const auto from =
        tokens.begin() + static_cast<std::ptrdiff_t>(may_repeat ? first : std::size_t{0});
    if (spelling.empty() || std::find(from, tokens.end(), spelling) != tokens.end()) continue;
    appended.push_back(static_cast<TokenId>(tokens.size()));
    tokens.push_back(spelling);
  }
  return appended;
}

std::string shown(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02X", static_cast<unsigned char>(c));
    quoted += c >= ' ' && c <= '~' ? std::string(1, c) : escaped;
  }
  return quoted + '"';
}

std::string shown(const std::vector<nextbyte::Merge>& merges) {
  std::string text = " merges:";
  for (const auto& [left, right, result] : merges) {
    text += " " + std::to_string(left) + "+" + std::to_string(right) + "=" + std::to_string(result);
  }
  return text;
}

std::string bytes_in(const Characters& characters) {
  std::string bytes;
  for (const std::string& character : characters) bytes += character;
  std::sort(bytes.begin(), bytes.end());
  bytes.erase(std::unique(bytes.begin(), bytes.end()), bytes.end());
  return bytes;
}

RandomTokenizer random_tokenizer(FuzzedDataProvider& source) {
  // U+2581 is what some families write for a blank; others share their first bytes.
  static const char* const kCharacters[] = {"a",
                                            "b",
                                            "1",
                                            " ",
                                            "\n",
                                            "'",
                                            "\xC3\xA9",
                                            "\xC3\xA8",
                                            "\xE4\xB8\xAD",
                                            "\xCC\x81",
                                            "e",
                                            "\xE2\x96\x81",
                                            "\xF0\x9F\x99\x82"};
  using Make = RandomFamily (*)(FuzzedDataProvider&, const Characters&);
  static const Make kMakers[] = {random_byte_pairs,
                                 random_byte_pairs,
                                 random_longest_match,
                                 random_character_pairs,
                                 random_unigram,
                                 random_unigram};
  const Make make = source.PickValueInArray(kMakers);
  const bool needs_blanks = make == random_character_pairs || make == random_unigram;
  Characters characters;
  const auto count = source.ConsumeIntegralInRange<unsigned>(1, 4);
  for (unsigned i = 0; i < count; ++i) {
    characters.emplace_back(source.PickValueInArray(kCharacters));
  }
  if (needs_blanks && source.ConsumeBool()) characters.emplace_back(" ");
  RandomFamily made = make(source, characters);
  // Texts have characters that no token was made of, too.
  if (needs_blanks && source.ConsumeBool()) {
    characters.emplace_back(source.PickValueInArray(kCharacters));
  }
  std::string text = std::move(made.description) + "\ntokens:";
  for (const std::string& token : made.vocabulary->token_bytes()) text += " " + shown(token);
  text += "\nadded:";
  for (const TokenId token : made.vocabulary->added()) text += " " + std::to_string(token);
  if (!made.vocabulary->added().empty()) {
    made.family = std::make_unique<const nextbyte::AddedTokensFamily>(made.vocabulary,
                                                                      std::move(made.family));
  }
  return {std::make_shared<const nextbyte::Tokenizer>(
              made.vocabulary, std::move(made.family), made.lead),
          characters,
          made.normal_form,
          std::move(text)};
}
