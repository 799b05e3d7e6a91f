// Binds the construction of unigram tokenizers from plain data.
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/tokens_in.h"
#include "families/unigram_family.h"
#include "support/error.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

// list[tuple[bytes, float]]
using Rivals = nb::typed<nb::list, nb::typed<nb::tuple, nb::bytes, double>>;

UnigramSums sums_named(const std::string& name) {
  if (name == "double") return UnigramSums::kDouble;
  if (name == "single") return UnigramSums::kSingle;
  if (name == "mixed") return UnigramSums::kMixed;
  throw InvalidInput("sums are \"double\", \"single\" or \"mixed\", not \"" + name + "\"");
}

TokenizerPointer compile(const TokenBytes& token_bytes,
                         const std::vector<std::tuple<TokenId, double>>& pieces,
                         const Rivals& rivals,
                         double unknown_score,
                         const std::string& sums,
                         bool split_at_blank,
                         std::vector<TokenId> byte_tokens,
                         const TokenBytes& forbidden,
                         bool single_blanks,
                         bool no_blank_first,
                         bool lead,
                         const std::vector<TokenId>& added) {
  std::vector<std::string> tokens = to_strings(token_bytes);
  std::vector<UnigramPiece> list;
  list.reserve(pieces.size() + rivals.size());
  for (const auto& [token, score] : pieces) {
    list.push_back({token < tokens.size() ? tokens[token] : std::string(), score, token});
  }
  for (const nb::handle rival : rivals) {
    const auto [bytes, score] = nb::cast<std::tuple<nb::bytes, double>>(rival);
    list.push_back({std::string(bytes.c_str(), bytes.size()), score, kNoToken});
  }
  UnigramOptions options;
  options.arithmetic = {sums_named(sums), unknown_score};
  options.split_at_blank = split_at_blank;
  options.byte_tokens = std::move(byte_tokens);
  options.guard.forbidden = to_strings(forbidden);
  options.guard.single_blanks = single_blanks;
  options.guard.no_blank_first = no_blank_first;
  options.has_lead = lead;
  const nb::gil_scoped_release released;
  auto vocabulary = std::make_shared<const Vocabulary>(std::move(tokens), added);
  auto family =
      std::make_unique<const UnigramFamily>(vocabulary, std::move(list), std::move(options));
  return assemble(std::move(vocabulary), std::move(family), lead ? " " : "");
}

}  // namespace

void register_unigram(nb::module_& m) {
  m.def("compile_unigram",
        &compile,
        nb::arg("token_bytes"),
        nb::arg("pieces"),
        nb::arg("rivals"),
        nb::kw_only(),
        nb::arg("unknown_score"),
        nb::arg("sums"),
        nb::arg("split_at_blank"),
        nb::arg("byte_tokens"),
        nb::arg("forbidden"),
        nb::arg("single_blanks"),
        nb::arg("no_blank_first"),
        nb::arg("lead"),
        nb::arg("added"),
        "From (token, score) pieces and (bytes, score) of what is matched but is no token.");
}

}  // namespace nextbyte
