"""Tokenizers in GGUF files: what is read, as a reference encoder reads it, and what is declined."""

from __future__ import annotations

import sys

import pytest
import tokenizers

from nextbyte import Tokenizer
from nextbyte.errors import (
    MissingDependencyError,
    NextByteError,
    TokenizerFormatError,
    UnsupportedTokenizerError,
)
from nextbyte.formats.gguf_pretokenizers import BY_NAME
from unit import tiny_tokenizers as tiny
from unit.loading import random_texts

gguf = pytest.importorskip("gguf")

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
AB = {
    "model": "gpt2",
    "pre": "gpt-2",
    "tokens": ["<s>", "a", "b", "ab"],
    "token_type": [CONTROL, NORMAL, NORMAL, NORMAL],
    "merges": ["a b"],
}
# Fragments in which the pre-tokenizers differ from each other.
MERGES = [
    *((b"1", b"2"), (b"12", b"3"), (b" ", b"1"), (b"h", b"e"), (b" ", b"he"), (b"he", b"r")),
    *((b"'", b"s"), (b"\n", b"\n"), (b" ", b" "), (b".", b"."), (b"\xc3", b"\xa9"), (b"e", b"R")),
    *((b"\xe4", b"\xb8"), (b"\xe4\xb8", b"\xad"), (b"\xc3\xa9", b"\xcc"), (b"/", b"\n")),
    *((b".", b"\n"), (b" ", b"."), (b"'", b"S"), (b"$", b"."), (b".", b"h")),
]
ALPHABET = ["he", "her", "HeR", " ", "  ", "1", "12", "123", "1234", "\n", "\r\n", ".", "..", "/"]
ALPHABET += ["'s", "'S", "'", "é", "e\u0301", "中", "\u30a2", "\uac00", "²", "$", "<", "\t", "。"]


