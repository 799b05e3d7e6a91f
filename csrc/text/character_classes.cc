// Joint refinement by one sweep over all range ends, and the tables built from it.
#include "text/character_classes.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "support/error.h"

namespace nextbyte {
namespace {

// The membership of the code points from `first` on changes: set `set` begins or ends there.
struct Change {
  char32_t first;
  std::size_t set;
};

}  // namespace

CharacterClasses::CharacterClasses(const std::vector<CodePointSet>& sets) {
  // Surrogates get a set of their own, so that no interval below mixes them with scalar values.
  const std::size_t surrogate_set = sets.size();
  std::vector<Change> changes = {{kFirstSurrogate, surrogate_set},
                                 {kLastSurrogate + 1, surrogate_set}};
  for (std::size_t i = 0; i < sets.size(); ++i) {
    for (const CodePointRange& range : sets[i].ranges()) {
      changes.push_back({range.first, i});
      changes.push_back({range.last + 1, i});
    }
  }
  std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    return a.first < b.first;
  });

  std::map<std::vector<bool>, std::uint8_t> class_of_membership;
  std::vector<bool> membership(sets.size() + 1, false);
  std::vector<std::uint8_t> table(kCodePoints, 0);
  blocks64_.assign(kCodePoints >> 6, 0);
  blocks4096_.assign(kCodePoints >> 12, 0);
  char32_t first = 0;
  for (std::size_t next = 0; first <= kLastScalar;) {
    for (; next < changes.size() && changes[next].first == first; ++next) {
      membership[changes[next].set].flip();
    }
    const char32_t end = next < changes.size() ? changes[next].first : kLastScalar + 1;
    if (!membership[surrogate_set]) {
      const auto found = class_of_membership.emplace(
          membership, static_cast<std::uint8_t>(representatives_.size()));
      if (found.second) {
        if (representatives_.size() == kMaxClasses) {
          throw UnsupportedTokenizer("the patterns tell apart more than " +
                                     std::to_string(kMaxClasses) + " classes of characters");
        }
        representatives_.push_back(first);
      }
      const std::uint8_t cls = found.first->second;
      std::fill(table.begin() + first, table.begin() + end, cls);
      const std::uint64_t bit = std::uint64_t{1} << cls;
      for (char32_t block = first >> 6; block <= (end - 1) >> 6; ++block) blocks64_[block] |= bit;
      for (char32_t block = first >> 12; block <= (end - 1) >> 12; ++block) {
        blocks4096_[block] |= bit;
      }
    }
    first = end;
  }

  // Most pages are equal, mostly to the one before: keep the distinct ones.
  using Page = std::array<std::uint8_t, kPageSize>;
  std::map<Page, std::uint16_t> page_ids;
  for (std::size_t start = 0; start < kCodePoints; start += kPageSize) {
    const auto first_of_page = table.begin() + static_cast<std::ptrdiff_t>(start);
    Page page;
    std::copy_n(first_of_page, kPageSize, page.begin());
    if (start > 0 &&
        std::equal(page.begin(), page.end(), first_of_page - std::ptrdiff_t{kPageSize})) {
      page_of_.push_back(page_of_.back());
      continue;
    }
    const auto found = page_ids.emplace(page, static_cast<std::uint16_t>(page_ids.size()));
    if (found.second) pages_.insert(pages_.end(), page.begin(), page.end());
    page_of_.push_back(found.first->second);
  }
}

std::uint64_t CharacterClasses::mask_of(const CodePointSet& set) const {
  std::uint64_t mask = 0;
  for (std::size_t cls = 0; cls < representatives_.size(); ++cls) {
    if (set.contains(representatives_[cls])) mask |= std::uint64_t{1} << cls;
  }
  return mask;
}

}  // namespace nextbyte
