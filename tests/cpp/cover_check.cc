// Self-check of cover tracker and byte stream: brute force on tiny vocabularies, forks, threads,
// depth.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cover/cover_tracker.h"
#include "families/byte_pair_family.h"
#include "families/character_pair_family.h"
#include "mass/byte_stream.h"
#include "support/error.h"

namespace {

using nextbyte::ByteStream;
using nextbyte::CoverTracker;
using nextbyte::Merge;
using nextbyte::TokenId;
using nextbyte::Tokenizer;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "cover_check: failed: %s\n", what);
  std::exit(1);
}

// a, b, c, then the merges ab, abc, aa, " a", and one special token at the end.
std::shared_ptr<const Tokenizer> tiny(const std::vector<std::string>& stages) {
  const std::vector<std::string> tokens{"a", "b", "c", " ", "ab", "abc", "aa", " a", ""};
  const std::vector<Merge> merges{{0, 1, 4}, {4, 2, 5}, {0, 0, 6}, {3, 0, 7}};
  const auto vocabulary = std::make_shared<const nextbyte::Vocabulary>(tokens);
  return std::make_shared<const Tokenizer>(
      vocabulary,
      std::make_unique<const nextbyte::BytePairFamily>(
          vocabulary, nextbyte::BpeMerges::from_merges(tokens, merges), stages, false));
}

// Every text over the alphabet of length n.
std::vector<std::string> all_texts(const std::string& alphabet, std::size_t n) {
  std::vector<std::string> texts{""};
  for (std::size_t i = 0; i < n; ++i) {
    std::vector<std::string> longer;
    for (const std::string& text : texts) {
      for (const char c : alphabet) longer.push_back(text + c);
    }
    texts = std::move(longer);
  }
  return texts;
}

// The tracker's covers of `prefix` against the encodings of all longer texts: a cover is the
// shortest beginning of an encoding that reaches the prefix's end.
void check_covers(const std::shared_ptr<const Tokenizer>& tokenizer, const std::string& prefix) {
  std::set<std::vector<TokenId>> expected;
  for (std::size_t extra = 0; extra <= 5; ++extra) {
    for (const std::string& tail : all_texts("abc ", extra)) {
      std::vector<TokenId> cover;
      std::size_t length = 0;
      for (const TokenId token : tokenizer->encode(prefix + tail)) {
        if (length >= prefix.size()) break;
        cover.push_back(token);
        length += tokenizer->token_bytes(token).size();
      }
      expected.insert(cover);
    }
  }
  CoverTracker tracker(tokenizer);
  for (const char c : prefix)
    require(tracker.push(static_cast<std::uint8_t>(c)), "every prefix has a cover");
  std::set<std::vector<TokenId>> found;
  for (const nextbyte::CoverEncoding& cover : cover_encodings(tracker)) {
    require(found.insert(cover.tokens).second, "a cover is listed once");
  }
  require(found == expected, "covers equal brute force");
}

std::vector<std::vector<TokenId>> cover_tokens(const CoverTracker& tracker) {
  std::vector<std::vector<TokenId>> tokens;
  for (const auto& cover : cover_encodings(tracker)) tokens.push_back(cover.tokens);
  return tokens;
}

void check_fork_and_rollback(const std::shared_ptr<const Tokenizer>& tokenizer) {
  std::mt19937 random(7);
  const std::string alphabet = "abc ";
  CoverTracker tracker(tokenizer);
  std::string text;
  for (int i = 0; i < 300; ++i) {
    const char c = alphabet[random() % alphabet.size()];
    require(tracker.push(static_cast<std::uint8_t>(c)), "push");
    text += c;
    CoverTracker other = tracker;
    const std::size_t back = random() % (text.size() + 1);
    other.rollback(back);
    for (const char again : text.substr(text.size() - back))
      other.push(static_cast<std::uint8_t>(again));
    require(other.bytes() == text && cover_tokens(other) == cover_tokens(tracker),
            "rollback then push");
    require(!other.push(0xFF) && other.bytes() == text, "an impossible byte changes nothing");
  }
  try {
    tracker.rollback(text.size() + 1);
    require(false, "rolling back too far throws");
  } catch (const nextbyte::InvalidInput&) {
  }
}

// Feeds rows from a function of the context's tokens until nothing is pending.
void evaluate(ByteStream& stream, std::size_t vocabulary) {
  for (const auto& context : stream.pending()) {
    std::vector<double> row(vocabulary);
    for (std::size_t i = 0; i < vocabulary; ++i) {
      row[i] = std::sin(static_cast<double>(i * 7 + context->depth() * 3 + context->token() % 11));
    }
    stream.provide(context, {row.data(), nextbyte::kernels::LogitType::kFloat64, row.size()});
  }
}

