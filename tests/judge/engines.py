"""Reference engines: what defines a tokenizer, behind one small interface."""

from __future__ import annotations

import ast
import base64
import collections
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sentencepiece
import tiktoken
import tokenizers

if TYPE_CHECKING:
    from pathlib import Path

_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True, slots=True)
class Engine:
    """An encoder of complete texts, with the bytes of its ordinary tokens.

    `token_bytes` lacks special and unknown tokens. `start` is what the engine puts before every
    text that is not empty (the blank of a dummy prefix) and what decoding takes away again.
    Special tokens are never read out of a text.
    """

    encode_batch: Callable[[list[str]], list[list[int]]]
    token_bytes: Mapping[int, bytes]
    start: bytes = b""
    added_words: tuple[str, ...] = ()  # ordinary added tokens, which the engine cuts out of text

    def encode(self, text: str) -> list[int]:
        return self.encode_batch([text])[0]

    def reach(self, tokens: Iterable[int]) -> bytes | None:
        """Return the bytes of tokens with those of `start`; None if one is not ordinary."""
        try:
            return b"".join([self.token_bytes[token] for token in tokens])
        except KeyError:
            return None

    def decode(self, tokens: Sequence[int]) -> bytes | None:
        """Return the text of a complete or begun sequence; None if it is not text."""
        data = self.reach(tokens)
        if not data or not self.start:
            return data
        return data[len(self.start) :] if data.startswith(self.start) else None

    def beginning(self, tokens: Sequence[int], length: int) -> tuple[int, ...]:
        """Return the shortest beginning of `tokens` with `length` bytes of text or more."""
        covered = -len(self.start)
        for count, token in enumerate(tokens):
            if covered >= length:
                return tuple(tokens[:count])
            covered += len(self.token_bytes[token])
        return tuple(tokens)


# --- Hugging Face tokenizer.json ------------------------------------------------------------------


def byte_of_character() -> dict[str, int]:
    """Return the byte that each character of a byte-level vocabulary stands for."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): b for i, b in enumerate(rest)}


def piece_bytes(piece: str) -> bytes:
    """Return the bytes of a piece in SentencePiece's spelling."""
    byte = _BYTE_PIECE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace("\u2581", " ").encode()


def from_tokenizers(
    made: tokenizers.Tokenizer, *, plain_words: bool = False, unknown: Iterable[int] = ()
) -> Engine:
    """Wrap an engine of the library `tokenizers`; its decoder says how pieces are spelled.

    With `plain_words` the ordinary added tokens are no longer cut out of text.
    """
    made.no_padding()
    made.no_truncation()
    content = json.loads(made.to_str())
    words = {t["id"]: t["content"] for t in content["added_tokens"] if not t["special"]}
    special = {token["id"] for token in content["added_tokens"] if token["special"]}
    if plain_words and words:
        for token in content["added_tokens"]:
            token["special"] = True
        made, words = tokenizers.Tokenizer.from_str(json.dumps(content)), {}
    made.encode_special_tokens = True  # the spelling of a special token stays text
    byte_level = '"ByteLevel"' in json.dumps([content["decoder"], content["pre_tokenizer"]])
    unk = made.token_to_id(content["model"].get("unk_token") or "")
    byte_of = byte_of_character()
    token_bytes = {}
    for piece, token in made.get_vocab(with_added_tokens=True).items():
        if token in special or token == unk or token in unknown:
            continue
        if not byte_level:
            token_bytes[token] = piece_bytes(piece)
        elif token in words:
            token_bytes[token] = piece.encode()
        elif byte_of.keys() >= set(piece):  # Command-R has a turtle, which no text is encoded to
            token_bytes[token] = bytes([byte_of[character] for character in piece])

    def encode_batch(texts: list[str]) -> list[list[int]]:
        return [e.ids for e in made.encode_batch_fast(texts, add_special_tokens=False)]

    return Engine(encode_batch, token_bytes, _start_of(content), tuple(words.values()))


def _start_of(content: dict) -> bytes:
    """Return what the normalizer or the pre-tokenizer of a tokenizer.json puts before a text."""
    said = json.dumps([content["normalizer"], content["pre_tokenizer"]], ensure_ascii=False)
    prepends = '"prepend": "\u2581"' in said or '"prepend_scheme": "always"' in said
    return b" " if prepends or '"add_prefix_space": true' in said else b""


def from_json(path: Path, *, plain_words: bool = False) -> Engine:
    made = tokenizers.Tokenizer.from_file(str(path))
    return from_tokenizers(made, plain_words=plain_words)


