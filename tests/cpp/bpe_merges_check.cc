// Checks BpeMerges against a naive encoder (written here, sharing nothing with it) on random lists.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/error.h"
#include "vocabulary/bpe_merges.h"

namespace {

using nextbyte::BpeMerges;
using nextbyte::kNoToken;
using nextbyte::Merge;
using nextbyte::TokenId;
using Intervals = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "bpe_merges_check: %s\n", message.c_str());
  std::exit(1);
}

void require(bool condition, const std::string& message) {
  if (!condition) fail(message);
}

// How much of each kind of difficulty the random lists had: each must occur, or the check is
// hollow.
struct Tally {
  long lists = 0, pairs = 0, bad_pairs = 0, sequences = 0, good_sequences = 0;
  long improper = 0, not_canonical = 0, missing_byte = 0, deep = 0;
};

// One vocabulary with its merges, and BPE by definition.
struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<Merge> merge_list;     // from_merges, or
  std::vector<std::uint32_t> ranks;  // from_ranks
  bool by_ranks = false;

  std::map<char, TokenId> bytes;
  std::map<std::pair<TokenId, TokenId>, std::pair<std::uint32_t, TokenId>> merges;

  void prepare() {
    if (by_ranks) {
      std::map<std::string, TokenId> owner;
      for (TokenId t = 0; t < tokens.size(); ++t) {
        if (tokens[t].empty() || ranks[t] == 0xFFFFFFFFu) continue;
        const auto [at, is_new] = owner.emplace(tokens[t], t);
        if (!is_new && ranks[t] < ranks[at->second]) at->second = t;
      }
      for (const auto& [text, t] : owner) {
        if (text.size() == 1) bytes[text[0]] = t;
        for (std::size_t k = 1; k < text.size(); ++k) {
          const auto left = owner.find(text.substr(0, k));
          const auto right = owner.find(text.substr(k));
          if (left == owner.end() || right == owner.end()) continue;
          merges[{left->second, right->second}] = {ranks[t], t};
        }
      }
    } else {
      for (TokenId t = 0; t < tokens.size(); ++t) {
        if (tokens[t].size() == 1) bytes.emplace(tokens[t][0], t);
      }
      for (std::uint32_t k = 0; k < merge_list.size(); ++k) {
        merges[{merge_list[k].left, merge_list[k].right}] = {k, merge_list[k].result};
      }
    }
  }

  // The run of BPE, or {kNoToken} if a byte has no token. Counts edges and order along the way.
  std::vector<TokenId> encode(const std::string& text,
                              bool* improper = nullptr,
                              std::size_t* spine = nullptr) const {
    std::vector<TokenId> symbols;
    for (const char c : text) {
      if (!bytes.contains(c)) return {kNoToken};
      symbols.push_back(bytes.at(c));
    }
    std::uint32_t last_rank = 0;
    std::size_t left_edges = 1, right_edges = 1;
    for (;;) {
      std::size_t best = symbols.size();
      std::pair<std::uint32_t, TokenId> best_merge;
      for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
        const auto merge = merges.find({symbols[i], symbols[i + 1]});
        if (merge == merges.end()) continue;
        if (best == symbols.size() || merge->second.first < best_merge.first) {
          best = i;
          best_merge = merge->second;
        }
      }
      if (best == symbols.size()) break;
      if (improper != nullptr && best_merge.first < last_rank) *improper = true;
      last_rank = best_merge.first;
      left_edges += best == 0 ? 1 : 0;
      right_edges += best + 2 == symbols.size() ? 1 : 0;
      symbols[best] = best_merge.second;
      symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    if (spine != nullptr) *spine = std::max(left_edges, right_edges);
    return symbols;
  }
};

using Random = std::mt19937;
std::uint32_t below(Random& random, std::size_t n) {
  return static_cast<std::uint32_t>(random() % n);
}

constexpr char kLetters[] = {'a', '\xC3', '\0'};

std::string random_text(Random& random, std::size_t alphabet, std::size_t max_length) {
  std::string text(1 + below(random, max_length), 'a');
  for (char& c : text) c = kLetters[below(random, alphabet)];
  return text;
}

