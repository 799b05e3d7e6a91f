// Walks token sequences through the engine and compares with the encoder.
#include "cover/self_check.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "cover/cover_tracker.h"
#include "support/error.h"
#include "tokenizer/adversarial_texts.h"

namespace nextbyte {
namespace {

using Sequence = std::vector<TokenId>;

// An engine that keeps more hypotheses than this a byte has lost its way: real ones keep one to
// three (docs/theory.md 6).
constexpr std::size_t kMaxContextsPerByte = 64;

// Squared bytes, which is what the slowest family takes, of a pair: pairs end early if all tokens
// are as long as the longest of real vocabularies.
constexpr std::size_t kWorkPerPair = 10'000;

std::string quoted(std::string_view bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text = "b\"";
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte < 0x20 || byte > 0x7E || c == '"' || c == '\\') {
      text += "\\x";
      text += kHex[byte >> 4U];
      text += kHex[byte & 15U];
    } else {
      text += c;
    }
  }
  return text + "\"";
}

std::string listed(const std::optional<Sequence>& tokens) {
  if (!tokens) return "nothing (the text is outside the tokenizer's domain)";
  std::string text = "[";
  for (const TokenId token : *tokens) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(token);
  }
  return text + "]";
}

class SelfCheck {
 public:
  SelfCheck(const std::shared_ptr<const Tokenizer>& tokenizer, const SelfCheckAmounts& amounts)
      : tokenizer_(tokenizer),
        table_(tokenizer->table()),
        amounts_(amounts),
        texts_(*tokenizer, amounts.seed) {}

  SelfCheckReport run() {
    collect();
    check_tokens();
    for (std::size_t i = 0; i < amounts_.strings; ++i) check_text(texts_.next());
    for (std::size_t i = 0; i < amounts_.pairs && work_ < kWorkPerPair * amounts_.pairs; ++i)
      check_pair(i);
    return std::move(report_);
  }

 private:
  void collect();
  void check_tokens();
  void check_alone(TokenId token);
  void check_text(const std::string& text);
  void check_pair(std::size_t index);
  void check_sequence(const Sequence& tokens);

  std::string bytes_of(const Sequence& tokens) const;
  // encode() of the text behind the lead. Nothing if it is no text of the tokenizer's, the empty
  // one included: its encoding has not even the lead.
  std::optional<Sequence> encoding(std::string_view whole) const;
  // The context after `rank`, if the engine lets it follow. With masks, the mask decides.
  bool step(const ContextState& context, Rank rank, ContextState& next);
  bool is_complete(const Sequence& tokens);
  // Up to two ways to spell `whole` that the engine takes for complete encodings.
  std::vector<Sequence> complete_spellings(std::string_view whole);
  std::vector<Sequence> tracked_spellings(std::string_view whole) const;
  void compare(std::string_view whole,
               const std::optional<Sequence>& expected,
               const std::vector<Sequence>& found,
               std::string_view who);
  void differ(std::string message) {
    if (report_.differences++ == 0) report_.first_difference = std::move(message);
  }
  Rank rank_of(std::string_view bytes) const;
  Rank draw(Rank first, Rank last) { return first + static_cast<Rank>(texts_.below(last - first)); }

  const std::shared_ptr<const Tokenizer>& tokenizer_;
  const TokenTable& table_;
  SelfCheckAmounts amounts_;
  AdversarialTexts texts_;
  SelfCheckReport report_;
  std::size_t work_ = 0;
  std::vector<TokenId> unranked_;       // tokens with bytes that are said to be in no encoding
  std::vector<Rank> starting_, short_;  // tokens that can begin a text; those of 1 or 2 bytes
  std::vector<std::pair<TokenId, TokenId>> neighbours_;  // met in encodings
};

void SelfCheck::collect() {
  const std::string& lead = tokenizer_->lead();
  for (Rank rank = 0; rank < table_.size(); ++rank) {
    const std::string_view bytes = table_.bytes(rank);
    if (bytes.size() <= 2) short_.push_back(rank);
    if (bytes.starts_with(lead)) starting_.push_back(rank);
  }
  for (std::size_t id = 0; id < tokenizer_->vocabulary_size(); ++id) {
    const auto token = static_cast<TokenId>(id);
    if (!tokenizer_->token_bytes(token).empty() && table_.rank_of(token) == kNoRank) {
      unranked_.push_back(token);
    }
  }
}

