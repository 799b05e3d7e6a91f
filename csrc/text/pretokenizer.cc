// The product of the stages, its subset construction, and the splitting of complete texts.
#include "text/pretokenizer.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <stdexcept>
#include <utility>

#include "support/error.h"
#include "text/pattern_parser.h"
#include "text/pattern_program.h"

namespace nextbyte {
namespace {

constexpr std::size_t kMaxRawStates = 40'000;  // of the product, before trimming
constexpr std::size_t kMaxSubsets = 20'000;
constexpr std::size_t kMaxStages = 64;            // bounds a recursion
constexpr std::size_t kMaxPatternBytes = 32'768;  // of all stages; bounds their trees

// Runs `build`; an error names the stage, counted from 1.
template <typename Build>
auto at_stage(std::size_t stage, std::size_t stages, Build build) {
  const auto named = [&](const std::exception& error) {
    return "pre-tokenizer stage " + std::to_string(stage + 1) + " of " + std::to_string(stages) +
           ": " + error.what();
  };
  try {
    return build();
  } catch (const UnsupportedTokenizer& error) {
    throw UnsupportedTokenizer(named(error));
  } catch (const InvalidInput& error) {
    throw InvalidInput(named(error));
  }
}

std::vector<PatternNode> parse_stages(const std::vector<std::string>& stages) {
  if (stages.size() > kMaxStages) {
    throw UnsupportedTokenizer("the pre-tokenizer has " + std::to_string(stages.size()) +
                               " stages; at most " + std::to_string(kMaxStages) + " are compiled");
  }
  std::size_t bytes = 0;
  for (const std::string& stage : stages) bytes += stage.size();
  if (bytes > kMaxPatternBytes) {
    throw UnsupportedTokenizer("the pre-tokenizer's patterns have " + std::to_string(bytes) +
                               " bytes; at most " + std::to_string(kMaxPatternBytes) +
                               " are compiled");
  }
  std::vector<PatternNode> patterns;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    patterns.push_back(at_stage(i, stages.size(), [&] { return parse_pattern(stages[i]); }));
  }
  return patterns;
}

CharacterClasses refine(const std::vector<PatternNode>& patterns) {
  std::vector<CodePointSet> sets;
  for (const PatternNode& pattern : patterns) collect_sets(pattern, sets);
  return CharacterClasses(sets);
}

// No stages: INIT, then one state that any character continues.
RawAutomaton one_piece() {
  RawAutomaton automaton;
  automaton.num_classes = 1;
  automaton.accepts_end = {1, 1};
  automaton.first_target = {0, 0, 1, 2, 2};
  automaton.targets = {1, 1};
  return automaton;
}

// The product of the stages, breadth first from all stages at INIT.
class ProductBuilder {
 public:
  ProductBuilder(const std::vector<RawAutomaton>& stages, WorkBudget& budget)
      : stages_(stages), budget_(budget) {}

  RawAutomaton build() {
    RawAutomaton product;
    product.num_classes = stages_.front().num_classes;
    product.first_target.push_back(0);
    intern(State(stages_.size(), 0));
    for (std::size_t i = 0; i < states_.size(); ++i) {
      const State& state = *states_[i];
      product.accepts_end.push_back(accepts_end(state) ? 1 : 0);
      for (unsigned cls = 0; cls < product.num_classes; ++cls) {
        for (const bool boundary : {false, true}) {
          State next = state;
          step(state, cls, boundary, 0, false, next, product.targets);
          product.first_target.push_back(static_cast<std::uint32_t>(product.targets.size()));
        }
      }
    }
    return trimmed(product);
  }

 private:
  using State = std::vector<RawStateId>;  // one raw state per stage

  RawStateId intern(const State& state) {
    const auto found = ids_.emplace(state, static_cast<RawStateId>(states_.size()));
    if (found.second) {
      if (states_.size() == kMaxRawStates) {
        throw UnsupportedTokenizer("the pre-tokenizer's stages need more than " +
                                   std::to_string(kMaxRawStates) + " states together");
      }
      states_.push_back(&found.first->first);
    }
    return found.first->second;
  }

