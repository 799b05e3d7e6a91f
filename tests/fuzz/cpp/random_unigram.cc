// Random unigram tokenizers: scores that tie or round, rivals, byte tokens, and what is in no text.
#include <algorithm>
#include <utility>

#include "families/unigram_family.h"
#include "random_family.h"

using nextbyte::TokenId;
using nextbyte::UnigramPiece;
using nextbyte::UnigramSums;

namespace {

double random_score(FuzzedDataProvider& source, UnigramSums sums) {
  static const double kScores[] = {
      -1, -2, -3, -1.5, -0.1, -0.2, -0.3, -1e-8, 0, -2.7, -5e-9, -4.1, 0.1, -1e6, -14.1};
  double score = source.PickValueInArray(kScores);
  if (chance(source, 20)) score = source.ConsumeFloatingPointInRange(-20.0, 0.0);
  return sums == UnigramSums::kDouble ? score : static_cast<double>(static_cast<float>(score));
}

// What the pieces are, each once; those of no token are rivals.
std::vector<UnigramPiece> random_pieces(FuzzedDataProvider& source,
                                        const Characters& characters,
                                        const nextbyte::UnigramOptions& options,
                                        std::vector<std::string>& tokens) {
  std::vector<UnigramPiece> pieces;
  const auto add = [&](const std::string& bytes) {
    const auto same = [&](const UnigramPiece& piece) { return piece.bytes == bytes; };
    if (bytes.empty() || std::any_of(pieces.begin(), pieces.end(), same)) return;
    if (options.guard.single_blanks && bytes.size() > 1 && bytes.back() == ' ') return;
    pieces.push_back({bytes, random_score(source, options.arithmetic.sums)});
    if (pieces.size() > 1 && chance(source, 6)) return;
    pieces.back().token = static_cast<TokenId>(tokens.size());
    tokens.push_back(bytes);
  };
  if (options.guard.single_blanks) add(" ");
  for (const std::string& character : characters) {
    if (!chance(source, 25)) add(character);
  }
  const auto count = source.ConsumeIntegralInRange<unsigned>(0, 14);
  for (unsigned i = 0; i < count; ++i) add(random_text(source, characters, 4));
  return pieces;
}

std::string describe(const std::vector<UnigramPiece>& pieces,
                     const nextbyte::UnigramOptions& options) {
  std::string text = "unigram, sums " + std::to_string(static_cast<int>(options.arithmetic.sums)) +
                     ", unknown " + std::to_string(options.arithmetic.unknown);
  if (options.split_at_blank) text += ", split at blank";
  if (options.has_lead) text += ", lead";
  if (options.guard.single_blanks) text += ", single blanks";
  if (options.guard.no_blank_first) text += ", no blank first";
  for (const UnigramPiece& piece : pieces) {
    text += ", " + shown(piece.bytes) + " " + std::to_string(piece.score);
    if (piece.token == nextbyte::kNoToken) text += " no token";
  }
  for (const std::string& sequence : options.guard.forbidden) text += ", not " + shown(sequence);
  return text;
}

}  // namespace

RandomFamily random_unigram(FuzzedDataProvider& source, const Characters& characters) {
  static const UnigramSums kSums[] = {
      UnigramSums::kDouble, UnigramSums::kSingle, UnigramSums::kMixed};
  nextbyte::UnigramOptions options;
  options.arithmetic.sums = source.PickValueInArray(kSums);
  options.arithmetic.unknown = random_score(source, options.arithmetic.sums);
  options.split_at_blank = source.ConsumeBool();
  options.has_lead = source.ConsumeBool();
  options.guard.single_blanks = chance(source, 25);
  options.guard.no_blank_first = chance(source, 20);
  while (options.guard.forbidden.size() < 3 && chance(source, 30)) {
    std::string sequence = random_text(source, characters, 3);
    if (!sequence.empty()) options.guard.forbidden.push_back(std::move(sequence));
  }
  std::vector<std::string> tokens;
  if (chance(source, 10)) tokens.emplace_back();  // a special token
  std::vector<UnigramPiece> pieces = random_pieces(source, characters, options, tokens);
  const bool has_byte_tokens = source.ConsumeBool();
  for (int byte = 0; has_byte_tokens && byte < 256; ++byte) {
    options.byte_tokens.push_back(static_cast<TokenId>(tokens.size()));
    tokens.emplace_back(1, static_cast<char>(byte));
  }
  // No added tokens: the loaders refuse them, since a segment behind one is no text of the
  // family's.
  RandomFamily result;
  if (options.has_lead) result.lead = " ";
  result.vocabulary = std::make_shared<const nextbyte::Vocabulary>(std::move(tokens));
  result.description = describe(pieces, options);
  result.family = std::make_unique<const nextbyte::UnigramFamily>(
      result.vocabulary, std::move(pieces), std::move(options));
  return result;
}
