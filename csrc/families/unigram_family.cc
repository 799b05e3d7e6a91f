// Steps contexts of unigram tokenizers, and encodes complete segments.
#include "families/unigram_family.h"

#include <algorithm>
#include <utility>

#include "families/unigram_allowed.h"
#include "support/error.h"
#include "text/unicode.h"

namespace nextbyte {
namespace {

constexpr char kBlank = ' ';

TextGuard::Options guard_options(UnigramOptions& options) {
  options.guard.blank_before = options.has_lead;
  return std::move(options.guard);
}

// Only the pieces that some segment can contain.
std::vector<UnigramPiece> usable(std::vector<UnigramPiece> pieces,
                                 const Vocabulary& vocabulary,
                                 const TextGuard& guard,
                                 bool split_at_blank) {
  std::erase_if(pieces, [&](const UnigramPiece& piece) {
    if (piece.token != kNoToken) {
      if (piece.token >= vocabulary.size()) {
        throw TokenizerFormat("a piece has the token " + std::to_string(piece.token) +
                              ", which is outside the vocabulary");
      }
      if (vocabulary.is_added(piece.token) || vocabulary.is_hidden(piece.token)) return true;
    }
    const std::size_t blank = piece.bytes.find(kBlank, 1);
    if (split_at_blank && blank != std::string::npos) return true;
    if (guard.run(0, piece.bytes) == TextGuard::kDead) return true;
    if (guard.single_blanks() && piece.bytes.size() > 1 && piece.bytes.back() == kBlank) {
      throw UnsupportedTokenizer("token " + std::to_string(piece.token) +
                                 " ends with a blank, where the normalizer removes blanks at the "
                                 "end of a text");
    }
    return false;
  });
  return pieces;
}

std::vector<std::string> strings_of(const std::vector<UnigramPiece>& pieces) {
  std::vector<std::string> strings;
  strings.reserve(pieces.size());
  for (const UnigramPiece& piece : pieces) strings.push_back(piece.bytes);
  return strings;
}

// The characters that some piece or forbidden string ends with.
std::vector<char32_t> bound_characters(const UnigramPieces& pieces, const TextGuard& guard) {
  std::vector<char32_t> characters = guard.last_characters();
  for (UnigramPieces::Node node = 1; node < pieces.num_nodes(); ++node) {
    if (pieces.is_piece(node)) characters.push_back(pieces.character(node));
  }
  std::sort(characters.begin(), characters.end());
  characters.erase(std::unique(characters.begin(), characters.end()), characters.end());
  return characters;
}

// Which tokens have a rank: the pieces, and the bytes that can be part of an unknown character.
std::vector<std::string> entries(const Vocabulary& vocabulary,
                                 const UnigramPieces& pieces,
                                 const std::vector<UnigramPiece>& list,
                                 const std::vector<TokenId>& byte_tokens,
                                 const TextGuard& guard) {
  std::vector<bool> occurs(vocabulary.size(), false);
  for (const UnigramPiece& piece : list) {
    if (piece.token == kNoToken) continue;
    if (vocabulary.bytes(piece.token) != piece.bytes) {
      throw TokenizerFormat("token " + std::to_string(piece.token) + " has not its piece's bytes");
    }
    occurs[piece.token] = true;
  }
  for (std::size_t byte = 0; byte < byte_tokens.size(); ++byte) {
    const TokenId token = byte_tokens[byte];
    if (token >= vocabulary.size() ||
        vocabulary.bytes(token) != std::string(1, static_cast<char>(byte))) {
      throw TokenizerFormat("the token of byte " + std::to_string(byte) + " has other bytes");
    }
    if (byte >= 0x80) {
      occurs[token] = byte < 0xC0 || (byte >= 0xC2 && byte <= 0xF4);
    } else {
      const auto character = static_cast<char32_t>(byte);
      const UnigramPieces::Node node = pieces.step(UnigramPieces::kRoot, character);
      const bool is_piece = node != UnigramPieces::kNone && pieces.is_piece(node);
      occurs[token] = !is_piece && guard.step(0, character) != TextGuard::kDead;
    }
  }
  return vocabulary.table_entries([&](TokenId token) { return occurs[token]; });
}

}  // namespace

UnigramFamily::UnigramFamily(std::shared_ptr<const Vocabulary> vocabulary,
                             std::vector<UnigramPiece> pieces,
                             UnigramOptions options)
    : vocabulary_(std::move(vocabulary)),
      arithmetic_(options.arithmetic),
      split_at_blank_(options.split_at_blank),
      has_lead_(options.has_lead),
      byte_tokens_(std::move(options.byte_tokens)),
      guard_(guard_options(options)),
      piece_list_(usable(std::move(pieces), *vocabulary_, guard_, split_at_blank_)),
      pieces_(piece_list_),
      encoder_trie_(strings_of(piece_list_)),
      unknown_(bound_characters(pieces_, guard_)),
      table_(entries(*vocabulary_, pieces_, piece_list_, byte_tokens_, guard_)),
      index_(pieces_, arithmetic_, table_) {
  for (const TokenId token : byte_tokens_) {
    if (table_.rank_of(token) != kNoRank) byte_ranks_.push_back(table_.rank_of(token));
  }
  std::sort(byte_ranks_.begin(), byte_ranks_.end());
  TokenTable::Cursor blank = table_.root();
  if (table_.step(blank, static_cast<std::uint8_t>(kBlank))) {
    blank_rank_ = table_.exact(blank);
    first_lead_ = blank.first;
    last_lead_ = blank.last;
  }
  if (guard_.single_blanks() && blank_rank_ != kNoRank &&
      index_.node_of(blank_rank_) == UnigramPieces::kNone) {
    throw UnsupportedTokenizer(
        "a blank is no piece, where the normalizer removes blanks at the end of a text");
  }
  Position start;
  start.guard = guard_.initial();
  start.is_start = has_lead_;
  initial_ = std::make_shared<const Position>(std::move(start));
}

const UnigramFamily::Position& UnigramFamily::position_of(const ContextState& context) noexcept {
  return *static_cast<const Position*>(context.detail.get());
}

ContextState UnigramFamily::initial() const {
  ContextState context;
  context.detail = initial_;
  return context;
}

std::shared_ptr<const AllowedTokens> UnigramFamily::allowed(const ContextState& context) const {
  return std::make_shared<const UnigramAllowed>(
      *this, std::static_pointer_cast<const Position>(context.detail));
}

UnigramPosition UnigramFamily::behind_piece(const Position& position, Rank rank) const {
  UnigramColumns at = columns(position);
  const UnigramPieces::Node node = index_.node_of(rank);
  at.enter_path(node);
  Position next = at.behind(node, guard_.run(position.guard, table_.bytes(rank)));
  next.only_lead = position.is_start && rank == blank_rank_;
  return next;
}

UnigramPosition UnigramFamily::behind_byte(const Position& position, Rank rank) const {
  Position next = position;
  next.is_start = false;
  next.only_lead = false;
  next.pending += table_.bytes(rank);
  const DecodedScalar scalar = decode_scalar(next.pending, 0);
  if (scalar.length == 0) return next;
  const bool cut = split_at_blank_ && scalar.value == UnigramColumns::kBlank;
  if (cut) next.starts.clear();
  const double base = cut ? 0.0 : position.score;
  next.starts.push_back({UnigramPieces::kRoot, base});
  for (UnigramStart& start : next.starts) start.node = pieces_.step(start.node, scalar.value);
  std::erase_if(next.starts, [&](const UnigramStart& start) {
    return start.node == UnigramPieces::kNone || !pieces_.has_children(start.node);
  });
  next.score = arithmetic_.with_unknown(base);
  next.guard = guard_.step(position.guard, scalar.value);
  next.pending.clear();
  next.only_lead = position.is_start && rank == blank_rank_;
  return next;
}

ContextState UnigramFamily::advance(const ContextState& context, Rank rank) const {
  const Position& position = position_of(context);
  const bool is_byte = index_.node_of(rank) == UnigramPieces::kNone;
  ContextState next;
  next.last = table_.order()[rank];
  next.detail = std::make_shared<const Position>(is_byte ? behind_byte(position, rank)
                                                         : behind_piece(position, rank));
  return next;
}

bool UnigramFamily::segment_may_end(const ContextState& context) const {
  return position_of(context).pending.empty();
}

bool UnigramFamily::may_end(const ContextState& context) const {
  if (context.last == kNoToken) return true;
  const Position& position = position_of(context);
  return position.pending.empty() && !position.only_lead && guard_.may_end(position.guard);
}

bool UnigramFamily::is_unknown_there(const Position& position, char32_t character) const {
  if (guard_.step(position.guard, character) == TextGuard::kDead) return false;
  const UnigramPieces::Node single = pieces_.step(UnigramPieces::kRoot, character);
  if (single != UnigramPieces::kNone && pieces_.is_piece(single)) return false;
  if (split_at_blank_ && character == UnigramColumns::kBlank) return true;
  UnigramBest best;
  for (const UnigramStart& start : position.starts) {
    const UnigramPieces::Node node = pieces_.step(start.node, character);
    if (node == UnigramPieces::kNone || !pieces_.is_piece(node)) continue;
    best.offer(start.score + pieces_.score(node), UnigramColumns::kBefore, arithmetic_);
  }
  best.offer(arithmetic_.with_unknown(position.score), UnigramColumns::kHere, arithmetic_);
  return best.start == UnigramColumns::kHere;
}

bool UnigramFamily::goes_on(const Position& position) const {
  if (!vocabulary_->added().empty()) return true;
  const UnigramAllowed next(*this, std::make_shared<const Position>(position));
  return next.any(0, table_.size());
}

void UnigramFamily::encode(std::string_view text,
                           std::size_t origin,
                           std::vector<TokenId>& tokens) const {
  TextGuard::State guard = guard_.initial();
  for (std::size_t at = 0; at < text.size();) {
    const DecodedScalar scalar = decode_scalar(text, at);
    guard = guard_.step(guard, scalar.value);
    if (guard == TextGuard::kDead) {
      throw InvalidInput(
          "the text is not normalized: the tokenizer's normalizer changes what ends "
          "with the character at position " +
          std::to_string(origin + at));
    }
    at += scalar.length;
  }
  if (!text.empty() && !guard_.may_end(guard)) {
    throw InvalidInput(
        "the text is not normalized: the tokenizer's normalizer removes the blank at position " +
        std::to_string(origin + text.size() - 1));
  }
  std::size_t start = 0;
  while (start < text.size()) {
    std::size_t end = split_at_blank_ ? text.find(kBlank, start + 1) : std::string_view::npos;
    if (end == std::string_view::npos) end = text.size();
    encode_part(text.substr(start, end - start), origin + start, tokens);
    start = end;
  }
}

void UnigramFamily::encode_part(std::string_view text,
                                std::size_t origin,
                                std::vector<TokenId>& tokens) const {
  constexpr std::uint32_t kUnknown = ByteTrie::kNoEntry;
  struct End {
    UnigramBest best;
    std::uint32_t piece = kUnknown;
  };
  std::vector<End> ends(text.size() + 1);
  std::size_t length = 1;
  for (std::size_t start = 0; start < text.size(); start += length) {
    length = std::max(1U, decode_scalar(text, start).length);
    const double score = ends[start].best.score;
    const auto offer = [&](std::size_t end, double sum, std::uint32_t piece) {
      const auto from = static_cast<std::uint32_t>(start);
      const UnigramBest before = ends[end].best;
      ends[end].best.offer(sum, from, arithmetic_);
      if (ends[end].best.start != before.start) ends[end].piece = piece;
    };
    bool single_is_piece = false;
    ByteTrie::Node node = ByteTrie::kRoot;
    for (std::size_t at = start; at < text.size(); ++at) {
      node = encoder_trie_.step(node, static_cast<std::uint8_t>(text[at]));
      if (node == ByteTrie::kOff) break;
      if (!encoder_trie_.is_terminal(node)) continue;
      const std::uint32_t piece = encoder_trie_.entry(node);
      offer(at + 1, score + piece_list_[piece].score, piece);
      single_is_piece = single_is_piece || at + 1 == start + length;
    }
    if (!single_is_piece) offer(start + length, arithmetic_.with_unknown(score), kUnknown);
  }
  std::vector<TokenId> reversed;
  for (std::size_t end = text.size(); end > 0; end = ends[end].best.start) {
    const std::size_t start = ends[end].best.start;
    if (ends[end].piece != kUnknown) {
      const UnigramPiece& piece = piece_list_[ends[end].piece];
      if (piece.token == kNoToken) {
        throw InvalidInput("the tokenizer reads \"" + piece.bytes + "\" at position " +
                           std::to_string(origin + start) + " as a token that stands for no text");
      }
      reversed.push_back(piece.token);
      continue;
    }
    if (byte_tokens_.empty()) {
      throw InvalidInput("the character at position " + std::to_string(origin + start) +
                         " has no token in this vocabulary");
    }
    for (std::size_t at = end; at-- > start;) {
      reversed.push_back(byte_tokens_[static_cast<std::uint8_t>(text[at])]);
    }
  }
  tokens.insert(tokens.end(), reversed.rbegin(), reversed.rend());
}

}  // namespace nextbyte
