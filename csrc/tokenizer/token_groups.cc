// Interns the tokens' functions in one pass over the sorted tokens, a look-up a character.
#include "tokenizer/token_groups.h"

#include <algorithm>
#include <limits>
#include <map>
#include <string_view>
#include <utility>

#include "text/unicode.h"
#include "tokenizer/token_scan.h"

namespace nextbyte {
namespace {

// Entries computed for functions that were there already, for each entry of the table: bounds the
// time that a hostile pattern takes.
constexpr std::size_t kWorkPerEntry = 4;

}  // namespace

// Walks the tokens in order; of the one before it keeps where each character ended.
class TokenGroups::Builder {
 public:
  Builder(const Pretokenizer& pretokenizer,
          const ByteAutomaton& automaton,
          const TokenTable& table,
          std::size_t max_entries)
      : pretokenizer_(pretokenizer),
        automaton_(automaton),
        table_(table),
        max_entries_(max_entries),
        width_(2 * pretokenizer.num_subsets()) {}

  Tables build() {
    tables_.num_subsets = pretokenizer_.num_subsets();
    Function function(width_, kDeadSubset);
    if (!intern(function)) return {};
    for (std::size_t i = 0; i < width_; ++i)
      function[i] = static_cast<SubsetId>(i % tables_.num_subsets);
    if (!intern(function)) return {};
    std::vector<Group> group_of(table_.size(), kDead);
    std::vector<Place> places{{0, kNothing, kNeutralNormalForm}};
    for (Rank rank = 0; rank < table_.size(); ++rank) {
      const std::string_view bytes = table_.bytes(rank);
      const std::size_t shared = rank == 0 ? 0 : table_.shared_prefix(rank);
      while (places.back().length > shared) places.pop_back();
      while (places.back().length < bytes.size()) {
        const Place before = places.back();
        const DecodedScalar scalar = decode_scalar(bytes, before.length);
        if (scalar.length == 0) break;
        Place place{before.length + scalar.length, before.group, before.normal};
        if (place.group != kDead && !automaton_.stays_normal(place.normal, scalar.value))
          place.group = kDead;
        if (place.group != kDead && !step(place.group, pretokenizer_.class_of(scalar.value)))
          return {};
        places.push_back(place);
      }
      const Place& end = places.back();
      if (end.length == bytes.size()) {
        group_of[rank] = end.group;
      } else if (end.group != kDead) {
        add_tail(rank, end, bytes.substr(end.length));
      }
    }
    add_runs(group_of);
    return std::move(tables_);
  }

 private:
  using Function = std::vector<SubsetId>;  // by flag (kContinue, kBoundary) and subset
  static constexpr Group kDead = 0;        // leads nowhere
  static constexpr Group kNothing = 1;     // no character: leads to where it starts
  static constexpr std::uint32_t kUnknown = 0xFFFFFFFFU;

  struct Place {
    std::size_t length;  // of the bytes before it
    Group group;         // of the characters before it
    std::uint16_t normal;
  };

  bool intern(const Function& function) {
    const auto found = ids_.emplace(function, static_cast<Group>(ids_.size()));
    if (!found.second) {
      last_ = found.first->second;
      return true;
    }
    if (tables_.ends.size() + width_ > max_entries_ ||
        ids_.size() > std::numeric_limits<Group>::max()) {
      return false;
    }
    last_ = found.first->second;
    tables_.ends.insert(tables_.ends.end(), function.begin(), function.end());
    next_.insert(next_.end(), pretokenizer_.num_classes(), kUnknown);
    return true;
  }

  // Makes of a group that with one more character. False if there are too many.
  bool step(Group& group, std::uint8_t cls) {
    const std::size_t at = std::size_t{group} * pretokenizer_.num_classes() + cls;
    if (next_[at] == kUnknown) {
      work_ += width_;
      if (work_ > kWorkPerEntry * max_entries_) return false;
      Function function(width_);
      for (std::size_t i = 0; i < width_; ++i) {
        const bool is_first_of_piece = group == kNothing && i >= tables_.num_subsets;
        function[i] = pretokenizer_.step(
            tables_.ends[group * width_ + i], cls, is_first_of_piece ? kBoundary : kContinue);
      }
      if (!intern(function)) return false;
      next_[at] = last_;
    }
    group = static_cast<Group>(next_[at]);
    return true;
  }

