// The pre-tokenizer automaton over bytes: a subset of raw states plus the character in progress.
#ifndef NEXTBYTE_TOKENIZER_BYTE_AUTOMATON_H_
#define NEXTBYTE_TOKENIZER_BYTE_AUTOMATON_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/normal_form.h"
#include "text/pretokenizer.h"
#include "vocabulary/byte_trie.h"

namespace nextbyte {

// State (S, pi, M, w, f) (docs/theory.md 4):
// S = subset after the last whole character, pi = the 0..3 pending bytes of a character, M = the
// boundary flags still open for that character. Flags that no completion of pi can use are closed
// at once, so that equal futures have equal states. w = the bytes of the current piece as a node of
// the trie of whole pieces (section 7), off the trie nearly always. f = the state of the normal
// form that texts are in.
struct ByteAutomatonState {
  SubsetId subset = kDeadSubset;
  std::uint8_t flags = kContinue;  // open flags of the character in progress (or of the next one)
  std::uint8_t pending_length = 0;
  std::uint32_t pending = 0;  // pending bytes, first byte most significant
  ByteTrie::Node piece = ByteTrie::kOff;
  std::uint16_t normal = kNeutralNormalForm;  // of the whole characters

  bool at_character_boundary() const noexcept { return pending_length == 0; }
  friend bool operator==(const ByteAutomatonState&, const ByteAutomatonState&) = default;
};

struct ByteAutomatonStateHash {
  std::size_t operator()(const ByteAutomatonState& state) const noexcept {
    const std::uint64_t text = std::uint64_t{state.subset} << 40 |
                               std::uint64_t{state.flags} << 36 |
                               std::uint64_t{state.pending_length} << 32 | state.pending;
    const std::uint64_t mixed =
        (text ^ std::uint64_t{state.piece} << 17 ^ std::uint64_t{state.normal} << 50) *
        0x9E3779B97F4A7C15u;
    return static_cast<std::size_t>(mixed ^ mixed >> 29);
  }
};

// Steps states by bytes. Overlong forms, surrogates and stray continuation bytes are dead at once.
class ByteAutomaton {
 public:
  // `whole_pieces`: pieces that must not end where they are spelled out by several tokens; may be
  // empty. `normal_form`: texts that are not in this form are dead.
  ByteAutomaton(const Pretokenizer& pretokenizer,
                const ByteTrie& whole_pieces,
                NormalForm normal_form)
      : pretokenizer_(&pretokenizer),
        whole_pieces_(whole_pieces.empty() ? nullptr : &whole_pieces),
        normal_form_(normal_form == NormalForm::kNone ? nullptr
                                                      : &NormalFormAutomaton::of(normal_form)) {}

  ByteAutomatonState initial() const noexcept {
    return {pretokenizer_->initial(), static_cast<std::uint8_t>(kBoundary), 0, 0};
  }
  // One byte; false when nothing survives (the state is then meaningless).
  bool step(ByteAutomatonState& state, std::uint8_t byte) const noexcept {
    // Where nothing but the pre-tokenizer asks about a character of one byte, it is one look-up.
    if (byte >= 0x80 || state.pending_length != 0 || state.piece != ByteTrie::kOff ||
        normal_form_ != nullptr) {
      return step_any(state, byte);
    }
    state.subset = pretokenizer_->step(state.subset, pretokenizer_->class_of(byte), state.flags);
    state.flags = kContinue;
    return state.subset != kDeadSubset;
  }
  // Makes ready for a token. At a character boundary its first character gets `flags`; inside a
  // character the state's own open flags go on. With both flags at once the bytes of the piece are
  // not followed: for callers who know that neither of the two pieces is on the trie.
  void enter(ByteAutomatonState& state, unsigned flags) const noexcept {
    if (!state.at_character_boundary()) return;
    state.flags = static_cast<std::uint8_t>(flags);
    if (whole_pieces_ == nullptr || flags == kContinue) return;
    state.piece = flags == kBoundary ? ByteTrie::kRoot : ByteTrie::kOff;
  }
  // A whole token: enter(), then all its bytes. Inside a token no piece boundary is possible.
  bool run(ByteAutomatonState& state, std::string_view bytes, unsigned flags) const noexcept;
  // Does what comes of a token with these bytes depend on the characters before it, beyond the
  // pre-tokenizer's state?
  bool is_sensitive(std::string_view bytes) const noexcept {
    if (normal_form_ == nullptr) return false;
    const DecodedScalar first = decode_scalar(bytes, 0);
    return first.length == 0 || normal_form_->is_sensitive(first.value);
  }
  // Steps the state of the normal form by a character; false if the text is not in the form.
  bool stays_normal(std::uint16_t& normal, char32_t scalar) const noexcept {
    if (normal_form_ == nullptr) return true;
    normal = normal_form_->step(normal, scalar);
    return normal != kDeadNormalForm;
  }
  // The classes of the characters that begin with these bytes and have more; 0 if there are none,
  // or none of them stays in the normal form behind `normal`.
  std::uint64_t classes_ahead(std::uint16_t normal, std::string_view beginning) const noexcept;
  // The number of leading bytes of a text (valid UTF-8) up to which it is normalized.
  std::size_t normalized_length(std::string_view text) const {
    return normal_form_ == nullptr ? text.size() : normal_form_->alive_length(text);
  }
  // May a piece end here?
  bool may_split(const ByteAutomatonState& state) const noexcept {
    return state.piece == ByteTrie::kOff || !whole_pieces_->is_terminal(state.piece);
  }
  bool accepts_end(const ByteAutomatonState& state) const noexcept {
    return state.at_character_boundary() && pretokenizer_->accepts_end(state.subset) &&
           may_split(state);
  }

 private:
  bool step_any(ByteAutomatonState& state, std::uint8_t byte) const noexcept;
  // The classes of the characters that the pending bytes can become; 0 if none can.
  std::uint64_t possible_classes(const ByteAutomatonState& state) const noexcept;
  // Can the pending bytes become a character that keeps the text in its normal form?
  bool may_stay_normal(const ByteAutomatonState& state) const noexcept;

  const Pretokenizer* pretokenizer_;
  const ByteTrie* whole_pieces_;            // nullptr: there are none
  const NormalFormAutomaton* normal_form_;  // nullptr: every text is in it
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_BYTE_AUTOMATON_H_
