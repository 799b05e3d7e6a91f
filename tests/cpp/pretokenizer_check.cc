// Self-check of the pre-tokenizer automaton: golden splits, exhaustive short texts, errors, masks.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/error.h"
#include "text/pretokenizer.h"

namespace {

using nextbyte::CharacterClasses;
using nextbyte::kBoundary;
using nextbyte::kContinue;
using nextbyte::kDeadSubset;
using nextbyte::Pretokenizer;
using nextbyte::SubsetId;
using Stages = std::vector<std::string>;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "pretokenizer_check: %s\n", message.c_str());
  std::exit(1);
}

void require(bool condition, const std::string& message) {
  if (!condition) fail(message);
}

const std::string kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string kSuffix = R"((?i:'s|'t|'re|'ve|'m|'ll|'d))";
const std::string kSpaces = R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

const Stages kGpt2 = {kGpt2Pattern};
const Stages kDigitsGpt2 = {R"(\p{N})", kGpt2Pattern};
const Stages kCl100k = {
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+)"
    R"(|\s++$|\s*[\r\n]|\s+(?!\S)|\s)"};
const Stages kLlama3 = {
    kSuffix + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)" + kSpaces};
const Stages kQwen = {kSuffix + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)" +
                      kSpaces};
const Stages kO200k = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)" + kSuffix +
    R"(?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)" + kSuffix +
    R"(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" + kSpaces};
const Stages kDeepSeek = {
    R"(\p{N}{1,3})",
    R"([\u4E00-\u9FA5\u3040-\u309F\x{30A0}-\x{30FF}]+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*)" +
        kSpaces};
// Gaps in every stage, look-ahead, lazy and counted repeats.
const Stages kGaps = {R"(a{2,3}(?!b)|b(?=c))", R"((?:a|cb)+?c|d\z)"};

// Look-ahead at patterns: right-aligned digits, nested, over several stages.
const Stages kRightAligned = {R"(\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$)))",
                              kSuffix +
                                  R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                                  R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)" +
                                  kSpaces};
const Stages kLooks = {R"(a(?=(?:bb)*c)(?!b{3})|(?:(?!ab(?=c)).)+)",
                       R"([ab](?=(?:ab)*$)|(?=.*a)c++)"};

const std::vector<Stages> kAllStages = {{},
                                        kRightAligned,
                                        kLooks,
                                        kGpt2,
                                        kDigitsGpt2,
                                        kCl100k,
                                        kLlama3,
                                        kQwen,
                                        kO200k,
                                        kDeepSeek,
                                        kGaps};

// Made with the tokenizers package (for kCl100k with the constructs its engine reads differently
// written out).
struct Golden {
  const Stages& stages;
  std::vector<std::string> pieces;
};

void check_golden_splits() {
  const std::vector<Golden> goldens = {
      {kGpt2, {"I", "'ll", " say", " ", " 12345", " it", "'s", "\r\n\r\n", " x"}},
      {kGpt2, {"x", "\n\n"}},
      {kGpt2, {"x", "\n", "\n", "y"}},
      {kGpt2, {"\t", "\t", "y", "  "}},
      {kGpt2, {"'", "S", " '", "s"}},
      {kGpt2, {"e", "\xCC\x81", "te", " \xE4\xB8\xAD\xE6\x96\x87", "!?"}},
      {kCl100k, {"I", "'LL", " say", " ", " ", "123", "45", "\r\n\r\n", " x"}},
      {kCl100k, {"'\xC5\xBF", "!x", "\n\n\n"}},
      {kCl100k, {"!?\n\n", "  \n", "y", "   "}},
      {kCl100k,
       {"\xC2\xA0",
        "\xC2\xA0"
        "a",
        " ",
        "\xE2\x85\xA7\xD9\xA3\xD9\xA3",
        "1"}},
      {kLlama3, {"I", "'LL", " say", " ", " ", "123", "45", "\r\n\r\n", " x"}},
      {kLlama3, {"x", " \n \n", " ", " y"}},
      {kLlama3, {"a", "'\xC5\xBF", "\xE2\x84\xAA", " '", "\xE2\x84\xAA"}},
      {kLlama3, {"...\n\n\n", "z", "\t"}},
      {kQwen, {"n", "=", "1", "2", "3", ";\n\n", " ", " if"}},
      {kQwen, {"  \r\n \r", " "}},
      {kQwen,
       {"\xE4\xB8\xAD\xE6\x96\x87",
        "1",
        "\xCC\x81"
        "b"}},
      {kO200k, {"camel", "Case", "HTTPServer's"}},
      {kO200k, {"don'T", " b'LL", "VM"}},
      {kO200k, {"a", "/b", " //\n//", "c", "\n"}},
      {kO200k, {"\xC7\x85x\xCA\xB0", "Y\xCC\x81z", " ", "123", "4", " \n"}},
      {kO200k, {"\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7!"}},
      {kDigitsGpt2, {"in", " ", "2", "0", "2", "4", ",", " ", "\xE2\x85\xA7", "1", "2", " ", " x"}},
      {kDigitsGpt2, {"a", "\n", "1", "\n", "\n", "b"}},
      {kDigitsGpt2, {"  ", "1", "2", "  "}},
      {kDeepSeek,
       {"x", "=", "123", "4", ";", "\xE4\xB8\xAD\xE6\x96\x87\xE3\x81\x8B\xE3\x81\xAA", "!def"}},
      {kDeepSeek, {"#if", " ", "12", "\xE3\x82\xAB", " ", " y"}},
      {kDeepSeek,
       {":\r\n",
        "  \n",
        "!",
        "\xCC\x81"
        "a"}},
      {kDeepSeek, {"@home", " \xC2\xA9\xC2\xAE\n\n", " z"}},
      {kGaps, {"aa", "ab", "aaa", "c", "b", "cbac"}},
      {kGaps, {"xx"}},
      {kRightAligned, {"x", "1", "234", "567", ",", "12", "345", " ", "1"}},
      {kRightAligned, {"123", "456", "a", "  ", "12", "\n"}},
  };
  for (const Golden& golden : goldens) {
    std::string text;
    std::vector<std::size_t> starts;
    for (const std::string& piece : golden.pieces) {
      starts.push_back(text.size());
      text += piece;
    }
    require(Pretokenizer(golden.stages).split(text) == starts, "wrong split of: " + text);
  }
}

