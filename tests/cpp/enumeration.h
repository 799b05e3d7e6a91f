// Covers by definition: encode every short text and cut the encodings at each prefix.
#ifndef NEXTBYTE_TESTS_CPP_ENUMERATION_H_
#define NEXTBYTE_TESTS_CPP_ENUMERATION_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cover/cover_tracker.h"
#include "support/error.h"

namespace nextbyte {

[[noreturn]] inline void fail(const std::string& message) {
  std::fprintf(stderr, "failed: %s\n", message.c_str());
  std::exit(1);
}

inline void require(bool condition, const std::string& message) {
  if (!condition) fail(message);
}

inline std::string shown(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    if (c >= 0x20 && c < 0x7F) {
      text += c;
    } else {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02X", static_cast<unsigned char>(c));
      text += escape;
    }
  }
  return text;
}

using Covers = std::set<std::pair<std::vector<TokenId>, std::size_t>>;

// The covers of every byte prefix of at most `depth` characters that some text of at most `length`
// characters realises, and the prefixes that are a text with an encoding.
struct Enumeration {
  std::map<std::string, Covers> covers;
  std::map<std::string, std::vector<TokenId>> texts;

  Enumeration(const Tokenizer& tokenizer,
              const std::vector<std::string>& alphabet,
              std::size_t length,
              std::size_t depth) {
    struct Text {
      std::string bytes;
      std::size_t end_of_depth;  // bytes of its first `depth` characters
    };
    std::vector<Text> level{{"", 0}};
    for (std::size_t count = 0; count <= length; ++count) {
      std::vector<Text> longer;
      for (const Text& text : level) {
        add(tokenizer, text.bytes, text.end_of_depth);
        if (count == length) continue;
        for (const std::string& character : alphabet) {
          const std::string bytes = text.bytes + character;
          longer.push_back({bytes, count < depth ? bytes.size() : text.end_of_depth});
        }
      }
      level = std::move(longer);
    }
  }

  // Compares with the tracker's: covers, and where a text may end.
  void compare(const std::shared_ptr<const Tokenizer>& tokenizer, const std::string& name) const {
    for (const auto& [prefix, expected] : covers) {
      CoverTracker tracker(tokenizer);
      bool alive = true;
      for (const char byte : prefix) {
        alive = alive && tracker.push(static_cast<std::uint8_t>(byte));
      }
      require(alive, name + ": no cover of " + shown(prefix));
      Covers found;
      for (const CoverEncoding& cover : cover_encodings(tracker)) {
        require(found.emplace(cover.tokens, cover.overhang).second, name + ": a cover twice");
      }
      if (found != expected) {
        const auto print = [&](const char* what, const Covers& some, const Covers& others) {
          for (const auto& cover : some) {
            if (others.contains(cover)) continue;
            std::fprintf(stderr, "%s:", what);
            for (const TokenId token : cover.first) {
              std::fprintf(stderr, " [%s]", shown(tokenizer->token_bytes(token)).c_str());
            }
            std::fprintf(stderr, " +%zu\n", cover.second);
          }
        };
        print("only found", found, expected);
        print("only expected", expected, found);
        fail(name + ": covers of " + shown(prefix));
      }
      std::size_t ends = 0;
      for (const LiveContext& live : tracker.live()) {
        std::vector<std::uint64_t> words;
        live.allowed(*tokenizer).copy_words(tokenizer->table().size(), words);
        const auto unread = tokenizer->allowed(live.context->state());  // answers without a mask
        bool any_rank = false;
        for (Rank rank = 0; rank < tokenizer->table().size(); ++rank) {
          const bool bit = (words[rank / 64] >> (rank % 64) & 1U) != 0;
          any_rank = any_rank || bit;
          require(bit == unread->test(rank), name + ": mask and test differ");
          for (Rank last = rank; last <= tokenizer->table().size(); last += 3) {
            bool any = false;
            for (Rank r = rank; r < last; ++r) any = any || (words[r / 64] >> (r % 64) & 1U) != 0;
            require(unread->any(rank, last) == any, name + ": mask and any differ");
          }
        }
        const bool may_end = tokenizer->may_end(live.context->state());
        require(any_rank || may_end, name + ": a dead context after " + shown(prefix));
        if (live.cursor.depth == 0 && may_end) ++ends;
      }
      require(ends == texts.count(prefix), name + ": the end of " + shown(prefix));
    }
  }

 private:
  void add(const Tokenizer& tokenizer, const std::string& text, std::size_t end_of_depth) {
    std::vector<TokenId> tokens;
    try {
      tokens = tokenizer.encode(text);
    } catch (const InvalidInput&) {
      return;  // outside the domain
    }
    texts[text] = tokens;
    std::size_t end = 0;
    std::vector<TokenId> cover;
    for (const TokenId token : tokens) {
      const std::size_t begin = end;
      end += tokenizer.token_bytes(token).size();
      cover.push_back(token);
      for (std::size_t at = begin + 1; at <= std::min(end, end_of_depth); ++at) {
        covers[text.substr(0, at)].emplace(cover, end - at);
      }
    }
  }
};

}  // namespace nextbyte

#endif  // NEXTBYTE_TESTS_CPP_ENUMERATION_H_
