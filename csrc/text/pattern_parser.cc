// Recursive descent over the text of a regular expression.
#include "text/pattern_parser.h"

#include <optional>
#include <string>
#include <utility>

#include "support/error.h"

namespace nextbyte {
namespace {

using Kind = PatternNode::Kind;

constexpr unsigned kMaxNesting = 64;    // of groups and classes: bounds the recursion
constexpr unsigned kMaxRepeat = 1'000;  // in {m,n}: repeats are expanded

constexpr bool is_digit(char32_t c) noexcept { return c >= U'0' && c <= U'9'; }

int hexadecimal_value(char32_t c) noexcept {
  if (is_digit(c)) return static_cast<int>(c - U'0');
  if (c >= U'a' && c <= U'f') return static_cast<int>(c - U'a') + 10;
  if (c >= U'A' && c <= U'F') return static_cast<int>(c - U'A') + 10;
  return -1;
}

// What one escape or literal stands for; `single` if it is one character and may bound a range.
struct Item {
  CodePointSet set;
  std::optional<char32_t> single;
};

Item single_item(char32_t value) { return {CodePointSet::single(value), value}; }

class Parser {
 public:
  explicit Parser(std::u32string text) : text_(std::move(text)) {}

  PatternNode parse() {
    PatternNode root = parse_alternation();
    if (!at_end()) fail(position_, "unmatched )");
    return root;
  }

 private:
  bool at_end() const noexcept { return position_ == text_.size(); }
  // The character `offset` ahead, or NUL behind the end (a literal NUL is handled as a literal:
  // every use compares with a fixed non-zero character).
  char32_t peek(std::size_t offset = 0) const noexcept {
    return position_ + offset < text_.size() ? text_[position_ + offset] : U'\0';
  }
  bool looking_at(std::u32string_view expected) const noexcept {
    return std::u32string_view(text_).substr(position_, expected.size()) == expected;
  }
  bool consume(std::u32string_view expected) noexcept {
    if (!looking_at(expected)) return false;
    position_ += expected.size();
    return true;
  }
  [[noreturn]] static void fail(std::size_t position, const std::string& construct) {
    throw UnsupportedTokenizer("the pattern has an unsupported construct at character " +
                               std::to_string(position) + ": " + construct);
  }
  void enter(std::size_t position) {
    if (++nesting_ > kMaxNesting) fail(position, "groups or classes nested too deeply");
  }

  PatternNode parse_alternation() {
    PatternNode alternation;
    alternation.kind = Kind::kAlternation;
    alternation.position = position_;
    do {
      alternation.children.push_back(parse_concatenation());
    } while (consume(U"|"));
    return alternation;
  }

  PatternNode parse_concatenation() {
    PatternNode concatenation;
    concatenation.position = position_;
    while (!at_end() && peek() != U'|' && peek() != U')') {
      concatenation.children.push_back(parse_quantifier(parse_atom()));
    }
    return concatenation;
  }

  PatternNode parse_atom() {
    const std::size_t start = position_;
    switch (peek()) {
      case U'(':
        return parse_group();
      case U'$':
        ++position_;
        return end_of_text(start);
      case U'^':
        fail(start, "^ (start of text or line)");
      case U'.':
        ++position_;
        return character_node(start, CodePointSet::single(U'\n').complement());
      case U'*':
      case U'+':
      case U'?':
      case U'{':
        fail(start, "quantifier without an operand");
      default:
        if (consume(U"\\z")) return end_of_text(start);
        return parse_character();
    }
  }

  static PatternNode character_node(std::size_t start, CodePointSet set) {
    PatternNode node;
    node.kind = Kind::kCharacter;
    node.position = start;
    node.set = std::move(set);
    return node;
  }

  static PatternNode lookahead_node(std::size_t start, bool negative, PatternNode body) {
    PatternNode node;
    node.kind = Kind::kLookahead;
    node.position = start;
    node.negative = negative;
    node.children.push_back(std::move(body));
    return node;
  }

  // "No character follows".
  static PatternNode end_of_text(std::size_t start) {
    return lookahead_node(start, true, character_node(start, CodePointSet::all()));
  }

  PatternNode parse_group() {
    const std::size_t start = position_;
    enter(start);
    const bool outer_fold = ignore_case_;
    PatternNode node;
    if (looking_at(U"(?=") || looking_at(U"(?!")) {
      const bool negative = peek(2) == U'!';
      position_ += 3;
      node = lookahead_node(start, negative, parse_alternation());
    } else {
      if (consume(U"(?i:")) {
        ignore_case_ = true;
      } else if (!consume(U"(?:")) {
        fail_if_special_group(start);
        ++position_;  // a capturing group; nothing reads what it captures
      }
      node = parse_alternation();
    }
    if (!consume(U")")) fail(start, "group without its )");
    ignore_case_ = outer_fold;
    --nesting_;
    return node;
  }