void append_utf8(char32_t c, std::string& text) {
  const auto byte = [&](char32_t value) { text.push_back(static_cast<char>(value)); };
  if (c < 0x80) return byte(c);
  if (c >= 0x10000) byte(0xF0 | c >> 18);
  if (c >= 0x800) byte(c >= 0x10000 ? 0x80 | (c >> 12 & 0x3F) : 0xE0 | c >> 12);
  byte(c >= 0x800 ? 0x80 | (c >> 6 & 0x3F) : 0xC0 | c >> 6);
  byte(0x80 | (c & 0x3F));
}

// All texts over one character per class, up to a length: exactly one boundary set must survive to
// END, and it must be split()'s. Boundary sets that die are not followed.
class Exhaustion {
 public:
  explicit Exhaustion(const Pretokenizer& pretokenizer) : pretokenizer_(pretokenizer) {}

  void run(std::size_t depth) {
    check();
    if (depth == 0) return;
    for (unsigned c = 0; c < pretokenizer_.num_classes(); ++c) {
      const auto cls = static_cast<std::uint8_t>(c);
      const std::size_t length = text_.size();
      std::vector<Hypothesis> before = hypotheses_;
      hypotheses_.clear();
      for (const Hypothesis& hypothesis : before) {
        for (const unsigned flag : {kContinue, kBoundary}) {
          Hypothesis next = hypothesis;
          next.subset = pretokenizer_.step(hypothesis.subset, cls, flag);
          if (next.subset == kDeadSubset) continue;
          if (flag == kBoundary) next.starts.push_back(length);
          hypotheses_.push_back(next);
        }
      }
      append_utf8(pretokenizer_.classes().representative(cls), text_);
      run(depth - 1);
      text_.resize(length);
      hypotheses_ = std::move(before);
    }
  }

 private:
  struct Hypothesis {
    SubsetId subset;
    std::vector<std::size_t> starts;
  };

  void check() const {
    std::size_t accepted = 0;
    for (const Hypothesis& hypothesis : hypotheses_) {
      if (!pretokenizer_.accepts_end(hypothesis.subset)) continue;
      ++accepted;
      require(hypothesis.starts == pretokenizer_.split(text_), "split() differs on: " + text_);
    }
    require(accepted == 1, "not exactly one boundary set survives to the end of: " + text_);
  }

  const Pretokenizer& pretokenizer_;
  std::string text_;
  std::vector<Hypothesis> hypotheses_ = {{pretokenizer_.initial(), {}}};
};

void check_short_texts() {
  for (const Stages& stages : kAllStages) {
    const Pretokenizer pretokenizer(stages);
    Exhaustion(pretokenizer).run(pretokenizer.num_classes() > 15 ? 2 : 3);
  }
  const Pretokenizer gaps(kGaps);
  Exhaustion(gaps).run(6);
  const Pretokenizer looks(kLooks);
  Exhaustion(looks).run(5);
  Exhaustion(Pretokenizer({kRightAligned.front()})).run(10);
}

