// Self-check of the self-check: a right tokenizer passes, and each way of breaking one is found.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cover/self_check.h"
#include "families/byte_pair_family.h"
#include "text/unicode.h"
#include "tokenizer/adversarial_texts.h"

namespace {

using nextbyte::AllowedTokens;
using nextbyte::ContextState;
using nextbyte::Rank;
using nextbyte::SelfCheckAmounts;
using nextbyte::SelfCheckReport;
using nextbyte::TokenId;
using nextbyte::Tokenizer;
using nextbyte::TokenizerFamily;

void require(bool condition, const std::string& what) {
  if (condition) return;
  std::fprintf(stderr, "self_check_check: failed: %s\n", what.c_str());
  std::exit(1);
}

enum class Fault {
  kNone,
  kDropsToken,      // never lets `token` follow
  kAcceptsToken,    // lets `token` follow after anything that it does not follow
  kMaskDropsToken,  // the masks do not have `token`; single steps do
  kMaskAddsToken,   // the masks have it everywhere
  kEndsEverywhere,
  kNeverEnds,
  kForgetsPairs,  // steps as if each token were the first of its piece
  kEncodesBytes,  // encode() does not merge
};

// A family with a fault.
class Broken final : public TokenizerFamily {
 public:
  Broken(std::unique_ptr<const TokenizerFamily> right, Fault fault, TokenId token)
      : right_(std::move(right)), fault_(fault), rank_(right_->table().rank_of(token)) {}

  const nextbyte::TokenTable& table() const noexcept override { return right_->table(); }
  ContextState initial() const override { return right_->initial(); }
  std::shared_ptr<const AllowedTokens> allowed(const ContextState& context) const override {
    auto mask = right_->allowed(context);
    if (fault_ == Fault::kDropsToken || fault_ == Fault::kMaskDropsToken) {
      return std::make_shared<const Mask>(std::move(mask), rank_, false);
    }
    if (fault_ == Fault::kAcceptsToken || fault_ == Fault::kMaskAddsToken) {
      return std::make_shared<const Mask>(std::move(mask), rank_, true);
    }
    return mask;
  }
  ContextState advance(const ContextState& context, Rank rank) const override {
    ContextState next;
    try_advance(context, rank, next);
    return next;
  }
  bool try_advance(const ContextState& context, Rank rank, ContextState& next) const override {
    if (rank == rank_ && fault_ == Fault::kDropsToken) return false;
    if (fault_ == Fault::kForgetsPairs) return right_->try_advance(initial(), rank, next);
    if (right_->try_advance(context, rank, next)) return true;
    return rank == rank_ && fault_ == Fault::kAcceptsToken &&
           right_->try_advance(initial(), rank, next);
  }
  bool may_end(const ContextState& context) const override {
    if (fault_ == Fault::kEndsEverywhere) return true;
    return fault_ != Fault::kNeverEnds && right_->may_end(context);
  }
  void encode(std::string_view text,
              std::size_t origin,
              std::vector<TokenId>& tokens) const override {
    if (fault_ != Fault::kEncodesBytes) return right_->encode(text, origin, tokens);
    for (std::size_t i = 0; i < text.size(); ++i) {
      right_->encode(text.substr(i, 1), origin + i, tokens);
    }
  }

 private:
  class Mask final : public AllowedTokens {
   public:
    Mask(std::shared_ptr<const AllowedTokens> right, Rank rank, bool value)
        : right_(std::move(right)), rank_(rank), value_(value) {}
    bool test(Rank rank) const override { return rank == rank_ ? value_ : right_->test(rank); }
    bool any(Rank first, Rank last) const override {
      for (Rank rank = first; rank < last; ++rank) {
        if (test(rank)) return true;
      }
      return false;
    }
    void copy_words(Rank, std::vector<std::uint64_t>&) const override {}

   private:
    std::shared_ptr<const AllowedTokens> right_;
    Rank rank_;
    bool value_;
  };

