// Weights of live contexts, masses of their token ranges, and the chain rule over them.
#include "mass/byte_stream.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "support/error.h"

namespace nextbyte {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

std::string printable(std::uint8_t byte) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  return std::string("0x") + kDigits[byte >> 4] + kDigits[byte & 15];
}

}  // namespace

ByteStream::ByteStream(std::shared_ptr<const Tokenizer> tokenizer,
                       std::vector<TokenId> end_tokens,
                       double tolerance)
    : tracker_(std::move(tokenizer)),
      end_tokens_(std::move(end_tokens)),
      tolerance_(checked_tolerance(tolerance)) {
  for (std::size_t i = 0; i < end_tokens_.size(); ++i) {
    const TokenId token = end_tokens_[i];
    if (token < tracker_.tokenizer().vocabulary_size() &&
        tracker_.tokenizer().table().rank_of(token) != kNoRank) {
      throw InvalidInput("end-of-text token " + std::to_string(token) +
                         " is an ordinary token: the text could go on through it");
    }
    if (std::find(end_tokens_.begin(),
                  end_tokens_.begin() + static_cast<std::ptrdiff_t>(i),
                  token) != end_tokens_.begin() + static_cast<std::ptrdiff_t>(i)) {
      throw InvalidInput("end-of-text token " + std::to_string(token) + " is given twice");
    }
  }
}

ByteStream::Pushed ByteStream::push_byte(std::uint8_t byte) {
  if (logprobs_ && (*logprobs_)[byte] == kImpossible) return Pushed::kImpossible;
  // Every cover goes through the contexts that come to the base. If the law is known, they have
  // some probability. (Within a tolerance a law may give a byte some that has none, so that it has
  // to be taken.)
  const bool may_be_impossible = !logprobs_ && tolerance_ == 0.0;
  const Context* const base_before = may_be_impossible ? &tracker_.base() : nullptr;
  if (!tracker_.push(byte)) return Pushed::kCannotFollow;
  fill_edges();
  for (const Context* c = may_be_impossible ? &tracker_.base() : nullptr; c != base_before;
       c = c->parent()) {
    if (c->edge_logprob() != kImpossible) continue;
    tracker_.rollback(1);
    return Pushed::kImpossible;
  }
  logprobs_.reset();
  return Pushed::kYes;
}

void ByteStream::push(std::string_view bytes) {
  std::unique_ptr<ByteStream> before;  // an optional would be 2 KB of zeros for each byte
  if (bytes.size() > 1) before = std::make_unique<ByteStream>(*this);
  for (const char c : bytes) {
    const std::uint8_t byte = static_cast<std::uint8_t>(c);
    const Pushed pushed = push_byte(byte);
    if (pushed == Pushed::kYes) continue;
    const std::size_t position = size();
    if (before) *this = std::move(*before);
    throw UnreachableByte(
        position,
        byte,
        "byte " + printable(byte) + " at position " + std::to_string(position) +
            (pushed == Pushed::kImpossible
                 ? " has probability zero after the bytes before it"
                 : " cannot follow the bytes before it in any text that this tokenizer encodes"));
  }
}

void ByteStream::rollback(std::size_t count) {
  tracker_.rollback(count);
  if (count == 0) return;
  fill_edges();  // a row may be at hand whose child was not live when it came
  keep_live_rows();
  logprobs_.reset();
}

const ByteStream::Row* ByteStream::find_row(const Context& context) const noexcept {
  for (const auto& [owner, row] : rows_) {
    if (owner.get() == &context) return row.get();
  }
  return nullptr;
}

std::shared_ptr<const MassRow> ByteStream::row_of(const Context& context) const {
  for (const auto& [owner, row] : rows_) {
    if (owner.get() == &context) return row;
  }
  return nullptr;
}

void ByteStream::adopt_rows() {
  keep_live_rows();
  for (const LiveContext& live : tracker_.live()) {
    if (find_row(*live.context) != nullptr) continue;
    if (std::shared_ptr<const void> row = live.context->evaluation()) {
      rows_.emplace_back(live.context, std::static_pointer_cast<const Row>(std::move(row)));
    }
  }
  fill_edges();
}

void ByteStream::fill_edges() {
  const Context* const base = &tracker_.base();
  for (const LiveContext& live : tracker_.live()) {
    for (const Context* c = live.context.get(); c->parent() != nullptr; c = c->parent()) {
      if (std::isnan(c->edge_logprob())) {
        if (const Row* row = find_row(*c->parent())) {
          set_edge(*c, *row);
        } else if (weight_is_zero(*c->parent())) {
          c->set_edge_logprob(kImpossible);  // no row will be asked for below a weight of zero
        }
      }
      if (c == base) break;
    }
  }
}

