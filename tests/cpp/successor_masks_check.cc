// Checks masks of byte pairs, made group by group, against a plain run of every token.
//
// Random vocabularies; and real ones, from files that tests/byte_pair_files.py writes:
//   successor_masks_check FILE...
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "families/successor_masks.h"
#include "vocabulary/vocabulary.h"

namespace {

using namespace nextbyte;

using Random = std::mt19937;
std::size_t below(Random& random, std::size_t n) { return random() % n; }

void require(bool condition, const std::string& what) {
  if (condition) return;
  std::fprintf(stderr, "successor_masks_check: failed: %s\n", what.c_str());
  std::exit(1);
}

struct Description {
  std::string name;
  std::vector<std::string> tokens;
  std::vector<Merge> merges;         // or
  std::vector<std::uint32_t> ranks;  // where there are any
  std::vector<std::string> stages;
  bool whole_pieces = false;
  NormalForm normal_form = NormalForm::kNone;
  std::vector<TokenId> added;
};

// What BytePairFamily puts together.
struct Parts {
  explicit Parts(const Description& d)
      : vocabulary(d.tokens, d.added),
        merges(
            d.ranks.empty()
                ? BpeMerges::from_merges(vocabulary.token_bytes(), d.merges)
                : BpeMerges::from_ranks(
                      vocabulary.token_bytes(), d.ranks, BaseSymbols::kBytes, &vocabulary.order())),
        pretokenizer(d.stages),
        whole_pieces(spellings(d.whole_pieces)),
        table(vocabulary.ordered_entries(
            [&](TokenId token) { return d.whole_pieces || merges.is_canonical_alone(token); })),
        automaton(pretokenizer, whole_pieces, d.normal_form),
        candidates(0, table.size()) {
    for (Rank rank = 0; rank < table.size(); ++rank) {
      if (!vocabulary.is_added(table.order()[rank])) candidates.set(rank);
    }
  }
  std::vector<std::string> spellings(bool rule) const {
    std::vector<std::string> found;
    for (TokenId token = 0; rule && token < vocabulary.size(); ++token) {
      if (!vocabulary.bytes(token).empty() && !vocabulary.is_added(token) &&
          !vocabulary.is_hidden(token) && !merges.is_canonical_alone(token)) {
        found.push_back(vocabulary.bytes(token));
      }
    }
    return found;
  }

  Vocabulary vocabulary;
  BpeMerges merges;
  Pretokenizer pretokenizer;
  ByteTrie whole_pieces;
  TokenTable table;
  ByteAutomaton automaton;
  BitSet candidates;
};

// The definition, token by token, breadth first (docs/theory.md 4, 5, 7).
class Definition {
 public:
  explicit Definition(const Parts& parts) : p_(parts) {}

  std::optional<ByteAutomatonState> after(const ByteAutomatonState& state,
                                          TokenId last,
                                          Rank rank,
                                          unsigned flags) const {
    if (flags == kContinue &&
        (last == kNoToken || !p_.merges.pair_ok(last, p_.table.order()[rank]))) {
      return std::nullopt;
    }
    return run(state, rank, flags);
  }

  bool live(const ByteAutomatonState& state, TokenId last) {
    if (p_.automaton.accepts_end(state)) return true;
    auto& known = known_[state];
    if (const auto it = known.find(last); it != known.end()) return it->second;
    std::unordered_map<ByteAutomatonState, std::unordered_set<TokenId>, ByteAutomatonStateHash>
        seen;
    std::deque<std::pair<ByteAutomatonState, TokenId>> queue{{state, last}};
    seen[state].insert(last);
    bool found = false;
    while (!queue.empty() && !found) {
      const auto [from, token] = queue.front();
      queue.pop_front();
      for (const Step& step : steps(from)) {
        const TokenId via = p_.table.order()[step.rank];
        if (step.flags == kContinue && (token == kNoToken || !p_.merges.pair_ok(token, via)))
          continue;
        if (p_.automaton.accepts_end(step.next)) found = true;
        if (found) break;
        if (seen[step.next].insert(via).second) queue.emplace_back(step.next, via);
      }
    }
    if (!found) {  // nor is anything live that was reached
      for (const auto& [dead, tokens] : seen) {
        for (const TokenId token : tokens) known_[dead][token] = false;
      }
    }
    known_[state][last] = found;
    return found;
  }

