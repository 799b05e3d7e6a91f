// Which strings may not occur in a text: what a normalizer would have replaced.
#ifndef NEXTBYTE_FAMILIES_TEXT_GUARD_H_
#define NEXTBYTE_FAMILIES_TEXT_GUARD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nextbyte {

// Immutable: the automaton of the texts that contain none of the forbidden strings and, if so
// wanted, have no blank at the end and no two in a row. Text is read by whole characters. A state
// is the longest beginning of a forbidden string that the text ends with; 0 is none.
class TextGuard {
 public:
  using State = std::uint32_t;
  static constexpr State kDead = 0xFFFFFFFFU;

  struct Options {
    std::vector<std::string> forbidden;  // UTF-8, not empty
    bool single_blanks = false;          // only single blanks, each before something else
    bool no_blank_first = false;         // the text does not begin with a blank
    bool blank_before = false;           // a text begins with a blank that is not its own
  };
  // Throws TokenizerFormat if a forbidden string is empty or no UTF-8.
  explicit TextGuard(const Options& options);

  State initial() const noexcept { return initial_; }
  State step(State state, char32_t character) const noexcept;
  // All of a text; kDead for invalid UTF-8.
  State run(State state, std::string_view text) const noexcept;
  // May a text that is not empty end so?
  bool may_end(State state) const noexcept { return !single_blanks_ || !nodes_[state].is_blank; }
  bool single_blanks() const noexcept { return single_blanks_; }
  // The characters that can complete a forbidden string, ascending.
  const std::vector<char32_t>& last_characters() const noexcept { return last_characters_; }

  // Calls visit(string) with strings of which one begins every text that is dead after `state`,
  // but is not by itself; each is dead after `state`.
  template <typename Visit>
  void for_each_completion(State state, Visit visit) const {
    for (; state != 0; state = nodes_[state].suffix) visit_below(state, std::string(), visit);
  }

 private:
  struct Child {
    char32_t character;
    State node;
  };
  struct Node {
    std::vector<Child> children;  // by character
    State suffix = 0;             // longest proper suffix that is a node
    bool is_forbidden = false;    // it, or a suffix of it
    bool is_blank = false;        // it ends with a blank
  };
  State child(State node, char32_t character) const noexcept;
  void add(const std::u32string& text);
  void link();

  template <typename Visit>
  void visit_below(State node, const std::string& path, Visit& visit) const {
    for (const Child& next : nodes_[node].children) {
      std::string longer = path;
      append_utf8(next.character, longer);
      if (nodes_[next.node].is_forbidden) {
        visit(longer);
      } else {
        visit_below(next.node, longer, visit);
      }
    }
  }
  static void append_utf8(char32_t character, std::string& text);

  std::vector<Node> nodes_;
  std::vector<char32_t> last_characters_;
  State initial_ = 0;
  bool single_blanks_ = false;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_FAMILIES_TEXT_GUARD_H_
