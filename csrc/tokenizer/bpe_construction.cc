// Builds BpeMerges: finds the last step of every token's own run without running BPE on it.
//
// In order of length, a merge (l, r) -> m is the last step of m's own run iff l and r are canonical
// alone and no shorter merge crosses their cut before both are complete (the pair test minus its
// first look-up, over the last steps found so far). At most one merge per byte string passes.
#include <algorithm>
#include <bit>
#include <numeric>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "support/error.h"
#include "tokenizer/bpe_merges.h"
#include "tokenizer/unicode.h"

namespace nextbyte {
namespace {

// Indices of `lengths`, stably sorted by length (counting sort).
std::vector<std::uint32_t> by_length(const std::vector<std::uint32_t>& lengths) {
  std::uint32_t longest = 0;
  for (const std::uint32_t length : lengths) longest = std::max(longest, length);
  std::vector<std::uint32_t> start(std::size_t{longest} + 2, 0);
  for (const std::uint32_t length : lengths) ++start[length + 1];
  std::partial_sum(start.begin(), start.end(), start.begin());
  std::vector<std::uint32_t> order(lengths.size());
  for (std::uint32_t i = 0; i < lengths.size(); ++i) order[start[lengths[i]]++] = i;
  return order;
}

bool is_base_symbol(std::string_view bytes, BaseSymbols base) noexcept {
  if (bytes.empty()) return false;
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

// Finds tokens by their bytes. Hashes are polynomial, so that all prefixes and suffixes of a token
// are hashed in time linear in its length; a hit is always confirmed on the bytes.
class ByteStringIndex {
 public:
  static constexpr std::uint64_t kBase = 0x9E3779B97F4A7C15u;
  static std::uint64_t append(std::uint64_t hash, char byte) noexcept {
    return hash * kBase + static_cast<std::uint8_t>(byte) + 1;
  }

  ByteStringIndex(const std::vector<std::string>& tokens, std::size_t capacity)
      : tokens_(tokens),
        slots_(std::bit_ceil(2 * capacity + 2)),
        shift_(64 - std::countr_zero(slots_.size())) {}

  // The token with these bytes (whose hash is given), or kNoToken.
  TokenId find(std::uint64_t hash, std::string_view bytes) const noexcept {
    return slots_[locate(mixed(hash), bytes)].id;
  }
  // Makes t the token of its bytes, unless one of lower or equal rank has them already.
  void claim(std::uint64_t hash, TokenId t, const std::vector<std::uint32_t>& ranks) noexcept {
    Slot& slot = slots_[locate(mixed(hash), tokens_[t])];
    if (slot.id == kNoToken || ranks[t] < ranks[slot.id]) {
      slot = {static_cast<std::uint32_t>(mixed(hash)), t};
    }
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;
    TokenId id = kNoToken;  // kNoToken marks a free slot
  };
  static std::uint64_t mixed(std::uint64_t hash) noexcept {
    return (hash ^ hash >> 32) * 0xD6E8FEB86659FD93u;
  }
  // The slot that holds `bytes`, or the free one where they belong.
  std::size_t locate(std::uint64_t hash, std::string_view bytes) const noexcept {
    const auto tag = static_cast<std::uint32_t>(hash);
    for (std::size_t at = static_cast<std::size_t>(hash >> shift_);;
         at = (at + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[at];
      if (slot.id == kNoToken || (slot.tag == tag && tokens_[slot.id] == bytes)) return at;
    }
  }

  const std::vector<std::string>& tokens_;
  std::vector<Slot> slots_;
  int shift_;
};

}  // namespace

void BpeMerges::add_base_symbol(std::string_view bytes, TokenId t) {
  if (bytes.size() == 1) byte_tokens_[static_cast<std::uint8_t>(bytes[0])] = t;
  left_[t].last = right_[t].last = 0;
  euler_order_.push_back(t);
}

bool BpeMerges::add_if_last_step(const Merge& merge, RankKey rank) {
  const auto [l, r, m] = merge;
  if (!is_canonical_alone(l) || !is_canonical_alone(r) || crosses_below(l, r)) return false;
  const RankKey left_last = left_[l].last;
  const RankKey right_last = left_[r].last;
  const RankKey last = std::max({left_last, right_last, rank});
  left_[m] = {l, left_last <= right_last ? last : rank, last};
  right_[m] = {r, left_last <= right_last ? rank : last, last};
  fireable_.insert(l, r, rank, m);
  euler_order_.push_back(m);
  is_proper_ = is_proper_ && last == rank;
  return true;
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
  // From the back, so that the last merge of a pair is the one that stays.
  MergeTable seen(merges.size());
  std::vector<bool> replaced(merges.size(), false);
  for (std::size_t k = merges.size(); k-- > 0;) {
    const Merge& merge = merges[k];
    replaced[k] = seen.find(merge.left, merge.right) != nullptr;
    if (!replaced[k]) seen.insert(merge.left, merge.right, 0, merge.result);
  }

  BpeMerges built(tokens.size(), merges.size());
  std::unordered_set<std::string_view> symbols;
  std::size_t taking_part = 0;
  for (TokenId t = 0; t < tokens.size(); ++t) {
    taking_part += tokens[t].empty() ? 0 : 1;
    if (!is_base_symbol(tokens[t], base)) continue;
    if (symbols.insert(tokens[t]).second) built.add_base_symbol(tokens[t], t);
  }
  for (const std::uint32_t k : by_length(lengths)) {
    if (!replaced[k]) built.add_if_last_step(merges[k], k + 1);
  }
  built.finish(taking_part);
  return built;
}

BpeMerges BpeMerges::from_ranks(const std::vector<std::string>& tokens,
                                const std::vector<std::uint32_t>& ranks,
                                BaseSymbols base) {
  check_tokens(tokens, base);
  if (ranks.size() != tokens.size()) {
    throw TokenizerFormat("there are " + std::to_string(tokens.size()) + " tokens but " +
                          std::to_string(ranks.size()) + " ranks");
  }
  const auto takes_part = [&](TokenId t) { return !tokens[t].empty() && ranks[t] != kNever; };
  std::size_t taking_part = 0;
  std::size_t longest = 0;
  std::vector<std::uint32_t> lengths(tokens.size());
  for (TokenId t = 0; t < tokens.size(); ++t) {
    if (!takes_part(t)) continue;
    if (ranks[t] > kMaxRank) {
      throw TokenizerFormat("token " + std::to_string(t) + " has rank " + std::to_string(ranks[t]) +
                            "; the greatest allowed is " + std::to_string(kMaxRank));
    }
    ++taking_part;
    longest = std::max(longest, tokens[t].size());
    lengths[t] = static_cast<std::uint32_t>(tokens[t].size());
  }

  ByteStringIndex index(tokens, taking_part);
  for (TokenId t = 0; t < tokens.size(); ++t) {
    if (!takes_part(t)) continue;
    std::uint64_t hash = 0;
    for (const char byte : tokens[t]) hash = ByteStringIndex::append(hash, byte);
    index.claim(hash, t, ranks);
  }

  BpeMerges built(tokens.size(), taking_part);
  std::vector<std::uint64_t> prefix(longest + 1, 0);  // hash of the first k bytes
  std::vector<std::uint64_t> power(longest + 1, 1);
  for (std::size_t k = 1; k <= longest; ++k) power[k] = power[k - 1] * ByteStringIndex::kBase;
  for (const TokenId t : by_length(lengths)) {
    const std::string_view bytes = tokens[t];
    const std::size_t size = lengths[t];
    if (size == 0) continue;
    for (std::size_t k = 0; k < size; ++k) {
      prefix[k + 1] = ByteStringIndex::append(prefix[k], bytes[k]);
    }
    if (index.find(prefix[size], bytes) != t) continue;
    if (is_base_symbol(bytes, base)) built.add_base_symbol(bytes, t);
    for (std::size_t k = 1; k < size; ++k) {
      const TokenId right = index.find(prefix[size] - prefix[k] * power[size - k], bytes.substr(k));
      if (right == kNoToken || !built.is_canonical_alone(right)) continue;
      const TokenId left = index.find(prefix[k], bytes.substr(0, k));
      if (left != kNoToken && built.add_if_last_step({left, right, t}, ranks[t] + 1)) break;
    }
  }
  built.finish(taking_part);
  return built;
}

// Lays out the left forest: children grouped by parent and sorted by barrier, then Euler numbers.
void BpeMerges::finish(std::size_t num_taking_part) {
  const std::vector<TokenId> order = std::move(euler_order_);  // parts before wholes
  num_not_canonical_alone_ = num_taking_part - order.size();

  group_.assign(num_tokens() + 1, 0);
  std::vector<std::uint32_t> left_depth(num_tokens(), 1), right_depth(num_tokens(), 1);
  std::size_t num_merges = 0;
  max_spine_depth_ = order.empty() ? 0 : 1;
  for (const TokenId t : order) {
    if (left_[t].part == kNoToken) continue;
    ++num_merges;
    ++group_[left_[t].part + 1];
    left_depth[t] = left_depth[left_[t].part] + 1;
    right_depth[t] = right_depth[right_[t].part] + 1;
    max_spine_depth_ = std::max<std::size_t>({max_spine_depth_, left_depth[t], right_depth[t]});
  }
  std::partial_sum(group_.begin(), group_.end(), group_.begin());
  std::vector<TokenId> children(num_merges);
  std::vector<std::uint32_t> filled(group_.begin(), group_.end() - 1);
  for (const TokenId t : order) {
    if (left_[t].part != kNoToken) children[filled[left_[t].part]++] = t;
  }

  std::vector<std::uint32_t> subtree(num_tokens(), 1);
  for (auto t = order.rbegin(); t != order.rend(); ++t) {
    if (left_[*t].part != kNoToken) subtree[left_[*t].part] += subtree[*t];
  }

  euler_.assign(num_tokens(), kNoToken);
  euler_order_.assign(order.size(), kNoToken);
  child_barrier_.resize(num_merges);
  child_end_.resize(num_merges);
  successors_.resize(num_merges);
  std::uint32_t next_root = 0;
  for (const TokenId p : order) {
    if (left_[p].part == kNoToken) {
      euler_[p] = next_root;
      next_root += subtree[p];
    }
    euler_order_[euler_[p]] = p;
    const auto first = children.begin() + group_[p];
    const auto last = children.begin() + group_[p + 1];
    for (std::uint32_t k = group_[p]; k < group_[p + 1]; ++k) {
      const TokenId right = right_[children[k]].part;
      successors_[k] = {fireable_.rank(p, right), right};
    }
    std::sort(successors_.begin() + group_[p],
              successors_.begin() + group_[p + 1],
              [](const Successor& x, const Successor& y) { return x.rank < y.rank; });
    std::stable_sort(
        first, last, [&](TokenId x, TokenId y) { return left_[x].barrier > left_[y].barrier; });
    std::uint32_t next_number = euler_[p] + 1;
    for (std::uint32_t k = group_[p]; k < group_[p + 1]; ++k) {
      euler_[children[k]] = next_number;
      next_number += subtree[children[k]];
      child_barrier_[k] = left_[children[k]].barrier;
      child_end_[k] = next_number;
    }
  }
}

}  // namespace nextbyte
