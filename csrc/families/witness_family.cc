// The search for witnesses, and what it has found out about each context.
#include "families/witness_family.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "support/bits.h"
#include "support/error.h"
#include "text/unicode.h"

namespace nextbyte {
namespace {

// What may come next, at least one for each thing that pre-tokenizers tell apart.
constexpr std::array<std::string_view, 40> kTails = {"",
                                                     " ",
                                                     "a",
                                                     " a",
                                                     "A",
                                                     " A",
                                                     "1",
                                                     " 1",
                                                     "12",
                                                     "123",
                                                     ".",
                                                     " .",
                                                     "\n",
                                                     "\n\n",
                                                     "\na",
                                                     " \n",
                                                     "\n ",
                                                     "  ",
                                                     "  a",
                                                     "   ",
                                                     "\r",
                                                     "\r\n",
                                                     "\t",
                                                     "\ta",
                                                     "'s",
                                                     "'ll",
                                                     "s",
                                                     "ing",
                                                     "/",
                                                     "//\n",
                                                     "_",
                                                     "(",
                                                     "\"",
                                                     "-",
                                                     ",",
                                                     "$",
                                                     "\xE4\xB8\xAD",
                                                     "\xC3\xA9",
                                                     "\xCC\x81",
                                                     "\xF0\x9F\x98\x80"};

constexpr std::size_t kBatch = 64;         // tokens tested together
constexpr std::size_t kMaxTested = 4'096;  // tokens tested for one row
constexpr double kUntestedShare = 1e-3;    // of a row's mass may stay untested

// Continuations that complete the character whose first bytes end `text`; {""} if none is open,
// nothing if the bytes start no character.
std::vector<std::string> completions(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const unsigned length = decode_scalar(text, at).length;
    if (length == 0) break;
    at += length;
  }
  const std::string_view open = text.substr(at);
  if (open.empty()) return {""};
  const auto lead = static_cast<std::uint8_t>(open[0]);
  const std::size_t total = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (lead < 0xC2 || lead > 0xF4 || open.size() >= total) return {};
  std::vector<std::string> found;
  for (unsigned byte = 0x80; byte <= 0xBF; byte += total - open.size() == 1 ? 1 : 5) {
    std::string rest(total - open.size(), static_cast<char>(byte));
    for (std::size_t i = 1; i < rest.size(); ++i) rest[i] = static_cast<char>(0x80 + byte % 61);
    const std::string character = std::string(open) + rest;
    if (decode_scalar(character, 0).length == total) found.push_back(std::move(rest));
  }
  return found;
}

}  // namespace

// A sequence, with what is known of its successors. Shared by all streams that pass through it.
struct WitnessedSequence {
  std::shared_ptr<const WitnessedSequence> parent;
  TokenId token = kNoToken;
  mutable std::mutex mutex;
  mutable std::unordered_map<Rank, bool> confirmed;  // false: tested, and no witness found

  ~WitnessedSequence() {
    // In a loop: the recursion of destructors would be as deep as the text is long.
    std::shared_ptr<const WitnessedSequence> node = std::move(parent);
    while (node && node.use_count() == 1) {
      auto next = std::move(const_cast<WitnessedSequence&>(*node).parent);
      node = std::move(next);
    }
  }
};

namespace {

class WitnessedSuccessors final : public AllowedTokens {
 public:
  WitnessedSuccessors(const WitnessFamily& family,
                      const Vocabulary& vocabulary,
                      std::shared_ptr<const WitnessedSequence> sequence)
      : family_(family), sequence_(std::move(sequence)) {
    for (const WitnessedSequence* s = sequence_.get(); s->token != kNoToken; s = s->parent.get()) {
      tokens_.push_back(s->token);
    }
    std::reverse(tokens_.begin(), tokens_.end());
    for (const TokenId token : tokens_) text_ += vocabulary.bytes(token);
  }

  bool test(Rank rank) const override {
    confirm({rank});
    const std::lock_guard<std::mutex> lock(sequence_->mutex);
    return sequence_->confirmed.at(rank);
  }
  // A token that was not tested may be allowed.
  bool any(Rank first, Rank last) const override {
    const std::lock_guard<std::mutex> lock(sequence_->mutex);
    for (Rank rank = first; rank < last; ++rank) {
      const auto known = sequence_->confirmed.find(rank);
      if (known == sequence_->confirmed.end() || known->second) return true;
    }
    return false;
  }
  void copy_words(Rank size, std::vector<std::uint64_t>& words) const override {
    words.assign((size + kWordBits - 1) / kWordBits, 0);
    const std::lock_guard<std::mutex> lock(sequence_->mutex);
    for (const auto& [rank, is_confirmed] : sequence_->confirmed) {
      if (is_confirmed) words[rank / kWordBits] |= std::uint64_t{1} << (rank % kWordBits);
    }
  }
  bool wants_masses() const noexcept override { return true; }
  void choose(std::span<const double> masses, std::vector<std::uint64_t>& words) const override {
    std::vector<Rank> order;
    double untested = 0.0;
    for (Rank rank = 0; rank < masses.size(); ++rank) {
      if (masses[rank] > 0.0) order.push_back(rank);
      untested += masses[rank];
    }
    std::sort(order.begin(), order.end(), [&](Rank a, Rank b) { return masses[a] > masses[b]; });
    const double enough = kUntestedShare * untested;
    for (std::size_t at = 0; at < std::min(order.size(), kMaxTested) && untested > enough;) {
      std::vector<Rank> batch;
      for (; at < order.size() && batch.size() < kBatch && untested > enough; ++at) {
        batch.push_back(order[at]);
        untested -= masses[order[at]];
      }
      confirm(batch);
    }
    copy_words(static_cast<Rank>(masses.size()), words);
  }