  std::unique_ptr<const TokenizerFamily> right_;
  Fault fault_;
  Rank rank_;
};

// Letters, blanks, digits, one two-byte character; merges ab, abc, " a", "\n\n", the character.
std::shared_ptr<const Tokenizer> make(Fault fault, TokenId token, bool whole_pieces = false) {
  std::vector<std::string> tokens{
      "a",
      "b",
      "c",
      " ",
      "\n",
      "1",
      "\xC3",
      "\xA9",
      "ab",
      "abc",
      " a",
      "\n\n",
      "\xC3\xA9",
      "",
  };
  const std::vector<nextbyte::Merge> merges{
      {0, 1, 8}, {8, 2, 9}, {3, 0, 10}, {4, 4, 11}, {6, 7, 12}};
  tokens.push_back("cab");  // 14: made by no merge
  const std::string pattern = " ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  const auto vocabulary = std::make_shared<const nextbyte::Vocabulary>(tokens);
  auto right = std::make_unique<const nextbyte::BytePairFamily>(
      vocabulary,
      nextbyte::BpeMerges::from_merges(tokens, merges),
      std::vector<std::string>{pattern},
      whole_pieces);
  return std::make_shared<const Tokenizer>(
      vocabulary, std::make_unique<const Broken>(std::move(right), fault, token));
}

void check_right_ones_pass() {
  for (const bool whole_pieces : {false, true}) {
    for (const bool with_masks : {false, true}) {
      SelfCheckAmounts amounts;
      amounts.strings = 2000;
      amounts.with_masks = with_masks;
      const SelfCheckReport report = self_check(make(Fault::kNone, 0, whole_pieces), amounts);
      require(report.differences == 0, report.first_difference);
      require(report.first_difference.empty(), "nothing to say");
      require(report.tokens == 14, "all tokens but the special one are looked at");
      require(report.strings > 1500 && report.pairs == amounts.pairs, "the amounts are kept");
    }
  }
}

void check_faults_are_found() {
  struct Case {
    Fault fault;
    TokenId token;
    bool only_with_masks;
  };
  const Case cases[] = {
      {Fault::kDropsToken, 9, false},
      {Fault::kDropsToken, 0, false},
      {Fault::kDropsToken, 12, false},
      {Fault::kAcceptsToken, 1, false},
      {Fault::kAcceptsToken, 2, false},
      {Fault::kEndsEverywhere, 0, false},
      {Fault::kNeverEnds, 0, false},
      {Fault::kForgetsPairs, 0, false},
      {Fault::kEncodesBytes, 0, false},
      {Fault::kMaskDropsToken, 11, true},
      {Fault::kMaskAddsToken, 1, true},
  };
  for (const Case& broken : cases) {
    const std::string name = "fault " + std::to_string(static_cast<int>(broken.fault)) + " of " +
                             std::to_string(broken.token);
    SelfCheckAmounts amounts;
    const SelfCheckReport quick = self_check(make(broken.fault, broken.token), amounts);
    require((quick.differences > 0) != broken.only_with_masks, name + " by single steps");
    require(quick.first_difference.empty() == (quick.differences == 0), name + " in words");
    amounts.with_masks = true;
    require(self_check(make(broken.fault, broken.token), amounts).differences > 0,
            name + " with masks");
  }
}

void check_words() {
  const SelfCheckReport report = self_check(make(Fault::kAcceptsToken, 1));
  require(report.first_difference.find("b\"") != std::string::npos, report.first_difference);
  require(report.first_difference.find('[') != std::string::npos, report.first_difference);
}

void check_texts() {
  const auto tokenizer = make(Fault::kNone, 0);
  nextbyte::AdversarialTexts first(*tokenizer, 5), second(*tokenizer, 5), other(*tokenizer, 6);
  std::size_t different = 0, not_ascii = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string text = first.next();
    require(text == second.next(), "the same seed gives the same texts");
    different += text != other.next();
    require(text.size() <= nextbyte::AdversarialTexts::kMaxBytes, "texts are short");
    for (std::size_t at = 0; at < text.size();) {
      const unsigned length = nextbyte::decode_scalar(text, at).length;
      require(length > 0, "texts are UTF-8");
      not_ascii += length > 1;
      at += length;
    }
  }
  require(different > 2900 && not_ascii > 3000, "texts vary");
}

}  // namespace

int main() {
  check_right_ones_pass();
  check_faults_are_found();
  check_words();
  check_texts();
  std::puts("self_check_check: passed");
  return 0;
}
