// Checks the sort of byte strings and the splits of tokens against the standard library's ways.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vocabulary/byte_string_order.h"
#include "vocabulary/token_splits.h"

namespace {

using nextbyte::ByteStringOrder;
using nextbyte::TokenId;
using nextbyte::TokenSplits;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "byte_string_order_check: %s\n", what);
  std::exit(1);
}

std::size_t shared(const std::string& a, const std::string& b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                                  a.begin());
}

// Few letters and whole runs of them: long common beginnings, zeros, equal strings.
std::string random_string(std::mt19937& random) {
  static constexpr char kLetters[] = {'\0', 'a', 'b', '\x7F', '\x80', '\xFF'};
  std::string text;
  const std::size_t parts = random() % 4;
  const std::size_t letters = random() % 2 == 0 ? 3 : sizeof(kLetters);
  for (std::size_t i = 0; i < parts; ++i) {
    text.append(random() % 4 == 0 ? random() % 20 : 1, kLetters[random() % letters]);
  }
  return text;
}

void check_order(const std::vector<std::string>& texts, bool reversed, std::mt19937& random) {
  std::vector<TokenId> ids;
  std::vector<std::string> keys = texts;
  for (TokenId id = 0; id < texts.size(); ++id) {
    if (random() % 8 != 0) ids.push_back(id);
    if (reversed) std::reverse(keys[id].begin(), keys[id].end());
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  ByteStringOrder order = reversed ? nextbyte::sorted_by_reversed_bytes(views, ids)
                                   : nextbyte::sorted_by_bytes(views, ids);
  const auto check = [&](std::vector<TokenId> expected) {
    std::sort(expected.begin(), expected.end(), [&](TokenId a, TokenId b) {
      return keys[a] != keys[b] ? keys[a] < keys[b] : a < b;
    });
    require(order.ids == expected, "the order");
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const std::size_t common = i == 0 ? 0 : shared(keys[expected[i - 1]], keys[expected[i]]);
      require(order.shared[i] == common, "what neighbours share");
    }
  };
  check(ids);
  std::vector<TokenId> kept;
  order.filter([&](std::size_t i) {
    if (random() % 2 != 0) return false;
    kept.push_back(order.ids[i]);
    return true;
  });
  check(kept);
}

void check_splits(const std::vector<std::string>& texts, std::size_t& num_splits) {
  const std::set<std::string> distinct(texts.begin(), texts.end());
  std::vector<std::string> tokens(distinct.begin(), distinct.end());
  std::erase(tokens, "");
  const std::vector<std::string_view> views(tokens.begin(), tokens.end());
  std::vector<TokenId> ids(tokens.size());
  for (TokenId id = 0; id < ids.size(); ++id) ids[id] = id;
  TokenSplits splits(views, nextbyte::sorted_by_bytes(views, ids));
  for (const TokenId t : ids) {
    require(splits.length(t) == tokens[t].size(), "the length");
    std::set<std::pair<std::string, std::string>> expected;
    std::set<std::pair<std::string, std::string>> found;
    for (std::size_t cut = 1; cut < tokens[t].size(); ++cut) {
      const std::string left = tokens[t].substr(0, cut);
      const std::string right = tokens[t].substr(cut);
      if (distinct.contains(left) && distinct.contains(right)) expected.emplace(left, right);
    }
    splits.for_each(t, [&](TokenId left, TokenId right) {
      require(found.emplace(tokens[left], tokens[right]).second, "a split comes once");
    });
    require(found == expected, "the splits");
    num_splits += found.size();
  }
}

}  // namespace

int main() {
  std::mt19937 random(0);
  std::size_t num_splits = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> texts(random() % 150);
    for (std::string& text : texts) text = random_string(random);
    check_order(texts, false, random);
    check_order(texts, true, random);
    check_splits(texts, num_splits);
  }
  require(num_splits > 10000, "there is something to find");
  std::printf("byte_string_order_check: 2000 lists, %zu splits: ok\n", num_splits);
}