// Merges of random neighbours, shuffled (so ranks do not follow length), with repeated pairs,
// repeated byte strings, holes, and tokens that no merge makes.
Vocabulary random_merge_list(Random& random) {
  Vocabulary v;
  const std::size_t alphabet = 1 + below(random, 3);
  for (std::size_t i = 0; i < alphabet; ++i) v.tokens.push_back({kLetters[i]});
  const std::size_t merges = 1 + below(random, 14);
  for (std::size_t k = 0; k < merges; ++k) {
    const TokenId left = below(random, v.tokens.size());
    const TokenId right = below(random, v.tokens.size());
    if (v.tokens[left].empty() || v.tokens[right].empty()) continue;
    const std::string text = v.tokens[left] + v.tokens[right];
    if (text.size() > 10) continue;
    std::vector<TokenId> same;
    for (TokenId t = 0; t < v.tokens.size(); ++t) {
      if (v.tokens[t] == text) same.push_back(t);
    }
    if (same.empty() || below(random, 8) == 0) {
      same.push_back(static_cast<TokenId>(v.tokens.size()));
      v.tokens.push_back(text);
    }
    v.merge_list.push_back({left, right, same[below(random, same.size())]});
    if (below(random, 10) == 0) v.tokens.emplace_back();
    if (below(random, 10) == 0) v.tokens.push_back(random_text(random, alphabet, 3));
    if (below(random, 10) == 0) {
      v.merge_list.push_back(v.merge_list[below(random, v.merge_list.size())]);
    }
  }
  if (below(random, 4) != 0) {
    std::shuffle(v.merge_list.begin(), v.merge_list.end(), random);
  }
  return v;
}

// Random strings with random priorities, of which few or many differ; some bytes may be missing.
Vocabulary random_ranks(Random& random) {
  Vocabulary v;
  v.by_ranks = true;
  const std::size_t alphabet = 1 + below(random, 3);
  const std::size_t spread = 1 + below(random, below(random, 2) == 0 ? 2 : 12);
  const auto add = [&](std::string text, std::uint32_t rank) {
    v.tokens.push_back(std::move(text));
    v.ranks.push_back(rank);
  };
  for (std::size_t i = 0; i < alphabet; ++i) {
    if (below(random, 12) != 0) add({kLetters[i]}, below(random, spread));
  }
  const std::size_t count = 1 + below(random, 16);
  for (std::size_t k = 0; k < count; ++k) {
    const std::uint32_t rank = below(random, 12) == 0 ? 0xFFFFFFFFu : below(random, spread);
    add(below(random, 15) == 0 ? "" : random_text(random, alphabet, 7), rank);
  }
  return v;
}

// The text in letters a, b, c for kLetters.
std::string shown(std::string text) {
  for (char& c : text) c = c == kLetters[0] ? 'a' : c == kLetters[1] ? 'b' : 'c';
  return text;
}

std::string describe(const Vocabulary& v) {
  std::ostringstream out;
  out << (v.by_ranks ? "ranks:" : "merges:");
  for (TokenId t = 0; t < v.tokens.size(); ++t) {
    out << ' ' << t << '=' << shown(v.tokens[t]);
    if (v.by_ranks) out << '@' << v.ranks[t];
  }
  for (const Merge& m : v.merge_list) {
    out << " (" << m.left << ',' << m.right << ")->" << m.result;
  }
  return out.str();
}