  bool accepts_end(const State& state) const {
    for (std::size_t i = 0; i < state.size(); ++i) {
      if (stages_[i].accepts_end[state[i]] == 0) return false;
    }
    return true;
  }

  // Chooses the moves of stages `stage`.. into `next`. `ended`: an earlier stage has a boundary
  // here, so this stage sees END and restarts.
  void step(const State& state,
            unsigned cls,
            bool boundary,
            std::size_t stage,
            bool ended,
            State& next,
            std::vector<RawStateId>& targets) {
    budget_.spend(1);
    if (stage == stages_.size()) {
      if (ended == boundary) targets.push_back(intern(next));
      return;
    }
    const RawAutomaton& automaton = stages_[stage];
    const auto take = [&](RawStateId from, bool flag) {
      for (const RawStateId target : automaton.step(from, cls, flag)) {
        next[stage] = target;
        step(state, cls, boundary, stage + 1, flag, next, targets);
      }
    };
    if (ended) {
      if (automaton.accepts_end[state[stage]] != 0) take(0, true);
      return;
    }
    take(state[stage], false);
    if (boundary) take(state[stage], true);
  }

  const std::vector<RawAutomaton>& stages_;
  WorkBudget& budget_;
  std::map<State, RawStateId> ids_;
  std::vector<const State*> states_;
};

RawAutomaton compile(const std::vector<PatternNode>& patterns,
                     const CharacterClasses& classes,
                     WorkBudget& budget) {
  if (patterns.empty()) return one_piece();
  std::vector<RawAutomaton> stages;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    stages.push_back(at_stage(i, patterns.size(), [&] {
      return build_split_stage(PatternProgram(patterns[i], classes, budget), budget);
    }));
  }
  return stages.size() == 1 ? std::move(stages.front()) : ProductBuilder(stages, budget).build();
}

DecodedScalar decode_character(std::string_view utf8, std::size_t at) {
  const DecodedScalar scalar = decode_scalar(utf8, at);
  if (scalar.length == 0) {
    throw InvalidInput("the text is not valid UTF-8 at byte " + std::to_string(at));
  }
  return scalar;
}

}  // namespace

Pretokenizer::Pretokenizer(const std::vector<std::string>& stages)
    : Pretokenizer(parse_stages(stages)) {}

Pretokenizer::Pretokenizer(const std::vector<PatternNode>& patterns) : classes_(refine(patterns)) {
  WorkBudget budget;
  raw_ = compile(patterns, classes_, budget);
  build_subsets(budget);
}

void Pretokenizer::build_subsets(WorkBudget& budget) {
  using Subset = std::vector<RawStateId>;
  std::map<Subset, SubsetId> ids;
  const auto intern = [&](Subset subset) {
    std::sort(subset.begin(), subset.end());
    subset.erase(std::unique(subset.begin(), subset.end()), subset.end());
    const auto found = ids.emplace(std::move(subset), static_cast<SubsetId>(members_.size()));
    if (found.second) {
      if (members_.size() == kMaxSubsets) {
        throw UnsupportedTokenizer("the pre-tokenizer needs more than " +
                                   std::to_string(kMaxSubsets) + " subsets of states");
      }
      members_.push_back(found.first->first);
    }
    return found.first->second;
  };
  intern({});   // kDeadSubset
  intern({0});  // kInitialSubset
  for (std::size_t subset = 0; subset < members_.size(); ++subset) {
    const Subset members = members_[subset];
    accepts_end_.push_back(std::any_of(members.begin(), members.end(), [&](RawStateId state) {
      return raw_.accepts_end[state] != 0;
    }));
    std::uint64_t live[kFlagValues] = {};
    for (unsigned cls = 0; cls < classes_.size(); ++cls) {
      Subset next[kFlagValues];
      for (const RawStateId state : members) {
        for (const unsigned flag : {kContinue, kBoundary}) {
          const auto targets = raw_.step(state, cls, flag == kBoundary);
          budget.spend(1 + targets.size());
          for (const unsigned flags : {flag, kContinue | kBoundary}) {
            next[flags].insert(next[flags].end(), targets.begin(), targets.end());
          }
        }
      }
      for (unsigned flags = 0; flags < kFlagValues; ++flags) {
        const SubsetId target = intern(std::move(next[flags]));
        steps_.push_back(target);
        if (target != kDeadSubset) live[flags] |= std::uint64_t{1} << cls;
      }
    }
    live_classes_.insert(live_classes_.end(), std::begin(live), std::end(live));
  }
  accepting_classes_.assign(live_classes_.size(), 0);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (accepts_end_[steps_[i]] == 0) continue;
    const std::size_t cls = i / kFlagValues % classes_.size();
    accepting_classes_[i / kFlagValues / classes_.size() * kFlagValues + i % kFlagValues] |=
        std::uint64_t{1} << cls;
  }
}

