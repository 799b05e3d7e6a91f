// Checks the automata of the normal forms against normalization by definition on a small alphabet.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/error.h"
#include "text/normal_form.h"
#include "text/unicode.h"

namespace {

using nextbyte::kDeadNormalForm;
using nextbyte::NormalForm;
using nextbyte::NormalFormAutomaton;
using Text = std::u32string;

void require(bool condition, const std::string& message) {
  if (condition) return;
  std::fprintf(stderr, "normal_form_check: %s\n", message.c_str());
  std::exit(1);
}

std::string shown(const Text& text) {
  std::string result;
  char buffer[16];
  for (const char32_t c : text) {
    std::snprintf(buffer, sizeof buffer, " U+%04X", static_cast<unsigned>(c));
    result += buffer;
  }
  return result;
}

// What the Unicode files say about the alphabet below, copied out by hand: all that its characters
// decompose to and compose to is in it.
const std::map<char32_t, unsigned> kCombiningClass = {{0x334, 1},
                                                      {0x93C, 7},
                                                      {0x5B0, 10},
                                                      {0x327, 202},
                                                      {0x323, 220},
                                                      {0x301, 230},
                                                      {0x302, 230},
                                                      {0x341, 230},
                                                      {0x345, 240}};
const std::map<char32_t, Text> kComposites = {{0xE1, U"a\u0301"},
                                              {0xE2, U"a\u0302"},
                                              {0x1EA1, U"a\u0323"},
                                              {0x1EA5, U"\u00E2\u0301"},
                                              {0x1EAD, U"\u1EA1\u0302"},
                                              {0x3AC, U"\u03B1\u0301"},
                                              {0x1FB3, U"\u03B1\u0345"},
                                              {0x1FB4, U"\u03AC\u0345"},
                                              {0x9CB, U"\u09C7\u09BE"},
                                              {0x9CC, U"\u09C7\u09D7"},
                                              {0xAC00, U"\u1100\u1161"},
                                              {0xAC01, U"\uAC00\u11A8"}};
const std::map<char32_t, Text> kNeverComposed = {{0x341, U"\u0301"}, {0x958, U"\u0915\u093C"}};
const std::map<char32_t, Text> kCompatible = {{0xFB00, U"ff"}, {0x1D43, U"a"}};

Text alphabet() {
  Text result = U"axf\u03B1\u0915\u09C7\u09BE\u09D7\u1100\u1161\u11A8\U0001F642";
  for (const auto& [c, ccc] : kCombiningClass) result += c;
  for (const auto* table : {&kComposites, &kNeverComposed, &kCompatible}) {
    for (const auto& [c, parts] : *table) {
      if (result.find(c) == Text::npos) result += c;
    }
  }
  return result;
}

unsigned combining_class(char32_t c) {
  const auto at = kCombiningClass.find(c);
  return at == kCombiningClass.end() ? 0 : at->second;
}

void decompose(char32_t c, bool compatible, Text& out) {
  const Text* parts = nullptr;
  for (const auto* table : {&kComposites, &kNeverComposed, &kCompatible}) {
    const auto at = table->find(c);
    if (at != table->end() && (table != &kCompatible || compatible)) parts = &at->second;
  }
  if (parts == nullptr) {
    out += c;
  } else {
    for (const char32_t part : *parts) decompose(part, compatible, out);
  }
}

Text normalize(const Text& text, bool compatible) {
  Text parts;
  for (const char32_t c : text) decompose(c, compatible, parts);
  for (std::size_t first = 0; first < parts.size(); ++first) {
    std::size_t end = first;
    while (end < parts.size() && combining_class(parts[end]) != 0) ++end;
    std::stable_sort(
        parts.begin() + static_cast<std::ptrdiff_t>(first),
        parts.begin() + static_cast<std::ptrdiff_t>(end),
        [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    first = end;
  }
  Text result;
  std::size_t starter = Text::npos;
  for (const char32_t c : parts) {
    const unsigned own = combining_class(c);
    if (starter != Text::npos) {
      const bool adjacent = starter + 1 == result.size();
      const unsigned last = combining_class(result.back());
      if (adjacent || (last != 0 && last < own)) {
        const auto at = std::find_if(kComposites.begin(), kComposites.end(), [&](const auto& item) {
          return item.second == Text{result[starter], c};
        });
        if (at != kComposites.end()) {
          result[starter] = at->first;
          continue;
        }
      }
    }
    if (own == 0) starter = result.size();
    result += c;
  }
  return result;
}

struct Tally {
  long alive = 0, dead = 0;
};

// All continuations of a live text by up to `more` characters.
void check_below(const NormalFormAutomaton& automaton,
                 const Text& letters,
                 Text& text,
                 std::uint16_t state,
                 int more,
                 Tally& tally) {
  for (const char32_t c : letters) {
    text += c;
    const std::uint16_t next = automaton.step(state, c);
    const bool normal = normalize(text, automaton.form() == NormalForm::kNfkc) == text;
    require((next != kDeadNormalForm) == normal, "wrong about" + shown(text));
    ++(normal ? tally.alive : tally.dead);
    if (more > 1) {
      if (normal) {
        check_below(automaton, letters, text, next, more - 1, tally);
      } else {  // dead for good
        for (const char32_t d : letters) {
          require(automaton.step(next, d) == kDeadNormalForm, "woken by" + shown(text + d));
          require(normalize(text + d, automaton.form() == NormalForm::kNfkc) != text + d,
                  "not closed under prefixes:" + shown(text + d));
        }
      }
    }
    text.pop_back();
  }
}

void check_random(const NormalFormAutomaton& automaton, const Text& letters, Tally& tally) {
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 100000; ++trial) {
    Text text;
    for (std::size_t n = 4 + random() % 8; text.size() < n;)
      text += letters[random() % letters.size()];
    const bool compatible = automaton.form() == NormalForm::kNfkc;
    if (trial % 4 != 0) text = normalize(text, compatible);
    if (trial % 4 == 1) text += letters[random() % letters.size()];
    std::uint16_t state = 0;
    for (const char32_t c : text) state = automaton.step(state, c);
    const bool normal = normalize(text, compatible) == text;
    require((state != kDeadNormalForm) == normal, "wrong about" + shown(text));
    ++(normal ? tally.alive : tally.dead);
  }
}

// Classes, sensitivity and blocks say what step() does.
void check_tables(const NormalFormAutomaton& automaton) {
  const auto states = static_cast<std::uint16_t>(automaton.num_states());
  std::vector<char> depends(automaton.num_classes(), 0), seen(automaton.num_classes(), 0);
  for (unsigned cls = 0; cls < automaton.num_classes(); ++cls) {
    const auto own = static_cast<std::uint8_t>(cls);
    for (std::uint16_t state = 0; state < states; ++state) {
      const std::uint16_t next = automaton.step_class(state, own);
      require(next == kDeadNormalForm || next < states, "a state that there is not");
      depends[cls] |= next != automaton.step_class(0, own);
    }
  }
  for (char32_t c = 0; c <= nextbyte::kLastScalar; ++c) {
    const std::uint8_t cls = automaton.class_of(c);
    seen[cls] = 1;
    require(automaton.is_sensitive(c) == (depends[cls] != 0), "sensitivity of" + shown({c}));
    require(
        automaton.is_excluded(c) == (depends[cls] == 0 && automaton.step(0, c) == kDeadNormalForm),
        "exclusion of" + shown({c}));
  }
  if (automaton.form() == NormalForm::kNfc) {
    require(std::find(seen.begin(), seen.end(), 0) == seen.end(), "a class without members");
  }

  long dead_blocks = 0;
  for (const unsigned bits : {6U, 12U}) {
    for (std::uint32_t block = 0; block <= nextbyte::kLastScalar >> bits; ++block) {
      std::vector<char> classes(automaton.num_classes(), 0);
      for (char32_t c = block << bits; c < (block + 1) << bits; ++c) {
        if (nextbyte::is_scalar(c)) classes[automaton.class_of(c)] = 1;
      }
      for (std::uint32_t state = 0; state < states; state += 1 + (block * 7 + state) % 601) {
        const auto from = static_cast<std::uint16_t>(state);
        bool expected = false;
        for (unsigned cls = 0; cls < classes.size() && !expected; ++cls) {
          expected = classes[cls] != 0 &&
                     automaton.step_class(from, static_cast<std::uint8_t>(cls)) != kDeadNormalForm;
        }
        const bool got = bits == 6 ? automaton.survives_block64(from, block)
                                   : automaton.survives_block4096(from, block);
        require(got == expected, "survival of block " + std::to_string(block));
        dead_blocks += got ? 0 : 1;
      }
      require(!automaton.survives_block64(kDeadNormalForm, 0), "the dead state survives");
    }
  }
  require(dead_blocks > 0, "no block was ever dead");
}

void check_alive_length() {
  const NormalFormAutomaton& nfc = NormalFormAutomaton::of(NormalForm::kNfc);
  const NormalFormAutomaton& none = NormalFormAutomaton::of(NormalForm::kNone);
  require(nfc.alive_length("") == 0 && nfc.alive_length("ab") == 2, "plain text");
  require(nfc.alive_length("x\xC3\xA2\xCC\xA3y") == 3, "U+00E2 U+0323");
  require(none.alive_length("e\xCC\x81") == 3 && nfc.alive_length("e\xCC\x81") == 1, "e U+0301");
  bool thrown = false;
  try {
    nfc.alive_length("ab\xC3");
  } catch (const nextbyte::InvalidInput& error) {
    thrown = std::string(error.what()).find("byte 2") != std::string::npos;
  }
  require(thrown, "no error about a text that is not UTF-8");
}

}  // namespace

int main() {
  const Text letters = alphabet();
  for (const NormalForm form : {NormalForm::kNfc, NormalForm::kNfkc}) {
    const NormalFormAutomaton& automaton = NormalFormAutomaton::of(form);
    Tally tally;
    Text text;
    check_below(automaton, letters, text, 0, form == NormalForm::kNfc ? 4 : 3, tally);
    check_random(automaton, letters, tally);
    require(tally.alive > 50000 && tally.dead > 20000, "the texts are too easy");
    check_tables(automaton);
    std::printf(
        "normal_form_check: %zu letters, %ld texts alive, %ld dead; %zu states, %u classes\n",
        letters.size(),
        tally.alive,
        tally.dead,
        automaton.num_states(),
        automaton.num_classes());
  }
  check_tables(NormalFormAutomaton::of(NormalForm::kNone));
  check_alive_length();
}
