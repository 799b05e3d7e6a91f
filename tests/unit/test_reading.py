"""The loops over whole vocabularies in the core, beside the slow readers that say what is wrong."""

from __future__ import annotations

import base64
import random

import numpy as np
import pytest

from nextbyte import _core
from nextbyte.errors import NextByteError
from nextbyte.formats import vocabulary as reading
from nextbyte.formats.byte_alphabet import LETTERS
from nextbyte.formats.json_fields import JsonField
from nextbyte.formats.merges import read_merges, read_merges_one_by_one
from nextbyte.formats.vocabulary import (
    MAX_TOKENS,
    arrange,
    arrange_byte_level,
    arrange_in_order,
    ranks_in_order,
)
from unit import tiny_tokenizers as tiny

PIECES = ["a", "b", "Ġ", "Ā", "ń", "é", "x", " ", "中", "\U00010000", "Ѐ", "Ͽ", "\x80", "\ud800"]


def outcome(action):
    """Return what it returns, or the error's message."""
    try:
        return action()
    except NextByteError as error:
        return str(error)


def field(value):
    return JsonField(value, source="here", path="merges")


def random_vocabulary(source, *, pieces=PIECES, size=30):
    spellings = {"".join(source.choices(pieces, k=source.randint(0, 3))) for _ in range(size)}
    ids = source.sample(range(2 * size), len(spellings))
    return dict(zip(sorted(spellings), ids, strict=True))


# --- Tokens --------------------------------------------------------------------------------------


def slowly(vocabulary, special_tokens, words):
    tokens = reading._spelled_tokens(vocabulary, special_tokens, words)
    return arrange(tokens, special_tokens, source="here")


@pytest.mark.parametrize("seed", range(80))
def test_tokens_in_the_byte_alphabet(seed):
    source = random.Random(seed)
    pieces = PIECES[:-1] if seed % 4 else PIECES  # with a lone surrogate, only the slow way goes
    vocabulary = random_vocabulary(source, pieces=pieces)
    special = dict(source.sample(sorted(vocabulary.items()), 3)) if seed % 2 else {}
    special |= {"<s>": source.randint(0, 70)}
    plain = sorted(item for item in vocabulary.items() if item[0] and "\ud800" not in item[0])
    words = dict(source.sample(plain, 2)) if seed % 3 else {}
    words |= {"<w>": source.randint(0, 70)} if seed % 5 else {}
    expected = outcome(lambda: slowly(vocabulary, special, words))
    found = outcome(lambda: arrange_byte_level(vocabulary, special, words, source="here"))
    assert found == expected
    if seed % 4 and isinstance(expected, list):
        added = special | words
        taken = {token for spelling, token in vocabulary.items() if added.get(spelling) != token}
        is_regular = len(set(added.values())) == len(special) + len(words)
        fast = _core.byte_level_tokens(vocabulary, added, LETTERS)
        if is_regular and taken.isdisjoint(added.values()):
            assert fast is not None


@pytest.mark.parametrize(
    ("vocabulary", "special"),
    [
        ({}, {}),
        ({"a": 1.0}, {}),
        ({"a": True}, {}),
        ({"a": -1}, {}),
        ({"a": MAX_TOKENS}, {}),
        ({"a": 2**70}, {}),
        ({"a": 0, "b": 0}, {}),
        ({"a": 0}, {"<s>": 0}),
        ({"a": 0}, {"<s>": 1, "<e>": 1}),
        ({"中": 0}, {"<s>": 1}),
        ({1: 0}, {}),
        ({"\ud800": 0, "a": 1}, {}),
    ],
    ids=str,
)
def test_odd_vocabularies_are_left_to_the_slow_way(vocabulary, special):
    assert _core.byte_level_tokens(vocabulary, special, LETTERS) is None


def test_every_letter_and_its_neighbours():
    letters = [chr(code) for code in range(1, 0x500) if not 0xD800 <= code < 0xE000]
    vocabulary = {letter: token for token, letter in enumerate(letters)}
    fast = _core.byte_level_tokens(vocabulary, {}, LETTERS)
    assert fast == slowly(vocabulary, {}, {})
    assert sorted(filter(None, fast)) == [bytes([byte]) for byte in range(256)]


