// Builds BpeMerges: finds the last step of every token's own run without running BPE on it.
//
// In order of length, a merge (l, r) -> m is the last step of m's own run iff l and r are canonical
// alone and no shorter merge crosses their cut before both are complete (the pair test minus its
// first look-up, over the last steps found so far). At most one merge per byte string passes.
#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "support/counting_sort.h"
#include "support/error.h"
#include "text/unicode.h"
#include "vocabulary/bpe_merges.h"
#include "vocabulary/token_splits.h"

namespace nextbyte {
namespace {

// How many tokens ahead of their use data are fetched: they lie in no order, so that waiting for
// them would take most of the time.
constexpr std::size_t kAhead = 12;

// The most bytes that a base symbol has.
std::size_t longest_base_symbol(BaseSymbols base) noexcept {
  return base == BaseSymbols::kBytes ? 1 : 4;
}

bool is_base_symbol(std::string_view bytes, BaseSymbols base) noexcept {
  if (bytes.empty() || bytes.size() > longest_base_symbol(base)) return false;
  return (base == BaseSymbols::kBytes ? 1 : decode_scalar(bytes, 0).length) == bytes.size();
}

void check_utf8(std::string_view bytes, std::size_t id) {
  for (std::size_t at = 0; at < bytes.size();) {
    const unsigned length = decode_scalar(bytes, at).length;
    if (length == 0) {
      throw TokenizerFormat("token " + std::to_string(id) + " is not valid UTF-8");
    }
    at += length;
  }
}

void check_tokens(const std::vector<std::string>& tokens, BaseSymbols base) {
  if (tokens.size() >= kNoToken) {
    throw TokenizerFormat("a vocabulary must have fewer than 2^32 - 1 ids");
  }
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].size() >= kNoToken) {
      throw TokenizerFormat("token " + std::to_string(id) + " is longer than 2^32 - 2 bytes");
    }
    if (base == BaseSymbols::kCharacters) check_utf8(tokens[id], id);
  }
}

[[noreturn]] void reject(std::size_t index, const Merge& merge, const std::string& reason) {
  throw TokenizerFormat("merge " + std::to_string(index) + " (" + std::to_string(merge.left) +
                        ", " + std::to_string(merge.right) + ") -> " +
                        std::to_string(merge.result) + ": " + reason);
}

void check_merge(const std::vector<std::string>& tokens, const Merge& merge, std::size_t index) {
  for (const TokenId id : {merge.left, merge.right, merge.result}) {
    if (id >= tokens.size()) {
      reject(index, merge, "id " + std::to_string(id) + " is not in the vocabulary");
    }
    if (tokens[id].empty()) {
      reject(index, merge, "token " + std::to_string(id) + " has no bytes (special token or hole)");
    }
  }
  const std::string& left = tokens[merge.left];
  const std::string& right = tokens[merge.right];
  const std::string& result = tokens[merge.result];
  if (left.size() + right.size() != result.size() || !result.starts_with(left) ||
      !result.ends_with(right)) {
    reject(index, merge, "the bytes of the result are not those of its two parts");
  }
}

// Which merges a later one of the same (left, right) replaces.
std::vector<bool> replaced_merges(const std::vector<Merge>& merges, std::size_t num_tokens) {
  // Grouped by left token, from the back, so that the last merge of a pair is the one that stays.
  std::vector<std::uint32_t> lefts(merges.size());
  for (std::size_t k = 0; k < merges.size(); ++k) lefts[k] = merges[k].left;
  const std::vector<std::uint32_t> grouped = counting_sort(lefts);
  std::vector<TokenId> seen_with(num_tokens, kNoToken);  // by right token: the left one
  std::vector<bool> replaced(merges.size(), false);
  for (auto k = grouped.rbegin(); k != grouped.rend(); ++k) {
    TokenId& seen = seen_with[merges[*k].right];
    replaced[*k] = seen == merges[*k].left;
    seen = merges[*k].left;
  }
  return replaced;
}