  bool allowed(const ByteAutomatonState& state, TokenId last, Rank rank) {
    for (const unsigned flags : {kContinue, kBoundary}) {
      const auto next = after(state, last, rank, flags);
      if (next && live(*next, p_.table.order()[rank])) return true;
    }
    return false;
  }

 private:
  struct Step {
    Rank rank;
    unsigned flags;
    ByteAutomatonState next;
  };
  // Every step from a state, whatever the last token; those to a possible end of text first.
  const std::vector<Step>& steps(const ByteAutomatonState& state) {
    if (steps_.size() == 64 && steps_.count(state) == 0) steps_.clear();
    const auto [found, is_new] = steps_.try_emplace(state);
    std::vector<Step>& all = found->second;
    if (!is_new) return all;
    for (Rank rank = 0; rank < p_.table.size(); ++rank) {
      for (const unsigned flags : {kContinue, kBoundary}) {
        if (const auto next = run(state, rank, flags)) all.push_back({rank, flags, *next});
      }
    }
    std::stable_partition(all.begin(), all.end(), [&](const Step& step) {
      return p_.automaton.accepts_end(step.next);
    });
    return all;
  }
  // After a token, as far as the automaton is concerned.
  std::optional<ByteAutomatonState> run(ByteAutomatonState state, Rank rank, unsigned flags) const {
    if (!p_.candidates.test(rank)) return std::nullopt;
    if (flags == kBoundary && (!state.at_character_boundary() || !p_.automaton.may_split(state)))
      return std::nullopt;
    const bool by_merges = p_.merges.is_canonical_alone(p_.table.order()[rank]);
    if (!by_merges && flags != kBoundary) return std::nullopt;
    if (!p_.automaton.run(state, p_.table.bytes(rank), flags)) return std::nullopt;
    if (!by_merges) state.piece = ByteTrie::kOff;
    return state;
  }

