// Fills the hash table of spellings, and probes it.
#include "vocabulary/spelling_index.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace nextbyte {
namespace {

std::uint64_t mixed(std::uint64_t hash) noexcept {
  return (hash ^ hash >> 32) * 0xD6E8FEB86659FD93U;
}

}  // namespace

SpellingIndex::SpellingIndex(std::vector<std::string_view> spellings, std::vector<TokenId> ids)
    : spellings_(std::move(spellings)),
      ids_(std::move(ids)),
      slots_(std::bit_ceil(2 * spellings_.size() + 2)),
      shift_(64 - std::countr_zero(slots_.size())) {
  std::size_t longest = 0;
  for (std::uint32_t entry = 0; entry < spellings_.size(); ++entry) {
    longest = std::max(longest, spellings_[entry].size());
    const std::uint64_t hash = mixed(hashed(spellings_[entry]).hash);
    std::size_t at = static_cast<std::size_t>(hash >> shift_);
    while (slots_[at].entry != kFree) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = {static_cast<std::uint32_t>(hash), entry};
  }
  powers_.assign(longest + 1, 1);
  for (std::size_t i = 1; i <= longest; ++i) powers_[i] = powers_[i - 1] * kBase;
}

template <typename IsEqual>
std::uint32_t SpellingIndex::entry_of(std::uint64_t hash, IsEqual is_equal) const noexcept {
  const std::uint64_t key = mixed(hash);
  const auto tag = static_cast<std::uint32_t>(key);
  for (std::size_t at = static_cast<std::size_t>(key >> shift_);;
       at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.entry == kFree || (slot.tag == tag && is_equal(spellings_[slot.entry]))) {
      return slot.entry;
    }
  }
}

TokenId SpellingIndex::find(const Hashed& spelling) const noexcept {
  const std::uint32_t entry =
      entry_of(spelling.hash, [&](std::string_view found) { return found == spelling.text; });
  return entry == kFree ? kNoToken : ids_[entry];
}

TokenId SpellingIndex::find(const Hashed& left,
                            const Hashed& right,
                            std::uint32_t& nearby) const noexcept {
  const auto is_both = [&](std::string_view found) {
    return found.size() == left.text.size() + right.text.size() && found.starts_with(left.text) &&
           found.ends_with(right.text);
  };
  for (const std::uint32_t guess : {nearby, nearby + 1}) {
    if (guess < spellings_.size() && is_both(spellings_[guess])) return ids_[nearby = guess];
  }
  if (right.text.size() >= powers_.size()) return kNoToken;
  const std::uint32_t entry =
      entry_of(left.hash * powers_[right.text.size()] + right.hash, is_both);
  return entry == kFree ? kNoToken : ids_[nearby = entry];
}

void SpellingIndex::prefetch(const Hashed& spelling) const noexcept {
  __builtin_prefetch(&slots_[static_cast<std::size_t>(mixed(spelling.hash) >> shift_)]);
}

}  // namespace nextbyte
