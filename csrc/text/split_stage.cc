// Explores the raw states of one pattern breadth first, then trims.
#include "text/split_stage.h"

#include <algorithm>
#include <compare>
#include <map>
#include <string>
#include <utility>

#include "support/error.h"

namespace nextbyte {
namespace {

constexpr std::size_t kMaxRawStates = 20'000;  // of one stage, before trimming

constexpr ThreadId kGap = 0xFFFE;      // not a thread: no match starts at the last character
constexpr ThreadId kInitial = 0xFFFD;  // not a thread: before the first character

struct RawState {
  ThreadId winner = kInitial;
  Clause future;
  auto operator<=>(const RawState&) const = default;
};

class StageBuilder {
 public:
  StageBuilder(const PatternProgram& program, WorkBudget& budget)
      : program_(program), budget_(budget) {}

  RawAutomaton build() {
    RawAutomaton automaton;
    automaton.num_classes = program_.num_classes();
    automaton.first_target.push_back(0);
    intern(RawState());
    for (std::size_t i = 0; i < states_.size(); ++i) {
      const RawState& state = *states_[i];
      automaton.accepts_end.push_back(accepts_end(state) ? 1 : 0);
      for (unsigned cls = 0; cls < program_.num_classes(); ++cls) {
        const Disjunction future = after(state.future, cls);
        for (const bool boundary : {false, true}) {
          budget_.spend(1);
          if (!future.empty()) step(state.winner, future, cls, boundary);
          emit(automaton);
        }
      }
    }
    return trimmed(automaton);
  }

 private:
  RawStateId intern(RawState state) {
    constexpr std::size_t kOverhead = 32;  // of a state, in elements of its sets
    const auto found = ids_.emplace(std::move(state), static_cast<RawStateId>(states_.size()));
    if (found.second) {
      if (states_.size() == kMaxRawStates) {
        throw UnsupportedTokenizer("the pattern needs more than " + std::to_string(kMaxRawStates) +
                                   " states");
      }
      const Clause& future = found.first->first.future;
      budget_.spend(kOverhead + future.required.size() + future.forbidden.size());
      states_.push_back(&found.first->first);
    }
    return found.first->second;
  }

  // What the text behind a symbol must satisfy so that `future` holds before it.
  Disjunction after(const Clause& future, unsigned symbol) const {
    std::vector<const Disjunction*> factors;
    for (const ThreadId thread : future.required) {
      factors.push_back(&program_.succeeds(thread, symbol));
    }
    for (const ThreadId thread : future.forbidden) {
      factors.push_back(&program_.fails(thread, symbol));
    }
    return conjunction(factors, budget_);
  }

  bool accepts_end(const RawState& state) const {
    const unsigned end = program_.end_symbol();
    return !after(state.future, end).empty() && (state.winner == kInitial || state.winner == kGap ||
                                                 !program_.succeeds(state.winner, end).empty());
  }

  // Collects the states that a state may become on a character.
  void step(ThreadId winner, const Disjunction& future, unsigned cls, bool boundary) {
    if (!boundary) {
      if (winner == kInitial) return;
      if (winner == kGap) {
        collect(kGap, conjunction({&future, &program_.fails(kStartThread, cls)}, budget_));
      } else {
        choose_winner(winner, future, cls);
      }
      return;
    }
    Disjunction ended = future;
    if (winner != kInitial && winner != kGap) {
      Disjunction matches;
      for (const PatternProgram::Choice& choice : program_.choices(winner, cls)) {
        if (choice.target == kMatchThread) {
          matches = disjunction({&matches, &choice.when}, budget_);
        }
      }
      ended = conjunction({&future, &matches}, budget_);
      if (ended.empty()) return;
    }
    choose_winner(kStartThread, ended, cls);
    if (winner != kGap) {  // a gap is maximal: no gap follows it
      collect(kGap, conjunction({&ended, &program_.fails(kStartThread, cls)}, budget_));
    }
  }

