"""Look-ahead at whole patterns: the automaton against regex engines, and its foresight."""

from __future__ import annotations

import itertools
import json
import random
import re
import subprocess
import sys
import time

import pytest

import nextbyte as nb
from nextbyte._core import Pretokenizer
from nextbyte.errors import UnsupportedTokenizerError
from unit import tiny_tokenizers as tiny

regex = pytest.importorskip("regex")

RIGHT_ALIGNED = r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))"
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA_LIKE = r"[^\r\n\p{L}\p{N}]?\p{L}+|NUMBERS| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES

# Patterns over small alphabets, with every class of character in the alphabet.
EXHAUSTIVE = {
    "right-aligned digits": ([RIGHT_ALIGNED], "1x"),
    "right-aligned digits, negative": ([r"\d{1,3}(?=(?:\d{3})*(?!\d))"], "1x"),
    "thousands": ([r"\d+?(?=(\d{3})+(?!\d))|\d+"], "1x"),
    "lone digits before thousands": ([r"\d(?=(\d{3})+(?!\d))"], "1x"),
    "blanks before a word": ([r"\s+(?=\S)"], "x "),
    "not this word": ([r"(?!foo)[fox]+"], "fox_"),
    "tempered": ([r"(?:(?!fo).)+"], "fo\nx"),
    "even run": ([r"a(?=(?:bb)*c)(?!b{3})"], "abc_"),
    "which comes first": ([r"(?:(?=[ab]*c)a|(?=[ab]*d)b)+"], "abcd_"),
    "nested": ([r"a(?=b(?!a(?=b)))|b"], "abc"),
    "nested in a loop": ([r"(?=(?:(?!(?:ab)*c)[ab])*c)[ab]|c+"], "abc_"),
    "run then letter": ([r"a+(?=b+c)|b+(?!c)"], "abc_"),
    "lazy": ([r"[ab]*?(?=ba)b|a"], "abc"),
    "far away": ([r"a(?=.*b)|b(?!.*a)"], "ab\n_"),
    "at the start": ([r"(?=.*bc)a|(?!.*b)a+"], "abc\n_"),
    "several ways": ([r"(?:a(?=b)|ab(?!c)|abc)+?"], "abc_"),
    "possessive": ([r"a++b|b*+(?=c)c|b?+a"], "abc_"),
    "possessive and counted": ([r"a{1,2}+[ab](?!bb)|b{2,3}+b"], "ab_"),
    "case": ([r"(?i:x(?=y+z)|z(?!xy))"], "xyzXYZ\u00e9"),
    "to the end": ([r"a(?!a*$)|b"], "ab_"),
    "empty bodies": ([r"(?=)a(?!b|)|(?!)b|(?=c*)b(?=c?$)"], "abc_"),
    "conditional twins": ([r"(?:(?=aab)a|(?=ab)ab|)a|b"], "ab_"),
    "two moduli": ([r"a(?=(?:aa)*b)(?!(?:aaa)*b)"], "ab_"),
    "stages": ([r"a+(?=b)|bb(?!a)", r"[ab](?=(?:ab)*$)"], "ab_"),
    "digits in stages": ([r"[^1x]", RIGHT_ALIGNED], "1x!_"),
}


def pieces_of(pattern, text):
    """Split as engines do: leftmost-first matches and the gaps between them."""
    end = 0
    for match in pattern.finditer(text):
        if match.start() > end:
            yield text[end : match.start()]
        yield match.group()
        end = match.end()
    if end < len(text):
        yield text[end:]


class Reference:
    """The stages by the `regex` module; `$` is the end of the text only."""

    def __init__(self, stages):
        self.patterns = [regex.compile(re.sub(r"(?<!\\)\$", r"\\Z", stage)) for stage in stages]

    def starts(self, text):
        """Return the offsets, in characters, at which pieces start."""
        pieces = [text] if text else []
        for pattern in self.patterns:
            pieces = [part for piece in pieces for part in pieces_of(pattern, piece)]
        return list(itertools.accumulate(map(len, pieces), initial=0))[:-1]


