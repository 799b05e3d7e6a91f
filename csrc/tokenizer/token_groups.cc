// Interns the tokens' functions in one pass over the sorted tokens, a look-up a character.
#include "tokenizer/token_groups.h"

#include <algorithm>
#include <array>
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

// Walks the tokens in order; of the one before it keeps where each of its bytes led.
class TokenGroups::Builder {
 public:
  Builder(TokenGroups& made, std::size_t max_entries)
      : made_(made),
        pretokenizer_(*made.pretokenizer_),
        automaton_(*made.automaton_),
        table_(*made.table_),
        max_entries_(max_entries),
        width_(2 * made.num_subsets_),
        num_classes_(pretokenizer_.num_classes()) {
    for (std::size_t byte = 0; byte < ascii_class_.size(); ++byte)
      ascii_class_[byte] = pretokenizer_.class_of(static_cast<char32_t>(byte));
  }

  // False if there are too many functions; what was made is then incomplete.
  bool build() {
    Function function(width_, kDeadSubset);
    if (!intern(function)) return false;
    for (std::size_t i = 0; i < width_; ++i)
      function[i] = static_cast<SubsetId>(i % made_.num_subsets_);
    if (!intern(function)) return false;
    std::uint32_t longest = 0;
    for (Rank rank = 0; rank < table_.size(); ++rank)
      longest = std::max(longest, table_.length(rank));
    // By number of bytes: behind the last whole character among them.
    std::vector<Place> places(longest + std::size_t{1}, Place{0, kNothing, kNeutralNormalForm});
    for (Rank rank = 0; rank < table_.size(); ++rank) {
      const std::string_view bytes = table_.bytes(rank);
      Place place = places[table_.shared_prefix(rank)];
      while (place.length < bytes.size()) {
        DecodedScalar scalar{static_cast<unsigned char>(bytes[place.length]), 1};
        std::uint8_t cls;
        if (scalar.value < ascii_class_.size()) {
          cls = ascii_class_[scalar.value];
        } else {
          scalar = decode_scalar(bytes, place.length);
          const std::size_t end =
              scalar.length == 0 ? bytes.size() + 1 : place.length + scalar.length;
          for (std::size_t i = place.length + std::size_t{1}; i < end; ++i) places[i] = place;
          if (scalar.length == 0) break;
          cls = pretokenizer_.class_of(scalar.value);
        }
        place.length += scalar.length;
        if (!automaton_.stays_normal(place.normal, scalar.value)) place.group = kDead;
        if (!step(place.group, cls)) return false;
        places[place.length] = place;
      }
      if (place.length == bytes.size()) {
        add_to_run(rank, place.group);
      } else if (place.group != kDead) {
        add_tail(rank, place, bytes.substr(place.length));
      }
    }
    sort_runs();
    return true;
  }

 private:
  using Function = std::vector<SubsetId>;  // by flag (kContinue, kBoundary) and subset
  static constexpr Group kDead = 0;        // leads nowhere
  static constexpr Group kNothing = 1;     // no character: leads to where it starts
  static constexpr std::uint32_t kUnknown = 0xFFFFFFFFU;

  struct Place {
    std::uint32_t length;  // of the bytes before it
    Group group;           // of the characters before it
    std::uint16_t normal;
  };
  struct GroupRun {
    Group group;
    Run run;
  };

  bool intern(const Function& function) {
    const auto found = ids_.emplace(function, static_cast<Group>(ids_.size()));
    last_ = found.first->second;
    if (!found.second) return true;
    if (made_.ends_.size() + width_ > max_entries_ ||
        ids_.size() > std::numeric_limits<Group>::max()) {
      return false;
    }
    made_.ends_.insert(made_.ends_.end(), function.begin(), function.end());
    next_.insert(next_.end(), num_classes_, kUnknown);
    return true;
  }

  // Makes of a group that with one more character. False if there are too many.
  bool step(Group& group, std::uint8_t cls) {
    const std::uint32_t known = next_[std::size_t{group} * num_classes_ + cls];
    if (known == kUnknown) return make_next(group, cls);
    group = static_cast<Group>(known);
    return true;
  }

  bool make_next(Group& group, std::uint8_t cls) {
    work_ += width_;
    if (work_ > kWorkPerEntry * max_entries_) return false;
    Function function(width_);
    for (std::size_t i = 0; i < width_; ++i) {
      const bool is_first_of_piece = group == kNothing && i >= made_.num_subsets_;
      function[i] = pretokenizer_.step(
          made_.ends_[group * width_ + i], cls, is_first_of_piece ? kBoundary : kContinue);
    }
    if (!intern(function)) return false;
    next_[std::size_t{group} * num_classes_ + cls] = last_;
    group = last_;
    return true;
  }

  void add_tail(Rank rank, const Place& end, std::string_view beginning) {
    const std::uint64_t possible = automaton_.classes_ahead(end.normal, beginning);
    if (possible == 0) return;
    made_.tails_.push_back({rank, end.length, end.group, end.normal, possible});
  }

  void add_to_run(Rank rank, Group group) {
    if (group == kDead) return;
    if (!runs_.empty() && runs_.back().group == group && runs_.back().run.last == rank) {
      ++runs_.back().run.last;
    } else {
      runs_.push_back({group, {rank, rank + 1}});
    }
  }

  void sort_runs() {
    std::vector<std::uint32_t>& first_run = made_.first_run_;
    first_run.assign(ids_.size() + 1, 0);
    for (const GroupRun& one : runs_) ++first_run[one.group + std::size_t{1}];
    for (std::size_t i = 1; i < first_run.size(); ++i) first_run[i] += first_run[i - 1];
    std::vector<std::uint32_t> at(first_run.begin(), first_run.end() - 1);
    made_.runs_.resize(runs_.size());
    for (const GroupRun& one : runs_) made_.runs_[at[one.group]++] = one.run;
  }

  TokenGroups& made_;
  const Pretokenizer& pretokenizer_;
  const ByteAutomaton& automaton_;
  const TokenTable& table_;
  std::size_t max_entries_, width_, num_classes_, work_ = 0;
  std::array<std::uint8_t, 0x80> ascii_class_{};
  std::vector<GroupRun> runs_;  // by rank
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
      num_subsets_(pretokenizer.num_subsets()) {
  if (Builder(*this, max_entries).build()) return;
  ends_ = {};
  tails_ = {};
}

TokenOutcomes TokenGroups::scanned(SubsetId subset, unsigned flags) const {
  ByteAutomatonState state;
  state.subset = subset;
  TokenScan scan = scan_tokens(*automaton_, *table_, state, flags, 0, table_->size());
  scan.alive.subtract(scan.accepting);
  return {std::move(scan.accepting), std::move(scan.alive)};
}

TokenOutcomes TokenGroups::outcomes(SubsetId subset, unsigned flags) const {
  if (size() == 0) return scanned(subset, flags);
  TokenOutcomes outcomes{BitSet(0, table_->size()), BitSet(0, table_->size())};
  for (std::size_t group = 0; group < size(); ++group) {
    const SubsetId end = end_of(group, subset, flags);
    if (end == kDeadSubset) continue;
    BitSet& outcome = pretokenizer_->accepts_end(end) ? outcomes.accepting : outcomes.waiting;
    for (const Run& run : runs(group)) outcome.set_range(run.first, run.last);
  }
  for (const Tail& tail : tails_) {
    if (live_classes(tail, subset, flags) != 0) outcomes.waiting.set(tail.rank);
  }
  return outcomes;
}

}  // namespace nextbyte
