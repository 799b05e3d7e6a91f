"""Mistral's `tekken.json`: ranks behind special tokens, and what is wrong with bad files."""

from __future__ import annotations

import base64
import copy
import json

import pytest
import tiktoken

from nextbyte import Tokenizer
from nextbyte.errors import NextByteError, TokenizerFormatError, UnsupportedTokenizerError
from nextbyte.formats.patterns import TEKKEN
from unit import tiny_tokenizers as tiny
from unit.loading import random_texts

SPECIAL = 3


def document(tokens, *, special=SPECIAL, pattern=TEKKEN, unused=(), **more):
    """Return a file's content: `tokens` in order of rank, and entries that are not used."""
    return {
        "config": {
            "pattern": pattern,
            "num_vocab_tokens": len(tokens) + len(unused),
            "default_vocab_size": len(tokens) + special,
            "default_num_special_tokens": special,
            "version": "v3",
        },
        "vocab": [
            {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
            for rank, token in enumerate([*tokens, *unused])
        ],
        **more,
    }


AB = document([b"a", b"b", b"ab"])


def load(folder, content):
    return Tokenizer.from_tekken(tiny.write(folder, content, "tekken.json"))


def changed(place, value):
    """Return a copy of AB with another value; a place is `vocab.1.rank`, for example."""
    content = copy.deepcopy(AB)
    *way, last = [int(key) if key.isdigit() else key for key in place.split(".")]
    target = content
    for key in way:
        target = target[key]
    target[last] = value
    return content


# --- Good files ----------------------------------------------------------------------------------


def test_ids_follow_the_special_tokens(tmp_path):
    tokenizer = load(tmp_path, AB)
    assert tokenizer.encode("abba") == [5, 4, 3]
    assert tokenizer.vocab_size == 6
    assert tokenizer.special_tokens == {"<unk>": 0, "<s>": 1, "</s>": 2}
    assert tokenizer.token_bytes(2) == b""
    assert sorted(tokenizer.cover_encodings(b"a")) == [((3,), 0), ((5,), 1)]


def test_entries_past_the_vocabulary_are_not_used(tmp_path):
    content = document([b"a", b"b", b"ab"], unused=[b"abab", b"aa"])
    tokenizer = load(tmp_path, content)
    assert tokenizer.vocab_size == 6
    assert tokenizer.encode("abab") == [5, 5]
    content["vocab"][4].update(token_bytes=None)
    assert load(tmp_path, content).encode("aab") == [3, 5]


def test_fillers_and_the_default_special_tokens(tmp_path):
    special = load(tmp_path, document([b"a"], special=23)).special_tokens
    assert list(special.values()) == list(range(23))
    assert list(special)[19:] == ["[TOOL_CONTENT]", "<SPECIAL_20>", "<SPECIAL_21>", "<SPECIAL_22>"]


def test_special_tokens_of_the_file(tmp_path):
    listed = [
        {"rank": 1, "token_str": "<s>", "is_control": True},
        {"rank": 0, "token_str": "<zero>", "is_control": False},
    ]
    tokenizer = load(tmp_path, AB | {"special_tokens": listed})
    assert tokenizer.special_tokens == {"<zero>": 0, "<s>": 1, "<SPECIAL_2>": 2}


def test_encodes_as_tiktoken_does(tmp_path):
    tokens = tiny.single_bytes(bytes(range(256)))
    tokens += [b"he", b" he", b"12", b"\n\n", b"  ", b"--", b"'s", b"er", b"\r\n", b"her"]
    tokens += [b"\xc3\xa9", b" \n", b"/\n", b"He", b"HE", b" H"]
    reference = tiktoken.Encoding(
        "tekken",
        pat_str=TEKKEN,
        mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
        special_tokens={},
    )
    product = load(tmp_path, document(tokens))
    for text in random_texts("heErHs123 \n\r/--'sé中", seed=4, count=300):
        ids = [rank + SPECIAL for rank in reference.encode_ordinary(text)]
        assert product.encode(text) == ids, text


def test_from_file_knows_the_format_by_its_content(tmp_path):
    path = tiny.write(tmp_path, AB, "tokenizer.json")
    assert Tokenizer.from_file(path).encode("ab") == [5]
    assert Tokenizer.from_file(tmp_path).encode("ab") == [5]
    json_path = tiny.write(tmp_path, tiny.ab(), "other.json")
    assert Tokenizer.from_file(json_path).encode("ab") == [2]


def test_from_file_goes_by_content_before_the_name(tmp_path):
    path = tiny.write(tmp_path, tiny.ab(), "tekken_converted.json")  # a tokenizer.json inside
    assert Tokenizer.from_file(path).encode("ab") == [2]


def test_from_file_judges_files_of_the_name_as_such(tmp_path):
    path = tiny.write(tmp_path, {"config": {}}, "tekken_240718.json")
    with pytest.raises(TokenizerFormatError, match=r"is not a tekken\.json file"):
        Tokenizer.from_file(path)
    path = tiny.write(tmp_path, {"config": {}}, "other.json")
    with pytest.raises(TokenizerFormatError, match=r"is not a tokenizer\.json file"):
        Tokenizer.from_file(path)


# --- Bad files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1} x'])
def test_files_that_are_not_json(tmp_path, data):
    path = tmp_path / "tekken.json"
    path.write_bytes(data)
    for read in (Tokenizer.from_tekken, Tokenizer.from_file):
        with pytest.raises(TokenizerFormatError, match=r"tekken\.json: not a JSON file"):
            read(path)


@pytest.mark.parametrize(
    "content", [[], "x", 3, None, {}, {"config": {}}, {"vocab": []}, tiny.ab()]
)
def test_other_documents(tmp_path, content):
    with pytest.raises(TokenizerFormatError, match=r"is not a tekken\.json file"):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (changed("config", []), "config must be an object, not an array"),
        (changed("config.pattern", None), "config.pattern must be text, not null"),
        (changed("config.default_vocab_size", None), "default_vocab_size must be an integer"),
        (changed("config.default_vocab_size", "6"), "default_vocab_size must be an integer"),
        (changed("config.default_vocab_size", -1), "default_vocab_size is -1"),
        (changed("config.default_vocab_size", 10**12), "default_vocab_size is 1000000000000"),
        (changed("config.default_num_special_tokens", 7), "default_num_special_tokens is 7"),
        (changed("config.default_num_special_tokens", -1), "default_num_special_tokens is -1"),
        (changed("config.default_num_special_tokens", 1.0), "must be an integer, not a number"),
        (changed("config.default_num_special_tokens", 6), "the vocabulary has no token with bytes"),
        (
            changed("config.default_vocab_size", 7),
            "vocab has 3 entries; the config says 4 are used",
        ),
        (changed("vocab", []), "vocab has 0 entries; the config says 3 are used"),
        (changed("vocab.1", []), "vocab[1] must be an object, not an array"),
        (changed("vocab.1.rank", 2), "vocab[1] has rank 2; ranks count up from 0"),
        (changed("vocab.1.rank", "1"), "vocab[1].rank must be an integer, not text"),
        (changed("vocab.1.rank", -1), "vocab[1].rank is -1"),
        (changed("vocab.1.token_bytes", None), "vocab[1].token_bytes must be text, not null"),
        (changed("vocab.1.token_bytes", "!!!"), "vocab[1].token_bytes is not base64"),
        (changed("vocab.1.token_bytes", "Yg"), "vocab[1].token_bytes is not base64"),
        (changed("vocab.1.token_bytes", "é"), "vocab[1].token_bytes is not base64"),
        (changed("vocab.1.token_bytes", ""), "vocab[1].token_bytes is b'', which is empty"),
        (changed("vocab.1.token_bytes", "YQ=="), "vocab[1].token_bytes is b'a', which is empty or"),
        (changed("special_tokens", {}), "special_tokens must be an array, not an object"),
        (changed("special_tokens", [1]), "special_tokens[0] must be an object, not an integer"),
        (changed("special_tokens", [{"rank": 3, "token_str": "x"}]), "special_tokens[0].rank is 3"),
        (changed("special_tokens", [{"rank": 0}]), "special_tokens[0].token_str must be text"),
        (
            changed("special_tokens", [{"rank": 0, "token_str": c} for c in "xy"]),
            "special_tokens[1] has rank 0, which is that of 'x'",
        ),
        (
            changed("special_tokens", [{"rank": r, "token_str": "x"} for r in (0, 2)]),
            "special_tokens has 'x' twice, as 0 and 2",
        ),
        (
            changed("special_tokens", [{"rank": 0, "token_str": "<SPECIAL_2>"}]),
            "special_tokens has '<SPECIAL_2>' twice, as 0 and 2",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_contradictions_name_the_place(tmp_path, content, words):
    with pytest.raises(NextByteError) as caught:
        load(tmp_path, content)
    assert type(caught.value) is TokenizerFormatError, caught.value
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'tekken.json'}: ")
    assert words in message
    assert len(message) < 400 + len(str(tmp_path))


def test_patterns_outside_the_compiled_class(tmp_path):
    for pattern, words in (("(?<=a)b", "look-behind"), ("", "empty string")):
        with pytest.raises(UnsupportedTokenizerError, match=words):
            load(tmp_path, changed("config.pattern", pattern))


def test_a_whole_piece_that_no_merges_produce(tmp_path):
    tokens = [b"a", b"b", b"c", b"abc"]
    tokenizer = load(tmp_path, document(tokens))
    assert tokenizer.encode("abc") == [6]
    assert tokenizer.encode("aabc") == [3, 3, 4, 5]


def test_files_that_are_not_there(tmp_path):
    for path in (tmp_path / "tekken.json", tmp_path):
        with pytest.raises(TokenizerFormatError, match="no such file"):
            Tokenizer.from_tekken(path)


def test_the_file_may_be_written_with_escapes(tmp_path):
    path = tmp_path / "tekken.json"
    path.write_text(json.dumps(AB, ensure_ascii=True, indent=1), encoding="utf-8")
    assert Tokenizer.from_tekken(path).encode("ab") == [5]