def byte_offsets(text, starts):
    lengths = [0, *itertools.accumulate(len(character.encode()) for character in text)]
    return [lengths[start] for start in starts]


def character_offsets(text, starts):
    lengths = [0, *itertools.accumulate(len(character.encode()) for character in text)]
    return tuple(lengths.index(start) for start in starts)


def all_texts(alphabet, longest):
    for length in range(longest + 1):
        yield from map("".join, itertools.product(alphabet, repeat=length))


def longest_texts(alphabet, budget):
    """Return the greatest length up to which there are at most `budget` texts."""
    return max(n for n in range(1, 16) if len(alphabet) ** n <= budget)


@pytest.mark.parametrize("name", EXHAUSTIVE)
def test_all_short_texts_are_split_as_by_the_regex_module(name):
    stages, alphabet = EXHAUSTIVE[name]
    pretokenizer = Pretokenizer(stages)
    reference = Reference(stages)
    for text in all_texts(alphabet, longest_texts(alphabet, 20_000)):
        expected = byte_offsets(text, reference.starts(text))
        assert pretokenizer.split(text.encode()) == expected, repr(text)


@pytest.mark.parametrize("name", EXHAUSTIVE)
def test_splits_of_a_prefix_are_those_that_some_continuation_sets(name):
    stages, alphabet = EXHAUSTIVE[name]
    pretokenizer = Pretokenizer(stages)
    reference = Reference(stages)
    assert pretokenizer.num_classes <= len(alphabet)
    longest = longest_texts(alphabet, 70_000)
    foresight = min(6, longest - 3)  # enough for every pattern: soundness is checked too
    realised = {text: set() for text in all_texts(alphabet, longest - foresight)}
    for text in all_texts(alphabet, longest):
        starts = reference.starts(text)
        for length in range(max(0, len(text) - foresight), len(text) + 1):
            if length <= longest - foresight:
                inside = tuple(start for start in starts if start < length)
                realised[text[:length]].add(inside)
    ambiguous = 0
    for text, expected in realised.items():
        survive = [
            character_offsets(text, starts)
            for starts in pretokenizer.splits_of_prefix(text.encode())
        ]
        assert len(survive) == len(set(survive)), repr(text)
        assert set(survive) == expected, repr(text)
        ambiguous += len(expected) > 1
    assert ambiguous > 0


# --- Random texts and patterns -------------------------------------------------------------------

WORDS = {
    "right-aligned digits": [RIGHT_ALIGNED],
    "right-aligned digits, then words": [
        RIGHT_ALIGNED,
        LLAMA_LIKE.replace("NUMBERS", r"\p{N}{1,3}"),
    ],
    "words with right-aligned digits": [LLAMA_LIKE.replace("NUMBERS", RIGHT_ALIGNED)],
    "words with thousands": [LLAMA_LIKE.replace("NUMBERS", r"\d{1,3}(?=(?:\d{3})*(?!\d))|\p{N}")],
    "tempered words": [LLAMA_LIKE.replace("NUMBERS", r"(?:(?![\p{L}\s]|\d\d\d).)+")],
    "blanks before words": [r"\s+(?=\S)| ?(?!http)\p{L}+(?!:)|http(?=s?://)"],
    "ends of lines": [r" +$|\p{L}+(?=.$)|\d+(?!.*$)|\n$"],
    "camel case": [r"\p{Lu}+(?=\p{Lu}\p{Ll})|\p{Lu}?\p{Ll}+|\p{Lu}+|[^\p{L}]+"],
}
ALPHABET = [
    *" \t\n\r,.!'_-:/#",
    *"aAbBzZ19",
    *["\u00b2", "\u0663", "\u4e2d", "\u00e9", "\u0301", "\u00a0", "\u2167", "\U0001f469", "\u01c5"],
    *["12", "345", "6789", "1000000", "http", "https://", "HTTPServer", "  ", "\r\n", "foo"],
]


def random_texts(seed, count):
    rng = random.Random(seed)
    for _ in range(count):
        parts = [
            rng.choice(ALPHABET) * rng.choice([1, 1, 1, 2, 4]) for _ in range(rng.randint(1, 14))
        ]
        yield "".join(parts)


