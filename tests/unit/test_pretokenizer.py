"""The pre-tokenizer automaton against the regex engine of the `tokenizers` library."""

from __future__ import annotations

import itertools
import random
import threading
import unicodedata

import pytest

from nextbyte._core import Pretokenizer
from nextbyte.errors import InvalidInputError, UnsupportedTokenizerError

tokenizers = pytest.importorskip("tokenizers")
pre_tokenizers = tokenizers.pre_tokenizers

SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
LLAMA3 = SUFFIX + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES
QWEN = LLAMA3.replace("{1,3}", "")
QWEN35 = SUFFIX + (
    r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + SPACES
)
O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{SUFFIX}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{SUFFIX}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACES
)
TEKKEN = O200K.replace(SUFFIX + "?", "").replace("{1,3}", "")
DEEPSEEK = [
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"""| ?[\p{P}\p{S}]+[\r\n]*""" + SPACES,
]

PATTERNS = {
    "gpt2": [GPT2],
    "cl100k": [CL100K],
    "o200k": [O200K],
    "llama3": [LLAMA3],
    "qwen": [QWEN],
    "qwen3.5": [QWEN35],
    "deepseek": DEEPSEEK,
    "tekken": [TEKKEN],
    "digits, gpt2": [r"\p{N}", GPT2],
    "words and gaps": [r"\p{Lu}\p{Ll}+|\d{2}(?!\d)", r"[^\S\r\n]+", r"(?:'(?i:t)|!)+?x?"],
    "bloom": [r" ?[^(\s|[.,!?…。，、|_।۔،])]+"],
}
SYNTHETIC = [
    ["ab*c"],
    ["a+b|c"],
    ["aa?b"],
    ["ab|cd", "b+"],
    ["a{2,3}"],
    ["a{2,}?b"],
    [r"[ab]+\z"],
    ["a(?=b)"],
    ["a(?!b)b?"],
    ["(?:a|ab)(?:c|bcd)"],
    ["a*?b", "[ab]{1,2}?"],
    ["(?:a|b)*?c"],
    ["[ab]+(?=c)", "b(?!a)"],
    ["(?:a|b|ab)+?(?=c)|c"],
    ["a?+ab|b.", "a++a|[bc]*+c"],
]

# Everything the patterns tell apart: blanks and newlines of each kind, contractions with the
# characters that fold to ASCII letters, digits that are not ASCII, marks, cases, joiners, symbols.
ADVERSARIAL = [
    *" \t\n\r\u00a0\u3000\u2028\u0085'sStTrReEvVmMlLdD1239/.,!_-#$()|\u2019\u017f\u212a",
    *"aAbBcxkK\u00b2\u2167\u0663\u01c5\u02b0\u4e2d\u6587\u3041\u30ab\uac00\u00e9\u0301\u0300\u200d",
    *"\u00df\ufb06\u20ac\x00\x1c\ufeff\ue000\U0010ffff\u0964",
    *[
        "\r\n",
        "'ll",
        "'Re",
        " \n ",
        "\U0001f469\u200d\U0001f9b0",
        "\u4e2d\u6587",
        "camelCase",
        "123",
    ],
]


