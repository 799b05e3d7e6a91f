// Runs each hot call a fixed number of times over a made vocabulary, to be counted by callgrind.
//
// Every call is a function of its own that nothing is inlined into, so that the counter can be
// switched on inside it alone. All inputs come from one integer generator: the work is the same on
// every machine, and only the compiler and the library change the counts.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "families/byte_pair_family.h"
#include "kernels/levels.h"
#include "mass/byte_stream.h"
#include "mass/mass_row.h"
#include "tokenizer/tokenizer.h"
#include "vocabulary/bpe_merges.h"
#include "vocabulary/vocabulary.h"

namespace {

using nextbyte::ByteStream;
using nextbyte::TokenId;

constexpr std::size_t kTokens = 20'000;
constexpr std::size_t kTextBytes = 2'000;
constexpr std::size_t kLongestToken = 12;
constexpr int kRootCalls = 50;
constexpr std::size_t kInnerCalls = 500;
constexpr const char* kLevel = "x86-64-v3";  // the counter knows no AVX-512

// A 64-bit linear congruential generator; the high bits are good.
class Generator {
 public:
  std::uint32_t below(std::uint32_t bound) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::uint32_t>((state_ >> 33) % bound);
  }
  // Small numbers are likelier: about 1 / (n + 1).
  std::uint32_t skewed(std::uint32_t bound) { return below(below(bound) + 1); }

 private:
  std::uint64_t state_ = 20'261'124;
};

struct Ingredients {
  std::vector<std::string> tokens;
  std::vector<nextbyte::Merge> merges;
};

// Byte tokens, then merges of frequent parts, as training makes them: words with and without a
// blank before them, shared beginnings, a large share of all tokens behind the blank.
Ingredients make_ingredients(Generator& random) {
  static constexpr char kFrequent[] = " etaoinshrdlucmfwypvbgk.,\nETAOINS0123456789";
  Ingredients made;
  for (unsigned byte = 0; byte < 256; ++byte) made.tokens.emplace_back(1, static_cast<char>(byte));
  std::vector<TokenId> parts;
  for (const char* c = kFrequent; *c != 0; ++c) parts.push_back(static_cast<unsigned char>(*c));
  std::unordered_set<std::string> known(made.tokens.begin(), made.tokens.end());
  while (made.tokens.size() < kTokens) {
    const auto bound = static_cast<std::uint32_t>(parts.size());
    const TokenId left = random.below(3) == 0 ? ' ' : parts[random.skewed(bound)];
    const TokenId right = parts[random.skewed(bound)];
    std::string joined = made.tokens[left] + made.tokens[right];
    if (joined.size() > kLongestToken || joined.find(' ', 1) != std::string::npos) continue;
    if (!known.insert(joined).second) continue;
    const auto result = static_cast<TokenId>(made.tokens.size());
    made.tokens.push_back(std::move(joined));
    made.merges.push_back({left, right, result});
    parts.push_back(result);
  }
  return made;
}

std::string make_text(Generator& random, const std::vector<std::string>& tokens) {
  std::string text;
  while (text.size() < kTextBytes) {
    const std::string& token = tokens[256 + random.skewed(kTokens - 256)];
    text += token;
  }
  text.resize(kTextBytes);
  return text;
}

// About normal(0, 2.5), with 40 peaks.
std::vector<float> make_row(Generator& random) {
  std::vector<float> row(kTokens);
  for (float& logit : row) {
    float sum = 0.0F;
    for (int i = 0; i < 12; ++i) sum += static_cast<float>(random.below(1U << 16)) / 65536.0F;
    logit = (sum - 6.0F) * 2.5F;
  }
  for (int i = 0; i < 40; ++i) {
    row[random.below(kTokens)] += 8.0F + static_cast<float>(random.below(8));
  }
  return row;
}

enum Call { kPush, kPending, kProvide, kQuery, kRoot, kRootPresorted, kInner, kCalls };
constexpr const char* kNames[kCalls] = {"hot_push",
                                        "hot_pending",
                                        "hot_provide",
                                        "hot_query",
                                        "hot_root",
                                        "hot_root_presorted",
                                        "hot_inner"};
std::uint64_t calls[kCalls];

}  // namespace

