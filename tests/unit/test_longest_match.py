"""RWKV World vocabularies: what is read, what is refused, and the real file."""

from __future__ import annotations

import ast
import bisect
import importlib.util
import math
import random
from pathlib import Path

import pytest

from nextbyte import ByteLM, Tokenizer
from nextbyte.errors import NextByteError, TokenizerFormatError
from real_tokenizers import random_text
from unit.loading import random_texts

SMALL = "1 'a' 1\n2 'b' 1\n3 'ab' 2\n4 b'\\xc3' 1\n5 b'\\xa9' 1\n6 'é' 2\n7 'abb' 3\n"


def load(folder, text):
    path = folder / "vocabulary.txt"
    path.write_text(text, encoding="utf-8")
    return Tokenizer.from_file(path)


def test_what_is_read(tmp_path):
    tokenizer = load(tmp_path, SMALL)
    assert tokenizer.vocab_size == 8
    assert tokenizer.special_tokens == {"<|endoftext|>": 0}
    assert tokenizer.token_bytes(7) == b"abb"
    assert tokenizer.token_bytes(0) == b""
    assert tokenizer.encode("ababb") == [3, 7]
    assert tokenizer.encode("éb") == [6, 2]
    assert tokenizer.decode([3, 7, 6]) == "ababbé".encode()


def test_lines_may_end_in_other_ways(tmp_path):
    assert load(tmp_path, SMALL.replace("\n", "\r\n")).encode("abb") == [7]
    assert load(tmp_path, SMALL.strip()).encode("abb") == [7]


def test_covers(tmp_path):
    tokenizer = load(tmp_path, SMALL)
    # [a] then b would be [ab]; [a] may end the prefix "a".
    assert sorted(tokenizer.cover_encodings("a")) == [((1,), 0), ((3,), 1), ((7,), 2)]
    assert sorted(tokenizer.cover_encodings("ab")) == [((3,), 0), ((7,), 1)]
    # Every character that starts so is a token: the lone byte starts no encoding.
    assert tokenizer.cover_encodings(b"\xc3") == [((6,), 1)]


