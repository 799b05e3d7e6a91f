// Compiles the syntax tree to instructions, proves the side conditions, and tabulates the closures.
#include "tokenizer/pattern_program.h"

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "support/error.h"

namespace nextbyte {
namespace {

constexpr std::size_t kMaxInstructions = 4'096;
constexpr std::size_t kMatchMove = std::numeric_limits<std::size_t>::max();

enum class Operation : std::uint8_t { kCharacter, kAssert, kSplit, kJump, kMatch };

struct Instruction {
  Operation operation;
  std::uint64_t classes = 0;    // kCharacter, kAssert
  bool passes_at_end = false;   // kAssert
  char folded_letter = 0;       // kCharacter
  std::size_t target = 0;       // kSplit: the preferred way; kJump
  std::size_t alternative = 0;  // kSplit: the other way
  std::size_t position = 0;     // in the pattern's text, for messages
};

// Where a possessive repeat must be shown equal to the greedy one.
struct PossessiveUse {
  std::uint64_t classes;     // of the repeated character
  std::size_t continuation;  // the instruction behind the repeat
  std::size_t position;
};

[[noreturn]] void fail(std::size_t position, const std::string& construct) {
  throw UnsupportedTokenizer("the pattern has an unsupported construct at character " +
                             std::to_string(position) + ": " + construct);
}

class Compiler {
 public:
  Compiler(const PatternNode& pattern, const CharacterClasses& classes) : classes_(classes) {
    compile(pattern);
    add({.operation = Operation::kMatch});
    end_symbol_ = classes.size();
    prove_possessive_uses();
    prove_single_character_folds();
  }

  // The moves of `from` on `symbol`: the instruction behind the eaten character, or kMatchMove, in
  // order of preference, cut after the first match. Each instruction is visited once: a later visit
  // could only repeat what the earlier, preferred one tried.
  std::vector<std::size_t> closure(std::size_t from, unsigned symbol) const {
    std::vector<std::size_t> moves;
    std::vector<bool> visited(instructions_.size(), false);
    std::vector<std::size_t> stack = {from};
    while (!stack.empty()) {
      const std::size_t at = stack.back();
      stack.pop_back();
      if (visited[at]) continue;
      visited[at] = true;
      const Instruction& instruction = instructions_[at];
      const bool admits = symbol == end_symbol_ ? instruction.passes_at_end
                                                : (instruction.classes >> symbol & 1U) != 0;
      switch (instruction.operation) {
        case Operation::kCharacter:
          if (admits) moves.push_back(at + 1);
          break;
        case Operation::kAssert:
          if (admits) stack.push_back(at + 1);
          break;
        case Operation::kSplit:
          stack.push_back(instruction.alternative);
          stack.push_back(instruction.target);
          break;
        case Operation::kJump:
          stack.push_back(instruction.target);
          break;
        case Operation::kMatch:
          moves.push_back(kMatchMove);
          return moves;
      }
    }
    return moves;
  }

 private:
  std::size_t add(Instruction instruction) {
    if (instructions_.size() == kMaxInstructions) {
      throw UnsupportedTokenizer("the pattern is too large: more than " +
                                 std::to_string(kMaxInstructions) +
                                 " instructions after its counted quantifiers are expanded");
    }
    instructions_.push_back(instruction);
    return instructions_.size() - 1;
  }

  void compile(const PatternNode& node) {
    switch (node.kind) {
      case PatternNode::Kind::kCharacter:
        add({.operation = Operation::kCharacter,
             .classes = classes_.mask_of(node.set),
             .folded_letter = node.folded_letter,
             .position = node.position});
        break;
      case PatternNode::Kind::kLookahead:
        add({.operation = Operation::kAssert,
             .classes = classes_.mask_of(node.set),
             .passes_at_end = node.passes_at_end});
        break;
      case PatternNode::Kind::kConcatenation:
        for (const PatternNode& child : node.children) compile(child);
        break;
      case PatternNode::Kind::kAlternation:
        compile_alternation(node);
        break;
      case PatternNode::Kind::kRepeat:
        compile_repeat(node);
        break;
    }
  }

