// Tries the tokens that may go on inside a character, those of the length that is missing first.
#include "families/tail_ways.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "text/unicode.h"

namespace nextbyte {
namespace {

// Of the tokens that go on inside a tail's character and do not end it: so many are followed.
constexpr std::size_t kTriedFirstTokens = 3;
constexpr std::size_t kLongestRest = 3;

// Bytes of the character that starts so.
std::size_t character_length(std::string_view beginning) noexcept {
  const auto lead = static_cast<unsigned char>(beginning.front());
  return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

}  // namespace

class TailWays::Finder {
 public:
  Finder(const BpeMerges& merges,
         const TokenTable& table,
         const Pretokenizer& pretokenizer,
         const ByteAutomaton& automaton,
         const ByteTrie& whole_pieces,
         const BitSet& by_merges)
      : merges_(merges),
        table_(table),
        pretokenizer_(pretokenizer),
        automaton_(automaton),
        whole_pieces_(whole_pieces) {
    const TokenTable::Cursor range = table.first_byte_range(0x80, 0xBF);
    for (Rank rank = range.first; rank < range.last; ++rank) {
      if (!by_merges.test(rank)) continue;
      by_length_[std::min<std::size_t>(table.length(rank), kLongestRest + 1) - 1].push_back(rank);
    }
  }

  Ways find(const TokenGroups::Tail& tail) const {
    const std::string_view token = table_.bytes(tail.rank);
    const std::string_view beginning = token.substr(tail.length);
    const std::size_t missing = character_length(beginning) - beginning.size();
    Ways ways;
    complete({table_.order()[tail.rank], tail.normal, on_trie(ByteTrie::kRoot, token), beginning},
             tail.possible,
             ways);
    std::size_t tries = 0;
    std::string bytes(beginning);
    for (std::size_t length = 1; length <= by_length_.size() && !ways.exist; ++length) {
      if (length == missing) continue;
      for (const Rank rank : by_length_[length - 1]) {
        const TokenId next = table_.order()[rank];
        bytes.replace(beginning.size(), std::string::npos, table_.bytes(rank));
        const DecodedScalar scalar = decode_scalar(bytes, 0);
        if (scalar.length != 0) {  // ends the character, and is more
          if (std::uint16_t after = tail.normal; !automaton_.stays_normal(after, scalar.value))
            continue;
          ways.exist = merges_.pair_ok(table_.order()[tail.rank], next);
          if (ways.exist) break;
          continue;
        }
        const std::uint64_t possible = automaton_.classes_ahead(tail.normal, bytes);
        if (possible == 0 || !merges_.pair_ok(table_.order()[tail.rank], next)) continue;
        ways.exist = true;
        const ByteTrie::Node piece = on_trie(on_trie(ByteTrie::kRoot, token), table_.bytes(rank));
        complete({next, tail.normal, piece, bytes}, possible, ways);
        if (++tries == kTriedFirstTokens) break;
      }
    }
    return ways;
  }

 private:
  struct Inside {
    TokenId token;
    std::uint16_t normal;
    ByteTrie::Node piece;        // if one starts with the tail
    std::string_view beginning;  // of the character
  };

  ByteTrie::Node on_trie(ByteTrie::Node node, std::string_view bytes) const noexcept {
    for (const char byte : bytes) {
      if (node == ByteTrie::kOff) break;
      node = whole_pieces_.step(node, static_cast<std::uint8_t>(byte));
    }
    return node;
  }

  // Adds what one token completes, and no more than completes, of the `possible` classes.
  void complete(const Inside& inside, std::uint64_t possible, Ways& ways) const {
    const std::string_view beginning = inside.beginning;
    std::string bytes(beginning);
    for (const Rank rank : by_length_[character_length(beginning) - beginning.size() - 1]) {
      bytes.replace(beginning.size(), std::string::npos, table_.bytes(rank));
      const DecodedScalar scalar = decode_scalar(bytes, 0);
      if (scalar.length == 0) continue;
      const std::uint64_t bit = std::uint64_t{1} << pretokenizer_.class_of(scalar.value);
      if ((ways.classes & bit) != 0) continue;
      if (std::uint16_t after = inside.normal; !automaton_.stays_normal(after, scalar.value))
        continue;
      if (!merges_.pair_ok(inside.token, table_.order()[rank])) continue;
      ways.exist = true;
      const ByteTrie::Node piece = on_trie(inside.piece, table_.bytes(rank));
      if (piece != ByteTrie::kOff && whole_pieces_.is_terminal(piece)) continue;
      ways.classes |= bit;
      if ((possible & ~ways.classes) == 0) break;
    }
  }

  const BpeMerges& merges_;
  const TokenTable& table_;
  const Pretokenizer& pretokenizer_;
  const ByteAutomaton& automaton_;
  const ByteTrie& whole_pieces_;
  // Tokens that start with a continuation byte, by length; the last are longer than any rest.
  std::array<std::vector<Rank>, kLongestRest + 1> by_length_;
};

TailWays::TailWays(const TokenGroups& groups,
                   const BpeMerges& merges,
                   const TokenTable& table,
                   const Pretokenizer& pretokenizer,
                   const ByteAutomaton& automaton,
                   const ByteTrie& whole_pieces,
                   const BitSet& by_merges) {
  const Finder finder(merges, table, pretokenizer, automaton, whole_pieces, by_merges);
  ways_.reserve(groups.tails().size());
  for (const TokenGroups::Tail& tail : groups.tails()) ways_.push_back(finder.find(tail));
}

}  // namespace nextbyte