def test_a_model_over_it(tmp_path):
    tokenizer = load(tmp_path, SMALL)
    model = ByteLM.from_function(tokenizer, lambda rows: [[0.0] * 8 for _ in rows], end_tokens=[0])
    row = model.start("ab").next_byte_logprobs()
    assert abs(math.fsum(map(math.exp, row.tolist())) - 1.0) < 1e-12


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("8 'c'", "is not an id, a literal and a length"),
        ("x 'c' 1", "is not an id, a literal and a length"),
        ("8 c 1", "is not an id, a literal and a length"),
        ("8 'c' 2", "has 1 bytes and says 2"),
        ("8 '' 0", "has 0 bytes and says 0"),
        ("8 'é' 1", "has 2 bytes and says 1"),
        ("8 '\\ud800' 3", "has no literal of text or bytes"),
        ("8 'a', 'b' 1", "has no literal of text or bytes"),
        ("8 b'é' 2", "has no literal of text or bytes"),
        ("8 'c\\' 1", "has no literal of text or bytes"),
        ("99999999999 'c' 1", "has an id beyond"),
        ("4194304 'c' 1", "is 4194304, which is not a token id"),
        ("7 'c' 1", "id 7 belongs to two tokens"),
        ("0 'c' 1", "which is that of b'c'"),
        ("8 'ab' 2", "have the same bytes"),
        (f"8 {'c' * 20_000!r} 20000", "is not an id, a literal and a length"),
    ],
    ids=lambda value: value[:24],
)
def test_bad_lines(tmp_path, line, problem):
    with pytest.raises(TokenizerFormatError) as caught:
        load(tmp_path, SMALL + line + "\n")
    assert problem in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_only_begins_like_one(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(b"1 'a' 1\n2 'b' 1\n\xff\xfe")
    with pytest.raises(TokenizerFormatError, match="not a text file"):
        Tokenizer.from_file(path)
    path.write_text("1 a 1\n")
    with pytest.raises(NextByteError, match="not a JSON file"):
        Tokenizer.from_file(path)


# --- The real file --------------------------------------------------------------------------------


class Greedy:
    """The definition, from the file: at each position the longest token that fits."""

    def __init__(self, path):
        self.tokens = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            token, rest = line.split(" ", 1)
            value = ast.literal_eval(rest.rsplit(" ", 1)[0])
            self.tokens[value.encode() if isinstance(value, str) else value] = int(token)
        self.lengths = {}
        for data in self.tokens:
            self.lengths.setdefault(data[:2], set()).add(len(data))
        self._sorted = []
        self.lengths = {key: sorted(found, reverse=True) for key, found in self.lengths.items()}

    def by_start(self, rest):
        """All tokens that start with some bytes."""
        if not self._sorted:
            self._sorted = sorted(self.tokens)
        place = bisect.bisect_left(self._sorted, rest)
        while place < len(self._sorted) and self._sorted[place].startswith(rest):
            yield self._sorted[place], self.tokens[self._sorted[place]]
            place += 1

    def encode(self, data):
        ids, at = [], 0
        while at < len(data):
            for length in (*self.lengths.get(data[at : at + 2], ()), 1):
                token = self.tokens.get(data[at : at + length])
                if token is not None and at + length <= len(data):
                    break
            ids.append(token)
            at += length
        return ids


@pytest.fixture(scope="module")
def world_file():
    rwkv = importlib.util.find_spec("rwkv")
    if rwkv is None:
        pytest.skip("the package rwkv is not installed")
    return Path(rwkv.submodule_search_locations[0]) / "rwkv_vocab_v20230424.txt"


@pytest.fixture(scope="module")
def world(world_file):
    return Tokenizer.from_file(world_file)


@pytest.fixture(scope="module")
def greedy(world_file):
    return Greedy(world_file)


def texts(count, seed):
    source = random.Random(seed)
    for _ in range(count):
        yield random_text(source)


@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_encodings_of_the_real_file(world, greedy, count):
    for text in texts(count, seed=count):
        data = text.encode()
        expected = greedy.encode(data)
        assert world.encode(data) == expected, text


def test_covers_of_the_real_file(world, greedy):
    """Covers that end with a whole character are those whose own bytes encode to them."""
    source = random.Random(5)
    compared = 0
    for text in texts(150, seed=3):
        data = text.encode()
        prefix = data[: source.randint(1, min(len(data), 24))]
        covers = dict(world.cover_encodings(prefix))
        found = set()
        for tokens in covers:
            cover = b"".join(map(world.token_bytes, tokens))
            if is_text(cover):
                found.add(tokens)
                assert greedy.encode(cover) == list(tokens), (prefix, tokens)
        expected = set()
        for cut in range(max(0, len(prefix) - 12), len(prefix)):
            rest = prefix[cut:]
            for token, token_id in greedy.by_start(rest):
                whole = prefix[:cut] + token
                if is_text(whole):
                    tokens = tuple(greedy.encode(whole))
                    if tokens[-1] == token_id and len(token) == len(world.token_bytes(tokens[-1])):
                        expected.add(tokens)
        assert expected <= found, prefix
        short = {tokens for tokens in found if len(world.token_bytes(tokens[-1])) <= 12}
        assert short <= expected, prefix
        compared += len(expected)
    assert compared > 10_000


def is_text(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_the_law_on_the_real_file(world):
    """Rows sum to one, and the chain rule holds, with a model that puts mass everywhere."""
    width = world.vocab_size

    def rows(contexts):
        return [
            [((token * 7919 + len(context) * 104_729) % 1009) / 100 for token in range(width)]
            for context in contexts
        ]

    model = ByteLM.from_function(world, rows, end_tokens=[0])
    state = model.start()
    total = 0.0
    for byte in "the 中 é".encode():
        row = state.next_byte_logprobs()
        assert abs(math.fsum(map(math.exp, row.tolist())) - 1.0) < 1e-12
        total += float(row[byte])
        state.push(bytes([byte]))
    assert abs(state.logprob - total) < 1e-10


def test_short_random_texts(world, greedy):
    for text in random_texts("a bé中\n1", seed=4, count=3000):
        assert world.encode(text) == greedy.encode(text.encode()), text
