// Fuzz target: any strings as split patterns are compiled or refused, and split texts consistently.
//
// An input is parts between bytes FF: the last one is a text, those before it are the stages.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "require.h"
#include "support/error.h"
#include "text/pretokenizer.h"
#include "text/unicode.h"

namespace {

using nextbyte::Pretokenizer;
using Offsets = std::vector<std::size_t>;

constexpr std::size_t kLongestText = 40;
constexpr std::string_view kTexts[] = {"",
                                       "a",
                                       "I'll go 1234 times\r\n\n  there\xC2\xA0",
                                       "\xC3\xA9t\xC3\xA9 \xE4\xB8\xAD 5",
                                       "  \t\n"};

std::vector<std::string> parts_of(std::string_view input) {
  std::vector<std::string> parts(1);
  for (const char c : input) {
    if (c == '\xFF') {
      parts.emplace_back();
    } else {
      parts.back().push_back(c);
    }
  }
  return parts;
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const unsigned length = nextbyte::decode_scalar(text, at).length;
    if (length == 0) return false;
    at += length;
  }
  return true;
}

bool is_refused(const Pretokenizer& pretokenizer, std::string_view text) {
  try {
    pretokenizer.split(text);
  } catch (const nextbyte::InvalidInput&) {
    return true;
  }
  return false;
}

void check_text(const Pretokenizer& pretokenizer, std::string_view text) {
  require(is_refused(pretokenizer, text) == !is_utf8(text), "exactly what is not UTF-8 is refused");
  if (!is_utf8(text)) return;
  const Offsets starts = pretokenizer.split(text);
  require(starts.empty() == text.empty(), "a text has pieces unless it is empty");
  require(text.empty() || starts.front() == 0, "the first piece starts the text");
  require(std::is_sorted(starts.begin(), starts.end(), std::less_equal<>()), "pieces ascend");
  for (std::size_t end = 0; end < text.size();) {
    end += nextbyte::decode_scalar(text, end).length;
    const std::vector<Offsets> outcomes = pretokenizer.splits_of_prefix(text.substr(0, end));
    const Offsets own(starts.begin(), std::lower_bound(starts.begin(), starts.end(), end));
    require(std::count(outcomes.begin(), outcomes.end(), own) == 1,
            "what a text does to its prefix is one of the prefix's outcomes");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> stages =
      parts_of({reinterpret_cast<const char*>(data), size});  // bytes are bytes
  std::string text = std::move(stages.back());
  stages.pop_back();
  text.resize(std::min(text.size(), kLongestText));
  try {
    const Pretokenizer pretokenizer(stages);
    check_text(pretokenizer, text);
    for (const std::string_view other : kTexts) check_text(pretokenizer, other);
  } catch (const nextbyte::UnsupportedTokenizer&) {
    return 0;
  } catch (const nextbyte::InvalidInput&) {
    return 0;
  }
  return 0;
}
