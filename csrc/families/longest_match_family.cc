// Pointers into the trie of tokens: stepping them, and the masks and searches that follow.
#include "families/longest_match_family.h"

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>

#include "support/error.h"
#include "tokenizer/token_scan.h"

namespace nextbyte {
namespace {

// Masks are 8 KB for 65k tokens; ranges about as much at most.
constexpr std::size_t kCached = 1024;
constexpr std::size_t kCachedAnswers = std::size_t{1} << 16;

// A way into the middle of a character for every set of bytes that may follow there: one lead byte
// for each rule about the second byte.
constexpr std::string_view kInsideCharacters[] = {"",
                                                  "\xC2",
                                                  "\xE0",
                                                  "\xE0\xA0",
                                                  "\xE1",
                                                  "\xE1\x80",
                                                  "\xED",
                                                  "\xF0",
                                                  "\xF0\x90",
                                                  "\xF0\x90\x80",
                                                  "\xF1",
                                                  "\xF1\x80",
                                                  "\xF4"};

std::vector<std::string> segment_tokens(const Vocabulary& vocabulary) {
  return vocabulary.table_entries([](TokenId) { return true; });
}

// The tokens that are part of some valid UTF-8.
std::vector<std::string> entries(const Vocabulary& vocabulary, const ByteAutomaton& automaton) {
  return vocabulary.table_entries([&](TokenId token) {
    return std::any_of(
        std::begin(kInsideCharacters), std::end(kInsideCharacters), [&](std::string_view before) {
          ByteAutomatonState state = automaton.initial();
          return automaton.run(state, before, state.flags) &&
                 automaton.run(state, vocabulary.bytes(token), state.flags);
        });
  });
}

std::size_t mixed(std::size_t hash, std::uint64_t value) noexcept {
  const std::uint64_t product = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return static_cast<std::size_t>(product ^ product >> 31);
}

}  // namespace

// The tokens that may follow one position. The whole mask is made, and cached, when it is asked
// for.
class LongestMatchSuccessors final : public AllowedTokens {
 public:
  LongestMatchSuccessors(const LongestMatchFamily& family, LongestMatchFamily::Position position)
      : family_(&family),
        position_(std::move(position)),
        endings_(family.endings(position_.text)),
        killed_(family.killed(position_.pointers)) {}

  bool test(Rank rank) const override {
    if (killed_->contains(rank)) return false;
    return endings_->whole.test(rank) || (endings_->partial.test(rank) && lives_after(rank));
  }

  bool any(Rank first, Rank last) const override {
    return killed_->any_gap(first, last, [&](Rank begin, Rank end) {
      for (std::size_t index = begin / kWordBits; index * kWordBits < end; ++index) {
        const std::uint64_t range = word_range_mask(index, begin, end);
        if ((endings_->whole.word(index) & range) != 0) return true;
        for (std::uint64_t bits = endings_->partial.word(index) & range; bits != 0;
             bits &= bits - 1) {
          if (lives_after(static_cast<Rank>(index * kWordBits) +
                          static_cast<Rank>(std::countr_zero(bits)))) {
            return true;
          }
        }
      }
      return false;
    });
  }

  void copy_words(Rank size, std::vector<std::uint64_t>& words) const override {
    words = *family_->mask(position_);
    words.resize((size + kWordBits - 1) / kWordBits);
  }

 private:
  bool lives_after(Rank rank) const { return family_->is_live(family_->advanced(position_, rank)); }

