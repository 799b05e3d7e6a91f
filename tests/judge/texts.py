"""Adversarial texts, beginnings of texts, and the characters that complete a cut one."""

from __future__ import annotations

import codecs
import functools
import itertools
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


def _words(text: str) -> list[str]:
    return text.split(" ")


BLANKS = _words("\t \n \r\n \r \u00a0 \u3000 \u2028 \v \f \x85 \u200b")
BLANKS += [" ", "  "]
FRAGMENTS = [
    *_words("the a Hello world internationalization naïve x I of été ing tion ed s S ll re ve d"),
    *_words("camelCase XMLHttpRequest parseHTML ABCdefGHI iPhone snake_case LLVM <|im_start|>"),
    *_words("'s 'S 't 're 'VE 'll 'Ll 'd 'm 'M 'ſ 'l 'r ’s ' don't I'LL he'd they've you'rE ''s"),
    *_words("rock'n'roll o'clock ſ's 'ſs [INST] <|endoftext|> 1\ufe0f\u20e3"),
    *_words("1 12 123 1234567 3.14 0x1F ٣٤٥ १२ ² ½ Ⅷ １２３ 10e-9 𝟘𝟙"),
    *_words('! !!! ... // */ (); <| |> --> === $ _ __ @ # && " `` \\n :// /\n //\n// !\n\n .\r\n'),
    *_words("— 。 ， 「 ¿ § < > → ∑ € № ☃ #include\r\n 0;\n\n\n f(x):\n\treturn <br/>"),
    *_words("<think> </think> <think <dsml: </dsml: ｜DSML｜ <｜tr｜> <｜tr <<think>> ｜>"),
    *_words("中文 日本語のテキスト ひらがな カタカナー 한국어 你好，世界 龥 〇 豈 𠀋 ｱ"),
    *_words("العربية مَرْحَبًا عِلم שָׁלוֹם हिन्दी नमस्ते क्ष ไทย ภาษา தமிழ் ខ្មែរ"),
    *_words("Привет ЁЖ Ελληνικά ΣΊΣΥΦΟΣ İstanbul straße ẞ ǅ ǆ ʰ ª ﬁ K"),
    *_words("\u0301 e\u0301 \u0308\u0301 A\u030a \u20e3 \ufe0f \u200d"),
    *_words("👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇫🇷🇩🇪 😀 ❤️ 🤷🏻‍♀️ 🧑🏿‍🚀"),
    *_words("\x00 \x01 \x1b[0m \x7f \ufeff \ufffd \uffff \ue000 \U0010ffff \xad"),
    *("if (a) {\n\t}\n", "def f(x):\n    return x", "x += 1;", " // a comment\r\n"),
]
# What may come next after any beginning of a text, at least one per class of every pattern.
TAILS = [
    *(
        "",
        " ",
        "  ",
        "   ",
        " a",
        " A",
        "  a",
        "   b",
        "    ",
        " 1",
        "  1",
        " .",
        " '",
        " 's",
        "     x",
    ),
    *(" \n", "  \n", "\n ", "\n  ", "\n  x", "\u0301 ", " \t"),
    *_words("a A e s S d ll re ve ing ed er tion ist Ab aB 1 12 123 1234 12a ² ٣ ½"),
    *_words("' 's 'S 't 'l 'll 'LL 'r 're 'v 've 'd 'm 'ſ 'x '' ’s ſ ſt"),
    *_words(
        "\n \n\n \n\n\n \na \n\na \r \r\n \r\na \t \t\t \t\ta \ta \u00a0 \u00a0a \u3000 \u3000中"
    ),
    *_words('. .. ! , / // /\n /a \n/ _ - ( ) " * .\n .\n\n !a !A .a $ < = + \u2028x \x85 \v'),
    *_words("\u0301 \u0301a \u0308\u0301 \u200d \ufe0f \u20e3 क ् ि ِ"),
    *_words("> nk> :> ink>a think>｜D ｜tr｜> ｜/td｜>< SML｜ / dsml: tr｜>"),
    *_words("中 文 龥 〇 豈 𠀋 の ー ア 한 ب א я Я ω ไ ǅ ʰ ª é É"),
    *_words("😀 👍 🏽 € → — 。 ， \x00 \x7f \u200b \ufeff \ue000"),
]
_RANGES = [
    *((0, 0x10FFFF), (0, 0x7F), (0x80, 0x5FF), (0x600, 0x1FFF), (0x2000, 0x33FF)),
    *((0x3000, 0xFFFF), (0xA000, 0xABFF), (0x10000, 0x1FFFF), (0x20000, 0x32000)),
]


def random_character(source: random.Random) -> str:
    """Draw a code point: any of all planes, or one of a crowded range."""
    while True:
        lowest, highest = source.choice(_RANGES)
        character = chr(source.randint(lowest, highest))
        if not "\ud800" <= character <= "\udfff":
            return character


def random_text(source: random.Random, fragments: int = 10) -> str:
    """Draw an adversarial text of at most `fragments` pieces."""
    pieces = []
    for _ in range(source.randint(1, fragments)):
        kind = source.random()
        if kind < 0.32:
            longest = 40 if source.random() < 0.05 else 4
            runs = source.choice([1, 1, 1, 2])
            pieces += [
                source.choice(BLANKS if source.random() < 0.4 else " \t\n")
                * source.randint(1, longest)
                for _ in range(runs)
            ]
        elif kind < 0.84:
            fragment = source.choice(FRAGMENTS)
            if source.random() < 0.1:
                fragment = fragment.swapcase()
            if source.random() < 0.1:
                fragment *= source.randint(2, 5)
            pieces.append(fragment)
        elif kind < 0.88:
            pieces.append("".join(source.choices("0123456789", k=source.randint(1, 12))))
        elif kind < 0.92:
            pieces.append("".join(source.choices("aAbBsStTlL'_. \n/", k=source.randint(1, 8))))
        else:
            pieces.append("".join(random_character(source) for _ in range(source.randint(1, 3))))
    return "".join(pieces)


def whole_characters(data: bytes) -> tuple[str, bytes]:
    """Split the beginning of a text into its characters and the bytes of an unfinished one.

    Raises
    ------
    UnicodeDecodeError
        No text starts with `data`.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    whole = decoder.decode(data)
    pending = decoder.getstate()[0]
    if not completions(pending):
        raise UnicodeDecodeError("utf-8", data, len(data) - len(pending), len(data), "no character")
    return whole, pending


@functools.lru_cache(maxsize=4096)
def completions(pending: bytes, of_each: int = 3) -> tuple[str, ...]:
    """Return characters whose UTF-8 starts with `pending`: a few of each general category.

    Empty where no character starts so. Up to two missing bytes every character is looked at; of
    the 2**18 characters behind a lead byte of four, every 37th. `of_each` are "a few".
    """
    if not pending:
        return ("",)
    length = 2 if pending[0] < 0xE0 else 3 if pending[0] < 0xF0 else 4
    missing = length - len(pending)
    found: dict[str, list[str]] = {}
    for rest in itertools.islice(
        itertools.product(range(0x80, 0xC0), repeat=missing), 0, None, 37 if missing == 3 else 1
    ):
        try:
            character = (pending + bytes(rest)).decode()
        except UnicodeDecodeError:
            continue
        kind = unicodedata.category(character)
        if len(found.setdefault(kind, [])) < of_each or character in TAILS:
            found[kind].append(character)
    return tuple(itertools.chain.from_iterable(found.values()))