void ByteStream::keep_live_rows() {
  std::erase_if(rows_, [&](const auto& entry) {
    return std::none_of(tracker_.live().begin(),
                        tracker_.live().end(),
                        [&](const LiveContext& live) { return live.context == entry.first; });
  });
}

double ByteStream::weight(const Context& context, const Context& base) noexcept {
  double sum = 0.0;
  for (const Context* c = &context; c != &base; c = c->parent()) {
    const double edge = c->edge_logprob();
    if (edge == kImpossible) return kImpossible;  // whatever the unknown edges are
    sum += edge;
  }
  return sum;
}

bool ByteStream::weight_is_zero(const Context& context) noexcept {
  for (const Context* c = &context; !std::isnan(c->edge_logprob()); c = c->parent()) {
    if (c->edge_logprob() == kImpossible) return true;
  }
  return false;
}

std::vector<ContextPointer> ByteStream::pending(bool current) {
  if (!current && size() == 0) return {};
  if (current && tolerance_ > 0.0) return pending_within_tolerance();
  adopt_rows();
  const ContextPointer base = tracker_.common_ancestor();
  std::vector<ContextPointer> needed;
  for (const LiveContext& live : tracker_.live()) {
    if (current || live.cursor.depth > 0) {
      if (find_row(*live.context) == nullptr && weight(*live.context, *base) != kImpossible) {
        needed.push_back(live.context);
      }
    }
    for (ContextPointer c = live.context; c != base; c = c->shared_parent()) {
      if (std::isnan(c->edge_logprob()) && find_row(*c->parent()) == nullptr) {
        needed.push_back(c->shared_parent());
      }
    }
  }
  std::sort(needed.begin(), needed.end(), [](const ContextPointer& a, const ContextPointer& b) {
    return a->depth() != b->depth() ? a->depth() < b->depth() : a->id() < b->id();
  });
  needed.erase(std::unique(needed.begin(), needed.end()), needed.end());
  return needed;
}

MassRow ByteStream::make_row(const Context& context,
                             const AllowedTokens& allowed,
                             const Logits& logits) const {
  const Tokenizer& tokenizer = tracker_.tokenizer();
  std::span<const TokenId> ends;
  if (tokenizer.may_end(context.state())) ends = end_tokens_;
  return MassRow(tokenizer, logits, &allowed, ends);
}

void ByteStream::set_edge(const Context& child, const Row& parent_row) const {
  const Rank rank = tracker_.tokenizer().table().rank_of(child.token());
  if (parent_row.total() > 0.0) {
    child.set_edge_logprob(std::log(parent_row.mass(rank) / parent_row.total()));
  }
}

void ByteStream::provide(const ContextPointer& context, const Logits& logits) {
  const auto live = std::find_if(tracker_.live().begin(),
                                 tracker_.live().end(),
                                 [&](const LiveContext& l) { return l.context == context; });
  const bool is_live = live != tracker_.live().end();
  auto row = std::static_pointer_cast<const Row>(context->evaluation());
  if (row == nullptr) {
    // Not make_shared: contexts point weakly at rows, which would keep that memory for good.
    row = std::shared_ptr<const Row>(new Row(
        is_live ? make_row(*context, live->allowed(tracker_.tokenizer()), logits)
                : make_row(*context, *tracker_.tokenizer().allowed(context->state()), logits)));
  }
  for (const LiveContext& l : tracker_.live()) {
    for (const Context* c = l.context.get(); c->position() > context->position(); c = c->parent()) {
      if (c->parent() != context.get()) continue;
      set_edge(*c, *row);
      // The text went through this context, and the model says that it cannot.
      if (!is_live && !(row->total() > 0.0)) c->set_edge_logprob(kImpossible);
    }
  }
  if (is_live && find_row(*context) == nullptr) {
    context->set_evaluation(row);
    // Not the caller's pointer, which may be Python's: the row would keep an object there alive.
    rows_.emplace_back(live->context, std::move(row));
  }
}

void ByteStream::drop_massless_rows() {
  std::erase_if(rows_, [](const auto& entry) {
    if (entry.second->total() > 0.0) return false;
    entry.first->set_evaluation(nullptr);
    return true;
  });
}

void ByteStream::require_mass(const Row& row, const Context& context) {
  if (row.total() > 0.0) return;
  const std::string message =
      row.any_finite() ? "the logits give probability zero to every token that may follow"
                       : "every logit of the row is -inf, so nothing may follow";
  const std::string problem =
      message + " the first " +
      std::to_string(std::max(context.position(), tracker_.lead_size()) - tracker_.lead_size()) +
      " bytes";
  drop_massless_rows();
  throw InvalidInput(problem);
}

