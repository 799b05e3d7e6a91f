// Rows of logits as Python passes them: any one-dimensional array of a floating type, in place.
#ifndef NEXTBYTE_BINDINGS_LOGIT_ROW_IN_H_
#define NEXTBYTE_BINDINGS_LOGIT_ROW_IN_H_

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "mass/mass_row.h"

namespace nextbyte {

using LogitArray =
    nanobind::ndarray<nanobind::ro, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;

// Throws InvalidInput for a type that is no float of 16, 32 or 64 bits.
Logits logits_in(const LogitArray& array, bool is_presorted);

}  // namespace nextbyte

#endif  // NEXTBYTE_BINDINGS_LOGIT_ROW_IN_H_
