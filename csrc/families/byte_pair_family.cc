// Steps contexts of byte pairs, and encodes complete segments.
#include "families/byte_pair_family.h"

#include <algorithm>
#include <utility>

#include "support/error.h"

namespace nextbyte {
namespace {

std::vector<TokenId> only_whole(const Vocabulary& vocabulary, const BpeMerges& merges, bool rule) {
  std::vector<TokenId> tokens;
  for (std::size_t id = 0; rule && id < vocabulary.size(); ++id) {
    const auto token = static_cast<TokenId>(id);
    if (vocabulary.bytes(token).empty() || vocabulary.is_added(token) ||
        vocabulary.is_hidden(token) || merges.is_canonical_alone(token)) {
      continue;
    }
    tokens.push_back(token);
  }
  return tokens;
}

std::vector<std::string> spellings(const Vocabulary& vocabulary,
                                   const std::vector<TokenId>& tokens) {
  std::vector<std::string> bytes;
  bytes.reserve(tokens.size());
  for (const TokenId token : tokens) bytes.push_back(vocabulary.bytes(token));
  return bytes;
}

OrderedStrings entries(const Vocabulary& vocabulary, const BpeMerges& merges, bool whole_pieces) {
  return vocabulary.ordered_entries(
      [&](TokenId token) { return whole_pieces || merges.is_canonical_alone(token); });
}

BitSet ordinary(const Vocabulary& vocabulary, const TokenTable& table) {
  BitSet ranks(0, table.size());
  for (Rank rank = 0; rank < table.size(); ++rank) {
    if (!vocabulary.is_added(table.order()[rank])) ranks.set(rank);
  }
  return ranks;
}

}  // namespace

BytePairFamily::BytePairFamily(std::shared_ptr<const Vocabulary> vocabulary,
                               BpeMerges merges,
                               const std::vector<std::string>& stages,
                               bool whole_pieces,
                               NormalForm normal_form)
    : vocabulary_(std::move(vocabulary)),
      merges_(std::move(merges)),
      pretokenizer_(stages),
      whole_piece_tokens_(only_whole(*vocabulary_, merges_, whole_pieces)),
      whole_pieces_(spellings(*vocabulary_, whole_piece_tokens_)),
      table_(entries(*vocabulary_, merges_, whole_pieces)),
      automaton_(pretokenizer_, whole_pieces_, normal_form),
      masks_(merges_,
             table_,
             pretokenizer_,
             automaton_,
             whole_pieces_,
             ordinary(*vocabulary_, table_)) {}

ContextState BytePairFamily::initial() const {
  ContextState context;
  context.automaton = automaton_.initial();
  return context;
}

std::vector<ByteAutomatonState> BytePairFamily::states_of(const ContextState& context) {
  std::vector<ByteAutomatonState> states{context.automaton};
  if (context.detail) {
    const auto& more = *static_cast<const MoreStates*>(context.detail.get());
    states.insert(states.end(), more.begin(), more.end());
  }
  return states;
}

std::shared_ptr<const AllowedTokens> BytePairFamily::allowed(const ContextState& context) const {
  if (!context.detail) return masks_.allowed({&context.automaton, 1}, context.last);
  return masks_.allowed(states_of(context), context.last);
}

bool BytePairFamily::may_end(const ContextState& context) const {
  if (!context.detail) return automaton_.accepts_end(context.automaton);
  const std::vector<ByteAutomatonState> states = states_of(context);
  return std::any_of(states.begin(), states.end(), [&](const ByteAutomatonState& state) {
    return automaton_.accepts_end(state);
  });
}

bool BytePairFamily::leaves_whole_pieces(ByteTrie::Node piece,
                                         std::string_view bytes) const noexcept {
  if (whole_pieces_.empty()) return true;
  for (const char byte : bytes) {
    if (piece == ByteTrie::kOff) return true;
    piece = whole_pieces_.step(piece, static_cast<std::uint8_t>(byte));
  }
  return piece == ByteTrie::kOff;
}

void BytePairFamily::States::add(const ByteAutomatonState& state) {
  if (size_ == 0) {
    first_ = state;
  } else if (first_ == state || std::find(more_.begin(), more_.end(), state) != more_.end()) {
    return;
  } else {
    more_.push_back(state);
  }
  ++size_;
}

void BytePairFamily::advance_state(
    const ByteAutomatonState& state, TokenId last, Rank rank, bool is_allowed, States& next) const {
  const TokenId token = table_.order()[rank];
  const std::string_view bytes = table_.bytes(rank);
  const auto follow = [&](ByteAutomatonState& end, unsigned flags) {
    return automaton_.run(end, bytes, flags);
  };
  const auto add = [&](ByteAutomatonState& end) {
    if (!merges_.is_canonical_alone(token)) end.piece = ByteTrie::kOff;  // spells its piece itself
    next.add(end);
  };
  // The pair test reads far more memory than the automaton, and is mostly not needed.
  ByteAutomatonState started = state, continued = state;
  const bool starts =
      state.at_character_boundary() && automaton_.may_split(state) && follow(started, kBoundary);
  const bool continues =
      last != kNoToken &&
      follow(continued, state.at_character_boundary() ? unsigned{kContinue} : state.flags) &&
      ((is_allowed && !starts) || merges_.pair_ok(last, token));
  if (starts && continues && leaves_whole_pieces(ByteTrie::kRoot, bytes) &&
      leaves_whole_pieces(state.piece, bytes)) {
    ByteAutomatonState end = state;
    follow(end, kContinue | kBoundary);
    add(end);
    return;
  }
  if (starts) add(started);
  if (continues) add(continued);
}

bool BytePairFamily::step(const ContextState& context,
                          Rank rank,
                          bool is_allowed,
                          ContextState& next) const {
  States states;
  if (!context.detail) {
    advance_state(context.automaton, context.last, rank, is_allowed, states);
  } else {
    // That some state lets an allowed token follow says nothing of any one of them.
    for (const ByteAutomatonState& state : states_of(context)) {
      advance_state(state, context.last, rank, false, states);
    }
  }
  if (states.empty()) return false;
  next = ContextState();
  next.last = table_.order()[rank];
  next.automaton = states.front();
  if (!states.more().empty()) next.detail = std::make_shared<const MoreStates>(states.more());
  return true;
}

bool BytePairFamily::try_advance(const ContextState& context, Rank rank, ContextState& next) const {
  if (vocabulary_->is_added(table_.order()[rank])) return false;
  return step(context, rank, false, next);
}

ContextState BytePairFamily::advance(const ContextState& context, Rank rank) const {
  ContextState next;
  step(context, rank, true, next);
  return next;
}

void BytePairFamily::encode(std::string_view text,
                            std::size_t origin,
                            std::vector<TokenId>& tokens) const {
  if (text.empty()) return;
  if (const std::size_t length = automaton_.normalized_length(text); length != text.size()) {
    throw InvalidInput("the text is not normalized at position " + std::to_string(origin + length));
  }
  std::vector<std::size_t> starts = pretokenizer_.split(text);
  starts.push_back(text.size());
  for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
    const std::string_view piece = text.substr(starts[i], starts[i + 1] - starts[i]);
    if (!whole_pieces_.empty()) {
      ByteTrie::Node node = ByteTrie::kRoot;
      for (const char byte : piece)
        node = whole_pieces_.step(node, static_cast<std::uint8_t>(byte));
      if (node != ByteTrie::kOff && whole_pieces_.is_terminal(node)) {
        tokens.push_back(whole_piece_tokens_[whole_pieces_.entry(node)]);
        continue;
      }
    }
    for (std::size_t at = 0; at < piece.size(); ++at) {
      if (merges_.has_byte(static_cast<std::uint8_t>(piece[at]))) continue;
      throw InvalidInput("byte " + std::to_string(static_cast<unsigned char>(piece[at])) +
                         " at position " + std::to_string(origin + starts[i] + at) +
                         " has no token in this vocabulary");
    }
    const std::vector<TokenId> encoded = merges_.encode_piece(piece);
    tokens.insert(tokens.end(), encoded.begin(), encoded.end());
  }
}

}  // namespace nextbyte
