// A law that some contexts' rows are missing from: what must be evaluated, and what is certified.
#ifndef NEXTBYTE_MASS_DEFERRAL_H_
#define NEXTBYTE_MASS_DEFERRAL_H_

#include <array>
#include <bitset>
#include <cstddef>
#include <memory>
#include <vector>

#include "cover/cover_tracker.h"

namespace nextbyte {

inline constexpr std::size_t kEndOfText = 256;
inline constexpr std::size_t kAlphabetSize = 257;
using ByteLogprobs = std::array<double, kAlphabetSize>;
using ContextPointer = std::shared_ptr<const Context>;

// An unevaluated context of known weight Q, and all that lives through it at the present prefix.
// By local renormalization q sums to one below it, so that is at most Q; exactly Q for a context
// that ends where the bytes end, which has all its tokens before it (docs/theory.md 12).
struct DeferredGroup {
  ContextPointer root;
  double weight = 0.0;                 // Q(root), on the scale of PartialLaw
  bool is_whole = false;               // the mass is exactly `weight`
  std::bitset<kAlphabetSize> symbols;  // that some text through it has next
};

// What is known of a law: L_b of the evaluated contexts with known weights, and the groups. On a
// common scale that cancels in everything below.
struct PartialLaw {
  std::array<double, kAlphabetSize> masses{};
  double known = 0.0;  // the sum of `masses`, up to rounding
  std::vector<DeferredGroup> groups;

  // Writes (L_b + sum over groups of Q u(b)) / (L + R) with u uniform over the group's symbols: a
  // possible byte is never given up. Returns R / (L + R) rounded up, a bound on the total
  // variation distance to the true law whatever u is; 0.0 without groups. All zero and NaN if
  // there is no mass at all.
  double write_logprobs(ByteLogprobs& logprobs) const;
  // Probabilities that the true law is between, symbol by symbol, rounded outwards.
  void write_bounds(double* lower, double* upper) const;
};

// The roots to evaluate next so that R <= tolerance (L + R) may hold: all groups but the lightest
// ones that it leaves room for. Empty iff it holds. `known` is L. Ask again with what their rows
// say: below an evaluated root there may be new groups.
std::vector<ContextPointer> roots_to_wake(std::vector<DeferredGroup> groups,
                                          double known,
                                          double tolerance);

// Throws InvalidInput unless 0 <= tolerance < 1.
double checked_tolerance(double tolerance);

}  // namespace nextbyte

#endif  // NEXTBYTE_MASS_DEFERRAL_H_