  void fail_if_special_group(std::size_t start) const {
    if (looking_at(U"(?<=") || looking_at(U"(?<!")) fail(start, "look-behind");
    if (looking_at(U"(?>")) fail(start, "atomic group");
    if (looking_at(U"(?<") || looking_at(U"(?P") || looking_at(U"(?'")) {
      fail(start, "named group or reference");
    }
    if (looking_at(U"(?#")) fail(start, "comment");
    if (looking_at(U"(?")) fail(start, "inline flags or an unknown kind of group");
  }

  // A literal, an escape or a class: whatever matches exactly one character.
  PatternNode parse_character() {
    PatternNode node = character_node(position_, CodePointSet());
    if (peek() == U'[') {
      node.set = parse_class();
      return node;
    }
    Item item = parse_item();
    if (ignore_case_ && item.single) {
      const char32_t small = *item.single | 0x20;  // of an ASCII letter
      if (small >= U'a' && small <= U'z') node.folded_letter = static_cast<char>(small);
    }
    node.set = folded(std::move(item.set), node.position);
    return node;
  }

  // `set`, with case partners where case is ignored; the categories below have no case anywhere.
  CodePointSet folded(CodePointSet set, std::size_t position) const {
    if (!ignore_case_) return set;
    static const CodePointSet unknown = [] {
      CodePointSet known({{U'A', U'Z'}, {U'a', U'z'}});
      for (const std::string_view name : {"P", "Z", "Nd", "Cc", "Sm", "Sc", "Sk"}) {
        known = known.united(*property_set(name));
      }
      return known.complement();
    }();
    if (!set.intersected(unknown).empty()) {
      fail(position, "ignoring the case of characters outside ASCII");
    }
    CodePointSet result = set;
    for (char32_t letter = U'A'; letter <= U'z'; ++letter) {
      if (set.contains(letter)) result = result.united(case_partners(letter));
    }
    return result;
  }

  CodePointSet parse_class() {
    const std::size_t start = position_;
    if (nesting_class_ && looking_at(U"[:")) fail(start, "POSIX bracket");
    enter(start);
    ++position_;
    const bool negated = consume(U"^");
    if (negated && ignore_case_) fail(start, "negated class where case is ignored");
    if (peek() == U']') fail(start, "empty class or one that starts with ]");
    const bool outer = std::exchange(nesting_class_, true);
    CodePointSet members;
    for (bool first = true; peek() != U']'; first = false) {
      if (at_end()) fail(start, "class without its ]");
      if (looking_at(U"&&") || looking_at(U"--") || looking_at(U"~~")) {
        fail(position_, "set operation in a class");
      }
      if (peek() == U'[') {
        members = members.united(parse_class());
        continue;
      }
      const std::size_t at = position_;
      if (peek() == U'-' && !first && peek(1) != U']') fail(at, "- between two members; escape it");
      Item item = parse_item();
      if (peek() == U'-' && peek(1) != U']') item = parse_range(std::move(item), at);
      members = members.united(folded(std::move(item.set), at));
    }
    ++position_;
    nesting_class_ = outer;
    --nesting_;
    return negated ? members.complement() : members;
  }

  Item parse_range(Item first, std::size_t start) {
    if (looking_at(U"--")) fail(position_, "set operation in a class");
    if (++position_ == text_.size() || peek() == U'[') fail(start, "range without an end");
    const Item last = parse_item();
    if (!first.single || !last.single) fail(start, "range whose end is a class");
    if (*first.single > *last.single) fail(start, "range in descending order");
    return {CodePointSet({{*first.single, *last.single}}), std::nullopt};
  }

  Item parse_item() {
    const std::size_t start = position_;
    const char32_t c = text_[position_++];
    if (c != U'\\') return single_item(c);
    if (at_end()) fail(start, "\\ at the end");
    const char32_t escaped = text_[position_++];
    switch (escaped) {
      case U'r':
        return single_item(U'\r');
      case U'n':
        return single_item(U'\n');
      case U't':
        return single_item(U'\t');
      case U's':
        return {white_space(), std::nullopt};
      case U'S':
        return {white_space().complement(), std::nullopt};
      case U'd':
        return {*property_set("Nd"), std::nullopt};
      case U'D':
        return {property_set("Nd")->complement(), std::nullopt};
      case U'p':
      case U'P':
        return {parse_property(start, escaped == U'P'), std::nullopt};
      case U'u':
        return single_item(parse_hexadecimal(start, 4, 4, false));
      case U'x':
        if (peek() == U'{') return single_item(parse_hexadecimal(start, 1, 8, true));
        return single_item(parse_two_digit_byte(start));
      default:
        break;
    }
    if (escaped >= 0x80 || escaped <= 0x1F || !case_partners(escaped).empty() ||
        is_digit(escaped)) {
      fail(start, describe_escape(escaped));
    }
    return single_item(escaped);
  }

