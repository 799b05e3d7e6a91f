"""Bad files: each gives one clear error, in bounded time and memory."""

from __future__ import annotations

import base64
import json
import struct
import sys
from pathlib import Path

import pytest

from fuzz import seeds, wire
from unit import tiny_tokenizers as tiny
from unit.limited_loading import CPU_SECONDS, LimitedLoader

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="memory is limited as Linux does it"
)

LOADERS = {
    "tokenizer.json": "from_file",
    "a.tiktoken": "from_tiktoken",
    "tekken.json": "from_tekken",
    "vocab.txt": "from_file",
    "tokenizer.model": "from_file",
    "a.gguf": "from_gguf",
}
DAMAGED = "TokenizerFormatError"
UNSUPPORTED = "UnsupportedTokenizerError"


@pytest.fixture(scope="module")
def loader():
    made = LimitedLoader()
    yield made
    made.close()


@pytest.fixture
def refusal(loader, tmp_path):
    """Return a function that writes and loads a file, and says how it is refused."""

    def refuse(name, data, kind=DAMAGED):
        path = tmp_path / name
        if isinstance(data, dict):
            data = json.dumps(data).encode()
        if data is not None:
            path.write_bytes(data)
        outcome = loader.load(path, LOADERS[name])
        assert outcome.kind == kind, outcome
        assert outcome.message.startswith(str(path)), outcome.message
        assert len(outcome.message) < 1200
        assert "\n" not in outcome.message
        assert outcome.seconds < CPU_SECONDS
        return outcome.message.removeprefix(str(path))

    return refuse


@pytest.fixture
def accepted(loader, tmp_path):
    def accept(name, data):
        path = tmp_path / name
        path.write_bytes(json.dumps(data).encode() if isinstance(data, dict) else data)
        outcome = loader.load(path, LOADERS[name])
        assert not outcome.kind, outcome

    return accept


def model(**changes):
    """Return a small document with changes in its model."""
    content = tiny.ab()
    return content | {"model": content["model"] | changes}


# --- The limits work ----------------------------------------------------------------------------


