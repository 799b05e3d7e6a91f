// Automata over characters that tell, online, whether a text is its own normal form (NFC, NFKC).
//
// A tokenizer that normalizes sees normalized texts only, so the law of its bytes lives on the
// texts w with NF(w) == w. Normalizing decomposes, sorts each run of marks by combining class, and
// then composes a mark (or a starter right behind) with the starter before it unless something
// between them has the same or a higher class. Hence NF(w) == w iff
//   (a) every character stands: NF(c) == c;
//   (b) combining classes other than 0 do not decrease from one character to the next;
//   (c) no character C breaks the starter L before it: none with NF(L C) != L C and only marks of
//       classes below that of C in between (if C is a starter: nothing at all in between).
// About (c): L C need not compose into one character. NF(U+00E2 U+0323) = U+1EAD, because U+00E2
// comes apart first; the marks in between cannot hinder C there either, as their classes are below
// that of C. Each condition is broken by one character and its past, so the property is closed
// under prefixes, and a state needs only the breakers that are still open and the last class:
// step() is exact, and the states are the least there can be.
//
// "NF" is what the `tokenizers` engine computes, with its tables of Unicode 9.0: to it, a character
// encoded later stands and composes with nothing (scripts/make_normal_form_data.py). What a newer
// Unicode leaves as it is, the engine leaves as it is, too, but not conversely.
#ifndef NEXTBYTE_TEXT_NORMAL_FORM_H_
#define NEXTBYTE_TEXT_NORMAL_FORM_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace nextbyte {

enum class NormalForm : std::uint8_t { kNone, kNfc, kNfkc };

inline constexpr std::uint16_t kDeadNormalForm = 0xFFFF;
// At the start of a text and behind a starter that composes with nothing.
inline constexpr std::uint16_t kNeutralNormalForm = 0;

// Immutable. A text may end in every state but kDeadNormalForm.
class NormalFormAutomaton {
 public:
  explicit NormalFormAutomaton(NormalForm form);
  // The one automaton of a form, built at the first call.
  static const NormalFormAutomaton& of(NormalForm form);

  NormalForm form() const noexcept { return form_; }
  std::size_t num_states() const noexcept { return states_.size(); }

  // `scalar` must be a scalar value, `state` kDeadNormalForm or a state that step() returned or 0.
  std::uint16_t step(std::uint16_t state, char32_t scalar) const noexcept {
    return step_class(state, class_of(scalar));
  }

  // Characters of one class step alike in every state. Class 0: to kNeutralNormalForm, always.
  unsigned num_classes() const noexcept { return static_cast<unsigned>(classes_.size()); }
  std::uint8_t class_of(char32_t scalar) const noexcept {
    return pages_[static_cast<std::size_t>(page_of_[scalar >> kPageBits]) << kPageBits |
                  (scalar & ((char32_t{1} << kPageBits) - 1))];
  }
  std::uint16_t step_class(std::uint16_t state, std::uint8_t cls) const noexcept;

  // Whether step() depends on the state before (dead or alive, or the state after): combining marks
  // and what composes with a character before it. Never a character outside those.
  bool is_sensitive(char32_t scalar) const noexcept { return classes_[class_of(scalar)].sensitive; }
  // Whether the character stands in no text: step() gives kDeadNormalForm from every state.
  bool is_excluded(char32_t scalar) const noexcept {
    return !is_sensitive(scalar) && step(0, scalar) == kDeadNormalForm;
  }

  // Whether some scalar value of the block keeps the text alive. A block is what a UTF-8 sequence
  // without its last byte can become: code points 64 * block .. 64 * block + 63, block < 17,408.
  bool survives_block64(std::uint16_t state, std::uint32_t block) const noexcept {
    return survives(state, blocks64_[block]);
  }
  // Likewise for 4,096 code points, where two bytes are missing; block < 272. Where three are
  // missing some character always does. No surrogate survives.
  bool survives_block4096(std::uint16_t state, std::uint32_t block) const noexcept {
    return survives(state, blocks4096_[block]);
  }

  // The number of leading bytes up to which the text is its own normal form, whole characters only.
  // Throws InvalidInput if those bytes are followed by what is not UTF-8.
  std::size_t alive_length(std::string_view text) const;

 private:
  static constexpr unsigned kPageBits = 8;
  static constexpr unsigned kOrderBits = 6;

  struct State {
    std::uint64_t breakers;   // the open ones
    std::uint16_t signature;  // of a starter whose breakers include these
    std::uint8_t order;       // marks of a lower order are dead
  };
  struct Class {
    std::uint64_t breaker;      // its bit, or 0
    std::uint16_t after_start;  // the state after it if order is 0; kDeadNormalForm if excluded
    std::uint8_t order;         // 0 for starters and excluded characters
    bool sensitive;
  };
  // Of a block without a character that every state survives: the sensitive classes.
  using BlockClasses = std::vector<std::uint8_t>;
  static constexpr std::uint16_t kAlwaysSurvives = 0xFFFF;

  void build_states();
  void build_classes();
  void build_pages(const std::vector<std::uint8_t>& class_of_code_point);
  // An index into blocks_, or kAlwaysSurvives, for each block of this many code points.
  std::vector<std::uint16_t> block_ids(std::size_t block_size);
  bool survives(std::uint16_t state, std::uint16_t block_id) const noexcept;

  NormalForm form_;
  std::vector<State> states_;
  std::vector<std::uint16_t> state_of_;  // by signature and order
  std::vector<Class> classes_;
  std::vector<std::uint16_t> page_of_;
  std::vector<std::uint8_t> pages_;
  std::vector<std::uint16_t> blocks64_;
  std::vector<std::uint16_t> blocks4096_;
  std::vector<BlockClasses> blocks_;
};

inline std::uint16_t NormalFormAutomaton::step_class(std::uint16_t state,
                                                     std::uint8_t cls) const noexcept {
  if (state == kDeadNormalForm) return kDeadNormalForm;
  const Class& character = classes_[cls];
  if (!character.sensitive) return character.after_start;
  const State& before = states_[state];
  if ((before.breakers & character.breaker) != 0) return kDeadNormalForm;
  if (character.order == 0) return character.after_start;
  if (character.order < before.order) return kDeadNormalForm;
  return state_of_[static_cast<std::size_t>(before.signature) << kOrderBits | character.order];
}

}  // namespace nextbyte

#endif  // NEXTBYTE_TEXT_NORMAL_FORM_H_
