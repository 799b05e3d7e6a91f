// Builds and steps the automaton of forbidden strings (Aho and Corasick's, over characters).
#include "families/text_guard.h"

#include <algorithm>

#include "support/error.h"
#include "text/unicode.h"

namespace nextbyte {

namespace {

constexpr char32_t kStart =
    kLastScalar + 1;  // stands before a text that may not begin with a blank

std::u32string characters_of(const std::string& text) {
  std::u32string characters;
  for (std::size_t at = 0; at < text.size();) {
    const DecodedScalar scalar = decode_scalar(text, at);
    if (scalar.length == 0) throw TokenizerFormat("a forbidden string is no UTF-8");
    characters.push_back(scalar.value);
    at += scalar.length;
  }
  if (characters.empty()) throw TokenizerFormat("a forbidden string is empty");
  return characters;
}

}  // namespace

TextGuard::TextGuard(const Options& options) : nodes_(1), single_blanks_(options.single_blanks) {
  for (const std::string& forbidden : options.forbidden) add(characters_of(forbidden));
  if (single_blanks_) add(U"  ");
  const bool no_blank_first = options.single_blanks || options.no_blank_first;
  if (no_blank_first) {
    std::u32string first(options.blank_before ? 3 : 2, U' ');
    first.front() = kStart;
    add(first);
  }
  std::sort(last_characters_.begin(), last_characters_.end());
  last_characters_.erase(std::unique(last_characters_.begin(), last_characters_.end()),
                         last_characters_.end());
  link();
  if (no_blank_first) initial_ = child(0, kStart);
}

void TextGuard::add(const std::u32string& text) {
  State node = 0;
  for (const char32_t character : text) {
    State next = child(node, character);
    if (next == kDead) {
      next = static_cast<State>(nodes_.size());
      std::vector<Child>& children = nodes_[node].children;
      const auto place = std::lower_bound(
          children.begin(), children.end(), character, [](const Child& c, char32_t wanted) {
            return c.character < wanted;
          });
      children.insert(place, {character, next});
      nodes_.emplace_back();
      nodes_.back().is_blank = character == U' ';
    }
    node = next;
  }
  nodes_[node].is_forbidden = true;
  last_characters_.push_back(text.back());
}

void TextGuard::link() {
  std::vector<State> order{0};  // breadth first: suffixes are shorter, so they are ready
  for (std::size_t i = 0; i < order.size(); ++i) {
    const State node = order[i];
    for (const Child& next : nodes_[node].children) {
      order.push_back(next.node);
      if (node == 0) continue;
      State from = nodes_[node].suffix;
      State found = child(from, next.character);
      while (found == kDead && from != 0) {
        from = nodes_[from].suffix;
        found = child(from, next.character);
      }
      if (found == kDead) continue;
      nodes_[next.node].suffix = found;
      if (nodes_[found].is_forbidden) nodes_[next.node].is_forbidden = true;
    }
  }
}

TextGuard::State TextGuard::child(State node, char32_t character) const noexcept {
  const std::vector<Child>& children = nodes_[node].children;
  const auto place = std::lower_bound(
      children.begin(), children.end(), character, [](const Child& c, char32_t wanted) {
        return c.character < wanted;
      });
  return place == children.end() || place->character != character ? kDead : place->node;
}

TextGuard::State TextGuard::step(State state, char32_t character) const noexcept {
  for (;; state = nodes_[state].suffix) {
    const State next = child(state, character);
    if (next != kDead) return nodes_[next].is_forbidden ? kDead : next;
    if (state == 0) return 0;
  }
}

TextGuard::State TextGuard::run(State state, std::string_view text) const noexcept {
  for (std::size_t at = 0; at < text.size() && state != kDead;) {
    const DecodedScalar scalar = decode_scalar(text, at);
    if (scalar.length == 0) return kDead;
    state = step(state, scalar.value);
    at += scalar.length;
  }
  return state;
}

void TextGuard::append_utf8(char32_t character, std::string& text) {
  const auto continuation = [&](unsigned shift) {
    text.push_back(static_cast<char>(0x80U | (static_cast<unsigned>(character) >> shift & 0x3FU)));
  };
  const auto lead = [&](unsigned marker, unsigned shift) {
    text.push_back(static_cast<char>(marker | static_cast<unsigned>(character) >> shift));
  };
  if (character < 0x80) {
    lead(0, 0);
  } else if (character < 0x800) {
    lead(0xC0, 6);
    continuation(0);
  } else if (character < 0x10000) {
    lead(0xE0, 12);
    continuation(6);
    continuation(0);
  } else {
    lead(0xF0, 18);
    continuation(12);
    continuation(6);
    continuation(0);
  }
}

}  // namespace nextbyte
