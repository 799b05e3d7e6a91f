// The pre-tokenizer automaton over bytes: a subset of raw states plus the character in progress.
#ifndef NEXTBYTE_TOKENIZER_BYTE_AUTOMATON_H_
#define NEXTBYTE_TOKENIZER_BYTE_AUTOMATON_H_

#include <cstdint>
#include <string_view>

#include "tokenizer/pretokenizer.h"

namespace nextbyte {

// State (S, pi, M) (docs/theory.md 4):
// S = subset after the last whole character, pi = the 0..3 pending bytes of a character, M = the
// boundary flags still open for that character. Flags that no completion of pi can use are closed
// at once, so that equal futures have equal states.
struct ByteAutomatonState {
  SubsetId subset = kDeadSubset;
  std::uint8_t flags = kContinue;  // open flags of the character in progress (or of the next one)
  std::uint8_t pending_length = 0;
  std::uint32_t pending = 0;  // pending bytes, first byte most significant

  bool at_character_boundary() const noexcept { return pending_length == 0; }
  std::uint64_t key() const noexcept {
    return std::uint64_t{subset} << 40 | std::uint64_t{flags} << 36 |
           std::uint64_t{pending_length} << 32 | pending;
  }
  friend bool operator==(const ByteAutomatonState&, const ByteAutomatonState&) = default;
};

// Steps states by bytes. Overlong forms, surrogates and stray continuation bytes are dead at once.
class ByteAutomaton {
 public:
  explicit ByteAutomaton(const Pretokenizer& pretokenizer) : pretokenizer_(&pretokenizer) {}

  ByteAutomatonState initial() const noexcept {
    return {pretokenizer_->initial(), static_cast<std::uint8_t>(kBoundary), 0, 0};
  }
  // One byte; false when nothing survives (the state is then meaningless).
  bool step(ByteAutomatonState& state, std::uint8_t byte) const noexcept;
  // A whole token from `state`. At a character boundary its first character gets `flags`; inside a
  // character the state's own open flags go on. Inside a token no piece boundary is possible.
  bool run(ByteAutomatonState& state, std::string_view bytes, unsigned flags) const noexcept;
  bool accepts_end(const ByteAutomatonState& state) const noexcept {
    return state.at_character_boundary() && pretokenizer_->accepts_end(state.subset);
  }

 private:
  // The classes of the characters that the pending bytes can become; 0 if none can.
  std::uint64_t possible_classes(const ByteAutomatonState& state) const noexcept;

  const Pretokenizer* pretokenizer_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_BYTE_AUTOMATON_H_
