// Builds the automata of the normal forms from the generated data.
#include "text/normal_form.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "support/error.h"
#include "text/unicode.h"

namespace nextbyte {
namespace {

struct NormalFormClass {
  std::uint8_t signature;
  std::uint8_t order;
  std::uint8_t breaker;
};
constexpr std::uint8_t kExcluded = 0xFF;

#include "text/normal_form_data.inc"

constexpr std::size_t kCodePoints = std::size_t{kLastScalar} + 1;
static_assert(std::size(kBreakerOrders) <= 64 && std::size(kNormalFormClasses) < kExcluded);
static_assert(kNormalFormClasses[0].signature == 0 && kNormalFormClasses[0].order == 0 &&
              kNormalFormClasses[0].breaker == 0 && kSignatures[0] == 0);

// The breakers still open behind a mark of this order. Behind the starter itself (0): all.
std::uint64_t open_breakers(std::uint64_t signature, unsigned order) {
  if (order == 0) return signature;
  for (std::size_t i = 0; i < std::size(kBreakerOrders); ++i) {
    if (kBreakerOrders[i] <= order) signature &= ~(std::uint64_t{1} << i);
  }
  return signature;
}

// The class of every code point in NFC.
std::vector<std::uint8_t> classes_in_nfc() {
  std::vector<std::uint8_t> result;
  result.reserve(kCodePoints);
  for (const std::uint32_t run : kNormalFormRuns) {
    result.insert(result.end(), run >> 8, static_cast<std::uint8_t>(run & 0xFFU));
  }
  return result;
}

}  // namespace

NormalFormAutomaton::NormalFormAutomaton(NormalForm form) : form_(form) {
  std::vector<std::uint8_t> class_of_code_point(kCodePoints, 0);
  if (form == NormalForm::kNone) {
    states_ = {{0, 0, 1}};
    classes_ = {{0, kNeutralNormalForm, 0, false}};
  } else {
    build_states();
    build_classes();
    class_of_code_point = classes_in_nfc();
    const auto excluded = static_cast<std::uint8_t>(classes_.size() - 1);
    std::replace(class_of_code_point.begin(), class_of_code_point.end(), kExcluded, excluded);
    if (form == NormalForm::kNfkc) {
      for (const CodePointRange& range : kCompatibilityCharacters) {
        std::fill(class_of_code_point.begin() + static_cast<std::ptrdiff_t>(range.first),
                  class_of_code_point.begin() + static_cast<std::ptrdiff_t>(range.last) + 1,
                  excluded);
      }
    }
  }
  build_pages(class_of_code_point);
  blocks64_ = block_ids(64);
  blocks4096_ = block_ids(4096);
}

const NormalFormAutomaton& NormalFormAutomaton::of(NormalForm form) {
  static const NormalFormAutomaton none(NormalForm::kNone);
  if (form == NormalForm::kNone) return none;
  static const NormalFormAutomaton nfc(NormalForm::kNfc);
  if (form == NormalForm::kNfc) return nfc;
  static const NormalFormAutomaton nfkc(NormalForm::kNfkc);
  return nfkc;
}

void NormalFormAutomaton::build_states() {
  static_assert(kOrders < 1U << kOrderBits);
  std::map<std::pair<std::uint64_t, unsigned>, std::uint16_t> known;
  state_of_.assign(std::size(kSignatures) << kOrderBits, kDeadNormalForm);
  for (std::size_t signature = 0; signature < std::size(kSignatures); ++signature) {
    for (unsigned order = 0; order <= kOrders; ++order) {
      // A starter and a mark of the lowest order both let every mark follow.
      const unsigned least = std::max(order, 1U);
      const std::uint64_t breakers = open_breakers(kSignatures[signature], order);
      const auto next = static_cast<std::uint16_t>(states_.size());
      const auto [at, is_new] = known.try_emplace({breakers, least}, next);
      if (is_new) {
        states_.push_back(
            {breakers, static_cast<std::uint16_t>(signature), static_cast<std::uint8_t>(least)});
      }
      state_of_[signature << kOrderBits | order] = at->second;
    }
  }
}

void NormalFormAutomaton::build_classes() {
  for (const NormalFormClass& data : kNormalFormClasses) {
    const std::size_t after = static_cast<std::size_t>(data.signature) << kOrderBits;
    const std::uint64_t breaker = data.breaker == 0 ? 0 : std::uint64_t{1} << (data.breaker - 1);
    classes_.push_back(
        {breaker, state_of_[after], data.order, data.breaker != 0 || data.order != 0});
  }
  classes_.push_back({0, kDeadNormalForm, 0, false});
}

void NormalFormAutomaton::build_pages(const std::vector<std::uint8_t>& class_of_code_point) {
  constexpr std::size_t kPageSize = std::size_t{1} << kPageBits;
  std::map<std::string, std::uint16_t> known;
  for (std::size_t first = 0; first < kCodePoints; first += kPageSize) {
    const auto from = class_of_code_point.begin() + static_cast<std::ptrdiff_t>(first);
    const std::string page(from, from + kPageSize);
    const auto number = static_cast<std::uint16_t>(known.size());
    const auto [at, is_new] = known.try_emplace(page, number);
    if (is_new) pages_.insert(pages_.end(), page.begin(), page.end());
    page_of_.push_back(at->second);
  }
}

std::vector<std::uint16_t> NormalFormAutomaton::block_ids(std::size_t block_size) {
  std::vector<std::uint16_t> result;
  for (std::size_t first = 0; first < kCodePoints; first += block_size) {
    bool always = false;
    BlockClasses sensitive;
    for (std::size_t point = first; point < first + block_size && !always; ++point) {
      const auto scalar = static_cast<char32_t>(point);
      if (!is_scalar(scalar) || is_excluded(scalar)) continue;
      always = !is_sensitive(scalar);
      const std::uint8_t cls = class_of(scalar);
      if (std::find(sensitive.begin(), sensitive.end(), cls) == sensitive.end()) {
        sensitive.push_back(cls);
      }
    }
    if (always) {
      result.push_back(kAlwaysSurvives);
      continue;
    }
    const auto at = std::find(blocks_.begin(), blocks_.end(), sensitive);
    result.push_back(static_cast<std::uint16_t>(at - blocks_.begin()));
    if (at == blocks_.end()) blocks_.push_back(std::move(sensitive));
  }
  return result;
}

bool NormalFormAutomaton::survives(std::uint16_t state, std::uint16_t block_id) const noexcept {
  if (state == kDeadNormalForm) return false;
  if (block_id == kAlwaysSurvives) return true;
  const BlockClasses& candidates = blocks_[block_id];
  return std::any_of(candidates.begin(), candidates.end(), [&](std::uint8_t cls) {
    return step_class(state, cls) != kDeadNormalForm;
  });
}

std::size_t NormalFormAutomaton::alive_length(std::string_view text) const {
  std::uint16_t state = kNeutralNormalForm;
  for (std::size_t position = 0; position < text.size();) {
    const DecodedScalar character = decode_scalar(text, position);
    if (character.length == 0) {
      throw InvalidInput("the text is not valid UTF-8 at byte " + std::to_string(position) +
                         "; pass the UTF-8 of a str");
    }
    state = step(state, character.value);
    if (state == kDeadNormalForm) return position;
    position += character.length;
  }
  return text.size();
}

}  // namespace nextbyte
