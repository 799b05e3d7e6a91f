// One context's law over tokens: its row through the mask, and draws from it.
#include "mass/token_walk.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "support/error.h"

namespace nextbyte {
namespace {

constexpr Rank kBlock = 256;  // ranks that a draw passes over at once

}  // namespace

TokenWalk::TokenWalk(const ByteStream& stream, const ContextPointer& context)
    : tokenizer_(stream.tracker().shared_tokenizer()),
      end_tokens_(stream.end_tokens()),
      state_(context->state()),
      row_(stream.row_of(*context)) {
  if (row_ && !(row_->total() > 0.0)) row_ = nullptr;  // whoever asks again may get a better one
}

void TokenWalk::provide(const Logits& logits) {
  std::span<const TokenId> ends;
  if (tokenizer_->may_end(state_)) ends = end_tokens_;
  const std::shared_ptr<const AllowedTokens> allowed = tokenizer_->allowed(state_);
  auto row = std::make_shared<const MassRow>(*tokenizer_, logits, allowed.get(), ends);
  if (!(row->total() > 0.0)) {
    throw InvalidInput(row->any_finite()
                           ? "the logits give probability zero to every token that may follow"
                           : "every logit of the row is -inf, so nothing may follow");
  }
  row_ = std::move(row);
}

void TokenWalk::advance(TokenId token) {
  const Rank rank =
      token < tokenizer_->vocabulary_size() ? tokenizer_->table().rank_of(token) : kNoRank;
  if (rank == kNoRank || !tokenizer_->allowed(state_)->test(rank)) {
    throw InvalidInput("token " + std::to_string(token) + " may not follow here");
  }
  state_ = tokenizer_->advance(state_, rank);
  row_ = nullptr;
}

const MassRow& TokenWalk::row() const {
  if (row_ == nullptr) throw InvalidInput("a row of logits is missing: provide() it first");
  return *row_;
}

TokenId TokenWalk::draw(double uniform) const {
  const MassRow& row = this->row();
  const TokenTable& table = tokenizer_->table();
  double left = uniform * row.total();
  Rank first = 0, end = 0;
  bool is_chosen = false;
  const double* sum = row.root_sums().data();
  table.for_each_child(table.root(), [&](std::uint8_t, Rank child_first, Rank child_end) {
    const double mass = *sum++;
    if (is_chosen || !(mass > 0.0)) return;
    first = child_first;
    end = child_end;
    is_chosen = left < mass;
    if (!is_chosen) left -= mass;
  });
  if (!is_chosen && row.end_of_text() > 0.0) return kNoToken;
  for (Rank block = first; block < end; block += kBlock) {
    const Rank stop = std::min(end, block + kBlock);
    const double mass = row.sum(block, stop);
    if (left >= mass) {
      left -= mass;
      continue;
    }
    for (Rank rank = block; rank < stop; ++rank) {
      const double one = row.mass(rank);
      if (left < one) return table.order()[rank];
      left -= one;
    }
  }
  // Rounding has left a little of `left` behind the last token that has any mass.
  for (Rank rank = end; rank-- > first;) {
    if (row.mass(rank) > 0.0) return table.order()[rank];
  }
  return kNoToken;
}

double TokenWalk::logprob(TokenId token) const {
  const MassRow& row = this->row();
  if (token == kNoToken) return std::log(row.end_of_text() / row.total());
  const Rank rank =
      token < tokenizer_->vocabulary_size() ? tokenizer_->table().rank_of(token) : kNoRank;
  return std::log(rank == kNoRank ? 0.0 : row.mass(rank) / row.total());
}

void TokenWalk::probabilities(std::span<double> out) const {
  const MassRow& row = this->row();
  const TokenTable& table = tokenizer_->table();
  std::fill(out.begin(), out.end(), 0.0);
  const double scale = 1.0 / row.total();
  for (Rank rank = 0; rank < table.size(); ++rank) {
    out[table.order()[rank]] = scale * row.mass(rank);
  }
  out[law_size() - 1] = scale * row.end_of_text();
}

}  // namespace nextbyte
