// What the functions that compile a tokenizer share: token bytes in, a CompiledTokenizer out.
#ifndef NEXTBYTE_BINDINGS_TOKENS_IN_H_
#define NEXTBYTE_BINDINGS_TOKENS_IN_H_

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/normal_form.h"
#include "tokenizer/tokenizer.h"
#include "vocabulary/bpe_merges.h"

namespace nextbyte {

using TokenizerPointer = std::shared_ptr<Tokenizer>;
using TokenBytes = nanobind::typed<nanobind::list, nanobind::bytes>;

// Rows (left, right, result) of ids.
using MergeRows = nanobind::
    ndarray<const std::uint32_t, nanobind::shape<-1, 3>, nanobind::c_contig, nanobind::device::cpu>;

// Rows (left, right, moment) by token id, see LastStep.
using LastStepRows = MergeRows;

// By token id.
using RankRow = nanobind::
    ndarray<const std::uint32_t, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;

std::vector<std::string> to_strings(const TokenBytes& tokens);
std::vector<Merge> to_merges(const MergeRows& rows);
std::vector<LastStep> to_last_steps(const LastStepRows& rows);
std::vector<std::uint32_t> to_ranks(const RankRow& row);

// "none", "nfc" or "nfkc"; throws InvalidInput otherwise.
NormalForm normal_form_named(const std::string& name);

// Puts added tokens, if there are any, around `family`, which tokenizes segments
// (added_tokens.h). Call without the GIL.
TokenizerPointer assemble(std::shared_ptr<const Vocabulary> vocabulary,
                          std::unique_ptr<const TokenizerFamily> family,
                          std::string lead = "");

}  // namespace nextbyte

#endif  // NEXTBYTE_BINDINGS_TOKENS_IN_H_