// Leaves the tokens that take part; of equal ones only that of lowest rank, then lowest id.
void keep_owners(ByteStringOrder& order,
                 const std::vector<std::string_view>& tokens,
                 const std::vector<std::uint32_t>& ranks) {
  order.filter([&](std::size_t i) { return ranks[order.ids[i]] != kNever; });
  std::vector<bool> is_owner(order.ids.size(), true);
  for (std::size_t i = 1, owner = 0; i < order.ids.size(); ++i) {
    const TokenId t = order.ids[i];
    const TokenId best = order.ids[owner];
    if (tokens[t].size() != order.shared[i] || tokens[best].size() != order.shared[i]) {
      owner = i;
    } else if (ranks[t] < ranks[best]) {
      is_owner[std::exchange(owner, i)] = false;
    } else {
      is_owner[i] = false;
    }
  }
  order.filter([&](std::size_t i) { return is_owner[i]; });
}

}  // namespace

void BpeMerges::add_base_symbol(std::string_view bytes, TokenId t) {
  if (bytes.size() == 1) byte_tokens_[static_cast<std::uint8_t>(bytes[0])] = t;
  left_[t].last = right_[t].last = 0;
  euler_order_.push_back(t);
}

bool BpeMerges::add_if_last_step(const Merge& merge, RankKey rank) {
  if (!is_canonical_alone(merge.left) || !is_canonical_alone(merge.right) ||
      crosses_below(merge.left, merge.right)) {
    return false;
  }
  add_last_step(merge, rank);
  return true;
}

void BpeMerges::add_last_step(const Merge& merge, RankKey rank) {
  const auto [l, r, m] = merge;
  const RankKey left_last = left_[l].last;
  const RankKey right_last = left_[r].last;
  const RankKey last = std::max({left_last, right_last, rank});
  left_[m] = {l, left_last <= right_last ? last : rank, last};
  right_[m] = {r, left_last <= right_last ? rank : last, last};
  fireable_.insert(l, r, rank, m);
  euler_order_.push_back(m);
  is_proper_ = is_proper_ && last == rank;
}

void BpeMerges::prefetch(const Merge& merge) const noexcept {
  __builtin_prefetch(&right_[merge.left]);
  __builtin_prefetch(&left_[merge.right]);
  __builtin_prefetch(&left_[merge.result], 1);
  __builtin_prefetch(&right_[merge.result], 1);
  fireable_.prefetch(merge.left, merge.right);
}

BpeMerges BpeMerges::from_merges(const std::vector<std::string>& tokens,
                                 const std::vector<Merge>& merges,
                                 BaseSymbols base) {
  check_tokens(tokens, base);
  if (merges.size() > kMaxRank) {
    throw TokenizerFormat("a merge list must have fewer than 2^32 - 2 merges");
  }
  std::vector<std::uint32_t> lengths(merges.size());
  for (std::size_t k = 0; k < merges.size(); ++k) {
    check_merge(tokens, merges[k], k);
    lengths[k] = static_cast<std::uint32_t>(tokens[merges[k].result].size());
  }
  const std::vector<bool> replaced = replaced_merges(merges, tokens.size());

  BpeMerges built(tokens.size(), std::min(tokens.size(), merges.size()));
  std::unordered_set<std::string_view> symbols;
  for (TokenId t = 0; t < tokens.size(); ++t) {
    built.takes_part_[t] = !tokens[t].empty();
    if (!is_base_symbol(tokens[t], base)) continue;
    if (symbols.insert(tokens[t]).second) built.add_base_symbol(tokens[t], t);
  }
  const std::vector<std::uint32_t> order = counting_sort(lengths);
  for (std::size_t at = 0; at < order.size(); ++at) {
    if (at + kAhead < order.size()) built.prefetch(merges[order[at + kAhead]]);
    const std::uint32_t k = order[at];
    if (!replaced[k] && !built.is_canonical_alone(merges[k].result)) {
      built.add_if_last_step(merges[k], k + 1);
    }
  }
  built.finish();
  return built;
}