# --- Merges --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_merges_by_spelling(seed):
    source = random.Random(seed)
    vocabulary = random_vocabulary(source, pieces=["a", "b", "é", "ab", "中"], size=60)
    token_bytes = [b""] * 120
    for spelling, token in vocabulary.items():
        token_bytes[token] = spelling.encode() if source.random() < 0.8 else b""
    known = [
        (left, right) for left in vocabulary for right in vocabulary if left + right in vocabulary
    ]
    merges = source.choices(known, k=50)
    if seed % 5 == 0:
        merges.insert(source.randrange(50), source.choice([("a", "zz"), ("zz", "a"), ("zz", "")]))
    listed = [list(merge) if source.random() < 0.5 else " ".join(merge) for merge in merges]
    if seed % 7 == 0:
        listed.insert(source.randrange(50), source.choice([3, "ab", ["a"], ["a", 1], None, []]))
    expected = outcome(lambda: read_merges_one_by_one(field(listed), vocabulary, token_bytes))
    found = outcome(lambda: read_merges(field(listed), vocabulary, token_bytes))
    if isinstance(expected, str):
        assert found == expected
        assert _core.resolve_merges(listed, vocabulary, token_bytes) is None
    else:
        np.testing.assert_array_equal(found, np.array(expected, dtype=np.uint32).reshape(-1, 3))
        assert found.dtype == np.uint32
        assert _core.resolve_merges(listed, vocabulary, token_bytes) is not None


def test_merges_outside_the_tokens_are_left_to_the_slow_way():
    assert _core.resolve_merges(["a b"], {"a": 0, "b": 1, "ab": 2}, [b"a", b"b"]) is None
    assert _core.resolve_merges([["\ud800", "a"]], {"a": 0}, [b"a"]) is None
    assert _core.resolve_merges([], {"a": 0}, [b"a"]).shape == (0, 3)


# --- Base64 and rank files -----------------------------------------------------------------------


def test_base64_is_what_the_standard_library_takes():
    source = random.Random(0)
    alphabet = "ABzy019+/=- \né"
    for length in (0, 1, 2, 3, 4, 8):
        for _ in range(400):
            text = "".join(source.choices(alphabet, k=length))
            fast = _core.decode_base64_texts([text])
            try:
                data = base64.b64decode(text, validate=True)
            except ValueError:
                data = None
            canonical = data is not None and base64.b64encode(data).decode() == text
            assert fast == ([data] if canonical else None), text
    data = [source.randbytes(length) for length in range(50)]
    assert _core.decode_base64_texts([base64.b64encode(d).decode() for d in data]) == data
    assert _core.decode_base64_texts([b"YQ=="]) is None


def test_rank_lines():
    data = b"YQ== 0\nYg== 1\nYWI= 2\n"
    assert _core.read_rank_lines(data) == [b"a", b"b", b"ab"]
    assert _core.read_rank_lines(data[:-1]) == [b"a", b"b", b"ab"]
    assert _core.read_rank_lines(b"") == []
    for odd in (b"\n", b"\r\n", b"YQ== 1\n", b"YQ== 00\n", b"YQ==  0\n", b"YQ== 0 \n", b"YQ 0\n"):
        assert _core.read_rank_lines(odd) is None
    assert _core.read_rank_lines(data + b"\n") is None
    assert _core.read_rank_lines(data.replace(b"\n", b"\r\n")) is None


@pytest.mark.parametrize(
    ("tokens", "first", "special"),
    [
        ([b"a", b"b"], 0, {}),
        ([b"a", b"b"], 2, {"<s>": 0, "<e>": 1}),
        ([b"a", b"b"], 2, {"<s>": 0, "<e>": 9}),
        ([b"a"], 0, {"<s>": 1, "<e>": 1}),
        ([b"a"], 0, {"<s>": 0}),
        ([b"a"], 1, {"<s>": True}),
        ([b"a"], 1, {"<s>": -1}),
        ([b"a"], 0, {"<s>": MAX_TOKENS}),
        ([], 2, {"<s>": 0}),
        ([b"a"], MAX_TOKENS, {}),
    ],
    ids=str,
)
def test_tokens_in_order(tokens, first, special):
    pairs = [(token, first + index) for index, token in enumerate(tokens)]
    expected = outcome(lambda: arrange(pairs, special, source="here"))
    assert outcome(lambda: arrange_in_order(tokens, first, special, source="here")) == expected


def test_ranks_in_order():
    assert ranks_in_order([b"", b"a", b"", b"b"]).tolist() == [2**32 - 1, 1, 2**32 - 1, 3]


# --- Cutting -------------------------------------------------------------------------------------


def test_cutting_bytes():
    def cut(data, lengths):
        return _core.cut_bytes(data, np.array(lengths, dtype=np.uint32))

    assert cut(b"abc", [1, 0, 2]) == [b"a", b"", b"bc"]
    assert cut(b"", []) == []
    for lengths in ([], [2], [4], [2, 2], [2**32 - 1, 1, 3]):
        assert cut(b"abc", lengths) is None


def test_the_alphabet_is_the_published_one():
    assert "".join(map(chr, LETTERS)) == tiny.spell(bytes(range(256)))
