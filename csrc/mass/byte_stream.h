// One stream of bytes under a language model: live covers x rows of logits -> 257 log-masses.
#ifndef NEXTBYTE_MASS_BYTE_STREAM_H_
#define NEXTBYTE_MASS_BYTE_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cover/cover_tracker.h"
#include "mass/deferral.h"
#include "mass/mass_row.h"

namespace nextbyte {

// The exact next-byte distribution, by local renormalization over prefix-canonical sequences
// (docs/theory.md 2): q(t|s) = p(t|s) / Z(s) over allowed t, END_OF_TEXT included iff the text may
// end after s; A(x) = sum over covers of their q-mass; P(b|x) = A(xb) / A(x).
//
// Weights are taken relative to the `base`, the deepest context that all live ones descend from:
// its own probability cancels, so a long prompt costs rows only from there on. The absolute
// probability needs the rows above the base too, and only when it is asked for.
//
// Protocol: ask pending(); for each context, in order, hand over its row with provide(); then
// next_byte_logprobs(). pending() drops the rows of contexts that are no longer live. Copying is a
// fork.
//
// With a tolerance above 0, contexts that matter little are not asked for, and pending() is asked
// again until it is empty: every law is then within the tolerance of the true one (12).
class ByteStream {
 public:
  // end_tokens: ids whose probability is that of END_OF_TEXT. Throws InvalidInput if one is not a
  // special token of the vocabulary (has bytes), or appears twice. tolerance: the greatest bound()
  // of a law, 0 <= tolerance < 1, else InvalidInput.
  ByteStream(std::shared_ptr<const Tokenizer> tokenizer,
             std::vector<TokenId> end_tokens,
             double tolerance = 0.0);

  // Appends bytes, all or none. Throws UnreachableByte (position in the stream) if one cannot
  // follow; the stream is then as it was.
  void push(std::string_view bytes);
  void rollback(std::size_t count);
  std::size_t size() const noexcept { return tracker_.size(); }
  const CoverTracker& tracker() const noexcept { return tracker_; }

  double tolerance() const noexcept { return tolerance_; }

  // The contexts whose rows next_byte_logprobs() still needs, parents before children; with
  // `current` false, those that relative_logprob() needs, which is exact at any tolerance.
  std::vector<ContextPointer> pending(bool current = true);
  // Takes in the row of a pending context. Throws InvalidInput if it is too narrow, or has NaN or
  // +inf. It is not looked at if a fork of this stream has taken in this context's row already.
  void provide(const ContextPointer& context, const Logits& logits);
  // Nothing may be pending. Throws UnreachableByte if no live context has any weight, InvalidInput
  // if one that has any gives none to the tokens that may follow it.
  const ByteLogprobs& next_byte_logprobs();
  // A bound on the total variation distance between the last law and the true one; 0 if it is that.
  double bound() const noexcept { return bound_; }
  // Bounds of the true law's probabilities, 257 each; nothing may be pending. Throws as
  // next_byte_logprobs() does, which is to be called before.
  void next_byte_bounds(double* lower, double* upper);

  // The token that most of the known mass goes through, if that is a share of at least `least`
  // (over 1/2): of an evaluated live context, and reaching past the end. Where the text follows it,
  // context and token are the next context that matters.
  struct LikelyToken {
    ContextPointer context;
    TokenId token;
  };
  std::optional<LikelyToken> likely_token(double least) const;

  // Of the model's mass after the live contexts, the share on tokens that are left out although
  // nobody knows that they cannot follow (WitnessFamily); 0 for exact families. As of the last
  // next_byte_logprobs().
  double unconfirmed() const noexcept { return unconfirmed_; }

  // Forgets the rows that rule out all that may follow: pending() asks for them again, and the
  // model may be mended by then. next_byte_logprobs() does so itself before it throws.
  void drop_massless_rows();

  // For readers of covers (cover_posterior.h, token_walk.h). log Q(context) - log Q(base) of a live
  // context: -inf if the model rules it out, NaN while an edge is unknown.
  double relative_weight(const Context& context) const noexcept {
    return weight(context, tracker_.base());
  }
  // The row of a live context; null if it is not at hand.
  std::shared_ptr<const MassRow> row_of(const Context& context) const;
  const std::vector<TokenId>& end_tokens() const noexcept { return end_tokens_; }

  // log A(x) - log P(base): no pending(false) may be left.
  double relative_logprob();
  // Contexts above the base whose row base_logprob() still needs, from the root on, each with the
  // child whose edge the row determines.
  std::vector<std::pair<ContextPointer, ContextPointer>> unscored() const;
  // Takes in the row of child's parent, for the edge above `child` only.
  void provide_edge(const Context& child, const Logits& logits) const;
  // log P(base): no unscored() may be left.
  double base_logprob() const;

 private:
  // A row whose total is 0 is an error once its context has any weight.
  using Row = MassRow;
  MassRow make_row(const Context& context,
                   const AllowedTokens& allowed,
                   const Logits& logits) const;
  // Throws InvalidInput, and drops such rows, if this one has no mass.
  void require_mass(const Row& row, const Context& context);
  const Row* find_row(const Context& context) const noexcept;
  void set_edge(const Context& child, const Row& parent_row) const;
  // Takes over the rows that forks of this stream have for its live contexts.
  void adopt_rows();
  // Sets the unknown edges between the base and the live contexts that the rows at hand determine.
  void fill_edges();
  void keep_live_rows();
  // Sum of the edges from the base to `context`: -inf if one is, else NaN if one is unknown.
  static double weight(const Context& context, const Context& base) noexcept;
  // Is some known edge at or above `context` of probability zero?
  static bool weight_is_zero(const Context& context) noexcept;
  // Why a live context has no mass yet: the context whose row its weight, or else its own mass,
  // waits for, and that context's weight.
  struct Standing {
    const ContextPointer* missing;  // null if nothing is missing, or the weight is zero
    double log_weight;              // of `missing`; of the live context, if that is null
  };
  Standing standing(const LiveContext& live, const Context& base) const noexcept;
  // The masses, and the symbols of groups, only if `symbols`. Throws as next_byte_logprobs().
  PartialLaw partial_law(bool symbols);
  std::vector<ContextPointer> pending_within_tolerance();
  const ByteLogprobs& lazy_logprobs();
  // The symbols that tokens of the live context may have next.
  void add_symbols(const LiveContext& live, std::bitset<kAlphabetSize>& symbols) const;
  [[noreturn]] void throw_no_mass() const;
  enum class Pushed : std::uint8_t { kYes, kCannotFollow, kImpossible };
  Pushed push_byte(std::uint8_t byte);  // nothing has changed unless kYes

  CoverTracker tracker_;
  std::vector<TokenId> end_tokens_;
  // Of live contexts, and until the next pending() of those that were live.
  std::vector<std::pair<ContextPointer, std::shared_ptr<const Row>>> rows_;
  std::optional<ByteLogprobs> logprobs_;  // at the current position
  double unconfirmed_ = 0.0;
  double tolerance_ = 0.0;
  double bound_ = 0.0;
};

}  // namespace nextbyte

#endif  // NEXTBYTE_MASS_BYTE_STREAM_H_
