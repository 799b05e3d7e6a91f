// Table of contents of the extension module nextbyte._core.
#include "bindings/bindings.h"

NB_MODULE(_core, m) {
  m.doc() = "Compiled core of nextbyte: tokenizer tables, cover tracker, byte masses.";
  nextbyte::register_errors(m);
  nextbyte::register_normal_form(m);
  nextbyte::register_pretokenizer(m);
  nextbyte::register_tokenizer(m);
  nextbyte::register_byte_pairs(m);
  nextbyte::register_reading(m);
  nextbyte::register_character_pairs(m);
  nextbyte::register_unigram(m);
  nextbyte::register_longest_match(m);
  nextbyte::register_witnesses(m);
  nextbyte::register_byte_stream(m);
  nextbyte::register_healing(m);
  nextbyte::register_live_tokens(m);
  nextbyte::register_mass_row(m);
  nextbyte::register_simd(m);
  nextbyte::register_figures(m);
  nextbyte::register_self_check(m);
}
