// Table of contents of the extension module nextbyte._core.
#include "bindings/bindings.h"

NB_MODULE(_core, m) {
  m.doc() = "Compiled core of nextbyte: tokenizer tables, cover tracker, byte masses.";
  nextbyte::register_errors(m);
  nextbyte::register_pretokenizer(m);
  nextbyte::register_tokenizer(m);
  nextbyte::register_byte_pairs(m);
  nextbyte::register_reading(m);
  nextbyte::register_byte_stream(m);
}