  void compile_alternation(const PatternNode& node) {
    std::vector<std::size_t> jumps;
    for (std::size_t i = 0; i + 1 < node.children.size(); ++i) {
      const std::size_t split = add({.operation = Operation::kSplit});
      instructions_[split].target = split + 1;
      compile(node.children[i]);
      jumps.push_back(add({.operation = Operation::kJump}));
      instructions_[split].alternative = instructions_.size();
    }
    compile(node.children.back());
    for (const std::size_t jump : jumps) instructions_[jump].target = instructions_.size();
  }

  // X{m,n} = m times X, then n - m nested options; X{m,} = m times X, then a loop.
  void compile_repeat(const PatternNode& node) {
    const PatternNode& body = node.children.front();
    // Engines leave a loop whose body matched nothing, each in its own way.
    const bool optional = node.minimum == 0 && node.maximum == 1;
    if (!optional && can_be_empty(body)) {
      fail(node.position, "repetition of something that can match the empty string");
    }
    const bool lazy = node.greed == PatternNode::Greed::kLazy;
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
    for (const std::size_t split : exits) {
      instructions_[split].target = split + 1;
      instructions_[split].alternative = instructions_.size();
      if (lazy) std::swap(instructions_[split].target, instructions_[split].alternative);
    }
    if (node.greed == PatternNode::Greed::kPossessive) {
      possessive_uses_.push_back({classes_.mask_of(body.set), instructions_.size(), node.position});
    }
  }

  static bool can_be_empty(const PatternNode& node) {
    switch (node.kind) {
      case PatternNode::Kind::kCharacter:
        return false;
      case PatternNode::Kind::kLookahead:
        return true;
      case PatternNode::Kind::kConcatenation:
        return std::all_of(node.children.begin(), node.children.end(), can_be_empty);
      case PatternNode::Kind::kAlternation:
        return std::any_of(node.children.begin(), node.children.end(), can_be_empty);
      case PatternNode::Kind::kRepeat:
        return node.minimum == 0 || can_be_empty(node.children.front());
    }
    return true;
  }

  // A greedy repeat differs from the possessive one only by the paths that stop early. A path that
  // stops early has a character of the repeated set next. It changes nothing if the continuation
  // fails on each such character, or if the longest run always succeeds, so that no shorter one is
  // ever tried.
  void prove_possessive_uses() const {
    for (const PossessiveUse& use : possessive_uses_) {
      bool early_stop_fails = true;
      bool always_matches = true;
      for (unsigned symbol = 0; symbol <= end_symbol_; ++symbol) {
        const std::vector<std::size_t> moves = closure(use.continuation, symbol);
        const bool repeated = symbol != end_symbol_ && (use.classes >> symbol & 1U) != 0;
        if (repeated && !moves.empty()) early_stop_fails = false;
        if (moves.empty() || moves.back() != kMatchMove) always_matches = false;
      }
      if (!early_stop_fails && !always_matches) {
        fail(use.position, "possessive quantifier that differs from the greedy one");
      }
    }
  }