def byte_level_json(vocabulary: Path, merges: Path, special: Sequence[str], made_at: Path) -> Path:
    """Write the tokenizer.json of GPT-2's own two files."""
    spellings = json.loads(vocabulary.read_text("utf-8"))
    pairs = merges.read_text("utf-8").split("\n")[1:]
    made = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            vocab=spellings, merges=[tuple(pair.split(" ")) for pair in pairs if pair]
        )
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens(list(special))
    made.save(str(made_at))
    return made_at


# --- Rank files -----------------------------------------------------------------------------------


def read_ranks(path: Path) -> dict[bytes, int]:
    lines = [line.split() for line in path.read_bytes().splitlines() if line]
    return {base64.b64decode(spelling): int(rank) for spelling, rank in lines}


def from_ranks(ranks: Mapping[bytes, int], pattern: str, *, first: int = 0) -> Engine:
    """Wrap tiktoken; the ids of its tokens are their ranks and `first`."""
    made = tiktoken.Encoding(
        "reference", pat_str=pattern, mergeable_ranks=dict(ranks), special_tokens={}
    )
    token_bytes = {rank + first: spelling for spelling, rank in ranks.items()}

    def encode_batch(texts: list[str]) -> list[list[int]]:
        encoded = [made.encode_ordinary(text) for text in texts]
        return [[rank + first for rank in ranks] for ranks in encoded] if first else encoded

    return Engine(encode_batch, token_bytes)


def from_tekken(path: Path) -> Engine:
    content = json.loads(path.read_text("utf-8"))
    first = content["config"]["default_num_special_tokens"]
    used = content["vocab"][: content["config"]["default_vocab_size"] - first]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in used}
    return from_ranks(ranks, content["config"]["pattern"], first=first)


def upstream_pattern(name: str) -> str:
    """Return tiktoken's own pattern of one of its encodings, without its rank file."""
    from tiktoken_ext import openai_public  # noqa: PLC0415 - only rank files need it

    loader = openai_public.load_tiktoken_bpe
    openai_public.load_tiktoken_bpe = lambda *_, **__: {}
    try:
        return openai_public.ENCODING_CONSTRUCTORS[name]()["pat_str"]
    finally:
        openai_public.load_tiktoken_bpe = loader


# --- SentencePiece --------------------------------------------------------------------------------


def from_sentencepiece(model: bytes) -> Engine:
    """Wrap the library SentencePiece, for a serialized model."""
    made = sentencepiece.SentencePieceProcessor(model_proto=model)
    plain = [
        token
        for token in range(made.vocab_size())
        if not (made.is_control(token) or made.is_unknown(token) or made.is_unused(token))
    ]
    token_bytes = {token: piece_bytes(made.id_to_piece(token)) for token in plain}
    alone = made.encode("\u00b7")  # any text shows whether there is a dummy prefix
    first = token_bytes.get(alone[0], b"") if alone else b""
    start = b" " if first.startswith(b" ") else b""

    def encode_batch(texts: list[str]) -> list[list[int]]:
        return made.encode(texts, num_threads=1)

    return Engine(encode_batch, token_bytes, start)


# --- Greedy longest match (RWKV) ------------------------------------------------------------------


def read_greedy(path: Path) -> dict[bytes, int]:
    """Read a vocabulary of lines `id literal length`."""
    vocabulary = {}
    for line in path.read_text("utf-8").splitlines():
        token, rest = line.split(" ", 1)
        literal, length = rest.rsplit(" ", 1)
        value = ast.literal_eval(literal)
        data = value.encode() if isinstance(value, str) else value
        assert len(data) == int(length), line
        vocabulary[data] = int(token)
    return vocabulary


def from_greedy(vocabulary: Mapping[bytes, int]) -> Engine:
    """Take the longest token at each position, and nothing else."""
    by_beginning = collections.defaultdict(set)
    for data in vocabulary:
        by_beginning[data[:2]].add(len(data))
    lengths = {key: sorted(found, reverse=True) for key, found in by_beginning.items()}

    def encode(text: str) -> list[int]:
        data, position, tokens = text.encode(), 0, []
        while position < len(data):
            tried = [*lengths.get(data[position : position + 2], ()), 1]
            length = next(n for n in tried if data[position : position + n] in vocabulary)
            tokens.append(vocabulary[data[position : position + length]])
            position += length
        return tokens

    return Engine(
        lambda texts: [encode(text) for text in texts],
        {token: data for data, token in vocabulary.items()},
    )
