// Copies token bytes out of Python, and puts the parts of a compiled tokenizer together.
#include "bindings/tokens_in.h"

#include "families/added_tokens.h"

namespace nb = nanobind;

namespace nextbyte {

std::vector<std::string> to_strings(const TokenBytes& tokens) {
  std::vector<std::string> strings;
  strings.reserve(tokens.size());
  for (const nb::handle token : tokens) {
    const nb::bytes bytes = nb::cast<nb::bytes>(token);
    strings.emplace_back(bytes.c_str(), bytes.size());
  }
  return strings;
}

std::vector<Merge> to_merges(const MergeRows& rows) {
  std::vector<Merge> merges;
  merges.reserve(rows.shape(0));
  for (std::size_t k = 0; k < rows.shape(0); ++k) {
    merges.push_back({rows(k, 0), rows(k, 1), rows(k, 2)});
  }
  return merges;
}

std::vector<LastStep> to_last_steps(const LastStepRows& rows) {
  std::vector<LastStep> steps;
  steps.reserve(rows.shape(0));
  for (std::size_t k = 0; k < rows.shape(0); ++k) {
    steps.push_back({rows(k, 0), rows(k, 1), rows(k, 2)});
  }
  return steps;
}

std::vector<std::uint32_t> to_ranks(const RankRow& row) {
  return {row.data(), row.data() + row.shape(0)};
}

TokenizerPointer assemble(std::shared_ptr<const Vocabulary> vocabulary,
                          std::unique_ptr<const TokenizerFamily> family,
                          std::string lead) {
  if (!vocabulary->added().empty()) {
    family = std::make_unique<const AddedTokensFamily>(vocabulary, std::move(family));
  }
  return std::make_shared<Tokenizer>(std::move(vocabulary), std::move(family), std::move(lead));
}

}  // namespace nextbyte
