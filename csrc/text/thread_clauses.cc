// Conjunction, disjunction and renaming of formulas over threads.
#include "text/thread_clauses.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "support/error.h"

namespace nextbyte {
namespace {

std::size_t size_of(const Clause& clause) {
  return clause.required.size() + clause.forbidden.size() + 1;
}

void append(const ThreadSet& from, ThreadSet& to) { to.insert(to.end(), from.begin(), from.end()); }

ThreadSet united(const ThreadSet& first, const ThreadSet& second) {
  ThreadSet result;
  result.reserve(first.size() + second.size());
  std::set_union(
      first.begin(), first.end(), second.begin(), second.end(), std::back_inserter(result));
  return result;
}

// Adds a normalized clause unless it is contradictory or follows from a weaker one that is there.
void add(Clause clause, Disjunction& formula, WorkBudget& budget) {
  budget.spend(size_of(clause));
  if (is_contradictory(clause)) return;
  for (const Clause& present : formula) {
    budget.spend(std::min(size_of(present), size_of(clause)));
    if (follows(clause, present)) return;
  }
  std::erase_if(formula, [&](const Clause& present) { return follows(present, clause); });
  formula.push_back(std::move(clause));
}

}  // namespace

void WorkBudget::spend(std::size_t units) {
  if (units > left_) {
    throw UnsupportedTokenizer(
        "the pattern is too large: its repeats, alternatives and look-aheads combine in too many "
        "ways");
  }
  left_ -= units;
}

void normalize(ThreadSet& threads) {
  std::sort(threads.begin(), threads.end());
  threads.erase(std::unique(threads.begin(), threads.end()), threads.end());
}

bool is_contradictory(const Clause& clause) {
  auto required = clause.required.begin();
  auto forbidden = clause.forbidden.begin();
  while (required != clause.required.end() && forbidden != clause.forbidden.end()) {
    if (*required == *forbidden) return true;
    *required < *forbidden ? ++required : ++forbidden;
  }
  return false;
}

bool follows(const Clause& stronger, const Clause& weaker) {
  return weaker.required.size() <= stronger.required.size() &&
         weaker.forbidden.size() <= stronger.forbidden.size() &&
         std::includes(stronger.required.begin(),
                       stronger.required.end(),
                       weaker.required.begin(),
                       weaker.required.end()) &&
         std::includes(stronger.forbidden.begin(),
                       stronger.forbidden.end(),
                       weaker.forbidden.begin(),
                       weaker.forbidden.end());
}

Disjunction conjunction(const std::vector<const Disjunction*>& factors, WorkBudget& budget) {
  // Formulas of one clause, by far the most, are joined first and at once.
  Clause common;
  std::vector<const Disjunction*> branching;
  for (const Disjunction* factor : factors) {
    if (factor->empty()) return never();
    if (factor->size() > 1) {
      branching.push_back(factor);
      continue;
    }
    budget.spend(size_of(factor->front()));
    append(factor->front().required, common.required);
    append(factor->front().forbidden, common.forbidden);
  }
  normalize(common.required);
  normalize(common.forbidden);
  if (is_contradictory(common)) return never();
  Disjunction result = {std::move(common)};
  for (const Disjunction* factor : branching) {
    Disjunction product;
    for (const Clause& clause : result) {
      for (const Clause& other : *factor) {
        add({united(clause.required, other.required), united(clause.forbidden, other.forbidden)},
            product,
            budget);
      }
    }
    result = std::move(product);
  }
  std::sort(result.begin(), result.end());
  return result;
}

Disjunction disjunction(const std::vector<const Disjunction*>& terms, WorkBudget& budget) {
  Disjunction result;
  for (const Disjunction* term : terms) {
    for (const Clause& clause : *term) add(clause, result, budget);
  }
  std::sort(result.begin(), result.end());
  return result;
}

Disjunction renamed(const Disjunction& formula,
                    const std::vector<ThreadId>& name_of,
                    WorkBudget& budget) {
  Disjunction result;
  for (Clause clause : formula) {
    for (ThreadSet* threads : {&clause.required, &clause.forbidden}) {
      for (ThreadId& thread : *threads) thread = name_of[thread];
      normalize(*threads);
    }
    add(std::move(clause), result, budget);
  }
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace nextbyte