def write_gguf(path, fields, *, endianess=None, **changes):
    """Write the metadata; a value None leaves a key out."""
    writer = gguf.GGUFWriter(path, "llama", endianess=endianess or gguf.GGUFEndian.LITTLE)
    for name, value in (fields | changes).items():
        key = f"tokenizer.ggml.{name}"
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif value is not None:
            writer.add_array(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def load(folder, *, ignore_added_words=False, **changes):
    path = write_gguf(folder / "vocabulary.gguf", AB, **changes)
    return Tokenizer.from_gguf(path, ignore_added_words=ignore_added_words)


def refusal(folder, kind, **changes):
    """Load a file that must be refused; return the message."""
    with pytest.raises(NextByteError) as caught:
        load(folder, **changes)
    assert type(caught.value) is kind, caught.value
    assert str(caught.value).startswith(f"{folder / 'vocabulary.gguf'}: ")
    return str(caught.value)


# --- Good files ----------------------------------------------------------------------------------


def test_ids_special_tokens_and_text(tmp_path):
    tokenizer = load(tmp_path)
    assert tokenizer.encode("abba") == [3, 2, 1]
    assert tokenizer.vocab_size == 4
    assert tokenizer.special_tokens == {"<s>": 0}
    assert tokenizer.token_bytes(0) == b""
    assert sorted(tokenizer.cover_encodings(b"a")) == [((1,), 0), ((3,), 1)]


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_name_splits_as_the_reference_does(tmp_path, name):
    """The table's stages, by the engine in which the models' own files have them."""
    tokens = [*tiny.single_bytes(bytes(range(256))), *(left + right for left, right in MERGES)]
    spellings = [tiny.spell(token) for token in tokens]
    merges = [(tiny.spell(left), tiny.spell(right)) for left, right in MERGES]
    product = load(
        tmp_path,
        pre=name,
        tokens=spellings,
        token_type=[NORMAL] * len(tokens),
        merges=[" ".join(merge) for merge in merges],
    )
    stages, whole_pieces = BY_NAME[name]
    model = tokenizers.models.BPE(
        {spelling: token for token, spelling in enumerate(spellings)},
        merges,
        ignore_merges=whole_pieces,
    )
    reference = tokenizers.Tokenizer(model)
    reference.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            *(tokenizers.pre_tokenizers.Split(tokenizers.Regex(s), "isolated") for s in stages),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    for text in random_texts(ALPHABET, seed=3, count=400):
        assert product.encode(text) == reference.encode(text).ids, text


def test_unknown_is_special_and_unused_ids_are_holes(tmp_path):
    tokenizer = load(
        tmp_path,
        tokens=[*AB["tokens"], "<unk>", "<not used>", "[PAD6]", "[PAD7]"],
        token_type=[*AB["token_type"], UNKNOWN, UNUSED, UNUSED, USER_DEFINED],
    )
    assert tokenizer.special_tokens == {"<s>": 0, "<unk>": 4}
    assert tokenizer.vocab_size == 8
    assert [tokenizer.token_bytes(token) for token in range(4, 8)] == [b""] * 4
    assert tokenizer.encode("ab") == [3]


def test_tokens_outside_the_byte_alphabet_are_holes(tmp_path):
    tokenizer = load(
        tmp_path,
        tokens=[*AB["tokens"], "中", "中中"],
        token_type=[*AB["token_type"], NORMAL, NORMAL],
        merges=["中 中", "a b"],
    )
    assert tokenizer.token_bytes(4) == tokenizer.token_bytes(5) == b""
    assert tokenizer.encode("ab") == [3]


def test_user_defined_tokens_are_read_out_of_text_or_are_text(tmp_path):
    changes = {"tokens": [*AB["tokens"], "aa"], "token_type": [*AB["token_type"], USER_DEFINED]}
    tokenizer = load(tmp_path, **changes)
    assert tokenizer.special_tokens == {"<s>": 0}
    assert tokenizer.token_bytes(4) == b"aa"
    assert tokenizer.encode("aaab") == [4, 3]
    tokenizer = load(tmp_path, ignore_added_words=True, **changes)
    assert tokenizer.special_tokens == {"<s>": 0, "aa": 4}
    assert tokenizer.encode("aab") == [1, 3]


def test_a_filler_has_the_number_of_its_id(tmp_path):
    changes = {"tokens": [*AB["tokens"], "[PAD5]"], "token_type": [*AB["token_type"], USER_DEFINED]}
    assert load(tmp_path, **changes).token_bytes(4) == b"[PAD5]"


def test_big_endian_files(tmp_path):
    assert load(tmp_path, endianess=gguf.GGUFEndian.BIG).encode("abb") == [3, 2]


def test_from_file_takes_gguf_files(tmp_path):
    path = write_gguf(tmp_path / "Model.GGUF", AB)
    assert Tokenizer.from_file(path).encode("ab") == [3]
    words = AB | {"tokens": [*AB["tokens"], "aa"], "token_type": [*AB["token_type"], USER_DEFINED]}
    write_gguf(path, words)
    assert Tokenizer.from_file(path).encode("aa") == [4]
    assert Tokenizer.from_file(path, ignore_added_words=True).encode("aa") == [1, 1]


# --- Well formed, but not covered ----------------------------------------------------------------


@pytest.mark.parametrize("model", ["bert", "rwkv", "plamo2"])
def test_other_models(tmp_path, model):
    message = refusal(tmp_path, UnsupportedTokenizerError, model=model)
    assert f"tokenizer.ggml.model is {model!r}" in message
    assert "byte-level BPE" in message


@pytest.mark.parametrize("name", ["default", "gpt2", "kimi-k2", "GPT-2"])
def test_unknown_pre_tokenizers(tmp_path, name):
    message = refusal(tmp_path, UnsupportedTokenizerError, pre=name)
    assert f"tokenizer.ggml.pre, the pre-tokenizer, is {name!r}" in message
    assert all(known in message for known in BY_NAME)


def test_files_that_name_no_pre_tokenizer(tmp_path):
    assert "is 'default' (" in refusal(tmp_path, UnsupportedTokenizerError, pre=None)


@pytest.mark.parametrize("option", ["add_space_prefix", "normalizer.lowercase"])
def test_options_that_change_the_text(tmp_path, option):
    message = refusal(tmp_path, UnsupportedTokenizerError, **{option: True})
    assert f"tokenizer.ggml.{option} changes the text" in message
    assert load(tmp_path, **{option: False}).encode("ab") == [3]


def test_a_whole_piece_that_no_merges_produce(tmp_path):
    tokens, kinds = [*AB["tokens"], "ba"], [*AB["token_type"], NORMAL]
    assert load(tmp_path, tokens=tokens, token_type=kinds).encode("ba") == [2, 1]
    by_pieces = load(tmp_path, pre="llama-bpe", tokens=tokens, token_type=kinds)
    assert by_pieces.encode("ba") == [4]
    assert by_pieces.encode("bab") == [2, 3]


# --- Bad files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": None}, "tokenizer.ggml.model must be text, not null"),
        ({"model": 7}, "tokenizer.ggml.model must be text, not an integer"),
        ({"pre": 7}, "tokenizer.ggml.pre must be text, not an integer"),
        ({"tokens": None}, "tokenizer.ggml.tokens must be an array, not null"),
        ({"tokens": "ab"}, "tokenizer.ggml.tokens must be an array, not text"),
        ({"tokens": [1, 2, 3, 4]}, "tokenizer.ggml.tokens[0] must be text, not an integer"),
        ({"token_type": None}, "tokenizer.ggml.token_type must be an array, not null"),
        ({"token_type": [3, 1, 1]}, "token_type has 3 entries for 4 tokens"),
        ({"token_type": [3, 1, 1, 1, 1]}, "token_type has 5 entries for 4 tokens"),
        ({"token_type": [3, 1, 1, 7]}, "token_type[3] is 7"),
        ({"token_type": [3, 1, 1, -1]}, "token_type[3] is -1"),
        ({"token_type": ["3", "1", "1", "1"]}, "token_type[0] must be an integer, not text"),
        ({"token_type": [3, 1, 1, 0]}, "tokens[3] is a token of no type"),
        ({"token_type": [3, 1, 1, BYTE]}, "tokens[3] is a byte token"),
        ({"token_type": [3, 3, 3, 3], "merges": ["a b"]}, "the vocabulary has no token with bytes"),
        ({"tokens": ["<s>", "a", "b", "a"]}, "tokens[3] is 'a' once more"),
        ({"tokens": ["a", "a", "b", "ab"]}, "tokens[1] is 'a' once more"),
        ({"merges": None}, "tokenizer.ggml.merges (the merge list) must be an array"),
        ({"merges": "a b"}, "tokenizer.ggml.merges (the merge list) must be an array"),
        ({"merges": ["a b", "ab"]}, "merge 1 'ab', which is not a pair of tokens"),
        ({"merges": [1, 2]}, "merge 0 1, which is not a pair of tokens"),
        ({"merges": ["a c"]}, "merge 0 ('a', 'c'), that names 'c', which is not in the vocabulary"),
        ({"merges": ["b a"]}, "names 'ba', which is not in the vocabulary"),
        ({"token_type": [3, 1, 1, 3]}, "names 'ab', which is not in the vocabulary"),
        ({"add_space_prefix": 1}, "add_space_prefix must be true or false"),
    ],
    ids=str,
)
def test_contradictions_name_the_place(tmp_path, changes, words):
    message = refusal(tmp_path, TokenizerFormatError, **changes)
    assert words in message
    assert len(message) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    "data",
    [b"", b"GGUF", b'{"model": {}}', b"GGUF" + b"\0" * 60, b"GGUF" + b"\xff" * 60, b"a" * 99],
)
def test_other_files(tmp_path, data):
    path = tmp_path / "strange.gguf"
    path.write_bytes(data)
    with pytest.raises(TokenizerFormatError, match=r"strange\.gguf: not a GGUF file, or damaged"):
        Tokenizer.from_gguf(path)