std::string SelfCheck::bytes_of(const Sequence& tokens) const {
  std::string bytes;
  for (const TokenId token : tokens) bytes += tokenizer_->token_bytes(token);
  return bytes;
}

std::optional<Sequence> SelfCheck::encoding(std::string_view whole) const {
  try {
    Sequence tokens = tokenizer_->encode(whole.substr(tokenizer_->lead().size()));
    if (bytes_of(tokens) == whole) return tokens;
  } catch (const InvalidInput&) {
  }
  return std::nullopt;
}

bool SelfCheck::step(const ContextState& context, Rank rank, ContextState& next) {
  const TokenizerFamily& family = tokenizer_->family();
  const bool survives = family.try_advance(context, rank, next);
  if (!amounts_.with_masks) return survives;
  const bool allowed = family.allowed(context)->test(rank);
  if (allowed && !survives) {
    differ("a mask allows token " + std::to_string(table_.order()[rank]) +
           " where its own step does not");
  }
  return allowed;
}

bool SelfCheck::is_complete(const Sequence& tokens) {
  ContextState context = tokenizer_->initial();
  for (const TokenId token : tokens) {
    const Rank rank = table_.rank_of(token);
    ContextState next;
    if (rank == kNoRank || !step(context, rank, next)) return false;
    context = std::move(next);
  }
  return tokenizer_->may_end(context);
}

void SelfCheck::check_sequence(const Sequence& tokens) {
  const std::string whole = bytes_of(tokens);
  work_ += whole.size() * whole.size();
  if (!whole.starts_with(tokenizer_->lead())) return;  // no text begins so
  const std::optional<Sequence> expected = encoding(whole);
  const bool found = is_complete(tokens);
  if (found == (expected == tokens)) return;
  differ("the tokens " + listed(tokens) + " are " + (found ? "" : "not ") +
         "taken for the encoding of their bytes " + quoted(whole) + ", but that is " +
         listed(expected));
}

void SelfCheck::check_alone(TokenId token) {
  const std::string& bytes = tokenizer_->token_bytes(token);
  if (bytes.empty()) return;
  ++report_.tokens;
  const std::string& lead = tokenizer_->lead();
  if (bytes.starts_with(lead)) return check_sequence({token});
  // Behind the lead as a token of its own, and as text.
  if (const Rank rank = rank_of(lead); rank != kNoRank) {
    check_sequence({table_.order()[rank], token});
  }
}

void SelfCheck::check_tokens() {
  const std::size_t size = tokenizer_->vocabulary_size();
  if (size <= amounts_.tokens) {
    for (std::size_t id = 0; id < size; ++id) check_alone(static_cast<TokenId>(id));
    return;
  }
  const std::size_t doubtful = std::min(unranked_.size(), amounts_.tokens / 4);
  for (std::size_t i = 0; i < doubtful; ++i) check_alone(unranked_[texts_.below(unranked_.size())]);
  for (std::size_t i = doubtful; i < amounts_.tokens; ++i) {
    check_alone(table_.order()[draw(0, table_.size())]);
  }
}

Rank SelfCheck::rank_of(std::string_view bytes) const {
  if (bytes.empty()) return kNoRank;
  TokenTable::Cursor cursor = table_.root();
  for (const char byte : bytes) {
    if (!table_.step(cursor, static_cast<std::uint8_t>(byte))) return kNoRank;
  }
  return table_.exact(cursor);
}

void SelfCheck::check_pair(std::size_t index) {
  if (starting_.empty()) return;
  ++report_.pairs;
  Rank first = starting_[texts_.below(starting_.size())];
  Rank second = draw(0, table_.size());
  switch (index % 4) {
    case 0:  // a token cut in two
      if (const std::string_view bytes = table_.bytes(first); bytes.size() > 1) {
        const std::size_t cut = 1 + texts_.below(bytes.size() - 1);
        const Rank left = rank_of(bytes.substr(0, cut)), right = rank_of(bytes.substr(cut));
        if (left != kNoRank && right != kNoRank) first = left, second = right;
      }
      break;
    case 1:  // what merges, blanks and boundaries are made of
      if (!short_.empty()) second = short_[texts_.below(short_.size())];
      break;
    case 2:  // the real thing
      if (!neighbours_.empty()) {
        const auto& [a, b] = neighbours_[texts_.below(neighbours_.size())];
        return check_sequence({a, b});
      }
      break;
    default:
      break;
  }
  check_sequence({table_.order()[first], table_.order()[second]});
}