 private:
  // Looks for witnesses of the successors that were not tested yet.
  void confirm(std::vector<Rank> ranks) const {
    {
      const std::lock_guard<std::mutex> lock(sequence_->mutex);
      std::erase_if(ranks, [&](Rank rank) { return sequence_->confirmed.contains(rank); });
    }
    const TokenTable& table = family_.table();
    std::vector<std::vector<std::string>> openings;  // of each rank: the text and its completions
    for (const Rank rank : ranks) {
      const std::string reached = text_ + std::string(table.bytes(rank));
      openings.emplace_back();
      for (const std::string& rest : completions(reached))
        openings.back().push_back(reached + rest);
    }
    std::vector<bool> found(ranks.size(), false);
    for (const std::string_view tail : kTails) {
      std::vector<std::string> texts;
      for (std::size_t i = 0; i < ranks.size(); ++i) {
        if (found[i]) continue;
        for (const std::string& opening : openings[i]) texts.push_back(opening + std::string(tail));
      }
      if (texts.empty()) break;
      note(family_.encode_batch(texts));
      const std::lock_guard<std::mutex> lock(sequence_->mutex);
      for (std::size_t i = 0; i < ranks.size(); ++i) {
        found[i] = sequence_->confirmed.contains(ranks[i]);
      }
    }
    const std::lock_guard<std::mutex> lock(sequence_->mutex);
    for (const Rank rank : ranks) sequence_->confirmed.emplace(rank, false);
  }

  // Each encoding that begins with the sequence confirms the token after it, asked for or not.
  void note(const std::vector<std::vector<TokenId>>& encodings) const {
    const std::lock_guard<std::mutex> lock(sequence_->mutex);
    for (const std::vector<TokenId>& encoding : encodings) {
      if (encoding.size() <= tokens_.size() ||
          !std::equal(tokens_.begin(), tokens_.end(), encoding.begin())) {
        continue;
      }
      const TokenId next = encoding[tokens_.size()];
      const Rank rank = family_.table().rank_of(next);
      if (rank != kNoRank) sequence_->confirmed[rank] = true;
    }
  }

  const WitnessFamily& family_;
  std::shared_ptr<const WitnessedSequence> sequence_;
  std::vector<TokenId> tokens_;
  std::string text_;
};

std::shared_ptr<const WitnessedSequence> sequence_of(const ContextState& context) {
  return std::static_pointer_cast<const WitnessedSequence>(context.detail);
}

// Of tokens with the same bytes the first is kept.
std::vector<std::string> distinct(const Vocabulary& vocabulary) {
  std::vector<std::string> entries = vocabulary.table_entries([](TokenId) { return true; });
  std::unordered_map<std::string_view, TokenId> seen;
  for (std::size_t id = 0; id < entries.size(); ++id) {
    if (entries[id].empty()) continue;
    if (!seen.emplace(vocabulary.bytes(static_cast<TokenId>(id)), static_cast<TokenId>(id))
             .second) {
      entries[id].clear();
    }
  }
  return entries;
}

}  // namespace

WitnessFamily::WitnessFamily(std::shared_ptr<const Vocabulary> vocabulary, EncodeBatch encode_batch)
    : vocabulary_(std::move(vocabulary)),
      encode_batch_(std::move(encode_batch)),
      table_(distinct(*vocabulary_)) {}

ContextState WitnessFamily::initial() const {
  ContextState context;
  context.detail = std::make_shared<const WitnessedSequence>();
  return context;
}

std::shared_ptr<const AllowedTokens> WitnessFamily::allowed(const ContextState& context) const {
  return std::make_shared<const WitnessedSuccessors>(*this, *vocabulary_, sequence_of(context));
}

ContextState WitnessFamily::advance(const ContextState& context, Rank rank) const {
  auto sequence = std::make_shared<WitnessedSequence>();
  sequence->parent = sequence_of(context);
  sequence->token = table_.order()[rank];
  ContextState next;
  next.last = sequence->token;
  next.detail = std::shared_ptr<const WitnessedSequence>(std::move(sequence));
  return next;
}

bool WitnessFamily::may_end(const ContextState& context) const {
  std::vector<TokenId> tokens;
  for (const WitnessedSequence* s = sequence_of(context).get(); s->token != kNoToken;
       s = s->parent.get()) {
    tokens.push_back(s->token);
  }
  std::reverse(tokens.begin(), tokens.end());
  std::string text;
  for (const TokenId token : tokens) text += vocabulary_->bytes(token);
  const std::vector<std::string> rest = completions(text);
  if (rest.size() != 1 || !rest.front().empty()) return false;  // inside a character
  return encode_batch_({text}).front() == tokens;
}

void WitnessFamily::encode(std::string_view text, std::size_t, std::vector<TokenId>& tokens) const {
  const std::vector<TokenId> encoded = encode_batch_({std::string(text)}).front();
  tokens.insert(tokens.end(), encoded.begin(), encoded.end());
}

}  // namespace nextbyte
