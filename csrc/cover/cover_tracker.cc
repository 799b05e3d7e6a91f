// push, rollback and enumeration of cover encodings.
#include "cover/cover_tracker.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "support/error.h"

namespace nextbyte {
namespace {

std::uint64_t next_context_id() {
  static std::atomic<std::uint64_t> counter{0};
  return counter.fetch_add(1, std::memory_order_relaxed);
}

// Frees a chain of nodes in a loop: left to the destructors, the recursion would be as deep as the
// text is long. `link(node)` is the node's owning pointer to the next one.
template <typename Node, typename Link>
void release_chain(std::shared_ptr<const Node> node, Link link) {
  while (node && node.use_count() == 1) {
    std::shared_ptr<const Node> next = std::move(link(*node));
    node = std::move(next);
  }
}

}  // namespace

Context::Context(std::shared_ptr<const Context> parent,
                 TokenId token,
                 ContextState state,
                 std::size_t position)
    : parent_(std::move(parent)),
      token_(token),
      state_(std::move(state)),
      position_(position),
      depth_(parent_ ? parent_->depth_ + 1 : 0),
      id_(next_context_id()),
      edge_logprob_(std::numeric_limits<double>::quiet_NaN()),
      path_logprob_(parent_ ? std::numeric_limits<double>::quiet_NaN() : 0.0) {}

Context::~Context() {
  release_chain(std::move(parent_), [](const Context& c) -> auto& { return c.parent_; });
}

CoverTracker::Frame::Frame(std::size_t entries, std::uint8_t last_byte)
    : more(entries > first.size() ? std::make_unique<Entry[]>(entries - first.size()) : nullptr),
      size(static_cast<std::uint32_t>(entries)),
      byte(last_byte) {}

void CoverTracker::Frame::fill(std::span<const LiveContext> live) noexcept {
  for (std::size_t i = 0; i < live.size(); ++i) {
    Entry& to = i < first.size() ? first[i] : more[i - first.size()];
    to.context = live[i].context;
    to.cursor = live[i].cursor;
  }
}

CoverTracker::Frame::~Frame() {
  release_chain(std::move(previous), [](const Frame& f) -> auto& { return f.previous; });
}

CoverTracker::CoverTracker(std::shared_ptr<const Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)) {
  auto root = std::make_shared<const Context>(nullptr, kNoToken, tokenizer_->initial(), 0);
  live_.push_back({root, tokenizer_->table().root()});
  auto frame = std::make_shared<Frame>(1, std::uint8_t{0});
  frame->fill(live_);
  frame_ = std::move(frame);
  for (const char byte : tokenizer_->lead()) {
    if (push(static_cast<std::uint8_t>(byte))) continue;
    throw TokenizerFormat("no token starts with what the tokenizer puts in front of each text");
  }
  if (live_.front().context == root) return;
  // No token reaches past the lead. Yet the root is where the empty text ends.
  TokenTable::Cursor cursor = tokenizer_->table().root();
  for (const char byte : tokenizer_->lead()) {
    tokenizer_->table().step(cursor, static_cast<std::uint8_t>(byte));
  }
  live_.insert(live_.begin(), {std::move(root), cursor});
  auto with_root = std::make_shared<Frame>(live_.size(), frame_->byte);
  with_root->fill(live_);
  with_root->previous = frame_->previous;
  frame_ = std::move(with_root);
}

