// The mask of a context from the inner family's, and the search where the two contradict.
#include "families/added_tokens.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <unordered_set>
#include <utility>

namespace nextbyte {
namespace {

constexpr std::size_t kCachedNodes = 1024;
constexpr std::size_t kCachedAnswers = std::size_t{1} << 16;
constexpr std::size_t kMaxSearched = std::size_t{1} << 18;

std::vector<std::string> spellings_of(const Vocabulary& vocabulary) {
  std::vector<std::string> spellings;
  for (const TokenId token : vocabulary.added()) spellings.push_back(vocabulary.bytes(token));
  return spellings;
}

}  // namespace

// The tokens that may follow one context: the inner family's, without those that complete a pending
// spelling or lead nowhere, and the added ones where the segment may end.
class AddedTokensSuccessors final : public AllowedTokens {
 public:
  // `inner` may be missing where only test_added() and kills() are asked.
  AddedTokensSuccessors(const AddedTokensFamily& family,
                        const ContextState& context,
                        std::shared_ptr<const AllowedTokens> inner)
      : family_(&family),
        context_(context),
        inner_(std::move(inner)),
        segment_may_end_(family.inner_->segment_may_end(context)) {
    if (context.literal != ByteTrie::kRoot) pending_ = family.pending(context.literal);
    if (context.extension >= AddedTokensFamily::kFirstSet) {
      longer_ = family.pending_longer(context.extension);
    }
  }

  bool test(Rank rank) const override {
    if (family_->is_added_.test(rank)) return test_added(rank);
    if (!inner_->test(rank) || kills(rank)) return false;
    return !is_doubtful(rank) || lives_after(rank);
  }

  bool any(Rank first, Rank last) const override {
    if (segment_may_end_) {
      const std::vector<Rank>& added = family_->added_;
      for (auto rank = std::lower_bound(added.begin(), added.end(), first);
           rank != added.end() && *rank < last;
           ++rank) {
        if (test_added(*rank)) return true;
      }
    }
    if (first >= last || !inner_->any(first, last)) return false;
    static const RankRanges kNone;
    const RankRanges& completing = pending_ ? pending_->completing : kNone;
    const RankRanges& too_long = longer_ ? longer_->completing : kNone;
    return completing.any_gap(first, last, [&](Rank begin, Rank end) {
      return too_long.any_gap(begin, end, [&](Rank a, Rank b) { return any_unkilled(a, b); });
    });
  }

  void copy_words(Rank size, std::vector<std::uint64_t>& words) const override {
    copy_unsearched(size, words);
    const auto clear_if_dead = [&](Rank rank) {
      std::uint64_t& word = words[rank / kWordBits];
      if ((word & bit(rank)) != 0 && !lives_after(rank)) word &= ~bit(rank);
    };
    for (const Rank rank : family_->doubtful_) clear_if_dead(rank);
    for (const Pending* pending : {pending_.get(), longer_.get()}) {
      if (pending == nullptr) continue;
      for (const Rank rank : pending->inside) {
        if (!family_->is_added_.test(rank)) clear_if_dead(rank);
      }
    }
  }

  // The same with the tokens that may lead nowhere.
  void copy_unsearched(Rank size, std::vector<std::uint64_t>& words) const {
    inner_->copy_words(size, words);
    if (pending_) pending_->completing.clear(words);
    if (longer_) longer_->completing.clear(words);
    for (const Rank rank : family_->added_) {
      if (test_added(rank)) words[rank / kWordBits] |= bit(rank);
    }
  }

  // May this added token follow?
  bool test_added(Rank rank) const { return segment_may_end_ && !kills(rank); }
  // Does this token complete a spelling that must not be completed?
  bool kills(Rank rank) const {
    return (pending_ && pending_->completing.contains(rank)) ||
           (longer_ && longer_->completing.contains(rank));
  }

 private:
  using Pending = SpellingAutomaton::Pending;

  static std::uint64_t bit(Rank rank) noexcept { return std::uint64_t{1} << (rank % kWordBits); }
  bool is_doubtful(Rank rank) const {
    const auto has = [&](const std::shared_ptr<const Pending>& pending) {
      return pending && std::binary_search(pending->inside.begin(), pending->inside.end(), rank);
    };
    return family_->is_doubtful_.test(rank) || has(pending_) || has(longer_);
  }
  bool lives_after(Rank rank) const { return family_->is_live(family_->advance(context_, rank)); }

