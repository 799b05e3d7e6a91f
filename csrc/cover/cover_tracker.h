// The cover tracker: which token contexts can still produce the bytes pushed so far.
#ifndef NEXTBYTE_COVER_COVER_TRACKER_H_
#define NEXTBYTE_COVER_COVER_TRACKER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace nextbyte {

// A node of the cover tree: a prefix-canonical token sequence whose bytes are a prefix of the
// pushed bytes. One LM evaluation each, when it is needed. Parents are shared.
class Context {
 public:
  // `token` leads from the parent to `state`; kNoToken for the root.
  Context(std::shared_ptr<const Context> parent,
          TokenId token,
          ContextState state,
          std::size_t position);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const Context* parent() const noexcept { return parent_.get(); }
  const std::shared_ptr<const Context>& shared_parent() const noexcept { return parent_; }
  const ContextState& state() const noexcept { return state_; }
  TokenId token() const noexcept { return token_; }            // kNoToken for the root
  std::size_t position() const noexcept { return position_; }  // bytes decoded by the sequence
  std::size_t depth() const noexcept { return depth_; }        // tokens in the sequence
  std::uint64_t id() const noexcept { return id_; }            // unique in the process

  // log q(token | parent), NaN until whoever evaluates the parent sets it. It is the same number
  // for every stream that shares the node, so a relaxed store is enough.
  double edge_logprob() const noexcept { return edge_logprob_.load(std::memory_order_relaxed); }
  void set_edge_logprob(double value) const noexcept {
    edge_logprob_.store(value, std::memory_order_relaxed);
  }
  // What an evaluation of this context left behind, while some stream still has it: forks find
  // each other's results here. Its type belongs to whoever sets it.
  std::shared_ptr<const void> evaluation() const noexcept { return evaluation_.load().lock(); }
  void set_evaluation(const std::shared_ptr<const void>& value) const noexcept {
    evaluation_.store(value);
  }
  // log Q(sequence) = the sum of the edges from the root (0 there); NaN until it is summed up.
  double path_logprob() const noexcept { return path_logprob_.load(std::memory_order_relaxed); }
  void set_path_logprob(double value) const noexcept {
    path_logprob_.store(value, std::memory_order_relaxed);
  }

 private:
  mutable std::shared_ptr<const Context> parent_;
  TokenId token_;
  ContextState state_;
  std::size_t position_;
  std::size_t depth_;
  std::uint64_t id_;
  mutable std::atomic<double> edge_logprob_;
  mutable std::atomic<double> path_logprob_;
  mutable std::atomic<std::weak_ptr<const void>> evaluation_;
};

// A context that can still be followed by a token reaching at least the end of the pushed bytes.
struct LiveContext {
  // What may follow the context. Made when it is first asked for, which a context that dies young
  // never is; so no two threads may ask one stream at once.
  const AllowedTokens& allowed(const Tokenizer& tokenizer) const {
    if (!made_allowed) made_allowed = tokenizer.allowed(context->state());
    return *made_allowed;
  }

  std::shared_ptr<const Context> context;
  TokenTable::Cursor cursor;  // the tokens that start with the bytes after context->position()
  mutable std::shared_ptr<const AllowedTokens> made_allowed = nullptr;

  void swap(LiveContext& other) noexcept {
    context.swap(other.context);
    std::swap(cursor, other.cursor);
    made_allowed.swap(other.made_allowed);
  }
};

// The live contexts of one stream of bytes. push costs O(live contexts), each a table step, a
// masked any-test and at most one new context; it never depends on the length of the prefix
// (docs/theory.md 6). Copying is a fork: history is shared. Memory: one small frame and
// about 1.0-1.25 contexts a byte.
class CoverTracker {
 public:
  explicit CoverTracker(std::shared_ptr<const Tokenizer> tokenizer);

  // Appends a byte. False, and nothing changed, if no cover encoding exists after it.
  bool push(std::uint8_t byte);
  // Takes back the last `count` bytes. Throws InvalidInput if there are fewer.
  void rollback(std::size_t count);

  std::size_t size() const noexcept { return size_ - lead_size(); }
  std::string bytes() const;  // all pushed bytes, O(size)
  // The tokenizer's lead counts as pushed from the start: positions of contexts include it.
  std::size_t end_position() const noexcept { return size_; }
  std::size_t lead_size() const noexcept { return tokenizer_->lead().size(); }
  // Can the text end here after `live`? Before the first byte the empty text can, whose encoding,
  // the root, has not even the lead.
  bool ends_at(const LiveContext& live) const noexcept {
    return live.cursor.depth == 0 || (size_ == lead_size() && live.context->parent() == nullptr);
  }
  // Longest contexts last; those with position() == end_position() start the next token.
  std::span<const LiveContext> live() const noexcept { return live_; }
  // The deepest context that all live contexts descend from (or are). O(live tokens).
  std::shared_ptr<const Context> common_ancestor() const;
  const Context& base() const noexcept;  // the same, while the stream stays as it is
  const Tokenizer& tokenizer() const noexcept { return *tokenizer_; }
  const std::shared_ptr<const Tokenizer>& shared_tokenizer() const noexcept { return tokenizer_; }

 private:
  struct Entry {
    std::shared_ptr<const Context> context;
    TokenTable::Cursor cursor;
  };
  // The structural state after one byte; older frames serve rollback and are shared by forks.
  struct Frame {
    Frame(std::size_t entries, std::uint8_t last_byte);
    ~Frame();
    void fill(std::span<const LiveContext> live) noexcept;  // all entries
    const Entry& entry(std::size_t i) const noexcept {
      return i < first.size() ? first[i] : more[i - first.size()];
    }
    mutable std::shared_ptr<const Frame> previous;
    std::array<Entry, 2> first;  // mostly all of them, in one allocation
    std::unique_ptr<Entry[]> more;
    std::uint32_t size;
    std::uint8_t byte;
  };
  // Room that push() keeps; nothing of it is state, so copies begin with their own.
  struct Scratch {
    Scratch() = default;
    Scratch(const Scratch&) noexcept {}
    Scratch(Scratch&&) = default;
    Scratch& operator=(const Scratch&) noexcept { return *this; }
    Scratch& operator=(Scratch&&) = default;
    ~Scratch() = default;
    std::vector<std::pair<std::size_t, TokenTable::Cursor>> next;  // index in live_
    std::vector<LiveContext> started;
  };

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const Frame> frame_;
  std::vector<LiveContext> live_;
  std::size_t size_ = 0;  // the lead included
  Scratch scratch_;
};

// A cover encoding: its tokens, and how many bytes its last token reaches past the end.
struct CoverEncoding {
  std::vector<TokenId> tokens;
  std::size_t overhang;
};

// All cover encodings of the bytes pushed so far, in order of context and token rank. Their number
// can be as large as the vocabulary.
std::vector<CoverEncoding> cover_encodings(const CoverTracker& tracker);

}  // namespace nextbyte

#endif  // NEXTBYTE_COVER_COVER_TRACKER_H_
