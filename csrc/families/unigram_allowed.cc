// Tests one token, finds the first of a range, and fills masks.
#include "families/unigram_allowed.h"

#include <algorithm>
#include <bit>
#include <string>

#include "support/bits.h"

namespace nextbyte {

UnigramAllowed::UnigramAllowed(const UnigramFamily& family,
                               std::shared_ptr<const UnigramPosition> position)
    : family_(&family),
      position_(std::move(position)),
      verdicts_(family.index_.verdicts(position_->score)) {
  const TokenTable& table = family.table_;
  if (position_->is_start) {
    forbidden_.emplace_back(0, family.first_lead_);
    forbidden_.emplace_back(family.last_lead_, table.size());
  }
  family.guard_.for_each_completion(position_->guard, [&](const std::string& bytes) {
    TokenTable::Cursor cursor = table.root();
    for (const char byte : bytes) {
      if (!table.step(cursor, static_cast<std::uint8_t>(byte))) return;
    }
    forbidden_.emplace_back(cursor.first, cursor.last);
  });
  std::sort(forbidden_.begin(), forbidden_.end());
  std::size_t kept = 0;
  for (const Ranks& ranks : forbidden_) {
    if (kept > 0 && ranks.first <= forbidden_[kept - 1].second) {
      forbidden_[kept - 1].second = std::max(forbidden_[kept - 1].second, ranks.second);
    } else {
      forbidden_[kept++] = ranks;
    }
  }
  forbidden_.resize(kept);
}

bool UnigramAllowed::must_go_on(Rank rank) const {
  if (rank != family_->blank_rank_) return false;
  return position_->is_start || family_->guard_.single_blanks();
}

bool UnigramAllowed::test(Rank rank) const {
  for (const auto& [first, last] : forbidden_) {
    if (rank >= first && rank < last) return false;
  }
  return family_->index_.node_of(rank) == UnigramPieces::kNone ? test_byte(rank) : test_piece(rank);
}

bool UnigramAllowed::test_piece(Rank rank) const {
  if (!position_->pending.empty()) return false;
  const Node node = family_->index_.node_of(rank);
  UnigramColumns columns = family_->columns(*position_);
  columns.enter_path(node);
  if (!columns.is_whole(family_->pieces_.depth(node))) return false;
  return !must_go_on(rank) || family_->goes_on(family_->behind_piece(*position_, rank));
}

bool UnigramAllowed::test_byte(Rank rank) const {
  if (!std::binary_search(family_->byte_ranks_.begin(), family_->byte_ranks_.end(), rank)) {
    return false;
  }
  std::string bytes = position_->pending;
  bytes += family_->table_.bytes(rank);
  const CodePointRange range = scalars_that_begin_with(bytes);
  const bool some_is_unknown = family_->unknown_.has_free(range) ||
                               family_->unknown_.any_bound(range, [&](char32_t character) {
                                 return family_->is_unknown_there(*position_, character);
                               });
  if (!some_is_unknown) return false;
  return !must_go_on(rank) || family_->goes_on(family_->behind_byte(*position_, rank));
}

template <typename Settled>
bool UnigramAllowed::settle(Rank from,
                            Rank to,
                            const UnigramColumns& columns,
                            const std::vector<std::uint32_t>& depths,
                            Settled settled) const {
  const UnigramIndex& index = family_->index_;
  const double slack =
      index.gain_tolerance() + index.tolerance(columns.base(), family_->pieces_.max_depth());
  for (std::size_t word = from / kWordBits; word * kWordBits < to; ++word) {
    const std::uint64_t range = word_range_mask(word, from, to);
    std::uint64_t allowed = verdicts_->allowed[word] & range;
    std::uint64_t unsure = verdicts_->unsure[word] & range;
    for (const std::uint32_t depth : depths) {
      // A path over the crossing piece beats the token if that has less than this over the rest.
      const double ahead = columns.score(depth) - columns.base();
      for (std::uint64_t bits = allowed | unsure; bits != 0; bits &= bits - 1) {
        const std::uint64_t bit = bits & -bits;
        const auto rank =
            static_cast<Rank>(word * kWordBits + static_cast<std::size_t>(std::countr_zero(bits)));
        const double gain = index.gain_at(depth, rank);
        if (gain > ahead + slack) continue;
        allowed &= ~bit;
        unsure = gain < ahead - slack ? unsure & ~bit : unsure | bit;
      }
    }
    if ((allowed | unsure) != 0 && settled(word, allowed, unsure)) return true;
  }
  return false;
}

template <typename Settled, typename Whole>
void UnigramAllowed::walk(Rank first, Rank last, Settled settled, Whole whole) const {
  const UnigramPieces& pieces = family_->pieces_;
  const UnigramIndex& index = family_->index_;
  UnigramColumns columns = family_->columns(*position_);
  const Node target = index.first_node(first);
  if (target == pieces.num_nodes()) return;
  const std::vector<Node> path = columns.path_to(target);
  std::vector<std::uint32_t> crossed;  // depths, of the nodes from the root to the current one
  for (Node node = path.front(); node < pieces.num_nodes() && index.first_rank(node) < last;) {
    const std::uint32_t depth = pieces.depth(node);
    const Node end = pieces.end(node);
    columns.enter(node);
    while (!crossed.empty() && crossed.back() >= depth) crossed.pop_back();
    if (columns.is_crossed(depth)) crossed.push_back(depth);
    const Rank rank = index.rank_of(node);
    if (node >= target && rank != kNoRank && columns.is_whole(depth) && whole(rank)) return;
    // No token below wins if the best path to here is too good to be left out.
    const double most =
        columns.base() + index.gain(node) + index.tolerance(columns.base(), pieces.max_depth());
    if (columns.score(depth) > most) {
      node = end;
    } else if (!columns.is_crossed_below(depth) &&
               (crossed.empty() || crossed.back() <= UnigramIndex::kDepths)) {
      const Rank from = std::max(first, index.first_rank(node) + (rank == kNoRank ? 0 : 1));
      const Rank to = std::min(last, index.first_rank(end));
      if (from < to && settle(from, to, columns, crossed, settled)) return;
      node = end;
    } else {
      node = node < target ? path[depth] : node + 1;
    }
  }
}

Rank UnigramAllowed::find_first_piece(Rank first, Rank last) const {
  Rank found = kNoRank;
  const auto accept = [&](Rank rank) {
    if (must_go_on(rank) && !test_piece(rank)) return false;
    found = rank;
    return true;
  };
  const auto first_of = [&](std::size_t word, std::uint64_t allowed, std::uint64_t unsure) {
    for (std::uint64_t bits = allowed | unsure; bits != 0; bits &= bits - 1) {
      const auto rank =
          static_cast<Rank>(word * kWordBits + static_cast<std::size_t>(std::countr_zero(bits)));
      if ((allowed & bits & -bits) != 0 ? accept(rank) : test_piece(rank)) {
        found = rank;
        return true;
      }
    }
    return false;
  };
  walk(first, last, first_of, accept);
  return found;
}

Rank UnigramAllowed::find_first(Rank first, Rank last) const {
  const auto in_range = [&](Rank from, Rank to) {
    Rank found = kNoRank;
    auto byte = std::lower_bound(family_->byte_ranks_.begin(), family_->byte_ranks_.end(), from);
    for (; byte != family_->byte_ranks_.end() && *byte < to && found == kNoRank; ++byte) {
      if (test_byte(*byte)) found = *byte;
    }
    if (!position_->pending.empty()) return found;
    return std::min(found, find_first_piece(from, std::min(to, found)));
  };
  for (const auto& [from, to] : forbidden_) {
    if (to <= first) continue;
    if (from >= last) break;
    if (first < from) {
      if (const Rank found = in_range(first, from); found != kNoRank) return found;
    }
    first = to;
  }
  return first < last ? in_range(first, last) : kNoRank;
}

bool UnigramAllowed::any(Rank first, Rank last) const {
  if (first >= last) return false;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (searched_ <= first && found_ != kNoRank && first <= found_) return found_ < last;
  const Rank found = find_first(first, last);
  if (found == kNoRank) return false;
  searched_ = first;
  found_ = found;
  return true;
}

void UnigramAllowed::copy_words(Rank size, std::vector<std::uint64_t>& words) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (words_.empty()) {
    std::vector<std::uint64_t> mask((size + kWordBits - 1) / kWordBits, 0);
    const auto set = [&](Rank rank) {
      mask[rank / kWordBits] |= std::uint64_t{1} << (rank % kWordBits);
    };
    const auto settled = [&](std::size_t word, std::uint64_t allowed, std::uint64_t unsure) {
      mask[word] |= allowed;
      for (; unsure != 0; unsure &= unsure - 1) {
        const auto rank = static_cast<Rank>(word * kWordBits +
                                            static_cast<std::size_t>(std::countr_zero(unsure)));
        if (test_piece(rank)) set(rank);
      }
      return false;
    };
    const auto whole = [&](Rank rank) {
      set(rank);
      return false;
    };
    if (position_->pending.empty()) walk(0, size, settled, whole);
    for (const Rank rank : family_->byte_ranks_) {
      if (test_byte(rank)) set(rank);
    }
    const Rank blank = family_->blank_rank_;
    if (blank != kNoRank && must_go_on(blank) && !test(blank)) {
      mask[blank / kWordBits] &= ~(std::uint64_t{1} << (blank % kWordBits));
    }
    for (const auto& [from, to] : forbidden_) {
      for (std::size_t word = from / kWordBits; word * kWordBits < to; ++word) {
        mask[word] &= ~word_range_mask(word, from, to);
      }
    }
    words_ = std::move(mask);
  }
  words = words_;
}

}  // namespace nextbyte
