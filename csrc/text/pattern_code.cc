// Compiles the syntax tree to instructions and proves the side conditions.
#include "text/pattern_code.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "support/error.h"

namespace nextbyte {
namespace {

using Kind = PatternNode::Kind;
using Operation = Instruction::Operation;

constexpr std::size_t kMaxInstructions = 4'096;

[[noreturn]] void fail(std::size_t position, const std::string& construct) {
  throw UnsupportedTokenizer("the pattern has an unsupported construct at character " +
                             std::to_string(position) + ": " + construct);
}

// What the next symbol, a character's class or the end, decides.
struct NextSymbol {
  std::uint64_t classes;
  bool end;
};

class Compiler {
 public:
  explicit Compiler(const CharacterClasses& classes)
      : classes_(classes), every_class_(classes.mask_of(CodePointSet::all())) {}

  std::vector<Instruction> run(const PatternNode& pattern) {
    compile(pattern);
    add({.operation = Operation::kMatch});
    prove_single_character_folds();
    return std::move(code_);
  }

 private:
  std::size_t add(Instruction instruction) {
    if (code_.size() == kMaxInstructions) {
      throw UnsupportedTokenizer("the pattern is too large: more than " +
                                 std::to_string(kMaxInstructions) +
                                 " instructions after its counted quantifiers are expanded");
    }
    code_.push_back(instruction);
    return code_.size() - 1;
  }

  void compile(const PatternNode& node) {
    switch (node.kind) {
      case Kind::kCharacter:
        add({.operation = Operation::kCharacter,
             .classes = classes_.mask_of(node.set),
             .folded_letter = node.folded_letter,
             .position = node.position});
        break;
      case Kind::kLookahead:
        compile_lookahead(node);
        break;
      case Kind::kConcatenation:
        for (const PatternNode& child : node.children) compile(child);
        break;
      case Kind::kAlternation:
        compile_alternation(node);
        break;
      case Kind::kRepeat:
        compile_repeat(node);
        break;
    }
  }

  void compile_lookahead(const PatternNode& node) {
    const auto found = decided_.find(&node);
    const std::optional<NextSymbol> next =
        found != decided_.end() ? found->second : decided_by_next_symbol(node);
    decided_.emplace(&node, next);  // a repeat compiles its body many times
    if (next) {
      add({.operation = Operation::kAssert, .classes = next->classes, .passes_at_end = next->end});
      return;
    }
    const std::size_t look = add({.operation = Operation::kLook, .negative = node.negative});
    compile(node.children.front());
    add({.operation = Operation::kMatch});
    code_[look].target = code_.size();
  }

  // The symbols before which `node` can match, if it is the next symbol alone that decides.
  std::optional<NextSymbol> decided_by_next_symbol(const PatternNode& node) const {
    NextSymbol result = {0, false};
    switch (node.kind) {
      case Kind::kCharacter:
        return NextSymbol{classes_.mask_of(node.set), false};
      case Kind::kLookahead: {
        const std::optional<NextSymbol> body = decided_by_next_symbol(node.children.front());
        if (!body || !node.negative) return body;
        return NextSymbol{~body->classes & every_class_, !body->end};
      }
      case Kind::kAlternation:
        for (const PatternNode& child : node.children) {
          const std::optional<NextSymbol> next = decided_by_next_symbol(child);
          if (!next) return std::nullopt;
          result = {result.classes | next->classes, result.end || next->end};
        }
        return result;
      case Kind::kConcatenation:
        result = {every_class_, true};
        for (const PatternNode& child : node.children) {
          const std::optional<NextSymbol> next = decided_by_next_symbol(child);
          const bool last = &child == &node.children.back();
          if (!next || (child.kind != Kind::kLookahead && !last)) return std::nullopt;
          result = {result.classes & next->classes, result.end && next->end};
        }
        return result;
      case Kind::kRepeat:
        break;
    }
    return std::nullopt;
  }

  void compile_alternation(const PatternNode& node) {
    std::vector<std::size_t> jumps;
    for (std::size_t i = 0; i + 1 < node.children.size(); ++i) {
      const std::size_t split = add({.operation = Operation::kSplit});
      code_[split].target = split + 1;
      compile(node.children[i]);
      jumps.push_back(add({.operation = Operation::kJump}));
      code_[split].alternative = code_.size();
    }
    compile(node.children.back());
    for (const std::size_t jump : jumps) code_[jump].target = code_.size();
  }