  static std::string describe_escape(char32_t c) {
    if (c >= U'1' && c <= U'9') return "back-reference";
    const char* kind = c == U'b' || c == U'B' ? "word boundary \\" : "escape \\";
    return kind + (c > 0x1F && c < 0x80 ? std::string(1, static_cast<char>(c)) : "...");
  }

  CodePointSet parse_property(std::size_t start, bool negated) {
    if (!consume(U"{")) fail(start, "property without braces");
    std::string name;
    while (!at_end() && peek() != U'}') {
      const char32_t c = text_[position_++];
      name.push_back(c < 0x80 ? static_cast<char>(c) : '?');
    }
    if (!consume(U"}")) fail(start, "property without its }");
    const std::optional<CodePointSet> set = property_set(name);
    if (!set) fail(start, "property {" + name + "} (only general categories and White_Space)");
    return negated ? set->complement() : *set;
  }

  char32_t parse_hexadecimal(std::size_t start, unsigned least, unsigned most, bool braces) {
    if (braces) ++position_;
    char32_t value = 0;
    unsigned digits = 0;
    for (; digits < most && hexadecimal_value(peek()) >= 0; ++digits) {
      value = value << 4 | static_cast<char32_t>(hexadecimal_value(text_[position_++]));
    }
    if (digits < least || (braces && !consume(U"}"))) fail(start, "malformed hexadecimal escape");
    if (!is_scalar(value)) fail(start, "escape of a surrogate or a value above U+10FFFF");
    return value;
  }

  // A byte in some engines, a character in others: the same below 0x80 only.
  char32_t parse_two_digit_byte(std::size_t start) {
    const char32_t value = parse_hexadecimal(start, 2, 2, false);
    if (value >= 0x80) fail(start, "\\x of a byte above 7F");
    return value;
  }

  PatternNode parse_quantifier(PatternNode atom) {
    const std::size_t start = position_;
    PatternNode repeat;
    repeat.kind = Kind::kRepeat;
    repeat.position = start;
    bool exact = false;
    if (consume(U"?")) {
      repeat.maximum = 1;
    } else if (consume(U"*")) {
      repeat.maximum = kUnboundedRepeat;
    } else if (consume(U"+")) {
      repeat.minimum = 1;
      repeat.maximum = kUnboundedRepeat;
    } else if (consume(U"{")) {
      repeat.minimum = parse_count(start);
      exact = !consume(U",");
      repeat.maximum = exact              ? repeat.minimum
                       : is_digit(peek()) ? parse_count(start)
                                          : kUnboundedRepeat;
      if (!consume(U"}")) fail(start, "malformed counted quantifier; escape a literal {");
      if (repeat.minimum > repeat.maximum) fail(start, "counted quantifier in descending order");
    } else {
      return atom;
    }
    if (atom.kind == Kind::kLookahead) fail(start, "quantifier on an assertion");
    if (consume(U"?")) {
      // Oniguruma reads X{n}? as (?:X{n})?, the Rust engines as the lazy form of X{n}.
      if (exact) fail(start, "{n}? (engines disagree)");
      repeat.greed = PatternNode::Greed::kLazy;
    } else if (consume(U"+")) {
      if (exact) fail(start, "{n}+ (engines disagree)");
      repeat.greed = PatternNode::Greed::kPossessive;
      if (atom.kind != Kind::kCharacter) fail(start, "possessive quantifier on a group");
    }
    if (peek() == U'?' || peek() == U'*' || peek() == U'+' || peek() == U'{') {
      fail(position_, "quantifier on a quantifier");
    }
    repeat.children.push_back(std::move(atom));
    return repeat;
  }

  unsigned parse_count(std::size_t start) {
    if (!is_digit(peek())) fail(start, "malformed counted quantifier; escape a literal {");
    unsigned value = 0;
    while (is_digit(peek())) {
      value = value * 10 + static_cast<unsigned>(text_[position_++] - U'0');
      if (value > kMaxRepeat) {
        fail(start, "counted quantifier above " + std::to_string(kMaxRepeat));
      }
    }
    return value;
  }

  std::u32string text_;
  std::size_t position_ = 0;
  unsigned nesting_ = 0;
  bool ignore_case_ = false;
  bool nesting_class_ = false;
};

}  // namespace

PatternNode parse_pattern(std::string_view utf8) {
  std::u32string text;
  for (std::size_t at = 0; at < utf8.size();) {
    const DecodedScalar scalar = decode_scalar(utf8, at);
    if (scalar.length == 0) {
      throw InvalidInput("the pattern is not valid UTF-8 at byte " + std::to_string(at));
    }
    text.push_back(scalar.value);
    at += scalar.length;
  }
  return Parser(std::move(text)).parse();
}

void collect_sets(const PatternNode& node, std::vector<CodePointSet>& sets) {
  if (node.kind == Kind::kCharacter) sets.push_back(node.set);
  for (const PatternNode& child : node.children) collect_sets(child, sets);
}

}  // namespace nextbyte
