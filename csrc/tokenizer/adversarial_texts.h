// Texts on which tokenizers differ from one another: for checks, the same ones in every run.
#ifndef NEXTBYTE_TOKENIZER_ADVERSARIAL_TEXTS_H_
#define NEXTBYTE_TOKENIZER_ADVERSARIAL_TEXTS_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

#include "tokenizer/tokenizer.h"

namespace nextbyte {

// An endless row of short texts, each valid UTF-8: blanks, newlines, digits, contractions, scripts,
// marks, emoji and code side by side, mixed with tokens of the vocabulary, whole and cut. The same
// tokenizer and seed give the same texts on every machine.
class AdversarialTexts {
 public:
  AdversarialTexts(const Tokenizer& tokenizer, std::uint64_t seed)
      : tokenizer_(&tokenizer), source_(seed) {}

  // At most kMaxBytes bytes.
  std::string next();
  // A number below `limit`, which must be positive. The standard's distributions differ between
  // libraries; a modulo does not, and its bias does not matter here.
  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(source_() % limit); }

  static constexpr std::size_t kMaxBytes = 48;

 private:
  void append_part(std::string& text);
  void append_character(std::string& text);

  const Tokenizer* tokenizer_;
  std::mt19937_64 source_;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TOKENIZER_ADVERSARIAL_TEXTS_H_