  // One state for each target of `thread` that may win the attempt under way.
  void choose_winner(ThreadId thread, const Disjunction& future, unsigned cls) {
    for (const PatternProgram::Choice& choice : program_.choices(thread, cls)) {
      if (choice.target == kMatchThread) continue;
      collect(choice.target, conjunction({&future, &choice.when}, budget_));
    }
  }

  void collect(ThreadId winner, const Disjunction& future) {
    Disjunction& collected = collected_[winner];
    for (Clause clause : future) {
      // A thread that must match and must not: no future satisfies both.
      if (std::binary_search(clause.forbidden.begin(), clause.forbidden.end(), winner)) continue;
      std::erase(clause.required, winner);
      const Disjunction term = {std::move(clause)};
      collected = disjunction({&collected, &term}, budget_);
    }
  }

  // Appends what was collected for one class and flag.
  void emit(RawAutomaton& automaton) {
    for (const auto& [winner, future] : collected_) {
      for (const Clause& clause : future) automaton.targets.push_back(intern({winner, clause}));
    }
    budget_.spend(automaton.targets.size() - automaton.first_target.back());
    automaton.first_target.push_back(static_cast<std::uint32_t>(automaton.targets.size()));
    collected_.clear();
  }

  const PatternProgram& program_;
  WorkBudget& budget_;
  std::map<RawState, RawStateId> ids_;
  std::vector<const RawState*> states_;
  std::map<ThreadId, Disjunction> collected_;
};

}  // namespace

RawAutomaton trimmed(const RawAutomaton& automaton) {
  const std::size_t cells = std::size_t{automaton.num_classes} * 2;
  std::vector<std::vector<RawStateId>> sources(automaton.size());
  for (std::size_t state = 0; state < automaton.size(); ++state) {
    const std::uint32_t begin = automaton.first_target[state * cells];
    const std::uint32_t end = automaton.first_target[(state + 1) * cells];
    for (std::uint32_t i = begin; i < end; ++i) {
      sources[automaton.targets[i]].push_back(static_cast<RawStateId>(state));
    }
  }
  std::vector<bool> live(automaton.size(), false);
  std::vector<RawStateId> queue;
  const auto reach = [&](std::size_t state) {
    if (live[state]) return;
    live[state] = true;
    queue.push_back(static_cast<RawStateId>(state));
  };
  reach(0);  // accepts END: the empty text
  for (std::size_t state = 0; state < automaton.size(); ++state) {
    if (automaton.accepts_end[state] != 0) reach(state);
  }
  for (std::size_t i = 0; i < queue.size(); ++i) {
    for (const RawStateId source : sources[queue[i]]) reach(source);
  }

  std::vector<RawStateId> renamed(automaton.size(), 0);
  RawAutomaton result;
  result.num_classes = automaton.num_classes;
  for (std::size_t state = 0; state < automaton.size(); ++state) {
    if (!live[state]) continue;
    renamed[state] = static_cast<RawStateId>(result.accepts_end.size());
    result.accepts_end.push_back(automaton.accepts_end[state]);
  }
  result.first_target.push_back(0);
  for (std::size_t state = 0; state < automaton.size(); ++state) {
    if (!live[state]) continue;
    for (std::size_t cell = state * cells; cell < (state + 1) * cells; ++cell) {
      for (std::uint32_t i = automaton.first_target[cell]; i < automaton.first_target[cell + 1];
           ++i) {
        const RawStateId target = automaton.targets[i];
        if (live[target]) result.targets.push_back(renamed[target]);
      }
      result.first_target.push_back(static_cast<std::uint32_t>(result.targets.size()));
    }
  }
  return result;
}

RawAutomaton build_split_stage(const PatternProgram& program, WorkBudget& budget) {
  return StageBuilder(program, budget).build();
}

}  // namespace nextbyte
