// Times what may follow a context of byte pairs, in tokenizers that were never asked before.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cover/cover_tracker.h"
#include "families/byte_pair_family.h"
#include "tokenizer/tokenizer.h"
#include "vocabulary/bpe_merges.h"
#include "vocabulary/vocabulary.h"

namespace py = pybind11;

namespace {

using namespace nextbyte;
using Rows = py::array_t<std::uint32_t, py::array::c_style | py::array::forcecast>;

double thread_seconds() {
  std::timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

class Masks {
 public:
  Masks(const std::vector<std::string>& tokens,
        const std::optional<Rows>& merge_rows,
        const std::optional<std::vector<std::uint32_t>>& ranks,
        std::vector<std::string> stages,
        bool whole_pieces,
        int normal_form,
        const std::vector<TokenId>& added)
      : vocabulary_(std::make_shared<const Vocabulary>(tokens, added)),
        stages_(std::move(stages)),
        whole_pieces_(whole_pieces),
        normal_form_(static_cast<NormalForm>(normal_form)),
        merges_(merges_of(*vocabulary_, merge_rows, ranks)) {}

  // Walks the text with a tokenizer of its own, and keeps every state that its live contexts are
  // in, and a state for each of their last tokens.
  void read(const std::string& text) {
    if (!walked_) walked_ = std::make_shared<const Tokenizer>(vocabulary_, fresh());
    CoverTracker tracker(walked_);
    for (std::size_t at = 0;; ++at) {
      for (const LiveContext& live : tracker.live()) keep(live.context->state());
      if (at == text.size()) return;
      if (!tracker.push(static_cast<std::uint8_t>(text[at])))
        throw std::invalid_argument("the text has no tokens");
    }
  }

  // Seconds of each state as the first that a tokenizer is asked about; the first is that of the
  // empty text.
  std::vector<double> alone() const {
    std::vector<double> seconds;
    for (const ContextState& state : states_) seconds.push_back(timed(*fresh(), state));
    return seconds;
  }
  // The same in one tokenizer, in the order in which the texts met them.
  std::vector<double> in_order() const {
    const auto family = fresh();
    std::vector<double> seconds;
    for (const ContextState& state : states_) seconds.push_back(timed(*family, state));
    return seconds;
  }
  // Seconds of all words of the mask behind each last token, its state having been met.
  std::vector<double> words() const {
    const auto family = fresh();
    std::vector<double> seconds;
    std::vector<std::uint64_t> words;
    for (const ContextState& state : by_last_token_) {
      const auto allowed = family->allowed(state);
      const double begin = thread_seconds();
      allowed->copy_words(family->table().size(), words);
      seconds.push_back(thread_seconds() - begin);
    }
    return seconds;
  }

 private:
  using MoreStates = std::vector<ByteAutomatonState>;

  static BpeMerges merges_of(const Vocabulary& vocabulary,
                             const std::optional<Rows>& merge_rows,
                             const std::optional<std::vector<std::uint32_t>>& ranks) {
    if (ranks) {
      return BpeMerges::from_ranks(
          vocabulary.token_bytes(), *ranks, BaseSymbols::kBytes, &vocabulary.order());
    }
    std::vector<Merge> merges;
    for (py::ssize_t i = 0; i < merge_rows->shape(0); ++i) {
      merges.push_back({merge_rows->at(i, 0), merge_rows->at(i, 1), merge_rows->at(i, 2)});
    }
    return BpeMerges::from_merges(vocabulary.token_bytes(), merges);
  }
  std::unique_ptr<const BytePairFamily> fresh() const {
    return std::make_unique<const BytePairFamily>(
        vocabulary_, merges_, stages_, whole_pieces_, normal_form_);
  }
  static double timed(const BytePairFamily& family, const ContextState& state) {
    const double begin = thread_seconds();
    const auto allowed = family.allowed(state);
    return thread_seconds() - begin;
  }
  static MoreStates more(const ContextState& state) {
    return state.detail ? *static_cast<const MoreStates*>(state.detail.get()) : MoreStates();
  }
  void keep(const ContextState& state) {
    const bool is_known =
        std::any_of(states_.begin(), states_.end(), [&](const ContextState& other) {
          return other.automaton == state.automaton && more(other) == more(state) &&
                 (other.last == kNoToken) == (state.last == kNoToken);
        });
    if (!is_known) states_.push_back(state);
    const bool is_known_token =
        std::any_of(by_last_token_.begin(), by_last_token_.end(), [&](const ContextState& other) {
          return other.last == state.last;
        });
    if (!is_known_token) by_last_token_.push_back(state);
  }

  std::shared_ptr<const Vocabulary> vocabulary_;
  std::vector<std::string> stages_;
  bool whole_pieces_;
  NormalForm normal_form_;
  BpeMerges merges_;
  std::shared_ptr<const Tokenizer> walked_;
  std::vector<ContextState> states_, by_last_token_;
};

}  // namespace

PYBIND11_MODULE(nextbyte_masks, m) {
  py::class_<Masks>(m, "Masks")
      .def(py::init<const std::vector<std::string>&,
                    const std::optional<Rows>&,
                    const std::optional<std::vector<std::uint32_t>>&,
                    std::vector<std::string>,
                    bool,
                    int,
                    const std::vector<TokenId>&>())
      .def("read", &Masks::read)
      .def("alone", &Masks::alone)
      .def("in_order", &Masks::in_order)
      .def("words", &Masks::words);
}