@pytest.mark.parametrize("name", WORDS)
def test_random_texts_are_split_as_by_the_regex_module(name):
    pretokenizer, reference = Pretokenizer(WORDS[name]), Reference(WORDS[name])
    for text in random_texts(name, 4000):
        expected = byte_offsets(text, reference.starts(text))
        assert pretokenizer.split(text.encode()) == expected, repr(text)


@pytest.mark.parametrize("name", WORDS)
def test_random_texts_are_split_as_by_oniguruma(name):
    tokenizers = pytest.importorskip("tokenizers")
    splitter = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(stage), "isolated")
            for stage in WORDS[name]
        ]
    )
    # There a `$` is the end of a line.
    pretokenizer = Pretokenizer([stage.replace("$", r"(?![^\n])") for stage in WORDS[name]])
    for text in random_texts(name + "!", 2000):
        expected = [first for _, (first, _) in splitter.pre_tokenize_str(text)]
        assert pretokenizer.split(text.encode()) == byte_offsets(text, expected), repr(text)


@pytest.mark.parametrize("name", [name for name in WORDS if name.startswith("words")])
def test_short_texts_are_split_as_by_the_engine_of_tiktoken(name):
    tiktoken = pytest.importorskip("tiktoken")
    # Every short text is a token, so that every piece is one.
    alphabet, longest = "1a \n", 6
    texts = [text.encode() for text in all_texts(alphabet, longest)]
    every_byte = [bytes([value]) for value in range(256)]
    tokens = dict.fromkeys([*every_byte, *texts[1:]])
    encoding = tiktoken.Encoding(
        name,
        pat_str=WORDS[name][-1],
        mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
        special_tokens={},
    )
    pretokenizer = Pretokenizer(WORDS[name][-1:])
    for text in texts:
        pieces = encoding.decode_tokens_bytes(encoding.encode_ordinary(text.decode()))
        if b"".join(pieces) != text:
            continue  # the engine drops what does not match
        starts = list(itertools.accumulate(map(len, pieces), initial=0))[:-1]
        assert pretokenizer.split(text) == starts, text


def test_covers_of_right_aligned_digits_are_those_of_all_continuations(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    document = tiny.document(
        tiny.single_bytes(b"1x"),
        [(b"1", b"1"), (b"11", b"1")],
        pre_tokenizer=tiny.split(r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"),
    )
    path = tiny.write(tmp_path, document)
    tokenizer = nb.Tokenizer.from_file(path)
    encoder = tokenizers.Tokenizer.from_file(str(path))
    prefixes = list(all_texts("1x", 6))[1:]
    covers = {prefix: set() for prefix in prefixes}
    for text in all_texts("1x", 12):
        tokens = encoder.encode(text).ids
        assert tokenizer.encode(text) == tokens
        ends = list(itertools.accumulate(len(tokenizer.token_bytes(token)) for token in tokens))
        for length in range(1, min(6, len(text)) + 1):
            count = next(n for n, end in enumerate(ends) if end >= length) + 1
            covers[text[:length]].add((tuple(tokens[:count]), ends[count - 1] - length))
    for prefix, expected in covers.items():
        assert set(tokenizer.cover_encodings(prefix)) == expected, prefix


class RandomPattern:
    """Draws patterns over a, b, c with nested look-aheads, positive and negative."""

    def __init__(self, rng):
        self.rng = rng

    def piece(self, depth):
        atom = self.rng.choice(["a", "b", "c", "[ab]", "[^a]", ".", "(?i:B)"])
        kind = self.rng.random()
        if depth > 0 and kind < 0.35:
            return f"(?{self.rng.choice('=!')}{self.alternation(depth - 1)})"
        group = depth > 0 and kind < 0.55
        if group:
            atom = f"(?:{self.alternation(depth - 1)})"
        quantifier = self.rng.choice(["", "", "?", "*", "+", "{1,2}", "{2}", "{0,2}"])
        if quantifier and quantifier != "{2}":
            kinds = ["", "", "?"] if group or "{" in quantifier else ["", "", "?", "+"]
            quantifier += self.rng.choice(kinds)
        return atom + quantifier

    def sequence(self, depth):
        return "".join(self.piece(depth) for _ in range(self.rng.choice([1, 2, 2, 3])))

    def alternation(self, depth):
        return "|".join(self.sequence(depth) for _ in range(self.rng.choice([1, 1, 2])))


@pytest.mark.parametrize("seed", range(4))
def test_random_patterns_split_all_short_texts_as_the_regex_module(seed):
    draw = RandomPattern(random.Random(seed))
    texts = list(all_texts("abc\n", 5))
    compared = 0
    while compared < 40:
        stages = [draw.alternation(3) for _ in range(draw.rng.choice([1, 1, 1, 2]))]
        if "(?=" not in "".join(stages) and "(?!" not in "".join(stages):
            continue
        try:
            pretokenizer = Pretokenizer(stages)
        except UnsupportedTokenizerError:
            continue
        compared += 1
        reference = Reference(stages)
        for text in texts:
            assert pretokenizer.split(text.encode()) == reference.starts(text), (stages, text)


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "construct"),
    [
        (r"\d{1,3}(?=(?:\d{3})*\b)", "word boundary"),
        (r"a(?=b(?<=a))", "look-behind"),
        (r"a(?=^b)", r"\^"),
        (r"a(?=(?:b?)*c)", "repetition of something that can match the empty string"),
        (r"a(?=(b)\1)", "back-reference"),
        (r"a(?=b", r"without its \)"),
        (r"a(?=b)*", "quantifier on an assertion"),
        (r"(?i:a(?=ss))", "letters ss"),
        (r"(?=(\d{3})+(?!\d))", "can match the empty string"),
        (r"(?=a*)", "can match the empty string"),
        (r"(?!ab)", "can match the empty string"),
        ("(?=" * 70 + "a" + ")" * 70, "too deeply"),
    ],
)
def test_what_is_not_exact_is_refused(pattern, construct):
    with pytest.raises(UnsupportedTokenizerError, match=construct):
        Pretokenizer([pattern])