  const Parts& p_;
  std::unordered_map<ByteAutomatonState, std::vector<Step>, ByteAutomatonStateHash> steps_;
  std::unordered_map<ByteAutomatonState, std::unordered_map<TokenId, bool>, ByteAutomatonStateHash>
      known_;
};

// States that tokens lead to, all of them if there are no more than `most`, each with a token that
// leads there. Those inside a character or with something else in their past come in at random.
std::vector<std::pair<ByteAutomatonState, TokenId>> reachable(const Parts& p,
                                                              const Definition& definition,
                                                              std::size_t most,
                                                              Random& random) {
  std::vector<std::pair<ByteAutomatonState, TokenId>> states{{p.automaton.initial(), kNoToken}};
  std::unordered_set<ByteAutomatonState, ByteAutomatonStateHash> seen{states[0].first};
  for (std::size_t i = 0; i < states.size() && i < most; ++i) {
    const auto [state, last] = states[i];
    for (Rank rank = 0; rank < p.table.size(); ++rank) {
      for (const unsigned flags : {kContinue, kBoundary}) {
        const auto next = definition.after(state, last, rank, flags);
        if (!next || seen.count(*next) != 0) continue;
        const bool is_plain = next->at_character_boundary() && next->piece == ByteTrie::kOff &&
                              next->normal == kNeutralNormalForm;
        if (!is_plain && states.size() > most / 2 && below(random, 64) != 0) continue;
        seen.insert(*next);
        states.emplace_back(*next, p.table.order()[rank]);
      }
    }
  }
  if (states.size() > most) states.resize(most);
  return states;
}

struct Counts {
  std::size_t states = 0, masks = 0, inside = 0, with_past = 0;
};

void check(const Description& description,
           std::size_t most_states,
           Random& random,
           Counts& counts) {
  const Parts p(description);
  SuccessorMasks::Limits tiny;
  tiny.cached_masks = 1;
  tiny.group_entries = 0;  // no groups: every token is run
  tiny.co_liveness = {2, 1};
  tiny.invalid = {1, 1};
  SuccessorMasks::Limits small;
  small.cached_masks = 1 + below(random, 3);
  small.co_liveness = {1 + below(random, 9), 1};
  small.waiting_pairs = below(random, 30);  // some known from the start, some asked for
  const auto made = [&](const SuccessorMasks::Limits& limits) {
    return SuccessorMasks(
        p.merges, p.table, p.pretokenizer, p.automaton, p.whole_pieces, p.candidates, limits);
  };
  const SuccessorMasks masks = made({}), forgetful = made(small), ungrouped = made(tiny);
  const SuccessorMasks backwards = made({.waiting_pairs = 0});
  Definition definition(p);
  const Rank size = p.table.size();
  struct Answer {
    ByteAutomatonState state;
    TokenId last;
    std::vector<std::uint64_t> words;
  };
  std::vector<Answer> answers;
  for (const auto& [state, via] : reachable(p, definition, most_states, random)) {
    ++counts.states;
    counts.inside += state.at_character_boundary() ? 0 : 1;
    counts.with_past += state.piece != ByteTrie::kOff || state.normal != kNeutralNormalForm ? 1 : 0;
    for (const TokenId last : {via, p.table.order()[below(random, size)]}) {
      std::vector<std::uint64_t> words, again, plain;
      masks.allowed({&state, 1}, last)->copy_words(size, words);
      forgetful.allowed({&state, 1}, last)->copy_words(size, again);
      ungrouped.allowed({&state, 1}, last)->copy_words(size, plain);
      require(words == again, description.name + ": small caches change a mask");
      require(words == plain, description.name + ": groups change a mask");
      ++counts.masks;
      for (Rank rank = 0; rank < size; ++rank) {
        const bool is_member = (words[rank / 64] >> (rank % 64) & 1U) != 0;
        if (definition.allowed(state, last, rank) == is_member) continue;
        require(false,
                description.name + ": token " + std::to_string(p.table.order()[rank]) +
                    " in subset " + std::to_string(state.subset) + ", pending " +
                    std::to_string(state.pending) + ", behind token " + std::to_string(last) +
                    ": the mask says " + std::to_string(is_member));
      }
      answers.push_back({state, last, std::move(words)});
    }
  }
  // What was asked before changes no answer.
  for (; !answers.empty(); answers.pop_back()) {
    const auto& [state, last, known] = answers.back();
    std::vector<std::uint64_t> words;
    backwards.allowed({&state, 1}, last)->copy_words(size, words);
    require(words == known, description.name + ": the order of the questions changes a mask");
  }
}

Description random_description(Random& random, std::size_t round) {
  static const std::vector<std::vector<std::string>> kStages = {
      {R"('(?:s|t)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
      {R"([^\r\n\p{L}\p{N}]?\p{Lu}*\p{Ll}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
      {},
      {R"(\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))|\D+)"},
      {R"(\p{N})", R"([一-龥]+)", R"( ?\p{L}+|\s+|[^\s\p{L}]+)"},
      {R"(a+b(?=c)|.)"},
      {R"([abceSs]{2}1|.)"},  // what merges with a 1 is left with no way on
  };
  static const std::vector<std::string> kBytes = {
      "a",    "b",    "c",    "S",    "s",    "'",    " ",    "\n",   "1",    "2", "\xC3", "\xA9",
      "\xCC", "\x81", "\xE4", "\xB8", "\xAD", "\xF0", "\x9F", "\x98", "\x80", "e", "\xC2", "\xB2"};
  static const std::vector<std::string> kCharacters = {
      "a", "b", "c", "S", "s", "'", " ", "\n", "1", "é", "\xCC\x81", "中", "😀", "e", "²", "\n\n"};
  Description d;
  d.name = "random " + std::to_string(round);
  d.tokens = kBytes;
  const std::size_t count = d.tokens.size() + 20 + below(random, round % 8 == 0 ? 200 : 60);
  for (std::size_t tries = 0; d.tokens.size() < count && tries < 4000; ++tries) {
    std::string text;
    if (below(random, 3) == 0) {
      for (std::size_t k = 1 + below(random, 3); k > 0; --k)
        text += kCharacters[below(random, kCharacters.size())];
      if (below(random, 4) == 0) text.pop_back();  // ends inside a character, perhaps
    } else {
      text = d.tokens[below(random, d.tokens.size())] + d.tokens[below(random, d.tokens.size())];
    }
    if (text.empty() || text.size() > 9) continue;
    if (std::find(d.tokens.begin(), d.tokens.end(), text) == d.tokens.end())
      d.tokens.push_back(text);
  }
  for (std::uint32_t i = 0; i < d.tokens.size(); ++i) d.ranks.push_back(i);
  if (round % 3 == 0) {
    std::shuffle(
        d.ranks.begin() + static_cast<std::ptrdiff_t>(kBytes.size()), d.ranks.end(), random);
  }
  d.stages = kStages[round % kStages.size()];
  d.whole_pieces = below(random, 2) == 0;
  const NormalForm forms[] = {NormalForm::kNone, NormalForm::kNfc, NormalForm::kNfkc};
  d.normal_form = forms[below(random, 3)];
  if (below(random, 3) == 0) d.added = {static_cast<TokenId>(d.tokens.size() - 1)};
  return d;
}

// Little-endian 32-bit numbers; strings and arrays have their length in front.
class FileReader {
 public:
  explicit FileReader(const char* path) {
    std::ifstream file(path, std::ios::binary);
    require(file.good(), std::string("cannot read ") + path);
    data_.assign(std::istreambuf_iterator<char>(file), {});
  }
  std::uint32_t number() {
    require(at_ + 4 <= data_.size(), "a file ends early");
    std::uint32_t value;
    std::memcpy(&value, data_.data() + at_, 4);
    at_ += 4;
    return value;
  }
  std::string string() {
    const std::size_t length = number();
    require(at_ + length <= data_.size(), "a file ends early");
    at_ += length;
    return data_.substr(at_ - length, length);
  }
  std::vector<std::string> strings() {
    std::vector<std::string> all(number());
    for (std::string& one : all) one = string();
    return all;
  }
  std::vector<std::uint32_t> numbers() {
    std::vector<std::uint32_t> all(number());
    for (std::uint32_t& one : all) one = number();
    return all;
  }

 private:
  std::string data_;
  std::size_t at_ = 0;
};

Description read(const char* path) {
  FileReader file(path);
  Description d;
  d.name = path;
  d.tokens = file.strings();
  const std::vector<std::uint32_t> merges = file.numbers();
  for (std::size_t i = 0; i < merges.size(); i += 3)
    d.merges.push_back({merges[i], merges[i + 1], merges[i + 2]});
  d.ranks = file.numbers();
  d.stages = file.strings();
  d.whole_pieces = file.number() != 0;
  d.normal_form = static_cast<NormalForm>(file.number());
  d.added = file.numbers();
  return d;
}

void print(const char* name, const Counts& counts) {
  std::printf("%s: %zu states (%zu inside a character, %zu with more of a past), %zu masks\n",
              name,
              counts.states,
              counts.inside,
              counts.with_past,
              counts.masks);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Random random(20261);
  for (int i = 1; i < argc; ++i) {
    Counts counts;
    check(read(argv[i]), 150, random, counts);
    print(argv[i], counts);
  }
  if (argc > 1) return 0;
  Counts counts;
  Description alone;  // é's first byte starts nothing: whatever it goes on to is a whole piece
  alone.tokens = {"a", "\xC3", "\xA9", "é"};
  alone.stages = {"."}, alone.whole_pieces = true;
  check(alone, 120, random, counts);
  for (std::size_t round = 0; round < 120; ++round)
    check(random_description(random, round), 120, random, counts);
  require(counts.inside > 500 && counts.with_past > 500, "all kinds of states occur");
  print("successor_masks_check", counts);
}