BpeMerges BpeMerges::from_ranks(const std::vector<std::string>& tokens,
                                const std::vector<std::uint32_t>& ranks,
                                BaseSymbols base,
                                const ByteStringOrder* order) {
  check_tokens(tokens, base);
  if (ranks.size() != tokens.size()) {
    throw TokenizerFormat("there are " + std::to_string(tokens.size()) + " tokens but " +
                          std::to_string(ranks.size()) + " ranks");
  }
  std::vector<TokenId> taking_part;
  for (TokenId t = 0; t < tokens.size(); ++t) {
    if (tokens[t].empty() || ranks[t] == kNever) continue;
    if (ranks[t] > kMaxRank) {
      throw TokenizerFormat("token " + std::to_string(t) + " has rank " + std::to_string(ranks[t]) +
                            "; the greatest allowed is " + std::to_string(kMaxRank));
    }
    taking_part.push_back(t);
  }
  const std::vector<std::string_view> bytes(tokens.begin(), tokens.end());
  ByteStringOrder owners = order == nullptr ? sorted_by_bytes(bytes, taking_part) : *order;
  keep_owners(owners, bytes, ranks);
  TokenSplits splits(bytes, owners);

  // At most one split passes, nearly always the one whose parts have the least greatest rank. It is
  // found in a pass of its own: what that reads does not wait for earlier tokens, and the pass
  // after it knows what to fetch.
  const auto made_at = [&](TokenId left, TokenId right) {
    return std::max(ranks[left], ranks[right]);
  };
  std::vector<Merge> first(tokens.size(), {kNoToken, kNoToken, kNoToken});
  std::vector<std::uint32_t> lengths(tokens.size());  // 0: no owner
  for (TokenId t = 0; t < tokens.size(); ++t) {
    lengths[t] = splits.length(t);
    std::uint32_t least = kNever;
    splits.for_each(t, [&](TokenId left, TokenId right) {
      if (made_at(left, right) >= least) return;
      least = made_at(left, right);
      first[t] = {left, right, t};
    });
  }
  std::vector<std::pair<std::uint32_t, Merge>> others;
  const auto find_others = [&](TokenId t) {
    others.clear();
    splits.for_each(t, [&](TokenId left, TokenId right) {
      if (left != first[t].left) others.push_back({made_at(left, right), {left, right, t}});
    });
    std::sort(others.begin(), others.end(), [](const auto& x, const auto& y) {
      return x.first < y.first;
    });
  };

  BpeMerges built(tokens.size(), owners.ids.size());
  const std::vector<TokenId> by_length = counting_sort(lengths);
  bool may_be_base = true;
  for (std::size_t at = tokens.size() - owners.ids.size(); at < by_length.size(); ++at) {
    if (at + 2 * kAhead < by_length.size()) {
      __builtin_prefetch(&first[by_length[at + 2 * kAhead]]);
      const Merge& ahead = first[by_length[at + kAhead]];
      if (ahead.left != kNoToken) built.prefetch(ahead);
    }
    const TokenId t = by_length[at];
    if (may_be_base) {
      may_be_base = bytes[t].size() <= longest_base_symbol(base);
      if (is_base_symbol(bytes[t], base)) built.add_base_symbol(bytes[t], t);
    }
    if (first[t].left == kNoToken || built.add_if_last_step(first[t], ranks[t] + 1)) continue;
    find_others(t);
    for (const auto& [_, merge] : others) {
      if (built.add_if_last_step(merge, ranks[t] + 1)) break;
    }
  }
  for (const TokenId t : taking_part) built.takes_part_[t] = true;
  built.finish();
  return built;
}

