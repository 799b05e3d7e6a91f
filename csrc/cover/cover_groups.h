// Cover encodings grouped by context: what a person looks at where the full list is too long.
#ifndef NEXTBYTE_COVER_COVER_GROUPS_H_
#define NEXTBYTE_COVER_COVER_GROUPS_H_

#include <cstddef>
#include <vector>

#include "cover/cover_tracker.h"

namespace nextbyte {

// The covers that share all but their last token.
struct CoverGroup {
  std::vector<TokenId> tokens;       // of the context
  bool at_end;                       // the context ends where the bytes end: it is a cover itself
  bool may_end;                      // and the text can end there
  std::size_t count;                 // last tokens that reach past the end of the bytes
  std::vector<TokenId> last_tokens;  // the first few of them by id, ascending
};

// One group for each live context, with up to `examples` last tokens. O(vocabulary) each.
std::vector<CoverGroup> cover_groups(const CoverTracker& tracker, std::size_t examples);

}  // namespace nextbyte

#endif  // NEXTBYTE_COVER_COVER_GROUPS_H_