extern "C" {

__attribute__((noinline)) void hot_push(ByteStream& stream, const char* byte) {
  stream.push({byte, 1});
  ++calls[kPush];
}

__attribute__((noinline)) void hot_pending(ByteStream& stream,
                                           std::vector<nextbyte::ContextPointer>& found) {
  found = stream.pending();
  ++calls[kPending];
}

__attribute__((noinline)) void hot_provide(ByteStream& stream,
                                           const nextbyte::ContextPointer& context,
                                           const nextbyte::Logits& row) {
  stream.provide(context, row);
  ++calls[kProvide];
}

__attribute__((noinline)) double hot_query(ByteStream& stream) {
  ++calls[kQuery];
  return stream.next_byte_logprobs()[' '];
}

__attribute__((noinline)) double hot_root(const nextbyte::Tokenizer& tokenizer,
                                          const nextbyte::Logits& row) {
  ++calls[kRoot];
  return nextbyte::MassRow(tokenizer, row, nullptr, {}).total();
}

__attribute__((noinline)) double hot_root_presorted(const nextbyte::Tokenizer& tokenizer,
                                                    const nextbyte::Logits& row) {
  ++calls[kRootPresorted];
  return nextbyte::MassRow(tokenizer, row, nullptr, {}).total();
}

// All inner nodes on the way of one token.
__attribute__((noinline)) double hot_inner(const nextbyte::Tokenizer& tokenizer,
                                           const nextbyte::MassRow& masses,
                                           TokenId token) {
  ++calls[kInner];
  const nextbyte::TokenTable& table = tokenizer.table();
  nextbyte::TokenTable::Cursor cursor = table.root();
  double sum = 0.0;
  for (const char byte : tokenizer.token_bytes(token)) {
    if (!table.step(cursor, static_cast<std::uint8_t>(byte)) || cursor.last - cursor.first < 2) {
      break;
    }
    table.for_each_child(cursor, [&](std::uint8_t, nextbyte::Rank first, nextbyte::Rank last) {
      sum += masses.sum(first, last);
    });
  }
  return sum;
}
}

int main() {
  nextbyte::kernels::use(kLevel);  // on other processors: the baseline, and other counts
  Generator random;
  Ingredients made = make_ingredients(random);
  const std::string text = make_text(random, made.tokens);
  const std::vector<float> logits = make_row(random);
  auto vocabulary = std::make_shared<const nextbyte::Vocabulary>(made.tokens);
  auto family = std::make_unique<const nextbyte::BytePairFamily>(
      vocabulary,
      nextbyte::BpeMerges::from_merges(made.tokens, made.merges),
      std::vector<std::string>{
          R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
      false);
  auto tokenizer =
      std::make_shared<const nextbyte::Tokenizer>(vocabulary, std::move(family), std::string());
  const nextbyte::Logits row{{logits.data(), nextbyte::kernels::LogitType::kFloat32, logits.size()},
                             false};
  std::vector<float> in_rank_order;
  for (const TokenId token : tokenizer->table().order()) in_rank_order.push_back(logits[token]);
  for (const TokenId token : tokenizer->unranked()) in_rank_order.push_back(logits[token]);
  const nextbyte::Logits presorted{
      {in_rank_order.data(), nextbyte::kernels::LogitType::kFloat32, in_rank_order.size()}, true};

  double sum = 0.0;
  ByteStream stream(tokenizer, {});
  std::vector<nextbyte::ContextPointer> contexts;
  for (const char& byte : text) {
    hot_pending(stream, contexts);
    for (const auto& context : contexts) hot_provide(stream, context, row);
    sum += hot_query(stream);
    hot_push(stream, &byte);
  }
  for (int i = 0; i < kRootCalls; ++i) {
    sum += hot_root(*tokenizer, row);
    sum += hot_root_presorted(*tokenizer, presorted);
  }
  const nextbyte::MassRow masses(*tokenizer, row, nullptr, {});
  for (std::size_t i = 0; i < kInnerCalls; ++i) {
    sum += hot_inner(*tokenizer, masses, 256 + random.skewed(kTokens - 256));
  }

  std::printf("compiler %s\n", NEXTBYTE_COMPILER);
  std::printf("level %s\n", nextbyte::kernels::active().name);
  for (int i = 0; i < kCalls; ++i) {
    std::printf("calls %s %llu\n", kNames[i], static_cast<unsigned long long>(calls[i]));
  }
  return std::isfinite(sum) ? 0 : 1;
}