  // X{m,n} = m times X, then n - m nested options; X{m,} = m times X, then a loop.
  void compile_repeat(const PatternNode& node) {
    const PatternNode& body = node.children.front();
    // Engines leave a loop whose body matched nothing, each in its own way.
    const bool optional = node.minimum == 0 && node.maximum == 1;
    if (!optional && can_be_empty(body)) {
      fail(node.position, "repetition of something that can match the empty string");
    }
    for (unsigned i = 0; i < node.minimum; ++i) compile(body);
    std::vector<std::size_t> exits;
    if (node.maximum == kUnboundedRepeat) {
      exits.push_back(add({.operation = Operation::kSplit}));
      compile(body);
      add({.operation = Operation::kJump, .target = exits.front()});
    } else {
      for (unsigned i = node.minimum; i < node.maximum; ++i) {
        exits.push_back(add({.operation = Operation::kSplit}));
        compile(body);
      }
    }
    std::size_t early_stop = code_.size();
    if (node.greed == PatternNode::Greed::kPossessive) early_stop = add_possessive_guard(body);
    for (const std::size_t split : exits) {
      code_[split].target = split + 1;
      code_[split].alternative = early_stop;
      if (node.greed == PatternNode::Greed::kLazy) {
        std::swap(code_[split].target, code_[split].alternative);
      }
    }
  }

  // Where a run of a character that may not be given back stops before its greatest length, no
  // further such character may follow. Returns the assertion; the full run jumps over it.
  std::size_t add_possessive_guard(const PatternNode& body) {
    const std::size_t jump = add({.operation = Operation::kJump});
    const std::size_t guard = add({.operation = Operation::kAssert,
                                   .classes = ~classes_.mask_of(body.set) & every_class_,
                                   .passes_at_end = true});
    code_[jump].target = code_.size();
    return guard;
  }

  static bool can_be_empty(const PatternNode& node) {
    switch (node.kind) {
      case Kind::kCharacter:
        return false;
      case Kind::kLookahead:
        return true;
      case Kind::kConcatenation:
        return std::all_of(node.children.begin(), node.children.end(), can_be_empty);
      case Kind::kAlternation:
        return std::any_of(node.children.begin(), node.children.end(), can_be_empty);
      case Kind::kRepeat:
        return node.minimum == 0 || can_be_empty(node.children.front());
    }
    return true;
  }

  // Oniguruma lets the literals (?i:ss) match U+00DF, and so on: one character for two letters. The
  // Rust engines do not. These are all the pairs of ASCII letters that are the folding of one
  // character, or start one.
  void prove_single_character_folds() const {
    for (std::size_t at = 0; at < code_.size(); ++at) {
      if (code_[at].folded_letter == 0) continue;
      std::vector<std::size_t> stack = {at + 1};
      std::vector<bool> visited(code_.size(), false);
      while (!stack.empty()) {
        const std::size_t next = stack.back();
        stack.pop_back();
        if (visited[next]) continue;
        visited[next] = true;
        const Instruction& instruction = code_[next];
        switch (instruction.operation) {
          case Operation::kCharacter:
            check_fold_pair(code_[at], instruction);
            break;
          case Operation::kAssert:
            stack.push_back(next + 1);
            break;
          case Operation::kSplit:
            stack.push_back(instruction.alternative);
            [[fallthrough]];
          case Operation::kLook:
          case Operation::kJump:
            stack.push_back(instruction.target);
            break;
          case Operation::kMatch:
            break;
        }
      }
    }
  }

  static void check_fold_pair(const Instruction& first, const Instruction& second) {
    for (const std::string_view pair : {"ss", "st", "ff", "fi", "fl"}) {
      if (first.folded_letter == pair[0] && second.folded_letter == pair[1]) {
        fail(first.position,
             "ignoring the case of the letters " + std::string(pair) + " (engines disagree)");
      }
    }
  }

  const CharacterClasses& classes_;
  const std::uint64_t every_class_;
  std::vector<Instruction> code_;
  std::map<const PatternNode*, std::optional<NextSymbol>> decided_;  // of look-aheads
};

}  // namespace

std::vector<Instruction> compile_pattern(const PatternNode& pattern,
                                         const CharacterClasses& classes) {
  return Compiler(classes).run(pattern);
}

}  // namespace nextbyte
