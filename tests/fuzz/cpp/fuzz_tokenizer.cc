// Fuzz target: random tokenizers, whose covers and masks must agree with their own encoder.
//
// The encoder is independent of the masks and of the tracker, so it is the oracle:
//   complete:  every step of the encoding of a text is allowed, and the text may end there;
//   sound:     a walk over allowed tokens that may end spells a text with just this encoding;
//   covers:    after any pushes and rollbacks they are those of a new tracker, and one of them is
//              the beginning of the encoding of any text that goes on from there; the text can end
//              with the tokens of its encoding and no others.
// A text that the encoder refuses (no token for a character, a sequence that is in no text) may end
// nowhere. With a lead, tokens spell that and then the text; the empty text has no tokens.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cover/cover_tracker.h"
#include "random_tokenizer.h"
#include "require.h"
#include "support/error.h"

namespace {

using nextbyte::ContextState;
using nextbyte::CoverEncoding;
using nextbyte::CoverTracker;
using nextbyte::kNoRank;
using nextbyte::Rank;
using nextbyte::TokenId;
using nextbyte::Tokenizer;
using TokenizerPointer = std::shared_ptr<const Tokenizer>;
using Covers = std::set<std::pair<std::vector<TokenId>, std::size_t>>;

std::string bytes_of(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  std::string bytes;
  for (const TokenId token : tokens) bytes += tokenizer.token_bytes(token);
  return bytes;
}

// What the tokens of a text spell.
std::string spelling_of(const Tokenizer& tokenizer, const std::string& text) {
  return text.empty() ? text : tokenizer.lead() + text;
}

// The text that the tokens spell, or false.
bool decode(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens, std::string& text) {
  text = bytes_of(tokenizer, tokens);
  if (!tokens.empty() && !text.starts_with(tokenizer.lead())) return false;
  if (!tokens.empty()) text.erase(0, tokenizer.lead().size());
  return true;
}

// The encoding of a text that the tokenizer can spell, or false.
bool encode(const Tokenizer& tokenizer, const std::string& text, std::vector<TokenId>& tokens) {
  try {
    tokens = tokenizer.encode(text);
    return true;
  } catch (const nextbyte::InvalidInput&) {  // a character is cut, or has no token
    return false;
  }
}

Covers covers_of(const CoverTracker& tracker) {
  Covers covers;
  for (CoverEncoding& cover : cover_encodings(tracker)) {
    require(covers.emplace(std::move(cover.tokens), cover.overhang).second, "no cover twice");
  }
  return covers;
}

void check_encoding(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<TokenId> tokens;
  if (!encode(tokenizer, text, tokens)) return;
  require(bytes_of(tokenizer, tokens) == spelling_of(tokenizer, text),
          "decode(encode(text)) is the text");
  ContextState state = tokenizer.initial();
  for (const TokenId token : tokens) {
    const Rank rank = tokenizer.table().rank_of(token);
    require(rank != kNoRank, "a token of an encoding is reachable");
    require(tokenizer.allowed(state)->test(rank), "a step of an encoding is allowed");
    state = tokenizer.advance(state, rank);
  }
  require(tokenizer.may_end(state), "the encoding of a text may end");
}

void check_walk(const Tokenizer& tokenizer, FuzzedDataProvider& source) {
  std::vector<TokenId> tokens;
  ContextState state = tokenizer.initial();
  for (unsigned step = 0; step < 12; ++step) {
    if (tokenizer.may_end(state)) {
      std::string text;
      std::vector<TokenId> encoded;
      require(
          decode(tokenizer, tokens, text) && encode(tokenizer, text, encoded) && encoded == tokens,
          "a sequence that may end is the encoding of its bytes");
    }
    const auto allowed = tokenizer.allowed(state);
    const Rank size = tokenizer.table().size();
    std::vector<Rank> ranks;
    for (Rank rank = 0; rank < size; ++rank) {
      if (allowed->test(rank)) ranks.push_back(rank);
    }
    std::vector<std::uint64_t> words;
    allowed->copy_words(size, words);
    for (Rank rank = 0; rank < size; ++rank) {
      require((words[rank / 64] >> rank % 64 & 1) ==
                  static_cast<std::uint64_t>(std::binary_search(ranks.begin(), ranks.end(), rank)),
              "the words of a mask say what test() says");
    }
    require(allowed->any(0, size) == !ranks.empty(), "any() says what test() says");
    const auto first = source.ConsumeIntegralInRange<Rank>(0, size);
    const auto last = source.ConsumeIntegralInRange<Rank>(first, size);
    const auto found = std::lower_bound(ranks.begin(), ranks.end(), first);
    const bool any = found != ranks.end() && *found < last;
    require(tokenizer.allowed(state)->any(first, last) == any && allowed->any(first, last) == any,
            "any() of a range says what test() says");
    require(!ranks.empty() || tokenizer.may_end(state), "an allowed token is live");
    // An added token may be said to follow the empty sequence where no text begins so.
    if (tokens.empty()) {
      std::erase_if(ranks, [&](Rank rank) {
        return !tokenizer.table().bytes(rank).starts_with(tokenizer.lead());
      });
    }
    if (ranks.empty()) return;
    const Rank rank = ranks[source.ConsumeIntegralInRange<std::size_t>(0, ranks.size() - 1)];
    tokens.push_back(tokenizer.table().order()[rank]);
    state = tokenizer.advance(state, rank);
  }
}

// One of the covers of each prefix is the beginning of the text's encoding that reaches its end.
void check_covers(const TokenizerPointer& tokenizer, const std::string& text) {
  std::vector<TokenId> tokens;
  if (!encode(*tokenizer, text, tokens)) return;
  CoverTracker tracker(tokenizer);
  std::vector<TokenId> cover;
  std::size_t reached = 0, next = 0, end = tokenizer->lead().size();
  for (const char byte : text) {
    require(tracker.push(static_cast<std::uint8_t>(byte)), "a prefix of a text has covers");
    ++end;
    while (reached < end) {
      cover.push_back(tokens[next]);
      reached += tokenizer->token_bytes(tokens[next++]).size();
    }
    require(covers_of(tracker).contains({cover, reached - end}), "an encoding begins with a cover");
  }
}

// Where the text can end, its tokens are its encoding.
void check_ends(const CoverTracker& tracker, const std::string& text) {
  std::vector<std::vector<TokenId>> ends;
  for (const auto& live : tracker.live()) {
    if (!tracker.ends_at(live) || !tracker.tokenizer().may_end(live.context->state())) continue;
    std::vector<TokenId>& tokens = ends.emplace_back();
    for (const nextbyte::Context* c = live.context.get(); c->parent() != nullptr; c = c->parent()) {
      tokens.push_back(c->token());
    }
    std::reverse(tokens.begin(), tokens.end());
  }
  std::vector<std::vector<TokenId>> expected(1);
  if (!encode(tracker.tokenizer(), text, expected[0])) expected.clear();
  require(ends == expected, "a text ends with its encoding and nowhere else");
}

void check_tracker(const TokenizerPointer& tokenizer,
                   const std::string& alphabet,
                   FuzzedDataProvider& source) {
  CoverTracker tracker(tokenizer);
  std::string bytes;
  for (unsigned step = 0; step < 16 && source.remaining_bytes() > 0; ++step) {
    if (source.ConsumeIntegralInRange(0, 3) == 0) {
      const auto count = source.ConsumeIntegralInRange<std::size_t>(0, bytes.size());
      tracker.rollback(count);
      bytes.resize(bytes.size() - count);
    } else {
      const char byte =
          alphabet[source.ConsumeIntegralInRange<std::size_t>(0, alphabet.size() - 1)];
      if (tracker.push(static_cast<std::uint8_t>(byte))) bytes.push_back(byte);
    }
    require(tracker.bytes() == bytes, "the tracker holds the bytes pushed and not taken back");
  }
  CoverTracker again(tokenizer);
  for (const char byte : bytes) {
    require(again.push(static_cast<std::uint8_t>(byte)),
            "what was pushed once can be pushed again");
  }
  const Covers covers = covers_of(tracker);
  require(!covers.empty(), "what could be pushed has a cover");
  require(covers == covers_of(again), "covers do not depend on the way to the bytes");
  for (const auto& [tokens, overhang] : covers) {
    const std::string spelled = bytes_of(*tokenizer, tokens);
    const std::string pushed = spelling_of(*tokenizer, bytes);
    require(spelled.size() == pushed.size() + overhang && spelled.starts_with(pushed),
            "a cover spells the bytes and its overhang");
  }
  check_ends(tracker, bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider source(data, size);
  RandomTokenizer made;
  try {
    made = random_tokenizer(source);
    CoverTracker{made.tokenizer};  // refuses a tokenizer without a token for its lead
  } catch (const nextbyte::UnsupportedTokenizer&) {
    return 0;
  } catch (const nextbyte::TokenizerFormat&) {
    return 0;
  }
  // For whoever looks at a finding.
  if (std::getenv("NEXTBYTE_FUZZ_SHOW") != nullptr)
    std::fprintf(stderr, "%s\n", made.description.c_str());
  for (unsigned i = 0; i < 3; ++i) check_walk(*made.tokenizer, source);
  for (unsigned i = 0; i < 4; ++i) {
    std::string text = random_text(source, made.characters, 12);
    if (made.normal_form != nextbyte::NormalForm::kNone) {
      text.resize(nextbyte::NormalFormAutomaton::of(made.normal_form).alive_length(text));
    }
    check_encoding(*made.tokenizer, text);
    check_covers(made.tokenizer, text);
  }
  std::string alphabet;
  for (const std::string& character : made.characters) alphabet += character;
  check_tracker(made.tokenizer, alphabet, source);
  return 0;
}
