// Checks the any-test of pair successors, with its short cuts, against the mask of the whole row.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "families/pair_successors.h"

namespace {

using nextbyte::BitSet;
using nextbyte::BpeMerges;
using nextbyte::InvalidSuccessors;
using nextbyte::PairSuccessors;
using nextbyte::Rank;
using nextbyte::TokenId;
using nextbyte::TokenTable;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "pair_successors_check: failed: %s\n", what);
  std::exit(1);
}

using Random = std::mt19937;
std::size_t below(Random& random, std::size_t n) { return random() % n; }

// Hundreds of tokens of few letters, so that blocks of ranks and long intervals occur.
std::vector<std::string> random_tokens(Random& random, std::size_t count) {
  std::vector<std::string> tokens{"a", "b", "c"};
  while (tokens.size() < count) {
    std::string text = tokens[below(random, tokens.size())] + tokens[below(random, tokens.size())];
    if (text.size() > 12) text = "ab";
    if (std::find(tokens.begin(), tokens.end(), text) == tokens.end()) tokens.push_back(text);
    if (below(random, 8) == 0) std::shuffle(tokens.begin() + 3, tokens.end(), random);
  }
  return tokens;
}

// Of tokens canonical alone: the masks have no others in them.
std::shared_ptr<const BitSet> random_set(Random& random,
                                         const BpeMerges& merges,
                                         const TokenTable& table,
                                         unsigned one_in) {
  const std::size_t size = table.size();
  BitSet set(0, size);
  for (std::size_t rank = 0; rank < size; ++rank) {
    if (!merges.is_canonical_alone(table.order()[rank])) continue;
    if (below(random, one_in) == 0) set.set(rank);
  }
  if (below(random, 2) == 0) set.summarize();
  return std::make_shared<const BitSet>(std::move(set));
}

// An interval of invalid tokens around each invalid one, and none around the others.
void check_intervals(const BpeMerges& merges, TokenId a) {
  const std::vector<TokenId>& order = merges.euler_order();
  for (std::uint32_t number = 0; number < order.size(); ++number) {
    require(merges.euler_number(order[number]) == number, "euler_number");
    const auto [first, last] = merges.invalid_around(a, order[number]);
    require((first == last) == merges.pair_ok(a, order[number]), "invalid_around");
    if (first == last) continue;
    require(first <= number && number < last, "invalid_around leaves the token out");
    for (std::uint32_t k = first; k < last; ++k) {
      require(!merges.pair_ok(a, order[k]), "invalid_around has a valid one");
    }
  }
}

}  // namespace

int main() {
  Random random(20260);
  long found = 0, missed = 0;
  for (int round = 0; round < 60; ++round) {
    const std::vector<std::string> tokens =
        random_tokens(random, round % 4 == 0 ? 40 : 300 + below(random, 900));
    std::vector<std::uint32_t> ranks(tokens.size());
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      ranks[i] = static_cast<std::uint32_t>(round % 3 == 0 ? i : below(random, ranks.size()));
    }
    const BpeMerges merges = BpeMerges::from_ranks(tokens, ranks);
    const TokenTable table(tokens);
    // Masks early or late, and mostly forgotten.
    const InvalidSuccessors invalid(merges, table, {1 + below(random, 40), 1 + below(random, 3)});
    const auto size = static_cast<Rank>(table.size());
    for (int k = 0; k < 40; ++k) {
      const auto last_token = static_cast<TokenId>(below(random, tokens.size()));
      if (k < 4) check_intervals(merges, last_token);
      const auto free = below(random, 2) == 0 ? nullptr : random_set(random, merges, table, 400);
      const auto bound = random_set(
          random, merges, table, 1 + static_cast<unsigned>(below(random, 3) * below(random, 90)));
      // One answers by pair tests, the other by the mask that it made for its row.
      const PairSuccessors unread(invalid, last_token, free, bound);
      const PairSuccessors read(invalid, last_token, free, bound);
      std::vector<std::uint64_t> words;
      read.copy_words(size, words);
      std::vector<Rank> members;
      for (Rank rank = 0; rank < size; ++rank) {
        const bool is_member = (words[rank / 64] >> (rank % 64) & 1U) != 0;
        require(unread.test(rank) == is_member, "test");
        require(read.test(rank) == is_member, "test behind a row");
        if (is_member) members.push_back(rank);
      }
      for (int query = 0; query < 200; ++query) {
        auto first = static_cast<Rank>(below(random, size + 1));
        auto last = static_cast<Rank>(below(random, size + 1));
        if (query % 2 == 0) last = std::min(size, first + static_cast<Rank>(below(random, 70)));
        if (query == 1) first = 0, last = size;
        if (query % 8 == 3) last = std::min(size, first + 1);
        const auto at = std::lower_bound(members.begin(), members.end(), first);
        const bool expected = first < last && at != members.end() && *at < last;
        require(unread.any(first, last) == expected, "any");
        require(read.any(first, last) == expected, "any behind a row");
        if (first < last) ++(expected ? found : missed);
      }
    }
  }
  require(found > 10000 && missed > 10000, "both answers were common");
  std::printf("pair_successors_check: %ld ranges with, %ld without\n", found, missed);
}
