// Sorts small numbers by counting them.
#ifndef NEXTBYTE_SUPPORT_COUNTING_SORT_H_
#define NEXTBYTE_SUPPORT_COUNTING_SORT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace nextbyte {

// Indices of `values`, stably sorted by value.
inline std::vector<std::uint32_t> counting_sort(const std::vector<std::uint32_t>& values) {
  std::uint32_t greatest = 0;
  for (const std::uint32_t value : values) greatest = std::max(greatest, value);
  std::vector<std::uint32_t> start(std::size_t{greatest} + 2, 0);
  for (const std::uint32_t value : values) ++start[value + 1];
  std::partial_sum(start.begin(), start.end(), start.begin());
  std::vector<std::uint32_t> order(values.size());
  for (std::uint32_t i = 0; i < values.size(); ++i) order[start[values[i]]++] = i;
  return order;
}

}  // namespace nextbyte

#endif  // NEXTBYTE_SUPPORT_COUNTING_SORT_H_
