// Binds the loops over whole vocabularies that the readers of tokenizer files share.
//
// Each takes data as the parsers leave them, and only if they are as they should be: None stands
// for anything else, and the reader, which knows what to say about it, goes through them itself.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "support/base64.h"
#include "vocabulary/spelling_index.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

constexpr TokenId kMaxTokens = 1U << 22;    // as in formats/vocabulary.py
constexpr std::size_t kNumLetters = 0x400;  // two bytes of UTF-8 reach further

using MergeArray = nb::ndarray<std::uint32_t, nb::numpy, nb::shape<-1, 3>>;
using Lengths = nb::ndarray<const std::uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// False for what is no text, or text with lone surrogates. The bytes live as long as the object.
bool utf8_of(PyObject* object, std::string_view& bytes) noexcept {
  if (!PyUnicode_CheckExact(object)) return false;
  Py_ssize_t size = 0;
  const char* const data = PyUnicode_AsUTF8AndSize(object, &size);
  if (data == nullptr) {
    PyErr_Clear();
    return false;
  }
  bytes = {data, static_cast<std::size_t>(size)};
  return true;
}

// False for what is no int (true and false are none here) or no id.
bool id_of(PyObject* object, TokenId& id) noexcept {
  if (!PyLong_CheckExact(object)) return false;
  const long value = PyLong_AsLong(object);
  if (value == -1 && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    return false;
  }
  if (value < 0 || value >= static_cast<long>(kMaxTokens)) return false;
  id = static_cast<TokenId>(value);
  return true;
}

struct Spelled {
  std::vector<std::string_view> spellings;
  std::vector<TokenId> ids;
  TokenId greatest = 0;
};

bool read_vocabulary(const nb::dict& vocabulary, Spelled& spelled) {
  spelled.spellings.reserve(vocabulary.size());
  spelled.ids.reserve(vocabulary.size());
  PyObject* key = nullptr;
  PyObject* value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(vocabulary.ptr(), &at, &key, &value) != 0;) {
    std::string_view spelling;
    TokenId id = 0;
    if (!utf8_of(key, spelling) || !id_of(value, id)) return false;
    spelled.spellings.push_back(spelling);
    spelled.ids.push_back(id);
    spelled.greatest = std::max(spelled.greatest, id);
  }
  return true;
}

// The byte of each letter's code point, -1 for others.
std::array<std::int16_t, kNumLetters> bytes_of_letters(std::u32string_view alphabet) {
  std::array<std::int16_t, kNumLetters> bytes{};
  bytes.fill(-1);
  for (std::size_t byte = 0; byte < alphabet.size(); ++byte) {
    if (alphabet[byte] < kNumLetters) bytes[alphabet[byte]] = static_cast<std::int16_t>(byte);
  }
  return bytes;
}

// Replaces `bytes` by what the spelling stands for; by nothing if it has another letter.
void decode(const std::array<std::int16_t, kNumLetters>& letters,
            std::string_view spelling,
            std::string& bytes) {
  bytes.clear();
  for (std::size_t i = 0; i < spelling.size(); ++i) {
    const auto lead = static_cast<std::uint8_t>(spelling[i]);
    std::size_t letter = lead;
    if (lead >= 0x80) {
      if (lead >= 0xD0) return bytes.clear();  // past U+03FF
      letter = (lead & 0x1FU) << 6 | (static_cast<std::uint8_t>(spelling[++i]) & 0x3FU);
    }
    if (letters[letter] < 0) return bytes.clear();
    bytes.push_back(static_cast<char>(letters[letter]));
  }
}

