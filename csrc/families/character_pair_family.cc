// The states and masks of BPE over characters, and its own encoder.
#include "families/character_pair_family.h"

#include <optional>
#include <string>
#include <utility>

#include "support/error.h"
#include "text/unicode.h"

namespace nextbyte {
namespace {

// ContextState::automaton.flags.
enum Phase : std::uint8_t {
  kInside = 0,  // nothing special
  kTextStart,   // nothing yet, and a lead must come
  kOnlyLead,    // the lead's own token and nothing else
};

// Prefixes of characters, at most 64 tokens each.
constexpr std::size_t kCachedPrefixes = 4096;

constexpr char32_t kBlank = U' ';
constexpr char32_t kBlankSymbol = U'\u2581';  // what tokenizers of this family write for a blank

// The character that the bytes are; nothing if they are none or several.
std::optional<char32_t> single_character(std::string_view bytes) noexcept {
  if (bytes.empty()) return std::nullopt;
  const DecodedScalar scalar = decode_scalar(bytes, 0);
  if (scalar.length == 0 || scalar.length != bytes.size()) return std::nullopt;
  return scalar.value;
}

std::unordered_map<char32_t, TokenId> base_symbols(const Vocabulary& vocabulary,
                                                   const BpeMerges& merges) {
  std::unordered_map<char32_t, TokenId> characters;
  for (TokenId token = 0; token < vocabulary.size(); ++token) {
    if (!merges.is_canonical_alone(token)) continue;
    if (const auto character = single_character(vocabulary.bytes(token))) {
      characters.emplace(*character, token);
    }
  }
  return characters;
}

// The characters that byte tokens never spell: those with a token, added ones included. A blank is
// written as U+2581 before all else, so neither of the two is ever spelled by bytes, and U+2581
// itself is in no text: it would come back as a blank.
std::vector<char32_t> never_spelled(const Vocabulary& vocabulary,
                                    const std::unordered_map<char32_t, TokenId>& characters) {
  std::vector<char32_t> excluded{kBlank, kBlankSymbol};
  for (const auto& [character, token] : characters) excluded.push_back(character);
  for (const TokenId token : vocabulary.added()) {
    if (const auto character = single_character(vocabulary.bytes(token))) {
      excluded.push_back(*character);
    }
  }
  return excluded;
}

std::vector<bool> marked(const Vocabulary& vocabulary, const ByteFallback::ByteTokens& tokens) {
  std::vector<bool> is_byte_token(vocabulary.size(), false);
  for (std::size_t byte = 0; byte < tokens.size(); ++byte) {
    const TokenId token = tokens[byte];
    if (token == kNoToken) continue;
    if (token >= vocabulary.size() ||
        vocabulary.bytes(token) != std::string(1, static_cast<char>(byte))) {
      throw TokenizerFormat("the token of byte " + std::to_string(byte) + ", " +
                            std::to_string(token) + ", does not have that byte");
    }
    is_byte_token[token] = true;
  }
  return is_byte_token;
}

CharacterPrefix prefix_of(const ContextState& context) noexcept {
  return {context.automaton.pending, context.automaton.pending_length};
}

}  // namespace

CharacterPairFamily::CharacterPairFamily(std::shared_ptr<const Vocabulary> vocabulary,
                                         BpeMerges merges,
                                         const ByteFallback::ByteTokens& byte_tokens,
                                         bool has_lead)
    : vocabulary_(std::move(vocabulary)),
      merges_(std::move(merges)),
      characters_(base_symbols(*vocabulary_, merges_)),
      fallback_(byte_tokens, never_spelled(*vocabulary_, characters_)),
      is_byte_token_(marked(*vocabulary_, byte_tokens)),
      table_(table_entries()),
      invalid_(merges_, table_),
      has_lead_(has_lead),
      continuations_(kCachedPrefixes) {
  BitSet pieces(0, table_.size()), starts(0, table_.size());
  for (Rank rank = 0; rank < table_.size(); ++rank) {
    const TokenId token = table_.order()[rank];
    if (vocabulary_->is_added(token)) continue;
    if (!is_byte_token_[token]) {
      pieces.set(rank);
    } else if (fallback_.begins(CharacterPrefix{}.followed_by(
                   static_cast<std::uint8_t>(table_.bytes(rank)[0])))) {
      starts.set(rank);
    }
  }
  BitSet all = pieces.united(starts);
  pieces_ = std::make_shared<const BitSet>(std::move(pieces));
  character_starts_ = std::make_shared<const BitSet>(std::move(starts));
  after_no_piece_ = std::make_shared<const BitSet>(all);
  if (!has_lead_) return;

  TokenTable::Cursor lead = table_.root();
  if (!table_.step(lead, static_cast<std::uint8_t>(kBlank))) return;  // no text but the empty one
  BitSet text_starts(0, table_.size());
  for (Rank rank = lead.first; rank < lead.last; ++rank) {
    if (all.test(rank)) text_starts.set(rank);
  }
  // The lead alone is live iff something may follow it; an added token always may.
  if (const Rank alone = table_.exact(lead); alone != kNoRank && text_starts.test(alone)) {
    const PairSuccessors next(invalid_, table_.order()[alone], character_starts_, pieces_);
    if (vocabulary_->added().empty() && !next.any(0, table_.size())) text_starts.clear(alone);
  }
  text_starts_ = std::make_shared<const BitSet>(std::move(text_starts));
}

std::vector<std::string> CharacterPairFamily::table_entries() const {
  return vocabulary_->table_entries([&](TokenId token) {
    if (!is_byte_token_[token]) return merges_.is_canonical_alone(token);
    return fallback_.occurs(static_cast<std::uint8_t>(vocabulary_->bytes(token)[0]));
  });
}

ContextState CharacterPairFamily::initial() const {
  ContextState state = segment_start();
  if (has_lead_) state.automaton.flags = kTextStart;
  return state;
}

ContextState CharacterPairFamily::segment_start() const {
  ContextState state;
  state.automaton.flags = kInside;
  return state;
}

std::shared_ptr<const AllowedTokens> CharacterPairFamily::successors(TokenId last,
                                                                     Mask free,
                                                                     Mask bound) const {
  return std::make_shared<const PairSuccessors>(invalid_, last, std::move(free), std::move(bound));
}

std::shared_ptr<const AllowedTokens> CharacterPairFamily::allowed(
    const ContextState& context) const {
  if (context.automaton.pending_length != 0) {
    return successors(kNoToken, continuations(prefix_of(context)), nullptr);
  }
  if (context.automaton.flags == kTextStart) return successors(kNoToken, text_starts_, nullptr);
  if (context.last == kNoToken || is_byte_token_[context.last]) {
    return successors(kNoToken, after_no_piece_, nullptr);
  }
  return successors(context.last, character_starts_, pieces_);
}

CharacterPairFamily::Mask CharacterPairFamily::continuations(const CharacterPrefix& prefix) const {
  const std::uint64_t key = std::uint64_t{prefix.length} << 32 | prefix.bytes;
  return continuations_.get(key, [&] {
    const TokenTable::Cursor range = table_.first_byte_range(0x80, 0xBF);
    BitSet mask(range.first, range.last);
    for (Rank rank = range.first; rank < range.last; ++rank) {
      const auto byte = static_cast<std::uint8_t>(table_.bytes(rank)[0]);
      if (fallback_.begins(prefix.followed_by(byte))) mask.set(rank);
    }
    return mask;
  });
}

ContextState CharacterPairFamily::advance(const ContextState& context, Rank rank) const {
  ContextState next = segment_start();
  next.last = table_.order()[rank];
  if (is_byte_token_[next.last]) {
    const CharacterPrefix prefix =
        prefix_of(context).followed_by(static_cast<std::uint8_t>(table_.bytes(rank)[0]));
    if (!prefix.is_complete()) {
      next.automaton.pending = prefix.bytes;
      next.automaton.pending_length = static_cast<std::uint8_t>(prefix.length);
    }
  } else if (context.automaton.flags == kTextStart && table_.length(rank) == 1) {
    next.automaton.flags = kOnlyLead;
  }
  return next;
}

bool CharacterPairFamily::may_end(const ContextState& context) const {
  return segment_may_end(context) && context.automaton.flags != kOnlyLead;
}

bool CharacterPairFamily::segment_may_end(const ContextState& context) const {
  return context.automaton.pending_length == 0;
}

void CharacterPairFamily::encode(std::string_view text,
                                 std::size_t origin,
                                 std::vector<TokenId>& tokens) const {
  std::vector<TokenId> run;
  const auto merge_run = [&] {
    const std::vector<TokenId> merged = merges_.merge(std::move(run));
    tokens.insert(tokens.end(), merged.begin(), merged.end());
    run.clear();
  };
  for (std::size_t at = 0; at < text.size();) {
    const auto [character, length] = decode_scalar(text, at);
    if (const auto found = characters_.find(character);
        found != characters_.end() && character != kBlankSymbol) {
      run.push_back(found->second);
    } else if (fallback_.is_spelled(character)) {
      merge_run();
      for (const char byte : text.substr(at, length)) {
        tokens.push_back(fallback_.token(static_cast<std::uint8_t>(byte)));
      }
    } else {
      const std::string place = " at position " + std::to_string(origin + at);
      throw InvalidInput(character == kBlankSymbol
                             ? "the character U+2581" + place +
                                   " stands for a blank in this tokenizer and would become one"
                             : "the character " + std::string(text.substr(at, length)) + place +
                                   " has no token in this vocabulary");
    }
    at += length;
  }
  merge_run();
}

}  // namespace nextbyte