std::vector<Sequence> SelfCheck::complete_spellings(std::string_view whole) {
  struct Node {
    ContextState state;
    std::size_t parent;
    std::size_t position;
    TokenId token;
  };
  std::vector<Node> nodes{{tokenizer_->initial(), 0, 0, kNoToken}};
  std::vector<std::size_t> open{0};
  std::vector<Sequence> found;
  while (!open.empty() && found.size() < 2) {
    const std::size_t at = open.back();
    open.pop_back();
    if (nodes[at].position == whole.size()) {
      if (!tokenizer_->may_end(nodes[at].state)) continue;
      Sequence tokens;
      for (std::size_t i = at; i != 0; i = nodes[i].parent) tokens.push_back(nodes[i].token);
      std::reverse(tokens.begin(), tokens.end());
      found.push_back(std::move(tokens));
      continue;
    }
    TokenTable::Cursor cursor = table_.root();
    for (std::size_t end = nodes[at].position; end < whole.size(); ++end) {
      if (!table_.step(cursor, static_cast<std::uint8_t>(whole[end]))) break;
      const Rank rank = table_.exact(cursor);
      ContextState next;
      if (rank == kNoRank || !step(nodes[at].state, rank, next)) continue;
      open.push_back(nodes.size());
      nodes.push_back({std::move(next), at, end + 1, table_.order()[rank]});
    }
    if (nodes.size() > kMaxContextsPerByte * (whole.size() + 1)) {
      differ("more than " + std::to_string(kMaxContextsPerByte) + " contexts a byte in " +
             quoted(whole));
      return found;
    }
  }
  return found;
}

std::vector<Sequence> SelfCheck::tracked_spellings(std::string_view whole) const {
  CoverTracker tracker(tokenizer_);
  for (const char byte : whole.substr(tokenizer_->lead().size())) {
    if (!tracker.push(static_cast<std::uint8_t>(byte))) return {};
  }
  std::vector<Sequence> found;
  for (const LiveContext& live : tracker.live()) {
    if (!tracker.ends_at(live) || !tokenizer_->may_end(live.context->state())) continue;
    Sequence tokens;
    for (const Context* c = live.context.get(); c->parent() != nullptr; c = c->parent()) {
      tokens.push_back(c->token());
    }
    std::reverse(tokens.begin(), tokens.end());
    found.push_back(std::move(tokens));
  }
  return found;
}

void SelfCheck::compare(std::string_view whole,
                        const std::optional<Sequence>& expected,
                        const std::vector<Sequence>& found,
                        std::string_view who) {
  const bool same = expected ? found.size() == 1 && found[0] == *expected : found.empty();
  if (same) return;
  std::string message(who);
  message += found.empty() ? " finds no encoding" : " takes " + listed(found[0]);
  if (found.size() > 1) message += " and " + listed(found[1]);
  message += " for the text " + quoted(whole) + ", whose encoding is " + listed(expected);
  differ(std::move(message));
}

void SelfCheck::check_text(const std::string& text) {
  if (text.empty()) return;
  ++report_.strings;
  const std::string whole = tokenizer_->lead() + text;
  const std::optional<Sequence> expected = encoding(whole);
  if (expected) {
    // With a lead only what begins with it is a text.
    const std::size_t pairs = tokenizer_->lead().empty() ? expected->size() : 2;
    for (std::size_t i = 0; i + 1 < std::min(pairs, expected->size()); ++i) {
      neighbours_.emplace_back((*expected)[i], (*expected)[i + 1]);
    }
  }
  compare(whole, expected, complete_spellings(whole), "the engine");
  if (amounts_.with_masks) compare(whole, expected, tracked_spellings(whole), "the cover tracker");
}

}  // namespace

SelfCheckReport self_check(const std::shared_ptr<const Tokenizer>& tokenizer,
                           const SelfCheckAmounts& amounts) {
  // There the encoder is the engine: nothing to compare, and every question is an encoding.
  if (tokenizer->family().is_witnessed()) return {};
  return SelfCheck(tokenizer, amounts).run();
}

}  // namespace nextbyte
