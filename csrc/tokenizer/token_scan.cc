// Depth-first pass over the sorted tokens, with one automaton state kept per byte of the last
// token.
#include "tokenizer/token_scan.h"

#include <algorithm>
#include <vector>

namespace nextbyte {

TokenScan scan_tokens(const ByteAutomaton& automaton,
                      const TokenTable& table,
                      const ByteAutomatonState& state,
                      unsigned flags,
                      Rank first,
                      Rank last) {
  TokenScan scan{BitSet(first, last), BitSet(first, last)};
  std::vector<ByteAutomatonState> stack{
      state};  // stack[d] = state after d bytes of the current token
  automaton.enter(stack[0], flags);
  constexpr std::size_t kAlive = ~std::size_t{0};
  std::size_t dead_at = kAlive;  // the current token died on its byte dead_at - 1
  for (Rank rank = first; rank < last; ++rank) {
    const std::string_view bytes = table.bytes(rank);
    const std::size_t shared = rank == first ? 0 : table.shared_prefix(rank);
    if (dead_at != kAlive && shared >= dead_at) continue;  // shares the prefix that died
    dead_at = kAlive;
    stack.resize(std::min(stack.size(), shared + 1));
    for (std::size_t depth = stack.size() - 1; depth < bytes.size(); ++depth) {
      ByteAutomatonState next = stack.back();
      if (!automaton.step(next, static_cast<std::uint8_t>(bytes[depth]))) {
        dead_at = depth + 1;
        break;
      }
      stack.push_back(next);
    }
    if (dead_at != kAlive) continue;
    scan.alive.set(rank);
    if (automaton.accepts_end(stack.back())) scan.accepting.set(rank);
  }
  return scan;
}

}  // namespace nextbyte
