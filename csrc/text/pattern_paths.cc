// Depth-first search over the empty moves, with the look-aheads met on the way as conditions.
#include "text/pattern_paths.h"

#include <algorithm>

#include "text/pattern_program.h"

namespace nextbyte {
namespace {

Disjunction one_thread(ThreadId thread, bool required) {
  if (thread == kMatchThread) return required ? always() : never();
  return required ? Disjunction{{{thread}, {}}} : Disjunction{{{}, {thread}}};
}

// "Each of the first `count` paths fails", joined with `last` if there is one.
Disjunction first_paths_fail(const Paths& paths,
                             std::size_t count,
                             const Disjunction* last,
                             WorkBudget& budget) {
  std::vector<Disjunction> failures;
  failures.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Disjunction no_match = one_thread(paths[i].target, false);
    failures.push_back(disjunction({&paths[i].unless, &no_match}, budget));
  }
  std::vector<const Disjunction*> factors;
  for (const Disjunction& failure : failures) factors.push_back(&failure);
  if (last != nullptr) factors.push_back(last);
  return conjunction(factors, budget);
}

}  // namespace

Disjunction some_path_succeeds(const Paths& paths, WorkBudget& budget) {
  std::vector<Disjunction> successes;
  successes.reserve(paths.size());
  for (const Path& path : paths) {
    const Disjunction match = one_thread(path.target, true);
    successes.push_back(conjunction({&path.when, &match}, budget));
  }
  std::vector<const Disjunction*> terms;
  for (const Disjunction& success : successes) terms.push_back(&success);
  return disjunction(terms, budget);
}

Disjunction every_path_fails(const Paths& paths, WorkBudget& budget) {
  return first_paths_fail(paths, paths.size(), nullptr, budget);
}

Disjunction path_wins(const Paths& paths, std::size_t index, WorkBudget& budget) {
  return first_paths_fail(paths, index, &paths[index].when, budget);
}

const PathFinder::Body& PathFinder::body(std::size_t look, unsigned symbol) {
  const auto found = bodies_.find({look, symbol});
  if (found != bodies_.end()) return found->second;
  const Paths paths = find(look + 1, symbol);
  Body result = {some_path_succeeds(paths, budget_), every_path_fails(paths, budget_)};
  if (code_[look].negative) std::swap(result.succeeds, result.fails);
  return bodies_.emplace(std::pair(look, symbol), std::move(result)).first->second;
}

Path PathFinder::path(ThreadId target, const Conditions& conditions, unsigned symbol) {
  constexpr std::size_t kSize = 64;  // of a path on no condition, in units of the budget
  budget_.spend(kSize);
  std::vector<const Disjunction*> holds;
  std::vector<const Disjunction*> fails;
  for (const std::size_t look : conditions) {
    holds.push_back(&body(look, symbol).succeeds);
    fails.push_back(&body(look, symbol).fails);
  }
  return {target, conjunction(holds, budget_), disjunction(fails, budget_)};
}

Paths PathFinder::find(std::size_t from, unsigned symbol) {
  struct Visit {
    std::size_t at;
    Conditions conditions;
  };
  std::vector<bool> visited(code_.size(), false);  // on no condition
  std::vector<Visit> conditional;                  // the visits on conditions
  std::vector<Visit> stack = {{from, {}}};
  Paths paths;
  // A later visit on the same conditions or more could only repeat what the earlier, preferred one
  // tried.
  const auto seen = [&](const Visit& visit) {
    if (visited[visit.at]) return true;
    if (visit.conditions.empty()) {
      visited[visit.at] = true;
      return false;
    }
    budget_.spend(conditional.size());
    const bool repeated =
        std::any_of(conditional.begin(), conditional.end(), [&](const Visit& earlier) {
          return earlier.at == visit.at && std::includes(visit.conditions.begin(),
                                                         visit.conditions.end(),
                                                         earlier.conditions.begin(),
                                                         earlier.conditions.end());
        });
    if (!repeated) conditional.push_back(visit);
    return repeated;
  };
  while (!stack.empty()) {
    Visit visit = std::move(stack.back());
    stack.pop_back();
    if (seen(visit)) continue;
    budget_.spend(1 + visit.conditions.size());
    const Instruction& instruction = code_[visit.at];
    switch (instruction.operation) {
      case Instruction::Operation::kCharacter:
        if (!admits(instruction, symbol)) break;
        paths.push_back(path(static_cast<ThreadId>(visit.at + 1), visit.conditions, symbol));
        break;
      case Instruction::Operation::kAssert:
        if (admits(instruction, symbol)) stack.push_back({visit.at + 1, visit.conditions});
        break;
      case Instruction::Operation::kLook: {
        const Body& look = body(visit.at, symbol);
        if (look.succeeds.empty()) break;
        Conditions conditions = std::move(visit.conditions);
        if (!is_always(look.succeeds)) {
          conditions.insert(std::lower_bound(conditions.begin(), conditions.end(), visit.at),
                            visit.at);
        }
        stack.push_back({instruction.target, std::move(conditions)});
        break;
      }
      case Instruction::Operation::kSplit:
        stack.push_back({instruction.alternative, visit.conditions});
        stack.push_back({instruction.target, std::move(visit.conditions)});
        break;
      case Instruction::Operation::kJump:
        stack.push_back({instruction.target, std::move(visit.conditions)});
        break;
      case Instruction::Operation::kMatch:
        paths.push_back(path(kMatchThread, visit.conditions, symbol));
        if (visit.conditions.empty()) return paths;
        break;
    }
    // A contradictory condition, e.g. of a look-ahead and its negation.
    if (!paths.empty() && paths.back().when.empty()) paths.pop_back();
  }
  return paths;
}

}  // namespace nextbyte