def reference(stages):
    """Build the library's splitter; what its engine reads differently is written out."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(
                tokenizers.Regex(stage.replace("{1,3}+", "{1,3}").replace("++$", r"++\z")),
                "isolated",
            )
            for stage in stages
        ]
    )


def reference_split(splitter, text):
    """Return the byte offsets of the pieces."""
    offsets = [0, *itertools.accumulate(len(character.encode()) for character in text)]
    return [offsets[first] for _, (first, _) in splitter.pre_tokenize_str(text)]


def adversarial_texts(seed, count, alphabet=ADVERSARIAL):
    rng = random.Random(seed)
    for _ in range(count):
        parts = [
            rng.choice(alphabet) * rng.choice([1, 1, 1, 2, 3, 5]) for _ in range(rng.randint(1, 14))
        ]
        yield "".join(parts)


def assert_splits_agree(pretokenizer, splitter, texts):
    for text in texts:
        assert pretokenizer.split(text.encode()) == reference_split(splitter, text), repr(text)


@pytest.mark.parametrize("name", PATTERNS)
def test_real_patterns_split_as_the_engine(name):
    pretokenizer = Pretokenizer(PATTERNS[name])
    assert_splits_agree(pretokenizer, reference(PATTERNS[name]), adversarial_texts(name, 3000))


@pytest.mark.parametrize("stages", SYNTHETIC, ids=" then ".join)
def test_synthetic_patterns_with_gaps_split_all_short_texts_as_the_engine(stages):
    texts = ("".join(text) for n in range(7) for text in itertools.product("abcd", repeat=n))
    assert_splits_agree(Pretokenizer(stages), reference(stages), texts)


def test_byte_level_and_digits_are_the_patterns_they_are_taken_for():
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = pre_tokenizers.Digits(individual_digits=True)
    assert_splits_agree(Pretokenizer([GPT2]), byte_level, adversarial_texts(1, 2000))
    assert_splits_agree(
        Pretokenizer([r"\p{N}", GPT2]),
        pre_tokenizers.Sequence([digits, byte_level]),
        adversarial_texts(2, 2000),
    )


class RandomPattern:
    """Draws patterns of the supported class over a, b, c."""

    def __init__(self, rng):
        self.rng = rng

    def character(self):
        return self.rng.choice(["a", "b", "c", "[ab]", "[^a]", "[bc]", "(?i:B)"])

    def piece(self, depth):
        atom = self.character()
        group = depth > 0 and self.rng.random() < 0.4
        if group:
            atom = f"(?:{self.alternation(depth - 1)})"
        kind = self.rng.random()
        if kind < 0.45:
            return atom
        if kind < 0.9:
            quantifier = self.rng.choice(["?", "*", "+", "{1,2}", "{1,}", "{0,2}"])
            possessive = not group and quantifier in "?*+" and self.rng.random() < 0.3
            return atom + quantifier + ("+" if possessive else self.rng.choice(["", "", "?"]))
        return atom + self.rng.choice([f"(?={self.letter()})", f"(?!{self.letter()})", r"\z"])

    def letter(self):
        return self.rng.choice(["a", "b", "[bc]", "[^a]"])

    def sequence(self, depth):
        return "".join(self.piece(depth) for _ in range(self.rng.choice([1, 1, 2, 3])))

    def alternation(self, depth):
        return "|".join(self.sequence(depth) for _ in range(self.rng.choice([1, 1, 2, 3])))


@pytest.mark.parametrize("seed", range(3))
def test_random_patterns_split_all_short_texts_as_the_engine(seed):
    draw = RandomPattern(random.Random(seed))
    texts = ["".join(text) for n in range(6) for text in itertools.product("abc", repeat=n)]
    compared = refused = 0
    while compared < 60:
        stages = [draw.alternation(2) for _ in range(draw.rng.choice([1, 1, 2]))]
        try:
            pretokenizer = Pretokenizer(stages)
        except UnsupportedTokenizerError:
            refused += 1
            continue
        compared += 1
        assert_splits_agree(pretokenizer, reference(stages), texts)
    assert refused < 10 * compared


@pytest.mark.slow
def test_every_code_point_is_seen_as_the_engine_sees_it():
    every = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    names = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn"
    categories = ["|".join(rf"\p{{{name}}}+" for name in names.split())]
    for stages in (categories, [r"\s+"], [r"(?i:[a-z])+"], [r"\d+"]):
        expected = reference_split(reference(stages), every)
        assert Pretokenizer(stages).split(every.encode()) == expected


def test_categories_have_their_names():
    for character in map(chr, range(0x250)):
        name = unicodedata.category(character)
        for wanted in (name, name[0]):
            pretokenizer = Pretokenizer([rf"\p{{{wanted}}}(?=\n)"])
            assert pretokenizer.split(f"{character}\nx".encode())[1] == len(character.encode())
    assert Pretokenizer([r"\p{Uppercase_Letter}|[\p{lowercase letter}x]"]).split(b"Ab!!") == [
        0,
        1,
        2,
    ]


@pytest.mark.parametrize("escape", [r"\u4E00", r"\x{4e00}", "\u4e00", r"[\u4E00-\u4E01]"])
def test_code_points_can_be_written_in_several_ways(escape):
    assert Pretokenizer([escape]).split("a\u4e00b".encode()) == [0, 1, 4]


def test_without_stages_a_text_is_one_piece():
    pretokenizer = Pretokenizer([])
    assert pretokenizer.split(b"") == []
    assert pretokenizer.split("one piece,\n\n\u4e2d".encode()) == [0]
    assert (pretokenizer.num_classes, pretokenizer.num_raw_states) == (1, 2)


def test_the_empty_text_has_no_pieces():
    assert all(Pretokenizer(stages).split(b"") == [] for stages in PATTERNS.values())


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("gpt2", (14, 26, 19)),
        ("cl100k", (12, 33, 28)),
        ("o200k", (27, 46, 42)),
        ("llama3", (15, 36, 28)),
        ("qwen", (15, 34, 26)),
        ("deepseek", (14, 32, 36)),
        ("tekken", (10, 26, 27)),
    ],
)
def test_real_patterns_need_few_states(name, sizes):
    pretokenizer = Pretokenizer(PATTERNS[name])
    figures = (pretokenizer.num_classes, pretokenizer.num_raw_states, pretokenizer.num_subsets)
    assert figures == sizes


def test_long_texts_are_split_in_linear_space_and_by_many_threads():
    pretokenizer = Pretokenizer([O200K])
    text = ("It's 12345 camelCase\n\n  " * 20_000).encode()
    expected = pretokenizer.split(text)
    assert len(expected) == 8 * 20_000
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(pretokenizer.split(text) == expected))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


@pytest.mark.parametrize(
    ("pattern", "construct", "position"),
    [
        (r"x(?<=a)b", "look-behind", 1),
        (r"(?<!a)b", "look-behind", 0),
        (r"(a)\1", "back-reference", 3),
        (r"\bword", "word boundary", 0),
        (r"a|^b", r"\^", 2),
        (r"(?i)a", "inline flags", 0),
        (r"(?-i:a)", "inline flags", 0),
        ("(?i:x\u00e9)", "case", 5),
        (r"(?i:\p{L})", "case", 4),
        (r"(?i:[^a])", "case", 4),
        (r"(?i:xss)", "letters ss", 5),
        (r"(?i:s(?:ab|T))", "letters st", 4),
        (r"(?>a+)", "atomic", 0),
        (r"(?P<n>a)", "named", 0),
        (r"(?<n>a)", "named", 0),
        (r"(?#c)a", "comment", 0),
        (r"(?:a?)*b", "empty string", 6),
        (r"(?:ab)++c", "possessive quantifier on a group", 6),
        (r"a**", "quantifier on a quantifier", 2),
        (r"(?!a)+b", "quantifier on an assertion", 5),
        (r"a{2}?", "engines disagree", 1),
        (r"a{2}+", "engines disagree", 1),
        (r"a{2000}", "above 1000", 1),
        (r"a{3,2}", "descending", 1),
        (r"a{,2}", "malformed counted", 1),
        (r"*a", "without an operand", 0),
        (r"[a&&b]", "set operation", 2),
        (r"[a--b]", "set operation", 2),
        (r"[[:alpha:]]", "POSIX", 1),
        (r"[]", "empty class", 0),
        (r"x[a", r"without its \]", 1),
        (r"[z-a]", "descending", 1),
        (r"[a-\s]", "range whose end is a class", 1),
        (r"[a-c-e]", "escape it", 4),
        (r"x(a", r"without its \)", 1),
        (r"a)", r"unmatched \)", 1),
        (r"\p{Han}", r"property \{Han\}", 0),
        (r"\pL", "without braces", 0),
        (r"\w", r"escape \\w", 0),
        (r"\xE9", "byte above 7F", 0),
        (r"\x{D800}", "surrogate", 0),
        (r"\u12", "hexadecimal", 0),
        ("a\\", r"\\ at the end", 1),
        ("(?:" * 100 + "a" + ")" * 100, "too deeply", 192),
    ],
)
def test_what_is_not_exact_is_refused_by_name_and_position(pattern, construct, position):
    with pytest.raises(UnsupportedTokenizerError, match=construct) as caught:
        Pretokenizer(["x", pattern])
    assert "stage 2 of 2" in str(caught.value)
    assert f"at character {position}:" in str(caught.value)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (["a*"], "stage 1 of 1: the pattern can match the empty string"),
        (["a|"], "the pattern can match the empty string"),
        (["(?=a)"], "the pattern can match the empty string"),
        ([""], "the pattern can match the empty string"),
        (["(?:a{1000}){1000}"], "too large"),
        (["|".join(map(chr, range(0x4E00, 0x4E60)))], "more than 64 classes"),
        (["(?:a|b)*a(?:a|b){16}c"], "more than 20000"),
    ],
)
def test_what_cannot_be_built_is_refused(stages, message):
    with pytest.raises(UnsupportedTokenizerError, match=message):
        Pretokenizer(stages)


@pytest.mark.parametrize(
    "text", [b"\x80", b"ab\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
)
def test_text_must_be_utf8(text):
    with pytest.raises(InvalidInputError, match="not valid UTF-8 at byte"):
        Pretokenizer([GPT2]).split(text)