  void add_tail(Rank rank, const Place& end, std::string_view beginning) {
    const std::uint64_t possible = automaton_.classes_ahead(end.normal, beginning);
    if (possible == 0) return;
    tables_.tails.push_back(
        {rank, static_cast<std::uint32_t>(end.length), end.group, end.normal, possible});
  }

  void add_runs(const std::vector<Group>& group_of) {
    const auto for_each_run = [&](auto visit) {
      for (Rank first = 0, last = 0; first < table_.size(); first = last) {
        while (last < table_.size() && group_of[last] == group_of[first]) ++last;
        if (group_of[first] != kDead) visit(group_of[first], Run{first, last});
      }
    };
    std::vector<std::uint32_t>& first_run = tables_.first_run;
    first_run.assign(ids_.size() + 1, 0);
    for_each_run([&](Group group, const Run&) { ++first_run[group + std::size_t{1}]; });
    for (std::size_t i = 1; i < first_run.size(); ++i) first_run[i] += first_run[i - 1];
    std::vector<std::uint32_t> at(first_run.begin(), first_run.end() - 1);
    tables_.runs.resize(first_run.back());
    for_each_run([&](Group group, const Run& run) { tables_.runs[at[group]++] = run; });
  }

  const Pretokenizer& pretokenizer_;
  const ByteAutomaton& automaton_;
  const TokenTable& table_;
  std::size_t max_entries_, width_, work_ = 0;
  Tables tables_;
  std::map<Function, Group> ids_;
  std::vector<std::uint32_t> next_;  // by group and class
  Group last_ = kDead;               // what intern() found
};

TokenGroups::TokenGroups(const Pretokenizer& pretokenizer,
                         const ByteAutomaton& automaton,
                         const TokenTable& table,
                         std::size_t max_entries)
    : pretokenizer_(&pretokenizer),
      automaton_(&automaton),
      table_(&table),
      max_entries_(max_entries) {}

const TokenGroups::Tables& TokenGroups::tables() const {
  std::call_once(once_, [&] {
    tables_ = Builder(*pretokenizer_, *automaton_, *table_, max_entries_).build();
  });
  return tables_;
}

TokenOutcomes TokenGroups::scanned(SubsetId subset, unsigned flags) const {
  ByteAutomatonState state;
  state.subset = subset;
  TokenScan scan = scan_tokens(*automaton_, *table_, state, flags, 0, table_->size());
  scan.alive.subtract(scan.accepting);
  return {std::move(scan.accepting), std::move(scan.alive)};
}

TokenOutcomes TokenGroups::outcomes(SubsetId subset, unsigned flags) const {
  const Tables& tables = this->tables();
  if (tables.ends.empty()) return scanned(subset, flags);
  TokenOutcomes outcomes{BitSet(0, table_->size()), BitSet(0, table_->size())};
  for (std::size_t group = 0; group + 1 < tables.first_run.size(); ++group) {
    const SubsetId end = tables.end_of(group, subset, flags);
    if (end == kDeadSubset) continue;
    BitSet& outcome = pretokenizer_->accepts_end(end) ? outcomes.accepting : outcomes.waiting;
    for (std::uint32_t i = tables.first_run[group]; i < tables.first_run[group + 1]; ++i)
      outcome.set_range(tables.runs[i].first, tables.runs[i].last);
  }
  for (const Tail& tail : tables.tails) {
    const SubsetId before = tables.end_of(tail.group, subset, flags);
    const unsigned open = tail.length == 0 ? flags : kContinue;
    if ((pretokenizer_->live_classes(before, open) & tail.possible) != 0)
      outcomes.waiting.set(tail.rank);
  }
  return outcomes;
}

}  // namespace nextbyte