  // Oniguruma lets the literals (?i:ss) match U+00DF, and so on: one character for two letters. The
  // Rust engines do not. These are all the pairs of ASCII letters that are the folding of one
  // character, or start one.
  void prove_single_character_folds() const {
    for (std::size_t at = 0; at < instructions_.size(); ++at) {
      if (instructions_[at].folded_letter == 0) continue;
      std::vector<std::size_t> stack = {at + 1};
      std::vector<bool> visited(instructions_.size(), false);
      while (!stack.empty()) {
        const std::size_t next = stack.back();
        stack.pop_back();
        if (visited[next]) continue;
        visited[next] = true;
        const Instruction& instruction = instructions_[next];
        if (instruction.operation == Operation::kCharacter) {
          check_fold_pair(instructions_[at], instruction);
        } else if (instruction.operation == Operation::kAssert) {
          stack.push_back(next + 1);
        } else if (instruction.operation != Operation::kMatch) {
          stack.push_back(instruction.target);
          if (instruction.operation == Operation::kSplit) stack.push_back(instruction.alternative);
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
  unsigned end_symbol_ = 0;
  std::vector<Instruction> instructions_;
  std::vector<PossessiveUse> possessive_uses_;
};

// The closures of the threads that the start reaches, by thread, then symbol. Moves name threads by
// their index here, or are kMatchMove.
using ClosureTable = std::vector<std::vector<std::vector<std::size_t>>>;

ClosureTable tabulate(const Compiler& compiler, unsigned num_symbols) {
  ClosureTable table;
  std::vector<std::size_t> starts = {0};  // the instruction of each thread
  std::map<std::size_t, std::size_t> thread_at = {{0, 0}};
  for (std::size_t thread = 0; thread < starts.size(); ++thread) {
    std::vector<std::vector<std::size_t>> row(num_symbols);
    for (unsigned symbol = 0; symbol < num_symbols; ++symbol) {
      row[symbol] = compiler.closure(starts[thread], symbol);
      for (std::size_t& move : row[symbol]) {
        if (move == kMatchMove) continue;
        const auto found = thread_at.emplace(move, starts.size());
        if (found.second) starts.push_back(move);
        move = found.first->second;
      }
    }
    table.push_back(std::move(row));
  }
  return table;
}

// Moves with threads renamed to their blocks, repeated moves dropped.
std::vector<ThreadId> renamed(const std::vector<std::size_t>& moves,
                              const std::vector<ThreadId>& block_of) {
  std::vector<ThreadId> result;
  for (const std::size_t move : moves) {
    const ThreadId block = move == kMatchMove ? kMatchThread : block_of[move];
    if (std::find(result.begin(), result.end(), block) == result.end()) result.push_back(block);
  }
  return result;
}

// The coarsest partition of the threads in which equals have equal moves, by refinement from one
// block until the number of blocks stays. Block 0 holds thread 0.
std::vector<ThreadId> bisimulation(const ClosureTable& table) {
  std::vector<ThreadId> block_of(table.size(), 0);
  for (std::size_t blocks = 1;;) {
    std::map<std::vector<ThreadId>, ThreadId> ids;
    std::vector<ThreadId> refined;
    for (std::size_t thread = 0; thread < table.size(); ++thread) {
      // The own block first, so that the new partition refines the old one.
      std::vector<ThreadId> signature = {block_of[thread]};
      for (const std::vector<std::size_t>& moves : table[thread]) {
        const std::vector<ThreadId> row = renamed(moves, block_of);
        signature.push_back(static_cast<ThreadId>(row.size()));
        signature.insert(signature.end(), row.begin(), row.end());
      }
      const auto found = ids.emplace(std::move(signature), static_cast<ThreadId>(ids.size()));
      refined.push_back(found.first->second);
    }
    block_of = std::move(refined);
    if (ids.size() == blocks) return block_of;
    blocks = ids.size();
  }
}

}  // namespace

PatternProgram::PatternProgram(const PatternNode& pattern, const CharacterClasses& classes)
    : num_classes_(classes.size()) {
  const Compiler compiler(pattern, classes);
  const ClosureTable table = tabulate(compiler, num_classes_ + 1);
  const std::vector<ThreadId> block_of = bisimulation(table);
  first_move_.push_back(0);
  for (std::size_t thread = 0; thread < table.size(); ++thread) {
    if (block_of[thread] != num_threads_) continue;  // not the first of its block
    ++num_threads_;
    for (const std::vector<std::size_t>& moves : table[thread]) {
      const std::vector<ThreadId> row = renamed(moves, block_of);
      moves_.insert(moves_.end(), row.begin(), row.end());
      first_move_.push_back(static_cast<std::uint32_t>(moves_.size()));
    }
  }
  for (unsigned symbol = 0; symbol <= end_symbol(); ++symbol) {
    if (matches_at(kStartThread, symbol)) {
      throw UnsupportedTokenizer("the pattern can match the empty string");
    }
  }
}

}  // namespace nextbyte