def test_a_file_cut_anywhere_is_damaged(tmp_path):
    """In the middle of a text or an array, the reader alone would take what is there."""
    data = write_gguf(tmp_path / "whole.gguf", AB).read_bytes()
    path = tmp_path / "cut.gguf"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(TokenizerFormatError, match=r"cut\.gguf: not a GGUF file, or damaged"):
            Tokenizer.from_gguf(path)


def test_an_array_of_astronomical_length(tmp_path):
    path = write_gguf(tmp_path / "long.gguf", AB, merges=None, token_type=[3, 1, 1, 1])
    data = path.read_bytes()
    at = data.index(b"token_type") + len("token_type") + 4 + 4  # its type, its entries' type
    path.write_bytes(data[:at] + (2**60).to_bytes(8, "little") + data[at + 8 :])
    with pytest.raises(TokenizerFormatError, match="it ends too early"):
        Tokenizer.from_gguf(path)


def test_text_that_is_not_utf_8(tmp_path):
    path = write_gguf(tmp_path / "latin.gguf", AB)
    path.write_bytes(path.read_bytes().replace(b"<s>", b"\xff\xff\xff"))
    with pytest.raises(TokenizerFormatError, match=r"latin\.gguf: not a GGUF file, or damaged"):
        Tokenizer.from_gguf(path)


def test_files_that_are_not_there(tmp_path):
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(TokenizerFormatError, match="no such file"):
            Tokenizer.from_gguf(path)


def test_without_the_package(tmp_path, monkeypatch):
    path = write_gguf(tmp_path / "vocabulary.gguf", AB)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'nextbyte\[fetch\]'"):
        Tokenizer.from_gguf(path)
