// Arithmetic of laws with missing rows (docs/theory.md 12).
#include "mass/deferral.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "support/error.h"

namespace nextbyte {
namespace {

// Sums of some hundred terms, a log and an exp are right to this much; relative.
constexpr double kRounding = 0x1p-42;

}  // namespace

double PartialLaw::write_logprobs(ByteLogprobs& logprobs) const {
  logprobs = masses;
  double deferred = 0.0;
  for (const DeferredGroup& group : groups) {
    if (group.symbols.none()) continue;  // nothing can come of it
    deferred += group.weight;
    const double share = group.weight / static_cast<double>(group.symbols.count());
    for (std::size_t b = 0; b < kAlphabetSize; ++b) {
      if (group.symbols[b]) logprobs[b] += share;
    }
  }
  double total = 0.0;
  for (const double mass : logprobs) total += mass;
  for (double& mass : logprobs) mass = std::log(mass / total);
  return deferred / total * (1.0 + kRounding);
}

void PartialLaw::write_bounds(double* lower, double* upper) const {
  for (std::size_t b = 0; b < kAlphabetSize; ++b) {
    // (L_b + r_b) / (L + r) grows with a group's mass on b and falls with its mass elsewhere. What
    // a whole group cannot put on one side it must put on the other.
    double least_here = 0.0, least_elsewhere = 0.0, most_here = 0.0, most_elsewhere = 0.0;
    for (const DeferredGroup& group : groups) {
      const bool here = group.symbols[b];
      const bool elsewhere = group.symbols.count() > (here ? 1U : 0U);
      if (here) most_here += group.weight;
      if (elsewhere) most_elsewhere += group.weight;
      if (here && !elsewhere && group.is_whole) least_here += group.weight;
      if (elsewhere && !here && group.is_whole) least_elsewhere += group.weight;
    }
    const double least = masses[b] + least_here, most = masses[b] + most_here;
    lower[b] = least == 0.0 ? 0.0 : least / (known + least_here + most_elsewhere);
    upper[b] = most == 0.0 ? 0.0 : most / (known + most_here + least_elsewhere);
    lower[b] *= 1.0 - kRounding;
    upper[b] = std::min(1.0, upper[b] * (1.0 + kRounding));
  }
}

std::vector<ContextPointer> roots_to_wake(std::vector<DeferredGroup> groups,
                                          double known,
                                          double tolerance) {
  std::sort(groups.begin(), groups.end(), [](const DeferredGroup& a, const DeferredGroup& b) {
    return a.weight != b.weight ? a.weight < b.weight : a.root->id() < b.root->id();
  });
  // All of a whole group counts as known once it is evaluated, and in the total anyway.
  double total = known;
  for (const DeferredGroup& group : groups) total += group.is_whole ? group.weight : 0.0;
  double deferred = 0.0;
  std::size_t asleep = 0;
  for (; asleep < groups.size(); ++asleep) {
    const double weight = groups[asleep].weight;
    const double with = total + (groups[asleep].is_whole ? 0.0 : weight);
    if (!((deferred + weight) * (1.0 + 2 * kRounding) <= tolerance * with)) break;
    deferred += weight;
    total = with;
  }
  std::vector<ContextPointer> roots;
  for (std::size_t i = asleep; i < groups.size(); ++i) roots.push_back(std::move(groups[i].root));
  return roots;
}

double checked_tolerance(double tolerance) {
  if (tolerance >= 0.0 && tolerance < 1.0) return tolerance;
  throw InvalidInput("the tolerance must be at least 0 and below 1, got " +
                     std::to_string(tolerance) + ": it bounds a total variation distance");
}

}  // namespace nextbyte