void ByteStream::throw_no_mass() const {
  const std::string bytes = tracker_.bytes();
  const std::size_t position = bytes.empty() ? 0 : bytes.size() - 1;
  throw UnreachableByte(position,
                        bytes.empty() ? 0 : static_cast<std::uint8_t>(bytes.back()),
                        "the model gives probability zero to the " + std::to_string(bytes.size()) +
                            " bytes pushed so far");
}

const ByteLogprobs& ByteStream::next_byte_logprobs() {
  if (logprobs_) return *logprobs_;
  if (tolerance_ > 0.0) return lazy_logprobs();
  const ContextPointer base = tracker_.common_ancestor();
  double greatest = kImpossible;
  for (const LiveContext& live : tracker_.live()) {
    greatest = std::max(greatest, weight(*live.context, *base));
  }
  ByteLogprobs masses{};
  double total = 0.0;
  double weights = 0.0, unconfirmed = 0.0;
  for (const LiveContext& live : tracker_.live()) {
    const double log_weight = weight(*live.context, *base);
    if (log_weight == kImpossible) continue;
    const Row* row = find_row(*live.context);
    if (row == nullptr || std::isnan(log_weight)) {
      throw InvalidInput("a row of logits is missing: provide() every pending context first");
    }
    require_mass(*row, *live.context);
    weights += std::exp(log_weight - greatest);
    unconfirmed += std::exp(log_weight - greatest) * row->unconfirmed();
    const double scale = std::exp(log_weight - greatest) / row->total();
    const double* root_sum = live.cursor.depth == 0 ? row->root_sums().data() : nullptr;
    tracker_.tokenizer().table().for_each_child(
        live.cursor, [&](std::uint8_t byte, Rank first, Rank last) {
          masses[byte] += scale * (root_sum != nullptr ? *root_sum++ : row->sum(first, last));
        });
    if (tracker_.ends_at(live)) masses[kEndOfText] += scale * row->end_of_text();
  }
  for (const double mass : masses) total += mass;
  if (!(total > 0.0)) throw_no_mass();
  // Most symbols of an inner node have no mass, and the logarithm of 0 is a slow one.
  for (double& mass : masses) mass = mass > 0.0 ? std::log(mass / total) : kImpossible;
  logprobs_ = masses;
  unconfirmed_ = unconfirmed / weights;
  return *logprobs_;
}

double ByteStream::relative_logprob() {
  if (size() == 0) return 0.0;  // every text starts with nothing
  const ContextPointer base = tracker_.common_ancestor();
  double greatest = kImpossible;
  for (const LiveContext& live : tracker_.live()) {
    greatest = std::max(greatest, weight(*live.context, *base));
  }
  if (greatest == kImpossible) return kImpossible;
  double total = 0.0;
  for (const LiveContext& live : tracker_.live()) {
    const double log_weight = weight(*live.context, *base);
    if (log_weight == kImpossible) continue;
    const double scale = std::exp(log_weight - greatest);
    if (live.cursor.depth == 0) {
      total += scale;
      continue;
    }
    const Row* row = find_row(*live.context);
    if (row == nullptr) {
      throw InvalidInput("a row of logits is missing: provide() every pending context first");
    }
    require_mass(*row, *live.context);
    double mass = 0.0;
    tracker_.tokenizer().table().for_each_child(
        live.cursor, [&](std::uint8_t, Rank first, Rank last) { mass += row->sum(first, last); });
    total += scale * mass / row->total();
  }
  return greatest + std::log(total);
}

std::vector<std::pair<ContextPointer, ContextPointer>> ByteStream::unscored() const {
  std::vector<std::pair<ContextPointer, ContextPointer>> edges;
  for (ContextPointer c = tracker_.common_ancestor(); std::isnan(c->path_logprob());
       c = c->shared_parent()) {
    if (std::isnan(c->edge_logprob())) edges.emplace_back(c->shared_parent(), c);
  }
  std::reverse(edges.begin(), edges.end());
  return edges;
}

void ByteStream::provide_edge(const Context& child, const Logits& logits) const {
  const Context& parent = *child.parent();
  set_edge(child, make_row(parent, *tracker_.tokenizer().allowed(parent.state()), logits));
}

double ByteStream::base_logprob() const {
  const ContextPointer base = tracker_.common_ancestor();
  std::vector<const Context*> path;
  const Context* known = base.get();
  for (; std::isnan(known->path_logprob()); known = known->parent()) path.push_back(known);
  double sum = known->path_logprob();
  for (auto c = path.rbegin(); c != path.rend(); ++c) {
    sum += (*c)->edge_logprob();
    (*c)->set_path_logprob(sum);  // each context is summed once: later calls stop here
  }
  return sum;
}

}  // namespace nextbyte
