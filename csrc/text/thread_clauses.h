// Boolean formulas over threads in disjunctive form, and the budget that bounds their growth.
#ifndef NEXTBYTE_TEXT_THREAD_CLAUSES_H_
#define NEXTBYTE_TEXT_THREAD_CLAUSES_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace nextbyte {

using ThreadId = std::uint16_t;
using ThreadSet = std::vector<ThreadId>;  // ascending, distinct

// Work left for the compilation of one pre-tokenizer. Every element that is written or merged costs
// one unit, so the budget bounds time and memory alike.
class WorkBudget {
 public:
  // Throws UnsupportedTokenizer when nothing is left.
  void spend(std::size_t units);

 private:
  static constexpr std::size_t kUnits = 30'000'000;  // at most about a second and 200 MB
  std::size_t left_ = kUnits;
};

// "All of `required` match what follows, none of `forbidden` does." Without threads: true.
struct Clause {
  ThreadSet required;
  ThreadSet forbidden;
  auto operator<=>(const Clause&) const = default;

  bool is_true() const noexcept { return required.empty() && forbidden.empty(); }
};

// Sorts and removes repetitions.
void normalize(ThreadSet& threads);
// Whether a thread is both required and forbidden: no text satisfies the clause.
bool is_contradictory(const Clause& clause);
// Whether `weaker` holds wherever `stronger` does because it asks for a subset of its threads.
bool follows(const Clause& stronger, const Clause& weaker);

// True iff one of the clauses is. None follows from another; ascending.
using Disjunction = std::vector<Clause>;

inline Disjunction never() { return {}; }
inline Disjunction always() { return {Clause()}; }
inline bool is_always(const Disjunction& formula) {
  return formula.size() == 1 && formula.front().is_true();
}

// The conjunction of all `factors`, multiplied out.
Disjunction conjunction(const std::vector<const Disjunction*>& factors, WorkBudget& budget);
// The disjunction of all `terms`.
Disjunction disjunction(const std::vector<const Disjunction*>& terms, WorkBudget& budget);
// The formula with every thread t replaced by name_of[t]; contradictory clauses are dropped.
Disjunction renamed(const Disjunction& formula,
                    const std::vector<ThreadId>& name_of,
                    WorkBudget& budget);

}  // namespace nextbyte

#endif  // NEXTBYTE_TEXT_THREAD_CLAUSES_H_
