"""Describes unigram models out of GGUF metadata: "t5", with the arithmetic of llama.cpp."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from nextbyte.errors import UnsupportedTokenizerError
from nextbyte.formats.description import TokenizerDescription, Unigram
from nextbyte.formats.piece_spelling import piece_bytes
from nextbyte.formats.sentencepiece_model import Normalizer, PieceType
from nextbyte.formats.unigram import (
    UNKNOWN_PENALTY,
    blank_rival,
    sentencepiece_normalizer,
    to_single,
)

if TYPE_CHECKING:
    from nextbyte.formats.json_fields import JsonField

UNIGRAM: Final = "t5"
"""The value of `tokenizer.ggml.model`."""

_NUM_TYPES: Final = 7


def describe_unigram_gguf(
    metadata: JsonField, *, ignore_added_words: bool = False
) -> TokenizerDescription:
    """Describe what the file says under `tokenizer.ggml.`, where `model` is `UNIGRAM`.

    Raises
    ------
    TokenizerFormatError
        It contradicts itself.
    UnsupportedTokenizerError
        It has something whose covers are not exact here.
    """
    adds = metadata["add_space_prefix"].flag(default=False)
    removes = metadata["remove_extra_whitespaces"].flag(default=False)
    if adds != removes:
        raise _unsupported(
            metadata["remove_extra_whitespaces"],
            f"is {removes} and add_space_prefix is {adds}; of texts of blanks only that makes "
            "something else than of others",
        )
    for option, usual in (("escape_whitespaces", True), ("treat_whitespace_as_suffix", False)):
        if metadata[option].flag(default=usual) != usual:
            raise _unsupported(metadata[option], f"is {metadata[option].value}")
    tokens = [entry.text() for entry in metadata["tokens"].items()]
    kinds = [entry.integer(limit=_NUM_TYPES) for entry in metadata["token_type"].items()]
    scores = [_score(entry) for entry in metadata["scores"].items()]
    for name, values in (("token_type", kinds), ("scores", scores)):
        if len(values) != len(tokens):
            raise metadata[name].error(f"has {len(values)} entries for {len(tokens)} tokens")
    normal = [score for score, kind in zip(scores, kinds, strict=True) if kind == PieceType.NORMAL]
    if not normal:
        raise metadata["token_type"].error("has no normal token")
    token_bytes = [b""] * len(tokens)
    pieces, rivals, special_tokens = [], [], {}
    seen: dict[str, int] = {}
    for index, (text, score, kind) in enumerate(zip(tokens, scores, kinds, strict=True)):
        if seen.setdefault(text, index) != index:
            raise metadata["tokens"].error(f"has {text!r:.80} twice")
        if kind == PieceType.USER_DEFINED and not ignore_added_words:
            raise _unsupported(
                metadata["tokens"],
                f"has the user-defined token {text!r:.80}, which is read out of text; "
                "ignore_added_words=True makes a tokenizer that treats its spelling as text",
            )
        if kind == PieceType.NORMAL and piece_bytes(text):
            token_bytes[index] = piece_bytes(text)
            pieces.append((index, score))
        elif kind == PieceType.UNUSED and piece_bytes(text):
            rivals.append((piece_bytes(text), score))  # llama.cpp matches these like any other
        elif kind in (PieceType.CONTROL, PieceType.UNKNOWN, PieceType.USER_DEFINED):
            special_tokens[text] = index
    unknown_score = to_single(min(normal) - UNKNOWN_PENALTY)
    rivals += blank_rival([token_bytes[index] for index, _ in pieces], unknown_score)
    return TokenizerDescription(
        source=metadata.source,
        token_bytes=token_bytes,
        model=Unigram(
            pieces=pieces,
            rivals=rivals,
            unknown_score=unknown_score,
            has_lead=adds,
            normalizer=sentencepiece_normalizer(
                Normalizer(
                    precompiled_charsmap=_charsmap(metadata["precompiled_charsmap"]),
                    remove_extra_whitespaces=removes,
                ),
                (),
                source=metadata.source,
            ),
        ),
        special_tokens=special_tokens,
    )


def _score(entry: JsonField) -> float:
    if type(entry.value) is not float or not math.isfinite(entry.value):
        raise entry.error(f"is {entry.value!r:.80}, which is no score")
    return entry.value


def _charsmap(place: JsonField) -> bytes:
    if place.value is None:
        return b""
    try:
        return bytes(value % 256 for value in place.value)  # some readers have signed bytes
    except TypeError:
        raise place.error("is no list of bytes") from None


def _unsupported(place: JsonField, problem: str) -> UnsupportedTokenizerError:
    return UnsupportedTokenizerError(f"{place.source}: {place.path} {problem}; not supported yet")