def test_a_file_that_needs_too_much_is_found_out(loader, tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    # 30 MB of empty arrays, which Python makes 800 MB of: inside no limit, and no crash.
    path.write_bytes(b"[" + b"[]," * 10_000_000 + b"[]]")
    outcome = loader.load(path)
    assert outcome.kind == DAMAGED
    assert "memory" in outcome.message


# --- Every format -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOADERS)
def test_300_megabytes_of_zeros(refusal, tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(300 << 20)
    message = refusal(name, None)
    assert ("bytes" in message) or ("GGUF" in message)


@pytest.mark.parametrize("name", LOADERS)
def test_100_megabytes_of_zeros(refusal, tmp_path, name):
    """Not large enough to be refused for its size."""
    with (tmp_path / name).open("wb") as file:
        file.truncate(100 << 20)
    refusal(name, None)


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("data", [b"", b"\n", b"\xff\xfe\0", b"{}", b"null", b"7", b"\0" * 64])
def test_next_to_nothing(refusal, name, data):
    refusal(name, data)


@pytest.mark.parametrize("name", LOADERS)
def test_a_folder_or_nothing_in_place_of_the_file(loader, tmp_path, name):
    (tmp_path / name).mkdir()
    outcome = loader.load(tmp_path / name, LOADERS[name])
    assert outcome.kind == DAMAGED
    assert "no such file" in outcome.message


SEEDS = {
    "tokenizer.json": seeds.tokenizer_json,
    "a.tiktoken": seeds.tiktoken,
    "tekken.json": seeds.tekken,
    "tokenizer.model": seeds.sentencepiece,
    "a.gguf": seeds.gguf,
}


@pytest.mark.parametrize("name", ["tokenizer.json", "tekken.json", "tokenizer.model", "a.gguf"])
def test_truncated(loader, tmp_path, name):
    data = SEEDS[name]()[0]
    path = tmp_path / name
    loaded = []
    for size in [*range(0, len(data), max(1, len(data) // 25)), len(data) - 1]:
        path.write_bytes(data[:size])
        outcome = loader.load(path, LOADERS[name])
        assert outcome.kind in ("", DAMAGED, UNSUPPORTED), (size, outcome)
        loaded.append(not outcome.kind)
    # A protocol buffer that ends between two fields is a whole one.
    assert name == "tokenizer.model" or not any(loaded)


# --- JSON ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tokenizer.json", "tekken.json"])
@pytest.mark.parametrize("opening", ["[", '{"model":', '{"type":"Sequence","pretokenizers":['])
def test_nested_100_000_deep(refusal, name, opening):
    assert "JSON" in refusal(name, opening.encode() * 100_000)


@pytest.mark.parametrize("depth", [10, 200, 400, 490, 4_000])
def test_steps_nested_nearly_as_deep_as_the_parser_goes(loader, tmp_path, depth):
    step = '{"type": "Sequence", "pretokenizers": ['
    inner = json.dumps(tiny.WHOLE)
    text = json.dumps(tiny.ab() | {"pre_tokenizer": 0}).replace(
        '"pre_tokenizer": 0', f'"pre_tokenizer": {step * depth}{inner}{"]}" * depth}'
    )
    (tmp_path / "tokenizer.json").write_text(text)
    outcome = loader.load(tmp_path / "tokenizer.json")
    assert outcome.kind in ("", DAMAGED), outcome


def test_100_000_steps(refusal):
    content = tiny.ab() | {"pre_tokenizer": tiny.steps(*[tiny.DIGITS] * 100_000, tiny.WHOLE)}
    assert "stages" in refusal("tokenizer.json", content, UNSUPPORTED)


@pytest.mark.parametrize("token", [2**31, 2**64, -1, 1.0, True, None, "7", [], 1e999])
def test_ids_that_are_none(refusal, token):
    content = model(vocab={"a": 0, "b": 1, "ab": token})
    message = refusal("tokenizer.json", content)
    assert "ab" in message
    assert "id" in message


def test_an_id_that_would_make_a_small_file_a_large_tokenizer(refusal):
    message = refusal("tokenizer.json", model(vocab={"a": 0, "b": 1, "ab": (1 << 22) - 1}))
    assert "4194303" in message
    message = refusal("a.tiktoken", b"YQ== 0\nYg== 4000000\n")
    assert "4000000" in message
    message = refusal("vocab.txt", b"1 'a' 1\n4000000 'b' 1\n")
    assert "4000000" in message


def test_ids_with_holes_are_legal(accepted):
    accepted("tokenizer.json", model(vocab={"a": 3, "b": 100, "ab": 5000}))
    accepted("a.tiktoken", b"YQ== 3\nYg== 100\nYWI= 5000\n")
    accepted("vocab.txt", b"3 'a' 1\n100 'b' 1\n5000 'ab' 2\n")


def test_one_id_for_two_tokens(refusal):
    message = refusal("tokenizer.json", model(vocab={"a": 0, "b": 0, "ab": 1}))
    assert "id 0 belongs to two tokens" in message


def test_cyclic_merges(refusal):
    # In a cycle of merges some result would be longer than itself: one of its names is missing.
    cycle = ["a b", "ab a", "aba ab"]
    assert "not in the vocabulary" in refusal("tokenizer.json", model(merges=cycle))


def test_merges_that_need_each_other_later_are_legal(accepted):
    vocab = {"a": 0, "b": 1, "ab": 2, "aba": 3, "abab": 4}
    accepted("tokenizer.json", model(vocab=vocab, merges=["ab ab", "aba b", "ab a", "a b"]))


def test_repeated_merges_are_legal(accepted):
    accepted("tokenizer.json", model(merges=["a b", "a b", "a b"]))


@pytest.mark.parametrize("merge", ["", " ", "a", "a  b", " ab", ["a"], ["a", "b", "c"], 7, None])
def test_merges_that_are_none(refusal, merge):
    message = refusal("tokenizer.json", model(merges=["a b", merge]))
    assert "merge 1" in message


def test_an_empty_token_is_one_that_no_text_has(accepted):
    vocab = {"": 0, "a": 1, "b": 2, "ab": 3}
    accepted("tokenizer.json", model(vocab=vocab, merges=[["", "a"], ["", ""], "a b"]))


def test_empty_tokens(refusal):
    assert "no token with bytes" in refusal("tokenizer.json", model(vocab={"": 0}, merges=[]))
    assert "line 2" in refusal("a.tiktoken", b"YQ== 0\n= 1\n")
    assert "line 2" in refusal("vocab.txt", b"1 'a' 1\n2 '' 0\n")


def test_a_vocabulary_that_is_not_in_the_byte_alphabet(refusal):
    message = refusal("tokenizer.json", model(vocab={"\u4e2d": 0, "\u6587": 1}, merges=[]))
    assert "no token with bytes" in message


def test_the_wrong_base64_alphabet(refusal):
    assert "line 2" in refusal("a.tiktoken", b"YQ== 0\n_-8= 1\n")
    document = json.loads(seeds.tekken()[0])
    document["vocab"][1]["token_bytes"] = "_-8="  # noqa: S105 - a place in the file
    assert "vocab[1].token_bytes is not base64" in refusal("tekken.json", document)


@pytest.mark.parametrize(
    "regex",
    [
        "((a{9}){9}){9}",
        ".*a.{16}b",
        r"(?:\p{L}{1,40}\p{N}{1,40}){1,40}",
        "(" * 10_000,
        "a|" * 200_000,
        "(?i:" + "a" * 100_000 + ")",
        "|".join(map(chr, range(0x4E00, 0x4E80))),
    ],
    ids=range(7),
)
def test_a_regex_that_explodes(refusal, regex):
    content = tiny.ab() | {"pre_tokenizer": tiny.split(regex)}
    message = refusal("tokenizer.json", content, UNSUPPORTED)
    assert "pattern" in message or "pre-tokenizer" in message
    document = json.loads(seeds.tekken()[0])
    document["config"]["pattern"] = regex
    refusal("tekken.json", document, UNSUPPORTED)


def test_a_message_does_not_repeat_a_large_value(refusal):
    refusal("tokenizer.json", model(dropout="x" * 100_000), UNSUPPORTED)
    refusal("tokenizer.json", model(type="x" * 100_000), UNSUPPORTED)
    refusal("tokenizer.json", model(vocab={"x" * 100_000: -1}))
    refusal("tokenizer.json", model(merges=["x" * 100_000 + " y"]))
    content = tiny.ab() | {"pre_tokenizer": tiny.split("\\p{" + "x" * 10_000 + "}")}
    refusal("tokenizer.json", content, UNSUPPORTED)


# --- Rank files and RWKV -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rank", [b"-1", b"4294967296", b"1.0", b"1e3", b"9" * 5000, b"", b"0x1", "\u0663".encode()]
)
def test_ranks_that_are_none(refusal, rank):
    assert "line 2" in refusal("a.tiktoken", b"YQ== 0\nYg== " + rank + b"\n")


def test_repeated_ranks_and_tokens(refusal):
    assert "id 0" in refusal("a.tiktoken", b"YQ== 0\nYg== 0\n")
    assert "line 2" in refusal("a.tiktoken", b"YQ== 0\nYQ== 1\n")


def test_20_megabytes_of_empty_lines(refusal):
    refusal("a.tiktoken", b"\n" * (20 << 20))
    refusal("vocab.txt", b"1 'a' 1\n" + b"\n" * (20 << 20) + b"x")


@pytest.mark.parametrize(
    "line",
    [
        b"1 " + b"(" * 10_000 + b" 1",
        b"2 'a' + 'b' 2",
        b"2 '" + b"\\" * 9_001 + b"' 1",
        b"2 b'\xff' 1",
        b"2 '\\ud800' 3",
        b"-2 'b' 1",
        b"99999999999999999999999 'b' 1",
        b"2 'b' 99999999999",
        b"2 'b'",
        b"2 __import__('os') 1",
        b"2 " + b"'a'" * 50_000 + b" 9",
    ],
    ids=range(11),
)
def test_lines_of_rwkv_that_are_none(refusal, line):
    message = refusal("vocab.txt", b"1 'a' 1\n" + line + b"\n")
    assert "line 2" in message or "UTF-8" in message or "utf-8" in message


# --- SentencePiece -------------------------------------------------------------------------------

PIECE = wire.message(1, wire.message(1, b"a"))


@pytest.mark.parametrize(
    "data",
    [
        PIECE + b"\x0b" * 100_000,  # groups in groups
        PIECE + b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # a length of 2**63
        PIECE + b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",  # an integer too long
        PIECE + b"\x0a\xff",  # an integer cut off
        PIECE + b"\x0a" + wire.varint(10**9),  # a piece of a billion bytes
        wire.message(1, wire.message(1, b"a" * 20)[:-4]),
        wire.message(1, wire.message(1, b"\xff\xfe")),
        wire.message(1, wire.message(1, b"a") + b"\x15" + struct.pack("<f", float("nan"))),
        wire.message(1, wire.message(1, b"a") + wire.integer(3, 1 << 63)),
        PIECE + wire.message(2, wire.integer(3, 99)),
        PIECE + b"\0\0",
        wire.message(1, b""),
    ],
    ids=range(12),
)
def test_malicious_protocol_buffers(refusal, data):
    refusal("tokenizer.model", data)


# --- GGUF ----------------------------------------------------------------------------------------


def gguf_with(field, kind, value):
    """Return a file with one more field, of any type and content."""
    data = seeds.gguf()[0]
    (count,) = struct.unpack_from("<Q", data, 16)
    key = struct.pack("<Q", len(field)) + field.encode()
    head = data[:16] + struct.pack("<Q", count + 1)
    return head + key + struct.pack("<I", kind) + value + data[24:]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (9, struct.pack("<IQ", 8, 1 << 63)),  # a billion texts declared
        (9, struct.pack("<IQ", 8, 10**9)),
        (9, struct.pack("<IQ", 10, 1 << 61)),  # whose size overflows
        (9, struct.pack("<IQ", 9, 1) * 5_000),  # arrays in arrays
        (8, struct.pack("<Q", (1 << 64) - 1)),
        (99, b""),
        (9, struct.pack("<IQ", 99, 1)),
    ],
)
@pytest.mark.parametrize("field", ["tokenizer.ggml.scores", "some.other"])
def test_counts_and_lengths_that_a_file_of_gguf_has_not(refusal, kind, value, field):
    refusal("a.gguf", gguf_with(field, kind, value))


def test_a_count_of_fields_that_a_file_of_gguf_has_not(refusal):
    data = seeds.gguf()[0]
    refusal("a.gguf", data[:16] + struct.pack("<Q", 1 << 60) + data[24:])


# --- Large, but right ----------------------------------------------------------------------------


def test_a_long_token_takes_little_time(accepted):
    long = b"a" * 200_000
    lines = [b"YQ== 0", base64.b64encode(long) + b" 1"]
    accepted("a.tiktoken", b"\n".join(lines))
    assert sys.getrecursionlimit() <= 100_000