// Lays out the left forest: children grouped by parent and sorted by barrier, then Euler numbers.
void BpeMerges::finish() {
  const std::vector<TokenId> order = std::move(euler_order_);  // parts before wholes
  num_not_canonical_alone_ =
      static_cast<std::size_t>(std::count(takes_part_.begin(), takes_part_.end(), true)) -
      order.size();

  group_.assign(num_tokens() + 1, 0);
  std::size_t num_merges = 0;
  for (const TokenId t : order) {
    if (left_[t].part == kNoToken) continue;
    ++num_merges;
    ++group_[left_[t].part + 1];
  }
  std::partial_sum(group_.begin(), group_.end(), group_.begin());
  std::vector<TokenId> grouped(num_merges);
  std::vector<std::uint32_t> filled(group_.begin(), group_.end() - 1);
  for (const TokenId t : order) {
    if (left_[t].part != kNoToken) grouped[filled[left_[t].part]++] = t;
  }

  std::vector<std::uint32_t> subtree(num_tokens(), 1);
  for (auto t = order.rbegin(); t != order.rend(); ++t) {
    if (left_[*t].part != kNoToken) subtree[left_[*t].part] += subtree[*t];
  }

  // What the order of the children needs, side by side.
  struct Child {
    TokenId token;
    RankKey barrier;  // of the parent in it
    std::uint32_t subtree;
  };
  std::vector<Child> children(num_merges);
  successors_.resize(num_merges);
  for (std::uint32_t k = 0; k < num_merges; ++k) {
    if (k + kAhead < num_merges) {
      __builtin_prefetch(&left_[grouped[k + kAhead]]);
      __builtin_prefetch(&right_[grouped[k + kAhead]]);
    }
    const TokenId child = grouped[k];
    const SpineSymbol& left = left_[child];
    const SpineSymbol& right = right_[child];
    children[k] = {child, left.barrier, subtree[child]};
    // The barriers are the rank of the last step and the greatest one, see bpe_merges.h.
    const bool right_is_later = left_[left.part].last <= left_[right.part].last;
    successors_[k] = {right_is_later ? right.barrier : left.barrier, right.part};
  }

  euler_.assign(num_tokens(), kNoToken);
  euler_order_.assign(order.size(), kNoToken);
  child_barrier_.resize(num_merges);
  child_end_.resize(num_merges);
  std::uint32_t next_root = 0;
  for (std::size_t at = 0; at < order.size(); ++at) {
    if (at + kAhead < order.size()) {
      __builtin_prefetch(&left_[order[at + kAhead]]);
      __builtin_prefetch(&euler_[order[at + kAhead]]);
      __builtin_prefetch(&group_[order[at + kAhead]]);
    }
    const TokenId p = order[at];
    if (left_[p].part == kNoToken) {
      euler_[p] = next_root;
      next_root += subtree[p];
    }
    euler_order_[euler_[p]] = p;
    const std::uint32_t begin = group_[p];
    const std::uint32_t end = group_[p + 1];
    if (end - begin > 1) {
      std::sort(successors_.begin() + begin,
                successors_.begin() + end,
                [](const Successor& x, const Successor& y) { return x.rank < y.rank; });
      std::sort(
          children.begin() + begin, children.begin() + end, [](const Child& x, const Child& y) {
            return x.barrier != y.barrier ? x.barrier > y.barrier : x.token < y.token;
          });
    }
    std::uint32_t next_number = euler_[p] + 1;
    for (std::uint32_t k = begin; k < end; ++k) {
      euler_[children[k].token] = next_number;
      next_number += children[k].subtree;
      child_barrier_[k] = children[k].barrier;
      child_end_[k] = next_number;
    }
  }
}

std::size_t BpeMerges::max_spine_depth() const noexcept {
  std::size_t greatest = 0;
  for (const auto* const spines : {&left_, &right_}) {
    for (const TokenId t : euler_order_) {
      std::size_t depth = 1;
      for (TokenId at = t; (*spines)[at].part != kNoToken; at = (*spines)[at].part) ++depth;
      greatest = std::max(greatest, depth);
    }
  }
  return greatest;
}

}  // namespace nextbyte
