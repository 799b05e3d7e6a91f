// Tabulates the paths of all threads, unites the threads that behave alike, and derives the
// formulas.
#include "text/pattern_program.h"

#include <algorithm>
#include <map>
#include <utility>

#include "support/error.h"
#include "text/pattern_code.h"
#include "text/pattern_paths.h"

namespace nextbyte {
namespace {

// Gives equal values equal numbers, counted from 0.
template <typename Value>
class Numbering {
 public:
  std::uint32_t number(const Value& value) {
    return numbers_.emplace(value, static_cast<std::uint32_t>(numbers_.size())).first->second;
  }
  std::size_t size() const noexcept { return numbers_.size(); }
  std::vector<const Value*> values() const {
    std::vector<const Value*> result(numbers_.size());
    for (const auto& [value, number] : numbers_) result[number] = &value;
    return result;
  }

 private:
  std::map<Value, std::uint32_t> numbers_;
};

// The paths of the threads that the start reaches. Threads are named by their instructions.
struct PathTable {
  std::vector<ThreadId> threads;        // the start first
  std::vector<std::uint32_t> paths_of;  // by index in `threads`, then symbol: an index of `paths`
  std::vector<Paths> paths;             // distinct
};

PathTable tabulate(const std::vector<Instruction>& code, unsigned num_symbols, WorkBudget& budget) {
  PathFinder finder(code, num_symbols - 1, budget);
  PathTable table;
  Numbering<Paths> numbering;
  std::vector<bool> found(code.size(), false);
  const auto reach = [&](ThreadId thread) {
    if (thread == kMatchThread || found[thread]) return;
    found[thread] = true;
    table.threads.push_back(thread);
  };
  reach(kStartThread);
  for (std::size_t i = 0; i < table.threads.size(); ++i) {
    for (unsigned symbol = 0; symbol < num_symbols; ++symbol) {
      const Paths paths = finder.find(table.threads[i], symbol);
      for (const Path& path : paths) {
        reach(path.target);
        for (const Disjunction* formula : {&path.when, &path.unless}) {
          for (const Clause& clause : *formula) {
            std::for_each(clause.required.begin(), clause.required.end(), reach);
            std::for_each(clause.forbidden.begin(), clause.forbidden.end(), reach);
          }
        }
      }
      table.paths_of.push_back(numbering.number(paths));
    }
  }
  for (const Paths* paths : numbering.values()) table.paths.push_back(*paths);
  return table;
}

// The paths with threads renamed. A path is dropped if an earlier one goes to the same thread on a
// weaker condition, and thus succeeds whenever it does.
Paths renamed(const Paths& paths, const std::vector<ThreadId>& name_of, WorkBudget& budget) {
  Paths result;
  for (const Path& path : paths) {
    const ThreadId target = path.target == kMatchThread ? kMatchThread : name_of[path.target];
    Path next = {
        target, renamed(path.when, name_of, budget), renamed(path.unless, name_of, budget)};
    const bool repeated = std::any_of(result.begin(), result.end(), [&](const Path& earlier) {
      return earlier.target == target &&
             std::all_of(next.when.begin(), next.when.end(), [&](const Clause& clause) {
               return std::any_of(earlier.when.begin(),
                                  earlier.when.end(),
                                  [&](const Clause& weaker) { return follows(clause, weaker); });
             });
    });
    budget.spend(1 + result.size());
    if (!repeated && !next.when.empty()) result.push_back(std::move(next));
  }
  return result;
}

// The coarsest partition of the threads in which equals have equal paths, by refinement from one
// block until the number of blocks stays. By thread; block 0 holds the start.
//
// Threads of one block match the same texts, by induction on the length of the text: after one
// symbol both have to satisfy the same formula over blocks, on a shorter text. So a clause that
// requires and forbids one block is false, and may be dropped.
std::vector<ThreadId> bisimulation(const PathTable& table,
                                   std::size_t num_instructions,
                                   unsigned num_symbols,
                                   WorkBudget& budget) {
  std::vector<ThreadId> block_of(num_instructions, 0);
  for (std::size_t blocks = 1;;) {
    Numbering<Paths> distinct;
    std::vector<std::uint32_t> number_of;
    for (const Paths& paths : table.paths) {
      number_of.push_back(distinct.number(renamed(paths, block_of, budget)));
    }
    Numbering<std::vector<std::uint32_t>> refined;
    std::vector<ThreadId> next(num_instructions, 0);
    for (std::size_t i = 0; i < table.threads.size(); ++i) {
      // The own block first, so that the new partition refines the old one.
      std::vector<std::uint32_t> signature = {block_of[table.threads[i]]};
      for (unsigned symbol = 0; symbol < num_symbols; ++symbol) {
        signature.push_back(number_of[table.paths_of[i * num_symbols + symbol]]);
      }
      budget.spend(signature.size());
      next[table.threads[i]] = static_cast<ThreadId>(refined.number(signature));
    }
    block_of = std::move(next);
    if (refined.size() == blocks) return block_of;
    blocks = refined.size();
  }
}

// `when` for a path to `target` that wins, where the target matches anyway.
Disjunction given_match(const Disjunction& when, ThreadId target, WorkBudget& budget) {
  std::vector<Disjunction> clauses;
  for (Clause clause : when) {
    if (std::binary_search(clause.forbidden.begin(), clause.forbidden.end(), target)) continue;
    std::erase(clause.required, target);
    clauses.push_back({std::move(clause)});
  }
  std::vector<const Disjunction*> terms;
  for (const Disjunction& clause : clauses) terms.push_back(&clause);
  return disjunction(terms, budget);
}

}  // namespace

PatternProgram::PatternProgram(const PatternNode& pattern,
                               const CharacterClasses& classes,
                               WorkBudget& budget)
    : num_classes_(classes.size()) {
  const std::vector<Instruction> code = compile_pattern(pattern, classes);
  const unsigned num_symbols = num_classes_ + 1;
  const PathTable table = tabulate(code, num_symbols, budget);
  const std::vector<ThreadId> block_of = bisimulation(table, code.size(), num_symbols, budget);

  Numbering<Paths> numbering;
  std::size_t num_blocks = 0;
  for (std::size_t i = 0; i < table.threads.size(); ++i) {
    if (block_of[table.threads[i]] != num_blocks) continue;  // not the first of its block
    ++num_blocks;
    for (unsigned symbol = 0; symbol < num_symbols; ++symbol) {
      const Paths& paths = table.paths[table.paths_of[i * num_symbols + symbol]];
      moves_of_.push_back(numbering.number(renamed(paths, block_of, budget)));
    }
  }
  for (const Paths* paths : numbering.values()) {
    Moves moves;
    for (std::size_t i = 0; i < paths->size(); ++i) {
      const ThreadId target = (*paths)[i].target;
      Disjunction when = given_match(path_wins(*paths, i, budget), target, budget);
      if (!when.empty()) moves.choices.push_back({target, std::move(when)});
    }
    moves.succeeds = some_path_succeeds(*paths, budget);
    moves.fails = every_path_fails(*paths, budget);
    moves_.push_back(std::move(moves));
  }
  for (unsigned symbol = 0; symbol <= end_symbol(); ++symbol) {
    for (const Choice& choice : choices(kStartThread, symbol)) {
      if (choice.target == kMatchThread) {
        throw UnsupportedTokenizer("the pattern can match the empty string");
      }
    }
  }
}

}  // namespace nextbyte
