// Explores the raw states of one pattern breadth first, then trims.
#include "tokenizer/split_stage.h"

#include <algorithm>
#include <compare>
#include <map>
#include <string>
#include <utility>

#include "support/error.h"

namespace nextbyte {
namespace {

constexpr std::size_t kMaxRawStates = 20'000;  // of one stage, before trimming

constexpr ThreadId kGap = 0xFFFE;
constexpr ThreadId kInitial = 0xFFFD;

using ThreadSet = std::vector<ThreadId>;  // ascending, distinct

struct RawState {
  ThreadId winner = kInitial;
  ThreadSet forbidden;
  auto operator<=>(const RawState&) const = default;
};

ThreadSet normalized(ThreadSet threads) {
  std::sort(threads.begin(), threads.end());
  threads.erase(std::unique(threads.begin(), threads.end()), threads.end());
  return threads;
}

class StageBuilder {
 public:
  explicit StageBuilder(const PatternProgram& program) : program_(program) {}

  RawAutomaton build() {
    RawAutomaton automaton;
    automaton.num_classes = program_.num_classes();
    automaton.first_target.push_back(0);
    intern(RawState());
    for (std::size_t i = 0; i < states_.size(); ++i) {
      const RawState state = states_[i];
      automaton.accepts_end.push_back(accepts_end(state) ? 1 : 0);
      for (unsigned cls = 0; cls < program_.num_classes(); ++cls) {
        for (const bool boundary : {false, true}) {
          step(state, cls, boundary, automaton.targets);
          automaton.first_target.push_back(static_cast<std::uint32_t>(automaton.targets.size()));
        }
      }
    }
    return trimmed(automaton);
  }

 private:
  RawStateId intern(RawState state) {
    const auto found = ids_.emplace(std::move(state), static_cast<RawStateId>(states_.size()));
    if (found.second) {
      if (states_.size() == kMaxRawStates) {
        throw UnsupportedTokenizer("the pattern needs more than " + std::to_string(kMaxRawStates) +
                                   " states");
      }
      states_.push_back(found.first->first);
    }
    return found.first->second;
  }

  bool accepts_end(const RawState& state) const {
    const unsigned end = program_.end_symbol();
    for (const ThreadId thread : state.forbidden) {
      if (program_.matches_at(thread, end)) return false;
    }
    return state.winner == kInitial || state.winner == kGap ||
           program_.matches_at(state.winner, end);
  }

  // Appends the states that `state` may become on a character.
  void step(const RawState& state, unsigned cls, bool boundary, std::vector<RawStateId>& targets) {
    ThreadSet forbidden;
    for (const ThreadId thread : state.forbidden) {
      if (program_.matches_at(thread, cls)) return;
      const std::span<const ThreadId> moves = program_.closure(thread, cls);
      forbidden.insert(forbidden.end(), moves.begin(), moves.end());
    }
    if (!boundary) {
      if (state.winner == kInitial) return;
      if (state.winner == kGap) {
        const std::span<const ThreadId> moves = program_.closure(kStartThread, cls);
        forbidden.insert(forbidden.end(), moves.begin(), moves.end());
        emit(kGap, std::move(forbidden), targets);
      } else {
        choose_winner(program_.closure(state.winner, cls), std::move(forbidden), targets);
      }
      return;
    }
    if (state.winner != kInitial && state.winner != kGap) {
      if (!program_.matches_at(state.winner, cls)) return;
      const std::span<const ThreadId> moves = program_.closure(state.winner, cls);
      forbidden.insert(forbidden.end(), moves.begin(), moves.end() - 1);
    }
    const std::span<const ThreadId> moves = program_.closure(kStartThread, cls);
    ThreadSet none_wins = forbidden;
    choose_winner(moves, std::move(forbidden), targets);
    if (state.winner != kGap) {  // a gap is maximal: no gap follows it
      none_wins.insert(none_wins.end(), moves.begin(), moves.end());
      emit(kGap, std::move(none_wins), targets);
    }
  }

  // One state for each move that may win; the moves preferred to it join `forbidden`.
  void choose_winner(std::span<const ThreadId> moves,
                     ThreadSet forbidden,
                     std::vector<RawStateId>& targets) {
    for (const ThreadId move : moves) {
      if (move == kMatchThread) return;
      emit(move, forbidden, targets);
      forbidden.push_back(move);
    }
  }

  void emit(ThreadId winner, ThreadSet forbidden, std::vector<RawStateId>& targets) {
    ThreadSet threads = normalized(std::move(forbidden));
    // A thread that must match and must not: no future satisfies both.
    if (std::binary_search(threads.begin(), threads.end(), winner)) return;
    targets.push_back(intern({winner, std::move(threads)}));
  }

  const PatternProgram& program_;
  std::vector<RawState> states_;
  std::map<RawState, RawStateId> ids_;
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

RawAutomaton build_split_stage(const PatternProgram& program) {
  return StageBuilder(program).build();
}

}  // namespace nextbyte