EXPLOSIVE = {
    "counted twice": [r"(a{1,1000}){1,1000}"],
    "counted thrice": [r"((a|b){1,50}c){1,50}"],
    "counted thrice, smaller": [r"((a|b){1,20}c){1,20}"],
    "subsets": [r"(a|b)*a(a|b){15}"],
    "subsets in a look-ahead": [r"(?=(a|b)*a(a|b){15}c)[ab]"],
    "subsets in a negative look-ahead": [r"(?!(a|b)*a(a|b){15}c)[ab]"],
    "long look-ahead": [r"(?=[ab]{0,200}c)[ab]{1,3}"],
    "many options": ["a?" * 1300 + "b"],
    "nested look-aheads": ["(?=a(?!b" * 20 + ")" * 40 + "a"],
    "look-aheads or not": ["".join(f"(?:(?=.{{{n}}}b)|)" for n in range(20)) + "a"],
    "many look-aheads": ["".join(f"(?!.{{{n}}}b)" for n in range(20)) + "a"],
    "moduli": ["".join(f"(?=(?:a{{{n}}})*b)" for n in (2, 3, 5, 7, 11, 13)) + "a"],
    "stages": [r"(?:a|b)*a(?:a|b){7}c"] * 3,
    "stages with look-aheads": [rf"(?=(?:[ab]{{{n}}})*c)[ab]" for n in (2, 3, 5, 7, 11, 13, 17)],
}


@pytest.mark.parametrize("name", EXPLOSIVE)
def test_explosive_patterns_are_refused_soon(name):
    start = time.process_time()
    with pytest.raises(UnsupportedTokenizerError, match=r"too large|more than \d+"):
        Pretokenizer(EXPLOSIVE[name])
    assert time.process_time() - start < 3.0


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is that of Linux")
def test_explosive_patterns_take_little_memory():
    program = """
import json, resource, sys
from nextbyte._core import Pretokenizer
from nextbyte.errors import UnsupportedTokenizerError
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
for stages in json.load(sys.stdin):
    try:
        Pretokenizer(stages)
    except UnsupportedTokenizerError:
        pass
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(list(EXPLOSIVE.values())),
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 200.0
