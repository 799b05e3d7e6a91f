// UTF-8 stepping of the pre-tokenizer automaton.
#include "tokenizer/byte_automaton.h"

namespace nextbyte {
namespace {

// Bytes in the UTF-8 sequence that starts with `lead`; 0 if no sequence does.
unsigned sequence_length(std::uint32_t lead) noexcept {
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) return 3;
  return lead < 0xF5 ? 4 : 0;
}

// May `byte` follow `lead`? Overlong forms, surrogates and what lies beyond U+10FFFF begin so.
bool is_second_byte(std::uint32_t lead, std::uint8_t byte) noexcept {
  return (byte & 0xC0) == 0x80 && !(lead == 0xE0 && byte < 0xA0) &&
         !(lead == 0xED && byte > 0x9F) && !(lead == 0xF0 && byte < 0x90) &&
         !(lead == 0xF4 && byte > 0x8F);
}

}  // namespace

std::uint64_t ByteAutomaton::possible_classes(const ByteAutomatonState& state) const noexcept {
  const CharacterClasses& classes = pretokenizer_->classes();
  const std::uint32_t bytes = state.pending;
  if (state.pending_length == 1) {
    const std::uint32_t lead = bytes;
    if (lead < 0xE0) return classes.classes_in_block64(lead & 0x1F);
    std::uint64_t mask = 0;
    if (lead == 0xE0) {  // E0 80..9F would be overlong
      for (std::uint32_t block = 0x20; block < 0x40; ++block)
        mask |= classes.classes_in_block64(block);
    } else if (lead < 0xF0) {
      mask = classes.classes_in_block4096(lead & 0x0F);
    } else {  // F0 80..8F would be overlong, F4 90..BF beyond U+10FFFF
      const std::uint32_t first = lead == 0xF0 ? 0x10 : (lead & 0x07) << 6;
      const std::uint32_t last = lead == 0xF4 ? 0x110 : ((lead & 0x07) + 1) << 6;
      for (std::uint32_t block = first; block < last; ++block) {
        mask |= classes.classes_in_block4096(block);
      }
    }
    return mask;
  }
  if (state.pending_length == 2) {
    const std::uint32_t lead = bytes >> 8;
    const std::uint32_t second = bytes & 0x3F;
    if (lead < 0xF0) return classes.classes_in_block64((lead & 0x0F) << 6 | second);
    return classes.classes_in_block4096((lead & 0x07) << 6 | second);
  }
  return classes.classes_in_block64((bytes >> 16 & 0x07) << 12 | (bytes >> 8 & 0x3F) << 6 |
                                    (bytes & 0x3F));
}

bool ByteAutomaton::may_stay_normal(const ByteAutomatonState& state) const noexcept {
  const std::uint32_t bytes = state.pending;
  const std::uint32_t second = bytes & 0x3F;
  switch (state.pending_length) {
    case 1:
      if (bytes >= 0xF0) return true;  // among so many characters some always does
      return bytes < 0xE0 ? normal_form_->survives_block64(state.normal, bytes & 0x1F)
                          : normal_form_->survives_block4096(state.normal, bytes & 0x0F);
    case 2:
      return bytes >> 8 < 0xF0
                 ? normal_form_->survives_block64(state.normal, (bytes >> 8 & 0x0F) << 6 | second)
                 : normal_form_->survives_block4096(state.normal,
                                                    (bytes >> 8 & 0x07) << 6 | second);
    default:
      return normal_form_->survives_block64(
          state.normal, (bytes >> 16 & 0x07) << 12 | (bytes >> 8 & 0x3F) << 6 | second);
  }
}

std::uint64_t ByteAutomaton::classes_ahead(std::uint16_t normal,
                                           std::string_view beginning) const noexcept {
  ByteAutomatonState state;
  state.normal = normal;
  for (const char c : beginning) {
    const auto byte = static_cast<std::uint8_t>(c);
    const bool fits = state.pending_length == 0   ? byte >= 0x80 && sequence_length(byte) != 0
                      : state.pending_length == 1 ? is_second_byte(state.pending, byte)
                                                  : (byte & 0xC0) == 0x80;
    if (!fits) return 0;
    state.pending = state.pending << 8 | byte;
    ++state.pending_length;
    const unsigned total = sequence_length(static_cast<std::uint8_t>(beginning.front()));
    if (state.pending_length == total) return 0;
  }
  if (normal_form_ != nullptr && !may_stay_normal(state)) return 0;
  return possible_classes(state);
}

bool ByteAutomaton::step_any(ByteAutomatonState& state, std::uint8_t byte) const noexcept {
  char32_t scalar = byte;
  if (state.piece != ByteTrie::kOff) state.piece = whole_pieces_->step(state.piece, byte);
  if (state.pending_length == 0) {
    if (byte >= 0x80) {
      if (sequence_length(byte) == 0) return false;
      state.pending = byte;
      state.pending_length = 1;
    }
  } else {
    if ((byte & 0xC0) != 0x80) return false;
    const unsigned total = sequence_length(state.pending >> (8 * (state.pending_length - 1)));
    if (state.pending_length == 1 && !is_second_byte(state.pending, byte)) return false;
    state.pending = state.pending << 8 | byte;
    ++state.pending_length;
    if (state.pending_length == total) {
      const std::uint32_t p = state.pending;
      scalar = total == 2   ? (p >> 8 & 0x1F) << 6 | (p & 0x3F)
               : total == 3 ? (p >> 16 & 0x0F) << 12 | (p >> 8 & 0x3F) << 6 | (p & 0x3F)
                            : (p >> 24 & 0x07) << 18 | (p >> 16 & 0x3F) << 12 |
                                  (p >> 8 & 0x3F) << 6 | (p & 0x3F);
      state.pending = 0;
      state.pending_length = 0;
    }
  }
  if (state.pending_length != 0) {
    // Whether one and the same character is of a live class and keeps the normal form is for
    // co-liveness to find out.
    if (normal_form_ != nullptr && !may_stay_normal(state)) return false;
    const std::uint64_t possible = possible_classes(state);
    unsigned open = 0;
    for (const unsigned flag : {kContinue, kBoundary}) {
      if ((state.flags & flag) != 0 &&
          (pretokenizer_->live_classes(state.subset, flag) & possible) != 0) {
        open |= flag;
      }
    }
    state.flags = static_cast<std::uint8_t>(open);
    return open != 0;
  }
  if (normal_form_ != nullptr) {
    state.normal = normal_form_->step(state.normal, scalar);
    if (state.normal == kDeadNormalForm) return false;
  }
  state.subset = pretokenizer_->step(state.subset, pretokenizer_->class_of(scalar), state.flags);
  state.flags = kContinue;
  return state.subset != kDeadSubset;
}

bool ByteAutomaton::run(ByteAutomatonState& state,
                        std::string_view bytes,
                        unsigned flags) const noexcept {
  enter(state, flags);
  for (const char c : bytes) {
    if (!step(state, static_cast<std::uint8_t>(c))) return false;
  }
  return true;
}

}  // namespace nextbyte
