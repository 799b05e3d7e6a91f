// The posterior over the cover encodings of a stream's bytes: which tokens they end with.
#ifndef NEXTBYTE_MASS_COVER_POSTERIOR_H_
#define NEXTBYTE_MASS_COVER_POSTERIOR_H_

#include <cstdint>
#include <vector>

#include "mass/byte_stream.h"

namespace nextbyte {

// One entry for each cover of positive probability, in order of live context and rank. They can be
// as many as there are tokens, so a cover is a place in three arrays.
struct CoverPosterior {
  std::vector<ContextPointer> contexts;
  std::vector<std::uint32_t> owners;  // indices in `contexts`
  std::vector<TokenId> tokens;        // the last one; kNoToken where the context itself is a cover
  std::vector<double> log_weights;    // natural logs; the weights sum to one
};

// P(cover | bytes) = Q(cover) / A(bytes), docs/theory.md 2: the sum over all covers is A(bytes) by
// definition. Empty bytes have one cover, the empty sequence. No pending(false) may be left, nor
// rows have been dropped since. Throws UnreachableByte if the model gives the bytes no probability,
// InvalidInput if a row is missing or gives none to what may follow. Cost: one pass over the ranges
// of the live contexts.
CoverPosterior cover_posterior(const ByteStream& stream);

}  // namespace nextbyte

#endif  // NEXTBYTE_MASS_COVER_POSTERIOR_H_