std::vector<std::size_t> Pretokenizer::split(std::string_view utf8) const {
  // Forward: the subsets under all flags. Backward: the one path from INIT to END through them.
  std::vector<SubsetId> subsets = {initial()};
  std::vector<std::uint8_t> symbols;
  std::vector<std::size_t> offsets;
  for (std::size_t at = 0; at < utf8.size();) {
    const DecodedScalar scalar = decode_character(utf8, at);
    symbols.push_back(class_of(scalar.value));
    subsets.push_back(step(subsets.back(), symbols.back(), kContinue | kBoundary));
    offsets.push_back(at);
    at += scalar.length;
  }

  const std::vector<RawStateId>& last = members_[subsets.back()];
  const auto accepting = std::find_if(
      last.begin(), last.end(), [&](RawStateId state) { return raw_.accepts_end[state] != 0; });
  if (accepting == last.end()) throw std::logic_error("a complete text has no segmentation");
  RawStateId state = *accepting;
  std::vector<std::size_t> starts;
  for (std::size_t i = symbols.size(); i-- > 0;) {
    // The predecessor and its flag; exactly one pair of them leads here.
    const auto leads_here = [&](RawStateId source, bool boundary) {
      const auto targets = raw_.step(source, symbols[i], boundary);
      return std::find(targets.begin(), targets.end(), state) != targets.end();
    };
    for (const RawStateId source : members_[subsets[i]]) {
      const bool boundary = leads_here(source, true);
      if (!boundary && !leads_here(source, false)) continue;
      if (boundary) starts.push_back(offsets[i]);
      state = source;
      break;
    }
  }
  std::reverse(starts.begin(), starts.end());
  return starts;
}

std::vector<std::vector<std::size_t>> Pretokenizer::splits_of_prefix(std::string_view utf8) const {
  struct Hypothesis {
    SubsetId subset;
    std::vector<std::size_t> starts;
  };
  std::vector<Hypothesis> hypotheses = {{initial(), {}}};
  for (std::size_t at = 0; at < utf8.size();) {
    const DecodedScalar scalar = decode_character(utf8, at);
    std::vector<Hypothesis> next;
    for (const Hypothesis& before : hypotheses) {
      for (const unsigned flag : {kContinue, kBoundary}) {
        Hypothesis after = before;
        after.subset = step(before.subset, class_of(scalar.value), flag);
        if (after.subset == kDeadSubset) continue;
        if (flag == kBoundary) after.starts.push_back(at);
        next.push_back(std::move(after));
      }
    }
    hypotheses = std::move(next);
    at += scalar.length;
  }
  std::vector<std::vector<std::size_t>> result;
  for (Hypothesis& hypothesis : hypotheses) result.push_back(std::move(hypothesis.starts));
  return result;
}

}  // namespace nextbyte
