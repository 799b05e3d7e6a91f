// A byte stream with a tolerance: which contexts wait for which row, and the law without them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "mass/byte_stream.h"
#include "support/error.h"

namespace nextbyte {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

}  // namespace

ByteStream::Standing ByteStream::standing(const LiveContext& live,
                                          const Context& base) const noexcept {
  const ContextPointer* missing = nullptr;
  double sum = 0.0;
  for (const ContextPointer* c = &live.context; c->get() != &base; c = &(*c)->shared_parent()) {
    const double edge = (*c)->edge_logprob();
    if (edge == kImpossible) return {nullptr, kImpossible};
    sum += edge;
    if (!std::isnan(edge)) continue;
    missing = &(*c)->shared_parent();  // the topmost one stays
    sum = 0.0;
  }
  if (missing == nullptr && find_row(*live.context) == nullptr) missing = &live.context;
  return {missing, sum};
}

PartialLaw ByteStream::partial_law(bool symbols) {
  const Context& base = tracker_.base();
  const auto live = tracker_.live();
  std::vector<Standing> standings;
  standings.reserve(live.size());
  double greatest = kImpossible;
  for (const LiveContext& l : live) {
    standings.push_back(standing(l, base));
    greatest = std::max(greatest, standings.back().log_weight);
  }
  PartialLaw law;
  double weights = 0.0, unconfirmed = 0.0;
  for (std::size_t i = 0; i < live.size(); ++i) {
    const auto [missing, log_weight] = standings[i];
    if (log_weight == kImpossible) continue;
    // No weight above zero is lost, so that the bounds hold and a possible byte stays possible.
    const double weight =
        std::max(std::exp(log_weight - greatest), std::numeric_limits<double>::min());
    if (missing != nullptr) {
      // With a row, it gives no token any mass, and require_mass() will say so.
      if (find_row(**missing) != nullptr) continue;
      auto group = std::find_if(
          law.groups.begin(), law.groups.end(), [&](const auto& g) { return g.root == *missing; });
      if (group == law.groups.end()) {
        const bool is_whole = live[i].cursor.depth == 0 && *missing == live[i].context;
        group = law.groups.insert(group, {*missing, weight, is_whole, {}});
      }
      if (symbols) add_symbols(live[i], group->symbols);
      continue;
    }
    const Row& row = *find_row(*live[i].context);
    if (symbols) {
      require_mass(row, *live[i].context);
    } else if (!(row.total() > 0.0)) {
      continue;
    }
    weights += weight;
    unconfirmed += weight * row.unconfirmed();
    const double scale = weight / row.total();
    const TokenTable::Cursor& cursor = live[i].cursor;
    double mass = 0.0;
    const double* root_sum = cursor.depth == 0 ? row.root_sums().data() : nullptr;
    tracker_.tokenizer().table().for_each_child(
        cursor, [&](std::uint8_t byte, Rank first, Rank last) {
          const double sum = scale * (root_sum != nullptr ? *root_sum++ : row.sum(first, last));
          law.masses[byte] += sum;
          mass += sum;
        });
    if (tracker_.ends_at(live[i])) {
      law.masses[kEndOfText] += scale * row.end_of_text();
      mass += scale * row.end_of_text();
    }
    law.known += mass;
  }
  if (symbols) unconfirmed_ = weights > 0.0 ? unconfirmed / weights : 0.0;
  return law;
}

void ByteStream::add_symbols(const LiveContext& live, std::bitset<kAlphabetSize>& symbols) const {
  const AllowedTokens& allowed = live.allowed(tracker_.tokenizer());
  tracker_.tokenizer().table().for_each_child(live.cursor,
                                              [&](std::uint8_t byte, Rank first, Rank last) {
                                                if (!symbols[byte] && allowed.any(first, last))
                                                  symbols.set(byte);
                                              });
  if (tracker_.ends_at(live) && !end_tokens_.empty() &&
      tracker_.tokenizer().may_end(live.context->state())) {
    symbols.set(kEndOfText);
  }
}

std::vector<ContextPointer> ByteStream::pending_within_tolerance() {
  if (logprobs_) return {};
  adopt_rows();
  PartialLaw law = partial_law(false);
  std::vector<ContextPointer> roots = roots_to_wake(std::move(law.groups), law.known, tolerance_);
  std::sort(roots.begin(), roots.end(), [](const ContextPointer& a, const ContextPointer& b) {
    return a->depth() != b->depth() ? a->depth() < b->depth() : a->id() < b->id();
  });
  return roots;
}

const ByteLogprobs& ByteStream::lazy_logprobs() {
  const PartialLaw law = partial_law(true);
  if (!roots_to_wake(law.groups, law.known, tolerance_).empty()) {
    throw InvalidInput("a row of logits is missing: provide() every pending context first");
  }
  if (!(law.known > 0.0)) throw_no_mass();
  ByteLogprobs logprobs;
  bound_ = law.write_logprobs(logprobs);
  logprobs_ = logprobs;
  return *logprobs_;
}

void ByteStream::next_byte_bounds(double* lower, double* upper) {
  next_byte_logprobs();
  partial_law(true).write_bounds(lower, upper);
}

std::optional<ByteStream::LikelyToken> ByteStream::likely_token(double least) const {
  const Context& base = tracker_.base();
  const TokenTable& table = tracker_.tokenizer().table();
  double known = 0.0, heaviest = 0.0;
  const LiveContext* best = nullptr;
  Rank best_first = 0;
  for (const LiveContext& live : tracker_.live()) {
    const auto [missing, log_weight] = standing(live, base);
    const Row* const row = find_row(*live.context);
    if (missing != nullptr || row == nullptr || !(row->total() > 0.0)) continue;
    const bool is_exact = live.cursor.depth > 0 && table.exact(live.cursor) != kNoRank;
    const Rank first = live.cursor.first + (is_exact ? 1U : 0U);
    const double mass = std::exp(log_weight) * row->sum(first, live.cursor.last) / row->total();
    known += mass;
    if (mass <= heaviest) continue;
    heaviest = mass;
    best = &live;
    best_first = first;
  }
  if (best == nullptr || heaviest < least * known) return std::nullopt;
  // At most one token has half of the known mass: bisect towards it.
  const Row& row = *find_row(*best->context);
  const double enough = least * known / heaviest * row.sum(best_first, best->cursor.last);
  Rank first = best_first, last = best->cursor.last;
  while (last - first > 1) {
    const Rank middle = first + (last - first) / 2;
    (row.sum(first, middle) >= enough ? last : first) = middle;
  }
  if (row.mass(first) < enough) return std::nullopt;
  return LikelyToken{best->context, table.order()[first]};
}

}  // namespace nextbyte
