"""Describes unigram models of SentencePiece, and what its vocabularies have in common elsewhere."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from nextbyte.errors import TokenizerFormatError, UnsupportedTokenizerError
from nextbyte.formats.charsmap import decode_charsmap
from nextbyte.formats.description import TokenizerDescription, Unigram
from nextbyte.formats.piece_spelling import byte_of_piece, piece_bytes
from nextbyte.formats.sentencepiece_model import PieceType
from nextbyte.formats.text_normalizer import TextNormalizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nextbyte.formats.sentencepiece_model import Normalizer, SentencePieceModel

UNKNOWN_PENALTY: Final = 10.0
"""A character that is no piece scores this much less than the worst piece."""

_FLOAT: Final = struct.Struct("<f")
_SPECIAL: Final = (PieceType.CONTROL, PieceType.UNKNOWN)


def to_single(value: float) -> float:
    """Round to a number of single precision."""
    rounded: float = _FLOAT.unpack(_FLOAT.pack(value))[0]
    return rounded


def describe_unigram(model: SentencePieceModel) -> TokenizerDescription:
    """Describe a unigram model, with the arithmetic of the library sentencepiece.

    Raises
    ------
    TokenizerFormatError
        It contradicts itself.
    UnsupportedTokenizerError
        It has something whose covers are not exact here.
    """
    normalizer = model.normalizer
    if not normalizer.escape_whitespaces:
        raise _unsupported(model, "has no escape_whitespaces, so its pieces do not show blanks")
    if model.treat_whitespace_as_suffix:
        raise _unsupported(model, "has treat_whitespace_as_suffix, a blank behind each text")
    if model.denormalizer is not None and model.denormalizer.precompiled_charsmap:
        raise _unsupported(model, "has a denormalizer, which changes what tokens spell")
    seen: dict[str, int] = {}
    for index, piece in enumerate(model.pieces):
        if seen.setdefault(piece.text, index) != index:
            raise TokenizerFormatError(
                f"{model.source}: pieces {seen[piece.text]} and {index} are both {piece.text!r:.80}"
            )
    scores = [piece.score for piece in model.pieces if piece.type == PieceType.NORMAL]
    if not scores:
        raise TokenizerFormatError(f"{model.source}: the model has no ordinary piece")
    token_bytes = [b""] * len(model.pieces)
    byte_tokens: dict[int, int] = {}
    pieces, protected, special_tokens = [], [], {}
    for index, (text, score, kind) in enumerate(model.pieces):
        if kind in _SPECIAL:
            special_tokens[text] = index
        elif kind == PieceType.BYTE and model.byte_fallback:
            token_bytes[index] = add_byte(byte_tokens, text, index, source=model.source)
        elif kind in (PieceType.NORMAL, PieceType.USER_DEFINED) and piece_bytes(text):
            token_bytes[index] = piece_bytes(text)
            if kind == PieceType.USER_DEFINED:
                # A tenth for each byte but one, of which a blank (U+2581) has three, in
                # sentencepiece 0.2.3; up to 0.2.1 it depended on the greatest score.
                score = to_single((len(text.encode()) - 1) * to_single(0.1))  # noqa: PLW2901
                protected.append(text)
            pieces.append((index, score))
    unknown_score = to_single(min(scores) - UNKNOWN_PENALTY)
    whole = [token_bytes[index] for index, _ in pieces]
    return TokenizerDescription(
        source=model.source,
        token_bytes=token_bytes,
        model=Unigram(
            pieces=pieces,
            rivals=blank_rival(whole, unknown_score),
            unknown_score=unknown_score,
            sums="single",
            byte_tokens=in_order(byte_tokens, source=model.source),
            has_lead=normalizer.add_dummy_prefix,
            normalizer=sentencepiece_normalizer(normalizer, protected, source=model.source),
        ),
        special_tokens=special_tokens,
    )


def sentencepiece_normalizer(
    normalizer: Normalizer, protected: Iterable[str], *, source: str
) -> TextNormalizer:
    """Return what SentencePiece's normalizer does, by its compiled map and its flags."""
    charsmap = normalizer.precompiled_charsmap
    return TextNormalizer(
        name=normalizer.name or ("precompiled" if charsmap else "identity"),
        replacements=decode_charsmap(charsmap, source=source) if charsmap else {},
        protected=frozenset(protected),
        single_blanks=normalizer.remove_extra_whitespaces,
    )


def add_byte(byte_tokens: dict[int, int], spelling: str, token: int, *, source: str) -> bytes:
    """Note the token of a byte piece, and return its byte.

    Raises
    ------
    TokenizerFormatError
        It is not spelled as one, or its byte has another.
    """
    byte = byte_of_piece(spelling)
    if byte is None or byte_tokens.setdefault(byte[0], token) != token:
        raise TokenizerFormatError(
            f"{source}: token {token} ({spelling!r:.80}) is a byte piece, but not spelled as one, "
            "for example <0x0A>, or not the only one of its byte"
        )
    return byte


def blank_rival(token_bytes: list[bytes], unknown_score: float) -> list[tuple[bytes, float]]:
    """Return what matches a blank that is no piece: bytes spell it as U+2581, which is no text."""
    return [] if b" " in token_bytes else [(b" ", unknown_score)]


def in_order(byte_tokens: dict[int, int], *, source: str) -> list[int]:
    """Return the byte tokens by byte: all of them or none.

    Raises
    ------
    UnsupportedTokenizerError
        Some are missing, so that only some unknown characters have an encoding.
    """
    if byte_tokens and len(byte_tokens) != 256:
        raise UnsupportedTokenizerError(
            f"{source}: the model has byte pieces for only {len(byte_tokens)} bytes; not supported "
            "yet"
        )
    return [byte_tokens[byte] for byte in range(256)] if byte_tokens else []


def _unsupported(model: SentencePieceModel, problem: str) -> UnsupportedTokenizerError:
    return UnsupportedTokenizerError(f"{model.source}: the model {problem}; not supported yet")