  // Of ranks that complete nothing pending: those between the exceptions in bulk.
  bool any_unkilled(Rank first, Rank last) const {
    for (;;) {
      Rank exception = last;
      const auto look = [&](const std::vector<Rank>& ranks) {
        const auto next = std::lower_bound(ranks.begin(), ranks.end(), first);
        if (next != ranks.end()) exception = std::min(exception, *next);
      };
      look(family_->exceptions_);
      if (pending_) look(pending_->inside);
      if (longer_) look(longer_->inside);
      if (first < exception && inner_->any(first, exception)) return true;
      if (exception >= last) return false;
      if (test(exception)) return true;
      first = exception + 1;
    }
  }

  const AddedTokensFamily* family_;
  ContextState context_;
  std::shared_ptr<const AllowedTokens> inner_;
  bool segment_may_end_;
  std::shared_ptr<const Pending> pending_;  // nullptr: none
  std::shared_ptr<const Pending> longer_;   // likewise
};

AddedTokensFamily::AddedTokensFamily(std::shared_ptr<const Vocabulary> vocabulary,
                                     std::unique_ptr<const TokenizerFamily> inner)
    : vocabulary_(std::move(vocabulary)),
      inner_(std::move(inner)),
      spellings_(spellings_of(*vocabulary_)),
      is_added_(0, table().size()),
      is_doubtful_(0, table().size()),
      pending_(kCachedNodes),
      pending_longer_(kCachedNodes),
      live_(kCachedAnswers) {
  std::vector<std::pair<Rank, Node>> added;
  for (std::size_t i = 0; i < vocabulary_->added().size(); ++i) {
    added.emplace_back(table().rank_of(vocabulary_->added()[i]), spellings_.added_nodes()[i]);
  }
  std::sort(added.begin(), added.end());
  for (const auto& [rank, node] : added) {
    added_.push_back(rank);
    added_nodes_.push_back(node);
    is_added_.set(rank);
  }
  for (Rank rank = 0; rank < table().size(); ++rank) {
    if (is_added_.test(rank)) {
      exceptions_.push_back(rank);
      continue;
    }
    Node node = ByteTrie::kRoot;
    for (const char byte : table().bytes(rank)) {
      node = spellings_.step(node, static_cast<std::uint8_t>(byte));
    }
    if (node == ByteTrie::kRoot) continue;
    exceptions_.push_back(rank);
    doubtful_.push_back(rank);
    is_doubtful_.set(rank);
  }
}

ContextState AddedTokensFamily::initial() const {
  ContextState context = inner_->initial();
  context.literal = ByteTrie::kRoot;
  context.extension = kNoneTaken;
  return context;
}

ContextState AddedTokensFamily::segment_start() const {
  ContextState context = inner_->segment_start();
  context.literal = ByteTrie::kRoot;
  context.extension = kNonePending;
  return context;
}

std::shared_ptr<const AddedTokensFamily::Pending> AddedTokensFamily::pending(Node literal) const {
  return pending_.get(literal, [&] { return spellings_.pending(literal, table()); });
}

std::shared_ptr<const AddedTokensFamily::Pending> AddedTokensFamily::pending_longer(
    std::uint32_t extension) const {
  return pending_longer_.get(
      extension, [&] { return spellings_.pending_longer(nodes_of(extension), table()); });
}

const AddedTokensFamily::Nodes& AddedTokensFamily::nodes_of(std::uint32_t extension) const {
  static const Nodes kNone;
  return extension < kFirstSet ? kNone : node_sets_.value(extension - kFirstSet);
}

std::uint32_t AddedTokensFamily::extension_of(Nodes nodes) const {
  if (nodes.empty()) return kNonePending;
  std::sort(nodes.begin(), nodes.end());
  return kFirstSet + node_sets_.number(nodes);
}

void AddedTokensFamily::follow(Node node, std::string_view bytes, Nodes& nodes) const {
  for (const char byte : bytes) {
    node = spellings_.trie().step(node, static_cast<std::uint8_t>(byte));
  }
  if (node != ByteTrie::kOff && spellings_.has_longer(node)) nodes.push_back(node);
}

std::shared_ptr<const AllowedTokens> AddedTokensFamily::allowed(const ContextState& context) const {
  return std::make_shared<const AddedTokensSuccessors>(*this, context, inner_->allowed(context));
}

bool AddedTokensFamily::try_advance(const ContextState& context,
                                    Rank rank,
                                    ContextState& next) const {
  const AddedTokensSuccessors rule(*this, context, nullptr);
  if (is_added_.test(rank) ? !rule.test_added(rank)
                           : rule.kills(rank) || !inner_->try_advance(context, rank, next)) {
    return false;
  }
  next = advance(context, rank);
  return true;
}

ContextState AddedTokensFamily::advance(const ContextState& context, Rank rank) const {
  const std::string_view bytes = table().bytes(rank);
  const bool is_added = is_added_.test(rank);
  ContextState next = is_added ? segment_start() : inner_->advance(context, rank);
  next.extension = context.extension;
  if (is_added || context.extension >= kFirstSet) {
    Nodes nodes;
    for (const Node node : nodes_of(context.extension)) follow(node, bytes, nodes);
    if (is_added) {
      for (Node node = context.literal; node != ByteTrie::kRoot; node = spellings_.failure(node)) {
        follow(node, bytes, nodes);
      }
      const auto index = std::lower_bound(added_.begin(), added_.end(), rank) - added_.begin();
      follow(added_nodes_[static_cast<std::size_t>(index)], {}, nodes);
    }
    next.extension = extension_of(std::move(nodes));
  }
  next.literal = is_added ? ByteTrie::kRoot : context.literal;
  if (!is_added) {
    for (const char byte : bytes) {
      next.literal = spellings_.step(next.literal, static_cast<std::uint8_t>(byte));
    }
  }
  return next;
}

bool AddedTokensFamily::may_end(const ContextState& context) const {
  // Behind an added token a text ends as a segment does.
  return context.extension == kNoneTaken ? inner_->may_end(context)
                                         : inner_->segment_may_end(context);
}

std::size_t AddedTokensFamily::SearchKeyHash::operator()(const SearchKey& key) const noexcept {
  const ContextState& context = key.context;
  std::uint64_t hash = ByteAutomatonStateHash()(context.automaton);
  for (const std::uint64_t part : {std::uint64_t{context.last},
                                   std::uint64_t{context.literal},
                                   std::uint64_t{context.extension}}) {
    hash = (hash ^ part) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 31;
  }
  return static_cast<std::size_t>(hash);
}

bool AddedTokensFamily::is_live(const ContextState& context) const {
  if (may_end(context)) return true;
  if (context.literal == ByteTrie::kRoot && context.extension < kFirstSet) return true;
  // What a detail says cannot be compared with another one's, so such answers are not kept.
  if (context.detail) return search(context);
  return *live_.get({context}, [&] { return search(context); });
}

bool AddedTokensFamily::search(const ContextState& start) const {
  std::deque<ContextState> queue{start};
  std::unordered_set<SearchKey, SearchKeyHash> seen{{start}};
  std::vector<std::uint64_t> words;
  while (!queue.empty()) {
    const ContextState context = queue.front();
    queue.pop_front();
    AddedTokensSuccessors(*this, context, inner_->allowed(context))
        .copy_unsearched(table().size(), words);
    for (std::size_t index = 0; index < words.size(); ++index) {
      for (std::uint64_t bits = words[index]; bits != 0; bits &= bits - 1) {
        const auto rank =
            static_cast<Rank>(index * kWordBits + static_cast<std::size_t>(std::countr_zero(bits)));
        ContextState next = advance(context, rank);
        if (may_end(next)) return true;
        if (seen.insert({next}).second) queue.push_back(std::move(next));
      }
    }
    // Far beyond what any character or look-ahead needs; only details that never repeat get here.
    if (seen.size() > kMaxSearched) return true;
  }
  return false;
}

void AddedTokensFamily::encode(std::string_view text,
                               std::size_t origin,
                               std::vector<TokenId>& tokens) const {
  std::size_t segment = 0;
  const auto encode_segment = [&](std::size_t end) {
    if (end > segment) {
      inner_->encode(text.substr(segment, end - segment), origin + segment, tokens);
    }
  };
  for (std::size_t at = 0; at < text.size();) {
    std::size_t index = 0;
    const std::size_t end = spellings_.longest_added(text, at, &index);
    if (end == at) {
      ++at;
      continue;
    }
    encode_segment(at);
    tokens.push_back(vocabulary_->added()[index]);
    segment = at = end;
  }
  encode_segment(text.size());
}

}  // namespace nextbyte