nb::object byte_level_tokens(const nb::dict& vocabulary,
                             const nb::dict& special_tokens,
                             const nb::list& alphabet) {
  Spelled spelled;
  Spelled special;
  if (!read_vocabulary(vocabulary, spelled) || !read_vocabulary(special_tokens, special)) {
    return nb::none();
  }
  std::u32string letters;
  for (const nb::handle letter : alphabet) letters.push_back(nb::cast<std::uint32_t>(letter));
  const auto bytes_of = bytes_of_letters(letters);
  if (spelled.ids.empty() && special.ids.empty()) return nb::none();

  // An entry of the vocabulary that is a special token is no other token of that id.
  enum : std::uint8_t { kUnused, kOrdinary, kSpecial };
  std::vector<std::uint8_t> use(std::size_t{std::max(spelled.greatest, special.greatest)} + 1);
  for (const TokenId id : special.ids) {
    if (use[id] != kUnused) return nb::none();
    use[id] = kSpecial;
  }
  nb::list tokens;
  const nb::bytes hole("", 0);
  for (std::size_t id = 0; id < use.size(); ++id) tokens.append(hole);
  std::string bytes;
  bool any = false;
  for (std::size_t i = 0; i < spelled.ids.size(); ++i) {
    const TokenId id = spelled.ids[i];
    if (use[id] != kUnused) {
      const nb::str spelling(spelled.spellings[i].data(), spelled.spellings[i].size());
      PyObject* const same = PyDict_GetItem(special_tokens.ptr(), spelling.ptr());
      TokenId same_id = 0;
      if (use[id] != kSpecial || same == nullptr || !id_of(same, same_id) || same_id != id) {
        return nb::none();
      }
      continue;
    }
    use[id] = kOrdinary;
    decode(bytes_of, spelled.spellings[i], bytes);
    any = any || !bytes.empty();
    if (!bytes.empty()) tokens[id] = nb::bytes(bytes.data(), bytes.size());
  }
  return any ? nb::object(tokens) : nb::object(nb::none());
}

// The two parts of "left right" or ["left", "right"].
bool parts_of(PyObject* merge, std::string_view& left, std::string_view& right) noexcept {
  if (PyList_CheckExact(merge)) {
    return PyList_Size(merge) == 2 && utf8_of(PyList_GetItem(merge, 0), left) &&
           utf8_of(PyList_GetItem(merge, 1), right);
  }
  std::string_view whole;
  if (!utf8_of(merge, whole)) return false;
  const std::size_t blank = whole.find(' ');
  if (blank == std::string_view::npos) return false;
  left = whole.substr(0, blank);
  right = whole.substr(blank + 1);
  return true;
}

nb::object resolve_merges(const nb::list& merges,
                          const nb::dict& vocabulary,
                          const nb::list& token_bytes) {
  Spelled spelled;
  if (!read_vocabulary(vocabulary, spelled) || spelled.greatest >= token_bytes.size()) {
    return nb::none();
  }
  std::vector<bool> has_bytes(token_bytes.size());
  for (std::size_t id = 0; id < has_bytes.size(); ++id) {
    PyObject* const bytes = PyList_GetItem(token_bytes.ptr(), static_cast<Py_ssize_t>(id));
    if (!PyBytes_CheckExact(bytes)) return nb::none();
    has_bytes[id] = PyBytes_Size(bytes) != 0;
  }
  const SpellingIndex index(std::move(spelled.spellings), std::move(spelled.ids));
  auto triples = std::make_unique<std::vector<std::uint32_t>>();
  triples->reserve(3 * merges.size());
  // In blocks: the look-ups of one are fetched together, which hides most of their waiting.
  struct Pair {
    SpellingIndex::Hashed left, right;
  };
  std::array<Pair, 16> block;
  std::uint32_t nearby = 0;
  const auto size = static_cast<std::size_t>(PyList_Size(merges.ptr()));
  for (std::size_t begin = 0; begin < size; begin += block.size()) {
    const std::size_t used = std::min(block.size(), size - begin);
    for (std::size_t k = 0; k < used; ++k) {
      std::string_view left;
      std::string_view right;
      PyObject* const merge = PyList_GetItem(merges.ptr(), static_cast<Py_ssize_t>(begin + k));
      if (!parts_of(merge, left, right)) return nb::none();
      block[k] = {SpellingIndex::hashed(left), SpellingIndex::hashed(right)};
      index.prefetch(block[k].left);
      index.prefetch(block[k].right);
    }
    for (std::size_t k = 0; k < used; ++k) {
      const auto& [left, right] = block[k];
      const TokenId ids[3] = {index.find(left), index.find(right), index.find(left, right, nearby)};
      bool applies = true;
      for (const TokenId id : ids) {
        if (id == kNoToken) return nb::none();
        applies = applies && has_bytes[id];
      }
      if (applies) triples->insert(triples->end(), ids, ids + 3);
    }
  }
  const std::size_t count = triples->size() / 3;
  std::uint32_t* const data = triples->data();
  const nb::capsule owner(triples.release(), [](void* pointer) noexcept {
    delete static_cast<std::vector<std::uint32_t>*>(pointer);
  });
  return nb::cast(MergeArray(data, {count, 3}, owner));
}

