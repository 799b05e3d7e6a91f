"""Reads SentencePiece models, and describes those whose pieces are made by BPE over characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nextbyte.errors import TokenizerFormatError, UnsupportedTokenizerError
from nextbyte.formats.description import NO_RANK, CharacterPairs, TokenizerDescription
from nextbyte.formats.piece_spelling import byte_of_piece, piece_bytes
from nextbyte.formats.sentencepiece_model import (
    ModelType,
    PieceType,
    SentencePieceModel,
    read_sentencepiece_model,
)
from nextbyte.formats.unigram import describe_unigram

if TYPE_CHECKING:
    from pathlib import Path

_SPECIAL = (PieceType.CONTROL, PieceType.UNKNOWN)


def load_sentencepiece(path: Path, *, ignore_added_words: bool = False) -> TokenizerDescription:
    """Read a `.model` file.

    Parameters
    ----------
    path
        The file.
    ignore_added_words
        Never read user-defined pieces out of text.

    Raises
    ------
    TokenizerFormatError
        Not such a file, damaged, or contradicting itself.
    UnsupportedTokenizerError
        Another model type than BPE and unigram, or something that is not exact here.
    """
    model = read_sentencepiece_model(path)
    if model.model_type == ModelType.UNIGRAM:
        return describe_unigram(model)
    if model.model_type != ModelType.BPE:
        raise _unsupported(
            model, f"is of type {model.model_type.name}, and only BPE and UNIGRAM are supported"
        )
    return describe_character_pairs(model, ignore_added_words=ignore_added_words)


def describe_character_pairs(
    model: SentencePieceModel, *, ignore_added_words: bool = False
) -> TokenizerDescription:
    """Describe a BPE model: a piece's score is its priority, and any split of it may merge.

    Raises
    ------
    TokenizerFormatError
        It contradicts itself.
    UnsupportedTokenizerError
        It has something that loses a part of the text, or that is not exact here.
    """
    require_lossless(model)
    seen: dict[str, int] = {}
    for index, piece in enumerate(model.pieces):
        if seen.setdefault(piece.text, index) != index:
            raise TokenizerFormatError(
                f"{model.source}: pieces {seen[piece.text]} and {index} are both {piece.text!r:.80}"
            )
    _require_own_characters(model)
    token_bytes = [b""] * len(model.pieces)
    byte_tokens, added, special_tokens = [], [], {}
    for index, (text, _, kind) in enumerate(model.pieces):
        if kind in _SPECIAL or (kind == PieceType.USER_DEFINED and ignore_added_words):
            special_tokens[text] = index
        elif kind == PieceType.BYTE:
            if model.byte_fallback:
                token_bytes[index] = _byte(model, index)
                byte_tokens.append(index)
        else:
            token_bytes[index] = piece_bytes(text)
            if kind == PieceType.USER_DEFINED and token_bytes[index]:
                added.append(index)
    if not any(token_bytes):
        raise TokenizerFormatError(f"{model.source}: the vocabulary has no token with bytes")
    return TokenizerDescription(
        source=model.source,
        token_bytes=token_bytes,
        model=CharacterPairs(
            ranks=_ranks(model, token_bytes),
            byte_tokens=byte_tokens,
            has_lead=model.normalizer.add_dummy_prefix,
        ),
        special_tokens=special_tokens,
        added_tokens=added,
    )


def require_lossless(model: SentencePieceModel) -> None:
    """Refuse a model that changes or loses a part of the text, or splits pieces again.

    Raises
    ------
    UnsupportedTokenizerError
        The message names the property.
    """
    normalizer, denormalizer = model.normalizer, model.denormalizer
    if normalizer.precompiled_charsmap or (denormalizer and denormalizer.precompiled_charsmap):
        name = f" {normalizer.name!r:.80}" if normalizer.name else ""
        raise _unsupported(model, f"has the normalizer{name}, which changes characters of the text")
    if normalizer.remove_extra_whitespaces:
        raise _unsupported(model, "has remove_extra_whitespaces, which loses blanks of the text")
    if not normalizer.escape_whitespaces:
        raise _unsupported(model, "has no escape_whitespaces, so its pieces do not show blanks")
    if model.treat_whitespace_as_suffix:
        raise _unsupported(model, "has treat_whitespace_as_suffix, a blank behind each text")
    for index, (text, _, kind) in enumerate(model.pieces):
        if kind == PieceType.UNUSED:
            raise _unsupported(
                model, f"has the unused piece {index} ({text!r:.80}), which is split up again"
            )
        if kind in _SPECIAL and len(text) == 1:
            raise _unsupported(
                model, f"has the piece {index} ({text!r:.80}), a character that is no text"
            )


def _require_own_characters(model: SentencePieceModel) -> None:
    """Refuse pieces with characters that are no pieces: those merge, yet are spelled by bytes."""
    kinds = (PieceType.NORMAL, PieceType.USER_DEFINED)
    texts = [text for text, _, kind in model.pieces if kind in kinds]
    characters = {text for text in texts if len(text) == 1}
    for text in texts:
        for character in text:
            if len(text) > 1 and character not in characters and character != " ":
                raise _unsupported(
                    model,
                    f"has the piece {text!r:.80}, whose character {character!r} is no piece itself",
                )


def _byte(model: SentencePieceModel, index: int) -> bytes:
    byte = byte_of_piece(model.pieces[index].text)
    if byte is None:
        raise TokenizerFormatError(
            f"{model.source}: piece {index} ({model.pieces[index].text!r:.80}) is of type BYTE, "
            "but not spelled as one, for example <0x0A>"
        )
    return byte


def _ranks(model: SentencePieceModel, token_bytes: list[bytes]) -> list[int]:
    """Return the place of each piece's score, the greatest first; equal scores share a place."""
    takes_part = [
        piece.type == PieceType.NORMAL and bool(data)
        for piece, data in zip(model.pieces, token_bytes, strict=True)
    ]
    scores = {piece.score for piece, takes in zip(model.pieces, takes_part, strict=True) if takes}
    places = {score: place for place, score in enumerate(sorted(scores, reverse=True))}
    return [
        places[piece.score] if takes else NO_RANK
        for piece, takes in zip(model.pieces, takes_part, strict=True)
    ]


def _unsupported(model: SentencePieceModel, problem: str) -> UnsupportedTokenizerError:
    return UnsupportedTokenizerError(f"{model.source}: the model {problem}; not supported yet")
