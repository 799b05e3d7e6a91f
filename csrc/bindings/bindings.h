// The registration functions of the extension module, one per topic.
#ifndef NEXTBYTE_BINDINGS_BINDINGS_H_
#define NEXTBYTE_BINDINGS_BINDINGS_H_

#include <nanobind/nanobind.h>

namespace nextbyte {

void register_errors(nanobind::module_& m);
void register_normal_form(nanobind::module_& m);
void register_pretokenizer(nanobind::module_& m);
void register_tokenizer(nanobind::module_& m);
void register_byte_pairs(nanobind::module_& m);
void register_reading(nanobind::module_& m);
void register_character_pairs(nanobind::module_& m);
void register_unigram(nanobind::module_& m);
void register_longest_match(nanobind::module_& m);
void register_witnesses(nanobind::module_& m);
void register_byte_stream(nanobind::module_& m);
void register_healing(nanobind::module_& m);
void register_live_tokens(nanobind::module_& m);
void register_mass_row(nanobind::module_& m);
void register_simd(nanobind::module_& m);
void register_figures(nanobind::module_& m);
void register_self_check(nanobind::module_& m);

}  // namespace nextbyte

#endif  // NEXTBYTE_BINDINGS_BINDINGS_H_
