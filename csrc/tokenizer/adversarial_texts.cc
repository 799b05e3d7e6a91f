// Draws the parts of adversarial texts.
#include "tokenizer/adversarial_texts.h"

#include <iterator>
#include <string_view>
#include <utility>

#include "text/unicode.h"

namespace nextbyte {
namespace {

// clang-format off
// What the pre-tokenizers, normalizers and fallbacks in use treat unlike its neighbours.
constexpr std::string_view kFragments[] = {
    "the", " the", "ing", "Hello", " World", "camelCase", "XMLHttpRequest", "snake_case", "I",
    "'s", "'S", "'ll", "'LL", "'re", "'t", "don't", "'\u017f", "rock'n'roll", "\u2019s", "''", "'",
    "1", "12", "1234567", " 42", "3.14", "0x1F", "10e-9", "\u0663\u0664", "\u00bd", "\uff11",
    ".", "...", " !", "//", "\n//", "/**/", "();", " {", "}\n", "<|", "|>", "_", " -", "=\"", "#",
    "<s>", "</s>", "[INST]", "<|endoftext|>", "<unk>", "\u2581", "\u2581the", "<0x0A>",
    "if (a) {\n\t}", "def f(x):\n    return x", " += 1;\r\n", "://",
    "\u4e2d\u6587", "\u65e5\u672c\u8a9e", "\u306e", "\u30ab\u30bf", "\ud55c\uad6d", "\uff0c",
    "\u3002", "\u9fa5", "\u3007", "\U0002000b", "\uac00\u11a8", "\u1100\u1161",
    "\u0627\u0644", "\u05e9\u05b8", "\u0928\u092e\u0938\u094d", "\u0e44\u0e17", "\u041f\u0440",
    "\u03a3\u03c2", "\u0130", "\u00df", "\u01c5", "\u02b0", "\ufb01", "\u212b", "\u00e9",
    "e\u0301", "\u0301", "a\u0308\u0323", "\u20e3", "\ufe0f", "\u200d", "\u0344", "\u0958",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\U0001f1eb\U0001f1f7",
    "\u2764\ufe0f", "\U0001f600", "\u20ac", "\u2014", "\u00a7",
    std::string_view("\0", 1), "\x01", "\x1b[0m", "\x7f", "\ufeff", "\ufffd", "\uffff",
    "\U0010ffff", "\u00ad", "\u200b",
};
constexpr std::string_view kBlanks[] = {
    " ", "  ", "    ", "\n", "\n\n", "\r\n", "\r", "\t", "\t\t", " \n", "\n ", "\u00a0", "\u3000",
    "\u2028", "\v", "\u0085", "\f",
};
// clang-format on
constexpr std::pair<char32_t, char32_t> kRanges[] = {
    {0, 0x7F},
    {0x80, 0x5FF},
    {0x600, 0x33FF},
    {0x3400, 0xFFFF},
    {0x10000, kLastScalar},
};

// The text without the bytes that are of no character, cut behind its last character in the limit.
std::string repaired(std::string_view text, std::size_t limit) {
  std::string whole;
  for (std::size_t at = 0; at < text.size();) {
    const unsigned length = decode_scalar(text, at).length;
    if (whole.size() + length > limit) break;
    whole.append(text, at, length);
    at += length == 0 ? 1 : length;
  }
  return whole;
}

}  // namespace

void AdversarialTexts::append_character(std::string& text) {
  const auto [first, last] = kRanges[below(std::size(kRanges))];
  auto value = static_cast<std::uint32_t>(first + below(last - first + 1));
  if (!is_scalar(value)) value -= kLastSurrogate - kFirstSurrogate + 1;
  const auto put = [&](std::uint32_t lead, unsigned shift) {
    text += static_cast<char>(lead | (value >> shift));
    while (shift > 0) {
      shift -= 6;
      text += static_cast<char>(0x80U | (value >> shift & 0x3FU));
    }
  };
  if (value < 0x80) {
    put(0, 0);
  } else if (value < 0x800) {
    put(0xC0, 6);
  } else if (value < 0x10000) {
    put(0xE0, 12);
  } else {
    put(0xF0, 18);
  }
}

void AdversarialTexts::append_part(std::string& text) {
  const TokenTable& table = tokenizer_->table();
  const auto token = [&] { return table.bytes(static_cast<Rank>(below(table.size()))); };
  const std::size_t kind = below(100);
  if (kind < 35) {
    text += kFragments[below(std::size(kFragments))];
  } else if (kind < 50) {
    const std::string_view blank = kBlanks[below(std::size(kBlanks))];
    for (std::size_t times = 1 + below(3); times > 0; --times) text += blank;
  } else if (kind < 56) {
    for (std::size_t digits = 1 + below(7); digits > 0; --digits) {
      text += static_cast<char>('0' + below(10));
    }
  } else if (kind < 60) {
    append_character(text);
  } else if (kind < 88) {
    text += token();
  } else {
    const std::string_view whole = token();
    text += whole.substr(0, 1 + below(whole.size()));
  }
}

std::string AdversarialTexts::next() {
  std::string text;
  for (std::size_t parts = 1 + below(6); parts > 0; --parts) append_part(text);
  return repaired(text, kMaxBytes);
}

}  // namespace nextbyte
