"""`Tokenizer` as an object: encode, decode, covers, report, and what it says of bad arguments."""

from __future__ import annotations

import itertools
import random
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

import nextbyte as nb
from nextbyte.errors import InvalidInputError, TokenizerFormatError, UnsupportedTokenizerError
from unit import tiny_tokenizers as tiny

DOCUMENTS = {
    name: getattr(tiny, name)()
    for name in ("ab", "ab_with_specials", "letters", "one_letter", "all_bytes", "smollm2_like")
}


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Return a function from the name of a tiny tokenizer to the tokenizer, loaded once."""
    folder = tmp_path_factory.mktemp("tokenizers")
    loaded = {}

    def by_name(name):
        if name not in loaded:
            path = tiny.write(folder, DOCUMENTS[name], f"{name}.json")
            loaded[name] = nb.Tokenizer.from_file(path)
        return loaded[name]

    return by_name


# --- Encoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DOCUMENTS)
def test_decoding_undoes_encoding(load, name):
    tokenizer = load(name)
    single = [token for token in map(tokenizer.token_bytes, range(tokenizer.vocab_size)) if token]
    letters = [token.decode() for token in single if re.fullmatch(rb"[\x00-\x7f]+", token)]
    source = random.Random(0)
    for _ in range(100):
        text = "".join(source.choices(letters, k=source.randint(0, 20)))
        tokens = tokenizer.encode(text)
        assert tokenizer.decode(tokens) == text.encode()
        assert tokens == tokenizer.encode(text.encode())


def test_known_encodings(load):
    assert load("ab").encode("aabba") == [0, 2, 1, 0]
    assert load("ab").encode("") == load("ab").encode(b"") == []
    letters = load("letters")
    ids = {letters.token_bytes(token): token for token in range(letters.vocab_size)}
    assert letters.encode("the the\n\n a") == [ids[t] for t in (b"the", b" the", b"\n\n", b" a")]
    assert letters.encode("  a") == [ids[b" "], ids[b" a"]]  # the last blank goes to the word
    assert letters.encode("é") == [ids[b"\xc3\xa9"]]
    assert letters.encode("è") == [ids[b"\xc3"], ids[b"\xa8"]]


def test_a_long_text_of_one_piece_is_linear_enough(load):
    assert load("one_letter").encode(b"a" * 200_000) == [0] * 200_000
    assert load("ab").encode(b"ab" * 100_000) == [2] * 100_000


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"ab\xff", "UTF-8 at byte 2"),
        (b"\x80", "UTF-8 at byte 0"),
        (b"ab\xc3", "UTF-8 at byte 2"),
        (b"a\xc0\xaf", "UTF-8 at byte 1"),  # overlong
        (b"a\xed\xa0\x80", "UTF-8 at byte 1"),  # a surrogate
        (b"a\xf4\x90\x80\x80", "UTF-8 at byte 1"),  # above U+10FFFF
    ],
)
def test_encoding_invalid_utf8_names_the_position(load, data, words):
    tokenizer = load("all_bytes")
    with pytest.raises(InvalidInputError, match=words):
        tokenizer.encode(data)
    assert tokenizer.decode(tokenizer.encode("ok")) == b"ok"


def test_encoding_a_byte_without_a_token_names_byte_and_position(load):
    with pytest.raises(InvalidInputError, match=r"\b(120|0x78)\b.*position 3.*no token"):
        load("ab").encode("abax")
    with pytest.raises(InvalidInputError, match=r"\b(4|0x04)\b.*position 5.*no token"):
        load("smollm2_like").encode("the t\x04")
    assert load("ab").encode("ab") == [2]


def test_encoding_a_lone_surrogate(load):
    with pytest.raises(InvalidInputError, match=r"text: lone surrogate U\+D800 at character 2"):
        load("ab").encode("ab\ud800")


@pytest.mark.parametrize("text", [None, 3, ["ab"], bytearray(b"ab")], ids=repr)
@pytest.mark.parametrize("method", ["encode", "cover_encodings"])
def test_text_arguments_of_other_types(load, method, text):
    with pytest.raises(InvalidInputError, match=f"must be str or bytes, not {type(text).__name__}"):
        getattr(load("ab"), method)(text)


def test_spellings_of_special_tokens_in_a_text_are_ordinary_text(load):
    tokenizer = load("smollm2_like")
    for content in tokenizer.special_tokens:
        text = f"the {content} the"
        tokens = tokenizer.encode(text)
        assert not set(tokens) & set(tokenizer.special_tokens.values())
        assert tokenizer.decode(tokens) == text.encode()


# --- Tokens --------------------------------------------------------------------------------------


def test_bytes_of_tokens(load):
    tokenizer = load("ab_with_specials")
    assert [tokenizer.token_bytes(token) for token in range(tokenizer.vocab_size)] == [
        b"a", b"b", b"ab", b"", b"", b"", b"",
    ]  # fmt: skip
    assert tokenizer.decode([3, 0, 5, 2, 4]) == b"aab"
    assert tokenizer.decode(iter([1, 0])) == b"ba"
    assert tokenizer.decode([]) == b""


@pytest.mark.parametrize("token", [-1, 7, 10**30])
def test_token_ids_out_of_range(load, token):
    tokenizer = load("ab_with_specials")
    for ask in (tokenizer.token_bytes, lambda token: tokenizer.decode([0, token])):
        with pytest.raises(InvalidInputError, match=rf"token id {token} .* vocabulary of 7"):
            ask(token)
    assert tokenizer.token_bytes(2) == b"ab"


def test_special_tokens(load):
    tokenizer = load("ab_with_specials")
    assert tokenizer.special_tokens == {"<s>": 3, "<e>": 4, "<f>": 5, "<chat>": 6}
    tokenizer.special_tokens["<new>"] = 9  # a copy
    assert len(tokenizer.special_tokens) == 4
    assert load("ab").special_tokens == {}


# --- Covers --------------------------------------------------------------------------------------


def covers(tokenizer, prefix):
    found = tokenizer.cover_encodings(prefix)
    assert all(isinstance(tokens, tuple) for tokens, _ in found)
    assert len(set(found)) == len(found)
    return dict(found)


def test_the_empty_prefix_has_the_empty_cover(load):
    for name in DOCUMENTS:
        assert load(name).cover_encodings("") == [((), 0)]


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("ab", b"x"),
        ("ab", b"abx"),
        ("all_bytes", b"a\x80"),
        ("all_bytes", b"a\xff"),
        ("all_bytes", b"\xc0"),
        ("all_bytes", b"\xc3a"),
        ("all_bytes", b"\xed\xa0"),
        ("letters", b"\xa9"),
        ("smollm2_like", b"the\x04"),
        ("smollm2_like", "the\U00040000".encode()),
    ],
)
def test_impossible_prefixes_have_no_cover(load, name, prefix):
    assert load(name).cover_encodings(prefix) == []


def test_covers_by_hand(load):
    ab = load("ab")
    assert covers(ab, b"a") == {(0,): 0, (2,): 1}
    assert covers(ab, b"ab") == {(2,): 0}  # a then b is no beginning of an encoding
    assert covers(ab, b"aba") == {(2, 0): 0, (2, 2): 1}
    letters = load("letters")
    ids = {letters.token_bytes(token): token for token in range(letters.vocab_size)}
    # After a blank the cover may be a word that starts with it, or the blank alone: a blank, a line
    # feed or an apostrophe may follow, and then it is a piece of its own or part of a longer one.
    assert covers(letters, b" ") == {
        (ids[b" "],): 0,
        (ids[b" the"],): 3,
        (ids[b" a"],): 1,
        (ids[b"  "],): 1,
    }
    # An unfinished character: nothing could follow [C3] but what is not merged with it.
    assert covers(letters, b"\xc3") == {(ids[b"\xc3"],): 0, (ids[b"\xc3\xa9"],): 1}
    assert covers(letters, "é".encode()) == {(ids[b"\xc3\xa9"],): 0}


@pytest.mark.parametrize(
    ("name", "alphabet", "length"),
    [("ab", "ab", 9), ("letters", "t he\n", 6), ("letters", "aéè", 6)],
)
def test_covers_are_the_beginnings_of_encodings(load, name, alphabet, length):
    """Against all texts of up to `length` characters; a cover needs at most 3 more here."""
    tokenizer = load(name)
    beginnings = {}
    for size in range(length + 1):
        for letters in itertools.product(alphabet, repeat=size):
            tokens = tokenizer.encode("".join(letters))
            data = b""
            for count, token in enumerate(tokens, start=1):
                before, data = data, data + tokenizer.token_bytes(token)
                for end in range(len(before) + 1, len(data) + 1):
                    key = data[:end]
                    beginnings.setdefault(key, set()).add((tuple(tokens[:count]), len(data) - end))
    checked = 0
    for prefix, expected in beginnings.items():
        if len(prefix) <= length - 3:
            allowed = {byte for letter in alphabet for byte in letter.encode()}
            found = {
                (tokens, overhang)
                for tokens, overhang in tokenizer.cover_encodings(prefix)
                if set(tokenizer.decode(tokens)) <= allowed
            }
            assert found == expected, prefix
            checked += 1
    assert checked >= 2 ** (length - 3)


def test_covers_with_every_byte_at_once(load):
    """The tokens of every cover decode to the prefix and the overhang more, in one context each."""
    tokenizer = load("all_bytes")
    text = "he said 123--'ends' <|im_end|> 中\r\n".encode()
    for end in range(len(text) + 1):
        found = covers(tokenizer, text[:end])
        assert found
        for tokens, overhang in found.items():
            data = tokenizer.decode(tokens)
            assert data.startswith(text[:end])
            assert len(data) == end + overhang
            assert end == 0 or len(tokenizer.token_bytes(tokens[-1])) > overhang
    assert tuple(tokenizer.encode(text)) in found


# --- The object ----------------------------------------------------------------------------------


def test_report(load):
    report = load("smollm2_like").report()
    assert report.source.endswith("smollm2_like.json")
    assert report.family == "byte-level BPE"
    assert report.exactness == load("smollm2_like").exactness == "exact"
    assert report.vocabulary_size == load("smollm2_like").vocab_size == 3 + (256 - 21) + 11
    assert report.reachable_tokens == report.vocabulary_size - 3
    assert report.special_tokens == load("smollm2_like").special_tokens
    assert report.missing_bytes == tiny.UNSPELLED
    assert len(report.stages) == 2
    assert report.character_classes > 3
    assert report.automaton_states > 3
    assert report.automaton_subsets > 1
    assert load("all_bytes").report().missing_bytes == b""
    assert load("one_letter").report().stages == []
    assert len(load("one_letter").report().missing_bytes) == 255


def test_an_unreachable_token_is_counted_out(tmp_path):
    content = tiny.ab()
    content["model"]["vocab"]["ba"] = 3
    report = nb.Tokenizer.from_file(tiny.write(tmp_path, content)).report()
    assert (report.vocabulary_size, report.reachable_tokens) == (4, 3)


def test_repr_is_short_and_names_the_file(load):
    text = repr(load("ab"))
    assert re.fullmatch(r"Tokenizer\('.*ab\.json', vocab_size=3\)", text)


def test_a_refused_file_leaves_no_trace(tmp_path, load):
    """Loading again after errors works; nothing of the failed loads is kept."""
    for broken in ({"model": {}}, tiny.ab() | {"normalizer": {"type": "Lowercase"}}):
        with pytest.raises((TokenizerFormatError, UnsupportedTokenizerError)):
            nb.Tokenizer.from_file(tiny.write(tmp_path, broken))
    tokenizer = nb.Tokenizer.from_file(tiny.write(tmp_path, tiny.ab()))
    assert tokenizer.encode("ab") == load("ab").encode("ab") == [2]


def test_threads_share_a_tokenizer(tmp_path):
    """Caches are filled by whoever comes first; every thread must see the same covers."""
    tokenizer = nb.Tokenizer.from_file(tiny.write(tmp_path, tiny.all_bytes()))
    text = "he said 123--'ends' <|im_end|> 中\r\n" * 3
    fresh = nb.Tokenizer.from_file(tiny.write(tmp_path, tiny.all_bytes(), "other.json"))
    expected = [fresh.cover_encodings(text.encode()[:end]) for end in range(0, 60, 3)]

    def work(_):
        return [tokenizer.cover_encodings(text.encode()[:end]) for end in range(0, 60, 3)]

    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(work, range(8)))


def test_names_that_are_no_model(tmp_path):
    for name in ("smollm3-999b", str(tmp_path / "nowhere"), "./nowhere"):
        with pytest.raises(InvalidInputError, match="neither a directory nor an embedded model"):
            nb.Tokenizer.from_pretrained(name)
