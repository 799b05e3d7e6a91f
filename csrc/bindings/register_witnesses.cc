// Binds tokenizers that are known through their own encoder only.
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/tokens_in.h"
#include "families/witness_family.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

// The core calls without the GIL. The holder gives the function back under it.
EncodeBatch call_python(const nb::callable& function) {
  const std::shared_ptr<nb::callable> held(new nb::callable(function), [](nb::callable* callable) {
    const nb::gil_scoped_acquire gil;
    delete callable;
  });
  return [held](const std::vector<std::string>& texts) {
    const nb::gil_scoped_acquire gil;
    nb::list batch;
    for (const std::string& text : texts) batch.append(nb::str(text.data(), text.size()));
    return nb::cast<std::vector<std::vector<TokenId>>>((*held)(batch));
  };
}

}  // namespace

void register_witnesses(nb::module_& m) {
  m.def(
      "compile_witnessed",
      [](const TokenBytes& token_bytes, const nb::callable& encode_batch) {
        auto vocabulary = std::make_shared<const Vocabulary>(to_strings(token_bytes));
        auto family = std::make_unique<const WitnessFamily>(vocabulary, call_python(encode_batch));
        return assemble(std::move(vocabulary), std::move(family));
      },
      nb::arg("token_bytes"),
      nb::arg("encode_batch"),
      nb::sig("def compile_witnessed(token_bytes: list[bytes], encode_batch: "
              "collections.abc.Callable[[list[str]], list[list[int]]]) -> CompiledTokenizer"),
      "A tokenizer whose sequences count once `encode_batch` confirms them.");
}

}  // namespace nextbyte