// Everything that BpeMerges says about a vocabulary of n tokens, on all n tokens and n * n pairs.
void check_vocabulary(Vocabulary& v, Random& random, Tally& tally) {
  v.prepare();
  const BpeMerges bpe = v.by_ranks ? BpeMerges::from_ranks(v.tokens, v.ranks)
                                   : BpeMerges::from_merges(v.tokens, v.merge_list);
  const auto n = static_cast<TokenId>(v.tokens.size());
  const auto expect = [&](bool condition, const char* what, const auto&... details) {
    if (condition) return;
    std::ostringstream out;
    out << what;
    ((out << ' ' << details), ...);
    fail(out.str() + " in " + describe(v));
  };
  ++tally.lists;
  expect(bpe.num_tokens() == n, "num_tokens");

  std::vector<TokenId> canonical;
  std::size_t not_canonical = 0, depth = 0;
  bool improper = false;
  for (TokenId t = 0; t < n; ++t) {
    bool own_improper = false;
    std::size_t spine = 0;
    const bool alone =
        !v.tokens[t].empty() && v.encode(v.tokens[t], &own_improper, &spine) == std::vector{t};
    expect(bpe.is_canonical_alone(t) == alone, "is_canonical_alone", t);
    if (alone) {
      canonical.push_back(t);
      improper = improper || own_improper;
      depth = std::max(depth, spine);
    } else if (!v.tokens[t].empty() && !(v.by_ranks && v.ranks[t] == 0xFFFFFFFFu)) {
      ++not_canonical;
    }
  }
  expect(bpe.num_not_canonical_alone() == not_canonical, "num_not_canonical_alone");
  expect(bpe.max_spine_depth() == depth, "max_spine_depth");
  expect(bpe.is_proper() == !improper, "is_proper");
  tally.improper += improper ? 1 : 0;
  tally.not_canonical += not_canonical > 0 ? 1 : 0;
  tally.deep += depth > 3 ? 1 : 0;
  tally.missing_byte += v.bytes.empty() ? 1 : 0;

  std::vector<TokenId> order = bpe.euler_order();
  std::sort(order.begin(), order.end());
  expect(order == canonical, "euler_order is not a permutation of the tokens canonical alone");

  Intervals intervals{{7, 9}};  // must be replaced, not appended to
  for (TokenId a = 0; a < n; ++a) {
    std::set<TokenId> invalid, from_intervals;
    for (TokenId b = 0; b < n; ++b) {
      const bool ok = bpe.pair_ok(a, b);
      const bool both = std::binary_search(canonical.begin(), canonical.end(), a) &&
                        std::binary_search(canonical.begin(), canonical.end(), b);
      const bool expected =
          both && v.encode(v.tokens[a] + v.tokens[b]) == std::vector<TokenId>{a, b};
      expect(ok == expected, "pair_ok", a, b);
      tally.pairs += both ? 1 : 0;
      tally.bad_pairs += both && !ok ? 1 : 0;
      if (!ok && bpe.is_canonical_alone(b)) invalid.insert(b);
    }
    bpe.invalid_successors(a, intervals);
    for (const auto& [first, last] : intervals) {
      expect(first < last && last <= bpe.euler_order().size(), "an interval is empty or too long");
      for (std::uint32_t k = first; k < last; ++k) from_intervals.insert(bpe.euler_order()[k]);
    }
    expect(from_intervals == invalid, "invalid_successors", a);
  }

  // Locality: all tokens canonical alone and all adjacent pairs ok <=> the sequence is BPE's own.
  for (int trial = 0; trial < 20 && n > 0; ++trial) {
    std::vector<TokenId> sequence{below(random, n)};
    for (std::size_t length = 1 + below(random, 6); sequence.size() < length;) {
      TokenId next = below(random, n);
      for (int attempt = 0; attempt < 6 && !bpe.pair_ok(sequence.back(), next); ++attempt) {
        next = below(random, n);
      }
      sequence.push_back(next);
    }
    bool local = bpe.is_canonical_alone(sequence[0]);
    std::string text = v.tokens[sequence[0]];
    for (std::size_t i = 1; i < sequence.size(); ++i) {
      local = local && bpe.pair_ok(sequence[i - 1], sequence[i]);
      text += v.tokens[sequence[i]];
    }
    expect(local == (v.encode(text) == sequence), "locality on the text", shown(text));
    ++tally.sequences;
    tally.good_sequences += local && sequence.size() > 2 ? 1 : 0;
  }

  for (int trial = 0; trial < 10; ++trial) {
    const std::string text = trial == 0 ? "" : random_text(random, 3, 16);
    std::vector<TokenId> got{kNoToken};
    try {
      got = bpe.encode_piece(text);
    } catch (const nextbyte::InvalidInput& error) {
      std::size_t position = 0;
      while (v.bytes.contains(text[position])) ++position;
      expect(std::string(error.what()).find("position " + std::to_string(position)) !=
                 std::string::npos,
             "the position in",
             error.what());
    }
    expect(got == v.encode(text), "encode_piece", shown(text));
  }
}

// Runs of one byte up to 1,024 long: every split of every token is a merge.
void check_long_runs() {
  Vocabulary v;
  v.by_ranks = true;
  for (std::uint32_t length = 1; length <= 1024; length += length < 40 ? 1 : 41) {
    v.tokens.emplace_back(length, ' ');
    v.ranks.push_back(length);
  }
  v.prepare();
  const BpeMerges bpe = BpeMerges::from_ranks(v.tokens, v.ranks);
  for (TokenId a = 0; a < v.tokens.size(); ++a) {
    require(bpe.is_canonical_alone(a) == (v.encode(v.tokens[a]) == std::vector{a}),
            "a run of blanks, canonical alone");
    require(bpe.encode_piece(v.tokens[a]) == v.encode(v.tokens[a]), "a run of blanks, encoded");
  }
  // b, ba, baa, ...: one left spine through all of them, the deepest there can be.
  std::vector<std::string> tokens{"b", "a"};
  std::vector<Merge> merges;
  for (TokenId t = 1; t < 1024; ++t) {
    tokens.push_back(std::string("b").append(t, 'a'));
    merges.push_back({t == 1 ? 0 : t, 1, t + 1});
  }
  const BpeMerges deep = BpeMerges::from_merges(tokens, merges);
  require(deep.num_not_canonical_alone() == 0 && deep.max_spine_depth() == 1024, "a deep spine");
  require(!deep.pair_ok(1024 - 1, 1) && deep.pair_ok(1, 1024), "pairs at a deep spine");
}

