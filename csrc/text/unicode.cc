// Set algebra on sorted ranges, look-up of properties in the generated data, UTF-8 decoding.
#include "text/unicode.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace nextbyte {
namespace {

struct FoldPartner {
  char letter;
  char32_t partner;
};

#include "text/unicode_data.inc"

// Short and long names in the order of the generated data.
struct CategoryName {
  std::string_view short_name;
  std::string_view long_name;
};
constexpr CategoryName kCategories[] = {
    {"lu", "uppercaseletter"},    {"ll", "lowercaseletter"},  {"lt", "titlecaseletter"},
    {"lm", "modifierletter"},     {"lo", "otherletter"},      {"mn", "nonspacingmark"},
    {"mc", "spacingmark"},        {"me", "enclosingmark"},    {"nd", "decimalnumber"},
    {"nl", "letternumber"},       {"no", "othernumber"},      {"pc", "connectorpunctuation"},
    {"pd", "dashpunctuation"},    {"ps", "openpunctuation"},  {"pe", "closepunctuation"},
    {"pi", "initialpunctuation"}, {"pf", "finalpunctuation"}, {"po", "otherpunctuation"},
    {"sm", "mathsymbol"},         {"sc", "currencysymbol"},   {"sk", "modifiersymbol"},
    {"so", "othersymbol"},        {"zs", "spaceseparator"},   {"zl", "lineseparator"},
    {"zp", "paragraphseparator"}, {"cc", "control"},          {"cf", "format"},
    {"co", "privateuse"},         {"cn", "unassigned"},
};
constexpr CategoryName kMajorClasses[] = {
    {"l", "letter"},
    {"m", "mark"},
    {"n", "number"},
    {"p", "punctuation"},
    {"s", "symbol"},
    {"z", "separator"},
    {"c", "other"},
};
constexpr unsigned kCategoryBits = 5;
static_assert(std::size(kCategories) <= 1U << kCategoryBits);

// The union of the categories whose bit is set in `wanted`.
CodePointSet category_set(std::uint32_t wanted) {
  std::vector<CodePointRange> ranges;
  char32_t first = 0;
  for (const std::uint32_t run : kCategoryRuns) {
    const char32_t end = first + (run >> kCategoryBits);
    if ((wanted >> (run & ((1U << kCategoryBits) - 1)) & 1U) != 0)
      ranges.push_back({first, end - 1});
    first = end;
  }
  return CodePointSet(std::move(ranges));
}

std::string loose_name(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (c == ' ' || c == '_' || c == '-') continue;
    result.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  }
  return result;
}

}  // namespace

CodePointSet::CodePointSet(std::vector<CodePointRange> ranges) {
  std::vector<CodePointRange> pieces;
  pieces.reserve(ranges.size() + 1);
  for (CodePointRange range : ranges) {
    range.last = std::min(range.last, kLastScalar);
    if (range.first < kFirstSurrogate) {
      const char32_t last = std::min(range.last, static_cast<char32_t>(kFirstSurrogate - 1));
      if (range.first <= last) pieces.push_back({range.first, last});
    }
    if (range.last > kLastSurrogate) {
      const char32_t first = std::max(range.first, static_cast<char32_t>(kLastSurrogate + 1));
      if (first <= range.last) pieces.push_back({first, range.last});
    }
  }
  std::sort(pieces.begin(), pieces.end(), [](const CodePointRange& a, const CodePointRange& b) {
    return a.first < b.first;
  });
  for (const CodePointRange& piece : pieces) {
    if (!ranges_.empty() && piece.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, piece.last);
    } else {
      ranges_.push_back(piece);
    }
  }
}

bool CodePointSet::contains(char32_t value) const noexcept {
  const auto after = std::upper_bound(
      ranges_.begin(), ranges_.end(), value, [](char32_t wanted, const CodePointRange& range) {
        return wanted < range.first;
      });
  return after != ranges_.begin() && value <= std::prev(after)->last;
}

CodePointSet CodePointSet::complement() const {
  std::vector<CodePointRange> gaps;
  char32_t next = 0;
  for (const CodePointRange& range : ranges_) {
    if (range.first > next) gaps.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastScalar) gaps.push_back({next, kLastScalar});
  return CodePointSet(std::move(gaps));
}

CodePointSet CodePointSet::united(const CodePointSet& other) const {
  std::vector<CodePointRange> both = ranges_;
  both.insert(both.end(), other.ranges_.begin(), other.ranges_.end());
  return CodePointSet(std::move(both));
}

CodePointSet CodePointSet::intersected(const CodePointSet& other) const {
  return complement().united(other.complement()).complement();
}

std::optional<CodePointSet> property_set(std::string_view name) {
  const std::string wanted = loose_name(name);
  if (wanted == "whitespace") return white_space();
  for (std::size_t i = 0; i < std::size(kCategories); ++i) {
    if (wanted == kCategories[i].short_name || wanted == kCategories[i].long_name) {
      return category_set(1U << i);
    }
  }
  for (const CategoryName& major : kMajorClasses) {
    if (wanted != major.short_name && wanted != major.long_name) continue;
    std::uint32_t members = 0;
    for (std::size_t i = 0; i < std::size(kCategories); ++i) {
      if (kCategories[i].short_name.front() == major.short_name.front()) members |= 1U << i;
    }
    return category_set(members);
  }
  return std::nullopt;
}

CodePointSet white_space() {
  return CodePointSet(std::vector<CodePointRange>(std::begin(kWhiteSpace), std::end(kWhiteSpace)));
}

CodePointSet case_partners(char32_t ascii) {
  const bool upper = ascii >= U'A' && ascii <= U'Z';
  const bool lower = ascii >= U'a' && ascii <= U'z';
  if (!upper && !lower) return CodePointSet();
  const char32_t small = upper ? ascii + 32 : ascii;
  std::vector<CodePointRange> partners = {upper ? CodePointRange{small, small}
                                                : CodePointRange{ascii - 32, ascii - 32}};
  for (const FoldPartner& fold : kAsciiFoldPartners) {
    if (static_cast<char32_t>(fold.letter) == small)
      partners.push_back({fold.partner, fold.partner});
  }
  return CodePointSet(std::move(partners));
}

DecodedScalar decode_scalar(std::string_view text, std::size_t position) noexcept {
  constexpr DecodedScalar kInvalid{0, 0};
  const auto byte_at = [&](std::size_t offset) {
    return static_cast<unsigned>(static_cast<unsigned char>(text[position + offset]));
  };
  const unsigned lead = byte_at(0);
  if (lead < 0x80) return {lead, 1};
  const unsigned length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() - position < length) return kInvalid;
  char32_t value = lead & (0x7FU >> length);
  for (unsigned i = 1; i < length; ++i) {
    const unsigned byte = byte_at(i);
    if ((byte & 0xC0U) != 0x80U) return kInvalid;
    value = value << 6 | (byte & 0x3FU);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[length] || !is_scalar(value)) return kInvalid;
  return {value, length};
}

}  // namespace nextbyte
