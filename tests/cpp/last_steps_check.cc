// Checks what BpeMerges does with last steps that are none (bpe_merges_check has those that are).
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/error.h"
#include "vocabulary/bpe_merges.h"

namespace {

using nextbyte::BpeMerges;
using nextbyte::kNoToken;
using nextbyte::LastStep;

constexpr LastStep kBase{kNoToken, kNoToken, 0};
constexpr LastStep kNone{kNoToken, kNoToken, LastStep::kTakesNoPart};

const std::vector<std::string> kTokens{"a", "b", "ab", "", "aba"};

void require(bool condition, const std::string& what) {
  if (condition) return;
  std::printf("last_steps_check: %s\n", what.c_str());
  std::exit(1);
}

void require_refused(const std::string& fragment, const std::vector<LastStep>& steps) {
  std::string message = "(nothing was thrown)";
  try {
    BpeMerges::from_last_steps(kTokens, steps);
  } catch (const nextbyte::TokenizerFormat& error) {
    message = error.what();
  }
  require(message.find(fragment) != std::string::npos, fragment + " is not in: " + message);
}

}  // namespace

int main() {
  const BpeMerges good =
      BpeMerges::from_last_steps(kTokens, std::vector{kBase, kBase, {0, 1, 1}, kNone, {2, 0, 2}});
  require(good.is_canonical_alone(4) && !good.pair_ok(2, 0), "steps that are right");
  require_refused("5 tokens", {kBase, kBase});
  require_refused("token 2", {kBase, kBase, {0, 5, 1}, kNone, kNone});         // out of range
  require_refused("token 2", {kBase, kBase, {0, kNoToken, 1}, kNone, kNone});  // no right part
  require_refused("token 2", {kBase, kBase, {0, 4, 1}, kNone, kNone});         // too long
  require_refused("token 2", {kBase, kNone, {0, 1, 1}, kNone, kNone});  // a part that takes none
  require_refused("token 2", {kBase, kBase, {0, 2, 1}, kNone, kNone});  // a circle
  require_refused("token 3", {kBase, kBase, kNone, {0, 1, 1}, kNone});  // no bytes
  require_refused("token 3", {kBase, kBase, kNone, kBase, kNone});
  // The greatest moment is the number that stands for no step elsewhere.
  const BpeMerges greatest = BpeMerges::from_ranks(kTokens, {0, 1, 0xFFFFFFFDU, 0, 0xFFFFFFFDU});
  const BpeMerges again = BpeMerges::from_last_steps(kTokens, greatest.last_steps());
  require(again.is_canonical_alone(4) && !again.pair_ok(0, 1), "the greatest rank");
  std::printf("last_steps_check: ok\n");
}