  const LongestMatchFamily* family_;
  LongestMatchFamily::Position position_;
  std::shared_ptr<const LongestMatchFamily::Endings> endings_;
  std::shared_ptr<const RankRanges> killed_;
};

LongestMatchFamily::LongestMatchFamily(std::shared_ptr<const Vocabulary> vocabulary)
    : vocabulary_(std::move(vocabulary)),
      no_stages_(std::vector<std::string>{}),
      no_pieces_(std::vector<std::string>{}),
      automaton_(no_stages_, no_pieces_, NormalForm::kNone),
      trie_([&] {
        std::vector<std::string> tokens = segment_tokens(*vocabulary_);
        for (const TokenId token : vocabulary_->added()) tokens[token].clear();
        return tokens;
      }()),
      table_(entries(*vocabulary_, automaton_)),
      node_of_(vocabulary_->size(), ByteTrie::kOff),
      endings_(kCached),
      killed_(kCached),
      live_(kCachedAnswers),
      masks_(kCached) {
  trie_.for_each_below(ByteTrie::kRoot, [&](std::uint32_t token, Node node) {
    if (trie_.has_children(node)) node_of_[token] = node;
    return true;
  });
}

std::size_t LongestMatchFamily::PositionHash::operator()(const Position& position) const noexcept {
  std::size_t hash = ByteAutomatonStateHash()(position.text);
  for (const Node node : position.pointers) hash = mixed(hash, node);
  return hash;
}

ContextState LongestMatchFamily::initial() const {
  ContextState context;
  context.automaton = automaton_.initial();
  return context;
}

LongestMatchFamily::Position LongestMatchFamily::position_of(const ContextState& context) const {
  Position position{context.automaton, {}};
  if (context.detail) position.pointers = *static_cast<const Nodes*>(context.detail.get());
  if (context.last != kNoToken && node_of_[context.last] != ByteTrie::kOff) {
    position.pointers.push_back(node_of_[context.last]);
    std::sort(position.pointers.begin(), position.pointers.end());
  }
  return position;
}

std::shared_ptr<const LongestMatchFamily::Endings> LongestMatchFamily::endings(
    const ByteAutomatonState& text) const {
  return endings_.get(text, [&] {
    TokenScan scan = scan_tokens(automaton_, table_, text, text.flags, 0, table_.size());
    BitSet partial(0, table_.size());
    for (const TokenId token : vocabulary_->added()) {
      const Rank rank = table_.rank_of(token);
      scan.alive.clear(rank);
      scan.accepting.clear(rank);
    }
    scan.alive.for_each([&](std::size_t rank) {
      if (!scan.accepting.test(rank)) partial.set(rank);
    });
    return Endings{std::move(scan.accepting), std::move(partial)};
  });
}

std::shared_ptr<const RankRanges> LongestMatchFamily::killed(const Nodes& pointers) const {
  return killed_.get(Position{{}, pointers}, [&] {
    Completions found;
    for (const Node node : pointers) {
      find_completions(trie_, node, table_, found);
    }
    return RankRanges(std::move(found.completing));
  });
}

LongestMatchFamily::Position LongestMatchFamily::advanced(const Position& position,
                                                          Rank rank) const {
  const std::string_view bytes = table_.bytes(rank);
  Position next{position.text, {}};
  automaton_.run(next.text, bytes, next.text.flags);
  for (Node node : position.pointers) {
    for (const char byte : bytes) node = trie_.step(node, static_cast<std::uint8_t>(byte));
    if (node != ByteTrie::kOff && trie_.has_children(node)) next.pointers.push_back(node);
  }
  if (const Node own = node_of_[table_.order()[rank]]; own != ByteTrie::kOff) {
    next.pointers.push_back(own);
  }
  std::sort(next.pointers.begin(), next.pointers.end());
  return next;
}

bool LongestMatchFamily::is_live(const Position& position) const {
  if (position.text.at_character_boundary()) return true;
  return *live_.get(position, [&] { return search(position); });
}

bool LongestMatchFamily::search(const Position& start) const {
  // Depth first: there are at most three bytes to the end of the character, and tokens that start
  // another one after it are rare. Positions repeat or die, so this ends.
  std::unordered_set<Position, PositionHash> seen{start};
  std::vector<Position> stack{start};
  while (!stack.empty()) {
    const Position position = std::move(stack.back());
    stack.pop_back();
    const std::shared_ptr<const Endings> tokens = endings(position.text);
    const std::shared_ptr<const RankRanges> dead = killed(position.pointers);
    bool live = false;
    tokens->whole.for_each(
        [&](std::size_t rank) { live = live || !dead->contains(static_cast<Rank>(rank)); });
    if (live) return true;
    tokens->partial.for_each([&](std::size_t rank) {
      if (dead->contains(static_cast<Rank>(rank))) return;
      Position next = advanced(position, static_cast<Rank>(rank));
      if (seen.insert(next).second) stack.push_back(std::move(next));
    });
  }
  return false;
}

std::shared_ptr<const std::vector<std::uint64_t>> LongestMatchFamily::mask(
    const Position& position) const {
  return masks_.get(position, [&] {
    const std::shared_ptr<const Endings> tokens = endings(position.text);
    const std::shared_ptr<const RankRanges> dead = killed(position.pointers);
    std::vector<std::uint64_t> words((table_.size() + kWordBits - 1) / kWordBits);
    for (std::size_t index = 0; index < words.size(); ++index) {
      words[index] = tokens->whole.word(index);
    }
    dead->clear(words);
    tokens->partial.for_each([&](std::size_t index) {
      const auto rank = static_cast<Rank>(index);
      if (!dead->contains(rank) && is_live(advanced(position, rank))) {
        words[index / kWordBits] |= std::uint64_t{1} << (index % kWordBits);
      }
    });
    return words;
  });
}

std::shared_ptr<const AllowedTokens> LongestMatchFamily::allowed(
    const ContextState& context) const {
  return std::make_shared<const LongestMatchSuccessors>(*this, position_of(context));
}

bool LongestMatchFamily::try_advance(const ContextState& context,
                                     Rank rank,
                                     ContextState& next) const {
  if (vocabulary_->is_added(table_.order()[rank])) return false;
  Position position = position_of(context);
  const std::string_view bytes = table_.bytes(rank);
  if (!automaton_.run(position.text, bytes, position.text.flags)) return false;
  for (Node pointer : position.pointers) {
    for (const char byte : bytes) {
      pointer = trie_.step(pointer, static_cast<std::uint8_t>(byte));
      if (pointer == ByteTrie::kOff) break;
      if (trie_.is_terminal(pointer)) return false;
    }
  }
  next = advance(context, rank);
  return true;
}

ContextState LongestMatchFamily::advance(const ContextState& context, Rank rank) const {
  const TokenId token = table_.order()[rank];
  Position next = advanced(position_of(context), rank);
  ContextState result;
  result.last = token;
  result.automaton = next.text;
  if (node_of_[token] != ByteTrie::kOff) {  // known from `last`
    next.pointers.erase(std::find(next.pointers.begin(), next.pointers.end(), node_of_[token]));
  }
  if (!next.pointers.empty()) {
    result.detail = std::make_shared<const Nodes>(std::move(next.pointers));
  }
  return result;
}

bool LongestMatchFamily::may_end(const ContextState& context) const {
  return context.automaton.at_character_boundary();
}

void LongestMatchFamily::encode(std::string_view text,
                                std::size_t origin,
                                std::vector<TokenId>& tokens) const {
  for (std::size_t start = 0; start < text.size();) {
    TokenId longest = kNoToken;
    std::size_t end = start;
    Node node = ByteTrie::kRoot;
    for (std::size_t at = start; at < text.size() && node != ByteTrie::kOff; ++at) {
      node = trie_.step(node, static_cast<std::uint8_t>(text[at]));
      if (node == ByteTrie::kOff || !trie_.is_terminal(node)) continue;
      longest = trie_.entry(node);
      end = at + 1;
    }
    if (longest == kNoToken) {
      throw InvalidInput("no token starts with byte " +
                         std::to_string(static_cast<unsigned char>(text[start])) +
                         " and fits at position " + std::to_string(origin + start));
    }
    tokens.push_back(longest);
    start = end;
  }
}

}  // namespace nextbyte
