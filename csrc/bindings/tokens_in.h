// What the functions that compile a tokenizer share: token bytes in, a CompiledTokenizer out.
#ifndef NEXTBYTE_BINDINGS_TOKENS_IN_H_
#define NEXTBYTE_BINDINGS_TOKENS_IN_H_

#include <nanobind/nanobind.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace nextbyte {

using TokenizerPointer = std::shared_ptr<Tokenizer>;
using TokenBytes = nanobind::typed<nanobind::list, nanobind::bytes>;

std::vector<std::string> to_strings(const TokenBytes& tokens);

// Wraps `family` in what every tokenizer has. Call without the GIL.
TokenizerPointer assemble(std::shared_ptr<const Vocabulary> vocabulary,
                          std::unique_ptr<const TokenizerFamily> family,
                          std::string lead = "");

}  // namespace nextbyte

#endif  // NEXTBYTE_BINDINGS_TOKENS_IN_H_