void check_masses(const std::shared_ptr<const Tokenizer>& tokenizer) {
  ByteStream stream(tokenizer, {8});
  double chain = 0.0;
  for (const char c : std::string("aab abcc  a")) {
    evaluate(stream, 9);
    const nextbyte::ByteLogprobs& row = stream.next_byte_logprobs();
    double sum = 0.0;
    for (const double logprob : row) sum += std::exp(logprob);
    require(std::abs(sum - 1.0) < 1e-12, "sums to one");
    chain += row[static_cast<std::uint8_t>(c)];
    stream.push(std::string_view(&c, 1));
  }
  evaluate(stream, 9);
  require(std::abs(stream.base_logprob() + stream.relative_logprob() - chain) < 1e-12,
          "chain rule");

  const auto expect_invalid = [&](std::vector<float> row, const char* what) {
    ByteStream fresh(tokenizer, {8});
    try {
      fresh.provide(fresh.pending().front(),
                    {row.data(), nextbyte::kernels::LogitType::kFloat32, row.size()});
      fresh.next_byte_logprobs();
      require(false, what);
    } catch (const nextbyte::InvalidInput&) {
    }
  };
  expect_invalid(std::vector<float>(8, 0.0F), "a narrow row throws");
  expect_invalid(std::vector<float>(9, -INFINITY), "a row of -inf throws");
  expect_invalid(std::vector<float>(9, NAN), "a row of NaN throws");
  expect_invalid(std::vector<float>(9, INFINITY), "a row of +inf throws");
}

// " " and "a" behind a lead, and a special token.
std::shared_ptr<const Tokenizer> with_lead(const std::vector<TokenId>& added) {
  const std::vector<std::string> tokens{" ", "a", ""};
  const auto vocabulary = std::make_shared<const nextbyte::Vocabulary>(tokens, added);
  nextbyte::ByteFallback::ByteTokens bytes;
  bytes.fill(nextbyte::kNoToken);
  return std::make_shared<const Tokenizer>(
      vocabulary,
      std::make_unique<const nextbyte::CharacterPairFamily>(
          vocabulary,
          nextbyte::BpeMerges::from_merges(tokens, {}, nextbyte::BaseSymbols::kCharacters),
          bytes,
          true),
      " ");
}

// No token reaches past the lead, and still the empty text ends at the root: with logits that are
// all the same, in one of two cases, and "a" comes in one of two others.
void check_empty_text_behind_a_lead() {
  const auto tokenizer = with_lead({});
  ByteStream stream(tokenizer, {2});
  for (int i = 0; i < 3; ++i) {
    if (i == 1) stream.push("a");
    if (i == 2) stream.rollback(1);
    const std::vector<double> row(3, 0.0);
    for (const auto& context : stream.pending()) {
      stream.provide(context, {row.data(), nextbyte::kernels::LogitType::kFloat64, row.size()});
    }
    if (i == 1) continue;
    const auto& logprobs = stream.next_byte_logprobs();
    require(std::abs(std::exp(logprobs[nextbyte::kEndOfText]) - 0.5) < 1e-12, "the empty text");
    require(std::abs(std::exp(logprobs['a']) - 0.25) < 1e-12, "one letter");
  }
  bool refused = false;
  try {
    with_lead({0});
  } catch (const nextbyte::UnsupportedTokenizer&) {
    refused = true;
  }
  require(refused, "an added token that is the lead is refused");
}

}  // namespace

int main() {
  check_empty_text_behind_a_lead();
  const std::vector<std::vector<std::string>> patterns{
      {}, {" ?[abc]+|\\s+(?!\\S)|\\s+"}, {"a", " ?[abc]+|\\s+"}};
  for (const std::vector<std::string>& stages : patterns) {
    const auto tokenizer = tiny(stages);
    for (std::size_t length = 1; length <= 4; ++length) {
      for (const std::string& prefix : all_texts("abc ", length)) check_covers(tokenizer, prefix);
    }
    check_fork_and_rollback(tokenizer);
    check_masses(tokenizer);
  }

  // Threads share one tokenizer whose caches are still empty.
  const auto shared = tiny(patterns[1]);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { check_fork_and_rollback(shared); });
  for (std::thread& thread : threads) thread.join();

  // A text of a million bytes: the chains of contexts and frames are freed without deep recursion.
  CoverTracker deep(shared);
  for (int i = 0; i < 1'000'000; ++i) deep.push("ab c"[i % 4]);
  std::printf("cover_check: ok\n");
  return 0;
}
