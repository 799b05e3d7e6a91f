// Builds BpeMerges again from the last steps that an earlier construction found.
#include <algorithm>
#include <string>

#include "support/counting_sort.h"
#include "support/error.h"
#include "vocabulary/bpe_merges.h"

namespace nextbyte {
namespace {

// How many tokens ahead of their use data are fetched, as in bpe_construction.cc.
constexpr std::size_t kAhead = 12;

[[noreturn]] void reject(TokenId token) {
  throw TokenizerFormat("the last step of token " + std::to_string(token) + " is none");
}

}  // namespace

BpeMerges BpeMerges::from_last_steps(const std::vector<std::string>& tokens,
                                     std::span<const LastStep> steps) {
  if (steps.size() != tokens.size()) {
    throw TokenizerFormat("there are " + std::to_string(tokens.size()) + " tokens but " +
                          std::to_string(steps.size()) + " last steps");
  }
  std::vector<std::uint32_t> lengths(tokens.size(), 0);
  std::size_t canonical_alone = 0;
  for (TokenId t = 0; t < tokens.size(); ++t) {
    const LastStep& step = steps[t];
    if (!step.is_step() && !step.is_base_symbol()) continue;
    if (tokens[t].empty() ||
        (step.is_step() && (step.left >= tokens.size() || step.right >= tokens.size()))) {
      reject(t);
    }
    lengths[t] = static_cast<std::uint32_t>(tokens[t].size());
    ++canonical_alone;
  }
  BpeMerges built(tokens.size(), canonical_alone);
  const std::vector<TokenId> by_length = counting_sort(lengths);
  const std::size_t begin = tokens.size() - canonical_alone;
  for (std::size_t at = begin; at < by_length.size(); ++at) {
    if (at + 2 * kAhead < by_length.size()) {
      __builtin_prefetch(&steps[by_length[at + 2 * kAhead]]);
      const TokenId ahead = by_length[at + kAhead];
      if (steps[ahead].is_step()) built.prefetch({steps[ahead].left, steps[ahead].right, ahead});
    }
    const TokenId t = by_length[at];
    const auto [left, right, moment] = steps[t];
    if (!steps[t].is_step()) {
      built.add_base_symbol(tokens[t], t);
      continue;
    }
    // Parts are shorter than the whole, hence known by now.
    if (std::uint64_t{lengths[left]} + lengths[right] != lengths[t] ||
        !built.is_canonical_alone(left) || !built.is_canonical_alone(right)) {
      reject(t);
    }
    built.add_last_step({left, right, t}, moment);
  }
  for (TokenId t = 0; t < tokens.size(); ++t) {
    built.takes_part_[t] = steps[t].at != LastStep::kTakesNoPart;
  }
  built.finish();
  return built;
}

std::vector<LastStep> BpeMerges::last_steps() const {
  std::vector<LastStep> steps(num_tokens(), {kNoToken, kNoToken, LastStep::kTakesNoPart});
  for (TokenId t = 0; t < num_tokens(); ++t) {
    if (!takes_part_[t]) continue;
    if (!is_canonical_alone(t)) {
      steps[t].at = LastStep::kNotCanonicalAlone;
    } else if (left_[t].part == kNoToken) {
      steps[t].at = 0;
    } else {
      // One of the barriers is the rank, the other one the greatest of all.
      steps[t] = {left_[t].part, right_[t].part, std::min(left_[t].barrier, right_[t].barrier)};
    }
  }
  return steps;
}

}  // namespace nextbyte
