// Checks a compiled tokenizer against its own encoder: what every load runs before it says "exact".
#ifndef NEXTBYTE_COVER_SELF_CHECK_H_
#define NEXTBYTE_COVER_SELF_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "tokenizer/tokenizer.h"

namespace nextbyte {

// How much is looked at. The defaults are for every load.
struct SelfCheckAmounts {
  std::size_t tokens = 800;  // alone; all of them if the vocabulary is not larger
  std::size_t strings = 80;  // adversarial texts
  std::size_t pairs = 800;   // of tokens
  std::uint64_t seed = 1;    // same seed, same check
  bool with_masks = false;   // also the masks and the cover tracker, which makes many masks
};

struct SelfCheckReport {
  std::size_t tokens = 0;  // looked at
  std::size_t strings = 0;
  std::size_t pairs = 0;
  std::size_t differences = 0;
  std::string first_difference;  // in words; empty if there is none
};

// The engine's answers, context by context, against encode(), which shares nothing with them but
// the pre-tokenizer (docs/adr/0019):
// - each token alone, and pairs of tokens: the engine takes the sequence for the encoding of a text
//   iff encode() of its bytes gives it;
// - adversarial texts: of all ways to spell the text with tokens, the engine takes encode()'s for
//   complete and no other; none if the text is outside the domain (a byte without a token, a text
//   that is not its own normal form).
// `with_masks` asks the masks as well as the single steps, and that the cover tracker ends with the
// same one context. Costs a few microseconds each; with masks, milliseconds. A WitnessFamily is not
// checked: its report is all zeros.
SelfCheckReport self_check(const std::shared_ptr<const Tokenizer>& tokenizer,
                           const SelfCheckAmounts& amounts = {});

}  // namespace nextbyte

#endif  // NEXTBYTE_COVER_SELF_CHECK_H_