bool CoverTracker::push(std::uint8_t byte) {
  const TokenTable& table = tokenizer_->table();
  const std::size_t position = size_ + 1;
  // First only look: a live context goes on from here, or nothing has changed.
  scratch_.next.clear();
  scratch_.started.clear();
  for (std::size_t i = 0; i < live_.size(); ++i) {
    const LiveContext& live = live_[i];
    TokenTable::Cursor cursor = live.cursor;
    if (!table.step(cursor, byte)) continue;
    const AllowedTokens& allowed = live.allowed(*tokenizer_);
    Rank rest = cursor.first;  // first token that reaches past the new end
    if (const Rank exact = table.exact(cursor); exact != kNoRank) {
      ++rest;
      if (allowed.test(exact)) {
        scratch_.started.push_back(
            {std::make_shared<const Context>(live.context,
                                             table.order()[exact],
                                             tokenizer_->advance(live.context->state(), exact),
                                             position),
             table.root()});
      }
    }
    if (allowed.any(rest, cursor.last)) scratch_.next.emplace_back(i, cursor);
  }
  if (scratch_.next.empty() && scratch_.started.empty()) return false;

  const std::size_t alive = scratch_.next.size() + scratch_.started.size();
  auto frame = std::make_shared<Frame>(alive, byte);
  live_.reserve(alive);  // from here on nothing throws
  // Survivors only move forward, in order, so none is overwritten before it is read. Swapped and
  // popped, not moved and resized: less code, which a row has put out of the caches.
  std::size_t kept = 0;
  for (const auto& [index, cursor] : scratch_.next) {
    if (index != kept) live_[kept].swap(live_[index]);
    live_[kept++].cursor = cursor;
  }
  while (live_.size() > kept) live_.pop_back();
  for (LiveContext& live : scratch_.started) live_.push_back(std::move(live));
  frame->fill(live_);
  frame->previous = std::move(frame_);
  frame_ = std::move(frame);
  size_ = position;
  return true;
}

void CoverTracker::rollback(std::size_t count) {
  if (count > size()) {
    throw InvalidInput("cannot roll back " + std::to_string(count) + " bytes: only " +
                       std::to_string(size()) + " were pushed");
  }
  if (count == 0) return;
  std::shared_ptr<const Frame> frame = frame_;
  for (std::size_t i = 0; i < count; ++i) frame = frame->previous;
  std::vector<LiveContext> live;
  live.reserve(frame->size);
  for (std::size_t i = 0; i < frame->size; ++i) {
    const Entry& entry = frame->entry(i);
    live.push_back({entry.context, entry.cursor});
  }
  frame_ = std::move(frame);
  live_ = std::move(live);
  size_ -= count;
}

std::string CoverTracker::bytes() const {
  std::string bytes(size(), '\0');
  const Frame* frame = frame_.get();
  for (std::size_t i = bytes.size(); i > 0; --i, frame = frame->previous.get()) {
    bytes[i - 1] = static_cast<char>(frame->byte);
  }
  return bytes;
}

const Context& CoverTracker::base() const noexcept {
  const Context* ancestor = live_.front().context.get();
  for (const LiveContext& live : live_) {
    const Context* other = live.context.get();
    while (ancestor != other) {
      const Context*& deeper = ancestor->depth() >= other->depth() ? ancestor : other;
      deeper = deeper->parent();
    }
  }
  return *ancestor;
}

std::shared_ptr<const Context> CoverTracker::common_ancestor() const {
  const Context* const ancestor = &base();
  const std::shared_ptr<const Context>* owner = &live_.front().context;
  while (owner->get() != ancestor) owner = &(*owner)->shared_parent();
  return *owner;
}

std::vector<CoverEncoding> cover_encodings(const CoverTracker& tracker) {
  const TokenTable& table = tracker.tokenizer().table();
  std::vector<CoverEncoding> covers;
  if (tracker.size() == 0) return {{{}, 0}};  // the empty sequence covers the empty prefix
  for (const LiveContext& live : tracker.live()) {
    std::vector<TokenId> tokens;
    for (const Context* c = live.context.get(); c->parent() != nullptr; c = c->parent()) {
      tokens.push_back(c->token());
    }
    std::reverse(tokens.begin(), tokens.end());
    if (live.cursor.depth == 0) {  // the context itself ends where the bytes end
      covers.push_back({tokens, 0});
      continue;
    }
    const AllowedTokens& allowed = live.allowed(tracker.tokenizer());
    const Rank exact = table.exact(live.cursor);
    for (Rank rank = live.cursor.first + (exact == kNoRank ? 0 : 1); rank < live.cursor.last;
         ++rank) {
      if (!allowed.test(rank)) continue;
      tokens.push_back(table.order()[rank]);
      covers.push_back({tokens, table.length(rank) - live.cursor.depth});
      tokens.pop_back();
    }
  }
  return covers;
}

}  // namespace nextbyte
