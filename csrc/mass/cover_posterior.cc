// Weights of live contexts times the masses of their last tokens, normalized.
#include "mass/cover_posterior.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "support/error.h"

namespace nextbyte {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

}  // namespace

CoverPosterior cover_posterior(const ByteStream& stream) {
  const CoverTracker& tracker = stream.tracker();
  const TokenTable& table = tracker.tokenizer().table();
  CoverPosterior posterior;
  if (stream.size() == 0) {
    for (const LiveContext& live : tracker.live()) {
      if (live.context->parent() == nullptr) posterior.contexts.push_back(live.context);
    }
    posterior.owners.push_back(0);
    posterior.tokens.push_back(kNoToken);
    posterior.log_weights.push_back(0.0);
    return posterior;
  }
  double greatest = kImpossible;
  for (const LiveContext& live : tracker.live()) {
    const double weight = stream.relative_weight(*live.context);
    if (std::isnan(weight)) throw InvalidInput("a row of logits is missing above a live context");
    greatest = std::max(greatest, weight);
  }
  double total = 0.0;
  for (const LiveContext& live : tracker.live()) {
    const double log_weight = stream.relative_weight(*live.context);
    if (log_weight == kImpossible) continue;
    const auto owner = static_cast<std::uint32_t>(posterior.contexts.size());
    const double scale = std::exp(log_weight - greatest);
    const auto add = [&](TokenId token, double mass) {
      if (!(mass > 0.0)) return;
      posterior.owners.push_back(owner);
      posterior.tokens.push_back(token);
      posterior.log_weights.push_back(mass);
      total += mass;
    };
    posterior.contexts.push_back(live.context);
    if (live.cursor.depth == 0) {
      add(kNoToken, scale);
      continue;
    }
    const std::shared_ptr<const MassRow> row = stream.row_of(*live.context);
    if (row == nullptr) throw InvalidInput("the row of logits of a live context is missing");
    if (!(row->total() > 0.0)) {
      throw InvalidInput("the logits give probability zero to every token that may follow");
    }
    const Rank exact = table.exact(live.cursor);
    const double share = scale / row->total();
    for (Rank rank = live.cursor.first + (exact == kNoRank ? 0 : 1); rank < live.cursor.last;
         ++rank) {
      add(table.order()[rank], share * row->mass(rank));
    }
  }
  if (!(total > 0.0)) {
    const std::string bytes = tracker.bytes();
    throw UnreachableByte(bytes.size() - 1,
                          static_cast<std::uint8_t>(bytes.back()),
                          "the model gives probability zero to the " +
                              std::to_string(bytes.size()) + " bytes pushed so far");
  }
  for (double& weight : posterior.log_weights) weight = std::log(weight / total);
  return posterior;
}

}  // namespace nextbyte