void check_tables() {
  for (const Stages& stages : kAllStages) {
    const Pretokenizer pretokenizer(stages);
    require(pretokenizer.accepts_end(pretokenizer.initial()), "the empty text is no text");
    require(pretokenizer.live_classes(pretokenizer.initial(), kContinue) == 0,
            "the first character continues a piece");
    for (std::size_t i = 0; i < pretokenizer.num_subsets(); ++i) {
      const auto subset = static_cast<SubsetId>(i);
      bool any = pretokenizer.accepts_end(subset);
      for (unsigned c = 0; c < pretokenizer.num_classes(); ++c) {
        const auto cls = static_cast<std::uint8_t>(c);
        bool live[4] = {};
        for (unsigned flags = 1; flags <= 3; ++flags) {
          live[flags] = pretokenizer.step(subset, cls, flags) != kDeadSubset;
          require(live[flags] == ((pretokenizer.live_classes(subset, flags) >> c & 1U) != 0),
                  "live_classes() differs from step()");
        }
        require(live[3] == (live[1] || live[2]), "flags 3 are not the union of flags 1 and 2");
        any = any || live[3];
      }
      require(any == (subset != kDeadSubset), "a subset without a future that is not the dead one");
    }
  }
}

void check_class_masks() {
  for (const Stages& stages : kAllStages) {
    const Pretokenizer pretokenizer(stages);
    const CharacterClasses& classes = pretokenizer.classes();
    std::vector<std::uint64_t> by64(0x110000 >> 6), by4096(0x110000 >> 12);
    for (char32_t c = 0; c <= nextbyte::kLastScalar; ++c) {
      if (!nextbyte::is_scalar(c)) continue;
      const std::uint64_t bit = std::uint64_t{1} << classes.class_of(c);
      by64[c >> 6] |= bit;
      by4096[c >> 12] |= bit;
    }
    for (std::uint32_t i = 0; i < by64.size(); ++i) {
      require(classes.classes_in_block64(i) == by64[i], "wrong mask of 64 code points");
    }
    for (std::uint32_t i = 0; i < by4096.size(); ++i) {
      require(classes.classes_in_block4096(i) == by4096[i], "wrong mask of 4,096 code points");
    }
  }
}

void check_errors() {
  const std::vector<std::string> unsupported = {
      R"((?<=a)b)",    R"((?<!a)b)",
      R"((a)\1)",      R"(\bword)",
      R"(^a)",         R"((?i)a)",
      R"((?-i:a))",    R"((?i:\u00E9))",
      R"((?i:\p{L}))", R"((?i:[^a]))",
      R"((?i:ss))",    R"((?i:s(?:ab|T)))",
      R"((?i:f+))",    R"((?>a+))",
      R"((?<n>a))",    R"((?P<n>a))",
      R"((?#c)a)",     R"(a*)",
      R"(a|)",         R"((?=a))",
      R"((?:a?)*b)",   R"((?:a?){2}b)",
      R"((?:ab)++c)",  R"(a**)",
      R"(a{2}?)",      R"(a{2}+)",
      R"(a{2000})",    R"(a{3,2})",
      R"(a{,2})",      R"(a{)",
      R"(*a)",         R"([a&&b])",
      R"([a--b])",     R"([[:alpha:]])",
      R"([])",         R"([a)",
      R"([z-a])",      R"([a-\s])",
      R"([a-c-e])",    R"((a)",
      R"(a))",         R"(\p{Han})",
      R"(\pL)",        R"(\p{L)",
      R"(\w)",         R"(\xE9)",
      R"(\x{D800})",   R"(\u12)",
      R"(a\)",         R"((?:(?:a{1000}){1000}))",
      R"(a(?=^b))",    R"(a(?=b(?<=a)))",
      R"(a(?=b)",      R"(a(?=(?:b?)*c))",
      R"((?=a+))",
  };
  for (const std::string& pattern : unsupported) {
    bool thrown = false;
    try {
      const Pretokenizer pretokenizer({"x", pattern});
    } catch (const nextbyte::UnsupportedTokenizer& error) {
      thrown = true;
      const std::string message = error.what();
      require(message.find("stage 2 of 2") != std::string::npos, "no stage in: " + message);
    }
    require(thrown, "accepted: " + pattern);
  }
  for (const char* invalid : {"\x80", "a\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80"}) {
    bool thrown = false;
    try {
      Pretokenizer(kGpt2).split(invalid);
    } catch (const nextbyte::InvalidInput&) {
      thrown = true;
    }
    require(thrown, "split() accepted what is not UTF-8");
  }
}

}  // namespace

int main() {
  check_golden_splits();
  check_short_texts();
  check_tables();
  check_class_masks();
  check_errors();
  for (const Stages& stages : kAllStages) {
    const Pretokenizer pretokenizer(stages);
    std::printf("%u classes, %zu raw states, %zu subsets\n",
                pretokenizer.num_classes(),
                pretokenizer.num_raw_states(),
                pretokenizer.num_subsets());
  }
  return 0;
}
