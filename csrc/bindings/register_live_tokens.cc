// Binds what may follow each live context of a stream, token by token: for audits, not for speed.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "mass/byte_stream.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

using Tokens = nb::ndarray<TokenId, nb::numpy, nb::ndim<1>>;

Tokens to_array(const std::vector<TokenId>& tokens) {
  auto memory = std::make_unique<TokenId[]>(tokens.size());
  TokenId* const data = memory.get();
  std::copy(tokens.begin(), tokens.end(), data);
  const nb::capsule owner(memory.release(),
                          [](void* p) noexcept { delete[] static_cast<TokenId*>(p); });
  return Tokens(data, {tokens.size()}, owner);
}

// The tokens that may follow and reach past the end of the bytes pushed so far, in order of rank.
std::vector<TokenId> allowed_beyond(const Tokenizer& tokenizer, const LiveContext& live) {
  const TokenTable& table = tokenizer.table();
  const AllowedTokens& allowed = live.allowed(tokenizer);
  std::vector<TokenId> tokens;
  table.for_each_child(live.cursor, [&](std::uint8_t, Rank first, Rank last) {
    for (Rank rank = first; rank < last; ++rank) {
      if (allowed.test(rank)) tokens.push_back(table.order()[rank]);
    }
  });
  return tokens;
}

}  // namespace

void register_live_tokens(nb::module_& m) {
  m.def(
      "live_tokens",
      [](const ByteStream& stream) {
        std::vector<std::tuple<std::shared_ptr<Context>, Tokens, bool>> found;
        const CoverTracker& tracker = stream.tracker();
        for (const LiveContext& live : tracker.live()) {
          const bool may_end =
              tracker.ends_at(live) && tracker.tokenizer().may_end(live.context->state());
          // Python has no way to change a Context, so taking the const away is sound.
          found.emplace_back(std::const_pointer_cast<Context>(live.context),
                             to_array(allowed_beyond(tracker.tokenizer(), live)),
                             may_end);
        }
        return found;
      },
      nb::arg("stream"),
      nb::sig("def live_tokens(stream: ByteStream) -> list[tuple[Context, "
              "numpy.typing.NDArray[numpy.uint32], bool]]"),
      "Of every live context: itself, the allowed tokens that reach past the end of the bytes "
      "pushed so far, and whether the text may end here after it.");
}

}  // namespace nextbyte