template <class Error, class Function>
void require_throw(const std::string& fragment, Function function) {
  std::string message = "(nothing was thrown)";
  try {
    function();
  } catch (const Error& error) {
    message = error.what();
  }
  if (message.find(fragment) == std::string::npos) fail(message + " lacks " + fragment);
}

void check_errors() {
  using nextbyte::TokenizerFormat;
  const std::vector<std::string> tokens{"a", "b", "ab", "", "aba"};
  const auto merges = [&](std::vector<Merge> list) {
    return [&tokens, list] { BpeMerges::from_merges(tokens, list); };
  };
  require_throw<TokenizerFormat>("merge 1", merges({{0, 1, 2}, {0, 1, 5}}));
  require_throw<TokenizerFormat>("merge 0", merges({{9, 1, 2}}));
  require_throw<TokenizerFormat>("merge 0", merges({{0, kNoToken, 2}}));
  require_throw<TokenizerFormat>("merge 1", merges({{0, 1, 2}, {3, 2, 2}}));
  require_throw<TokenizerFormat>("merge 2", merges({{0, 1, 2}, {2, 0, 4}, {1, 0, 2}}));
  require_throw<TokenizerFormat>("merge 0", merges({{0, 0, 4}}));
  require_throw<TokenizerFormat>("merge 0", merges({{0, 0, 2}}));
  require_throw<TokenizerFormat>("merge 0", merges({{1, 1, 2}}));
  // A merge that a later one replaces must be right as well.
  require_throw<TokenizerFormat>("merge 0", merges({{0, 1, 4}, {0, 1, 2}}));
  require_throw<TokenizerFormat>("5 tokens", [&] { BpeMerges::from_ranks(tokens, {0, 1}); });
  require_throw<TokenizerFormat>("token 2",
                                 [&] { BpeMerges::from_ranks(tokens, {0, 1, 0xFFFFFFFEu, 0, 0}); });
  require_throw<nextbyte::InvalidInput>(
      "position 2", [&] { BpeMerges::from_merges(tokens, {}).encode_piece("abcab"); });
  const BpeMerges greatest = BpeMerges::from_ranks(tokens, {0, 1, 0xFFFFFFFDu, 0, 0xFFFFFFFDu});
  require(greatest.is_canonical_alone(2) && greatest.is_canonical_alone(4), "the greatest rank");
  require(!greatest.pair_ok(0, 1) && greatest.pair_ok(1, 0), "pairs at the greatest rank");
  const BpeMerges empty = BpeMerges::from_merges({}, {});
  require(empty.encode_piece("").empty() && empty.euler_order().empty(), "an empty vocabulary");
  require(empty.max_spine_depth() == 0 && empty.is_proper(), "diagnostics without tokens");
}

}  // namespace

int main() {
  Random random(20240607);
  Tally tally;
  for (int list = 0; list < 3000; ++list) {
    Vocabulary merges = random_merge_list(random);
    check_vocabulary(merges, random, tally);
    Vocabulary ranks = random_ranks(random);
    check_vocabulary(ranks, random, tally);
  }
  check_long_runs();
  check_errors();
  require(tally.improper > 100 && tally.not_canonical > 100 && tally.missing_byte > 10 &&
              tally.deep > 100 && tally.bad_pairs > 10000 && tally.good_sequences > 1000,
          "the random lists are too easy");
  std::printf(
      "bpe_merges_check: %ld lists (%ld with decreasing ranks, %ld with tokens not canonical "
      "alone), %ld pairs (%ld invalid), %ld sequences (%ld canonical): ok\n",
      tally.lists,
      tally.improper,
      tally.not_canonical,
      tally.pairs,
      tally.bad_pairs,
      tally.sequences,
      tally.good_sequences);
}
