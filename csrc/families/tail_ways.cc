// Tries the tokens that may go on inside a character, those of the length that is missing first.
#include "families/tail_ways.h"

#include <algorithm>
#include <string>

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
         const BitSet& by_merges)
      : merges_(merges), table_(table), pretokenizer_(pretokenizer), automaton_(automaton) {
    const TokenTable::Cursor range = table.first_byte_range(0x80, 0xBF);
    for (Rank rank = range.first; rank < range.last; ++rank) {
      if (!by_merges.test(rank)) continue;
      by_length_[std::min<std::size_t>(table.length(rank), kLongestRest + 1) - 1].push_back(rank);
    }
  }

  Ways find(TokenId token, std::uint16_t normal, std::string_view beginning) const {
    const std::size_t missing = character_length(beginning) - beginning.size();
    const std::uint64_t possible = automaton_.classes_ahead(normal, beginning);
    Ways ways;
    ways.classes = completed(token, normal, beginning, possible);
    ways.exist = ways.classes != 0;
    std::size_t tries = 0;
    std::string bytes(beginning);
    for (std::size_t length = 1; length <= by_length_.size() && !ways.exist; ++length) {
      if (length == missing) continue;
      for (const Rank rank : by_length_[length - 1]) {
        const TokenId next = table_.order()[rank];
        bytes.replace(beginning.size(), std::string::npos, table_.bytes(rank));
        const DecodedScalar scalar = decode_scalar(bytes, 0);
        if (scalar.length != 0) {  // ends the character, and is more
          std::uint16_t after = normal;
          if (!automaton_.stays_normal(after, scalar.value)) continue;
          if (!merges_.pair_ok(token, next)) continue;
          ways.exist = true;
          break;
        }
        const std::uint64_t ahead = automaton_.classes_ahead(normal, bytes);
        if (ahead == 0 || !merges_.pair_ok(token, next)) continue;
        ways.exist = true;
        ways.classes |= completed(next, normal, bytes, ahead);
        if (++tries == kTriedFirstTokens) break;
      }
    }
    return ways;
  }

 private:
  // The classes of the characters that one token completes behind `token`, and no more.
  std::uint64_t completed(TokenId token,
                          std::uint16_t normal,
                          std::string_view beginning,
                          std::uint64_t possible) const {
    std::uint64_t classes = 0;
    std::string bytes(beginning);
    for (const Rank rank : by_length_[character_length(beginning) - beginning.size() - 1]) {
      bytes.replace(beginning.size(), std::string::npos, table_.bytes(rank));
      const DecodedScalar scalar = decode_scalar(bytes, 0);
      if (scalar.length == 0) continue;
      const std::uint64_t bit = std::uint64_t{1} << pretokenizer_.class_of(scalar.value);
      if ((classes & bit) != 0) continue;
      if (std::uint16_t after = normal; !automaton_.stays_normal(after, scalar.value)) continue;
      if (!merges_.pair_ok(token, table_.order()[rank])) continue;
      classes |= bit;
      if (classes == possible) break;
    }
    return classes;
  }

  const BpeMerges& merges_;
  const TokenTable& table_;
  const Pretokenizer& pretokenizer_;
  const ByteAutomaton& automaton_;
  // Tokens that start with a continuation byte, by length; the last are longer than any rest.
  std::array<std::vector<Rank>, kLongestRest + 1> by_length_;
};

TailWays::TailWays(const TokenGroups& groups,
                   const BpeMerges& merges,
                   const TokenTable& table,
                   const Pretokenizer& pretokenizer,
                   const ByteAutomaton& automaton,
                   const BitSet& by_merges) {
  const Finder finder(merges, table, pretokenizer, automaton, by_merges);
  ways_.reserve(groups.tails().size());
  for (const TokenGroups::Tail& tail : groups.tails()) {
    ways_.push_back(finder.find(table.order()[tail.rank],
                                tail.normal,
                                table.bytes(tail.rank).substr(tail.length)));
  }
}

}  // namespace nextbyte