nb::object cut_bytes(const nb::bytes& data, const Lengths& lengths) {
  nb::list parts;
  const char* const bytes = data.c_str();
  std::size_t at = 0;
  for (std::size_t i = 0; i < lengths.shape(0); ++i) {
    const std::size_t length = lengths.data()[i];
    if (length > data.size() - at) return nb::none();
    parts.append(nb::bytes(bytes + at, length));
    at += length;
  }
  return at == data.size() ? nb::object(parts) : nb::object(nb::none());
}

nb::object decode_base64_texts(const nb::list& texts) {
  nb::list decoded;
  std::string bytes;
  for (Py_ssize_t i = 0; i < PyList_Size(texts.ptr()); ++i) {
    std::string_view text;
    if (!utf8_of(PyList_GetItem(texts.ptr(), i), text) || !decode_base64(text, bytes)) {
      return nb::none();
    }
    decoded.append(nb::bytes(bytes.data(), bytes.size()));
  }
  return decoded;
}

// Lines "base64 rank\n" of the ranks 0, 1, 2, ...; the last may have no end.
nb::object read_rank_lines(const nb::bytes& data) {
  nb::list tokens;
  std::string bytes;
  std::string_view rest(data.c_str(), data.size());
  for (std::size_t rank = 0; !rest.empty(); ++rank) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t blank = std::min(line.find(' '), line.size());
    if (rank >= kMaxTokens || line.substr(blank) != " " + std::to_string(rank) ||
        !decode_base64(line.substr(0, blank), bytes)) {
      return nb::none();
    }
    tokens.append(nb::bytes(bytes.data(), bytes.size()));
  }
  return tokens;
}

}  // namespace

void register_reading(nb::module_& m) {
  m.def("byte_level_tokens",
        &byte_level_tokens,
        nb::arg("vocabulary"),
        nb::arg("special_tokens"),
        nb::arg("alphabet"),
        nb::sig("def byte_level_tokens(vocabulary: dict[str, int], special_tokens: dict[str, int], "
                "alphabet: list[int]) -> list[bytes] | None"),
        "Bytes by id of tokens in the byte alphabet; special tokens and other spellings are b''.");
  m.def("resolve_merges",
        &resolve_merges,
        nb::arg("merges"),
        nb::arg("vocabulary"),
        nb::arg("token_bytes"),
        nb::sig("def resolve_merges(merges: list[typing.Any], vocabulary: dict[str, int], "
                "token_bytes: list[bytes]) -> numpy.typing.NDArray[numpy.uint32] | None"),
        "(left, right, result) ids of merges by spelling, without those that have a hole.");
  m.def("decode_base64_texts",
        &decode_base64_texts,
        nb::arg("texts"),
        nb::sig("def decode_base64_texts(texts: list[str]) -> list[bytes] | None"),
        "What texts in base64 stand for.");
  m.def("read_rank_lines",
        &read_rank_lines,
        nb::arg("data"),
        nb::sig("def read_rank_lines(data: bytes) -> list[bytes] | None"),
        "The tokens of a tiktoken rank file whose ranks count up from 0.");
  m.def("cut_bytes",
        &cut_bytes,
        nb::arg("data"),
        nb::arg("lengths"),
        nb::sig("def cut_bytes(data: bytes, lengths: numpy.typing.NDArray[numpy.uint32]) "
                "-> list[bytes] | None"),
        "The parts of these lengths, which must be the whole.");
}

}  // namespace nextbyte
