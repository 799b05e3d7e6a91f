"""The targets that read files, and the property that each input must have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fuzz import mutations, seeds
from nextbyte import Tokenizer
from nextbyte.errors import InvalidInputError, TokenizerFormatError, UnsupportedTokenizerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXTS = ("", "a", "ab ab", " \n\n1234aab", "<w>b c<s>", "e\u0301\u4e2d\u00a0", "'s \U0001f600")
"""Every tokenizer that loads encodes these, or says what it has no token for."""

REFUSALS = (InvalidInputError, TokenizerFormatError, UnsupportedTokenizerError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One format.

    Parameters
    ----------
    file
        The name that an input gets.
    load
        The loader of `Tokenizer`.
    seeds
        Well-formed files.
    mutate
        What changes them.
    """

    file: str
    load: Callable[[Path], Tokenizer]
    seeds: Callable[[], list[bytes]]
    mutate: mutations.Mutation


def _tiktoken(path: Path) -> Tokenizer:
    return Tokenizer.from_tiktoken(path, pattern=r" ?\p{L}+|\s+|[^\s\p{L}]+")


TARGETS = {
    "tokenizer_json": Target(
        file="tokenizer.json",
        load=Tokenizer.from_file,
        seeds=seeds.tokenizer_json,
        mutate=mutations.mutate_json,
    ),
    "tiktoken": Target(
        file="a.tiktoken", load=_tiktoken, seeds=seeds.tiktoken, mutate=mutations.mutate_lines
    ),
    "tekken": Target(
        file="tekken.json",
        load=Tokenizer.from_tekken,
        seeds=seeds.tekken,
        mutate=mutations.mutate_json,
    ),
    "rwkv": Target(
        file="vocab.txt",
        load=Tokenizer.from_file,
        seeds=seeds.rwkv,
        mutate=mutations.mutate_lines,
    ),
    "sentencepiece": Target(
        file="tokenizer.model",
        load=Tokenizer.from_file,
        seeds=seeds.sentencepiece,
        mutate=mutations.mutate_protobuf,
    ),
    "gguf": Target(
        file="a.gguf",
        load=Tokenizer.from_gguf,
        seeds=seeds.gguf,
        mutate=mutations.mutate_gguf,
    ),
}


def check(target: Target, data: bytes, folder: Path) -> bool:
    """Load an input; say whether it is a tokenizer.

    A refusal is one of `REFUSALS` and names the file. A tokenizer encodes texts to tokens that
    decode to the normalized text, and every prefix of that has the encoding's beginning among its
    covers. Everything else is a finding.
    """
    path = folder / target.file
    path.write_bytes(data)
    try:
        tokenizer = target.load(path)
    except REFUSALS as error:
        message = str(error)
        assert target.file in message, f"the message does not name the file: {message}"
        assert len(message) < 2000, f"a message of {len(message)} characters"
        return False
    for text in TEXTS:
        _check_text(tokenizer, text)
    tokenizer.report()
    return True


def _check_text(tokenizer: Tokenizer, text: str) -> None:
    normalized = tokenizer.normalize(text)
    try:
        tokens = tokenizer.encode(text)
    except InvalidInputError:
        return
    assert tokenizer.decode(tokens) == normalized, (text, tokens)
    lead = tokenizer.compiled.lead if normalized else b""
    for end in range(1, len(normalized) + 1):
        cover, reached = [], -len(lead)
        for token in tokens:
            if reached >= end:
                break
            cover.append(token)
            reached += len(tokenizer.token_bytes(token))
        covers = tokenizer.cover_encodings(normalized[:end])
        assert (tuple(cover), reached - end) in covers, (text, end, cover, covers[:20])
