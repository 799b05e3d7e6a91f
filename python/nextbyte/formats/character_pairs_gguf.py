"""Describes BPE over characters out of GGUF metadata: "llama" by scores, "gemma4" by merges."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nextbyte.errors import UnsupportedTokenizerError
from nextbyte.formats.description import CharacterPairs
from nextbyte.formats.merges import read_merges
from nextbyte.formats.sentencepiece import describe_character_pairs
from nextbyte.formats.sentencepiece_model import (
    ModelType,
    Normalizer,
    Piece,
    PieceType,
    SentencePieceModel,
)

if TYPE_CHECKING:
    from nextbyte.formats.description import TokenizerDescription
    from nextbyte.formats.json_fields import JsonField

CHARACTER_PAIRS: Final = ("llama", "gemma4")
"""Values of `tokenizer.ggml.model`."""

_NUM_TYPES: Final = 7
_LINE_FEED: Final = "\n"


def describe_character_pairs_gguf(
    metadata: JsonField, *, ignore_added_words: bool = False
) -> TokenizerDescription:
    """Describe what the file says under `tokenizer.ggml.`, where `model` is of `CHARACTER_PAIRS`.

    Raises
    ------
    TokenizerFormatError
        It contradicts itself.
    UnsupportedTokenizerError
        It has something that loses a part of the text, or whose covers are not exact.
    """
    by_merges = metadata["model"].text() == "gemma4"
    normalizer = Normalizer(
        # llama.cpp's own defaults.
        add_dummy_prefix=metadata["add_space_prefix"].flag(default=not by_merges),
        remove_extra_whitespaces=metadata["remove_extra_whitespaces"].flag(default=False),
        escape_whitespaces=metadata["escape_whitespaces"].flag(default=True),
        precompiled_charsmap=b"?" if metadata["precompiled_charsmap"].value else b"",
    )
    if metadata["normalizer.lowercase"].flag(default=False):
        raise UnsupportedTokenizerError(
            f"{metadata.source}: {metadata['normalizer.lowercase'].path} changes the text before "
            "it is tokenized; not supported yet"
        )
    pieces = _pieces(metadata, by_merges=by_merges)
    description = describe_character_pairs(
        SentencePieceModel(
            source=metadata.source,
            pieces=pieces,
            model_type=ModelType.BPE,
            byte_fallback=True,
            treat_whitespace_as_suffix=metadata["treat_whitespace_as_suffix"].flag(default=False),
            normalizer=normalizer,
        ),
        ignore_added_words=ignore_added_words,
    )
    return _with_merges(description, metadata, pieces) if by_merges else description


def _pieces(metadata: JsonField, *, by_merges: bool) -> list[Piece]:
    tokens = [field.text() for field in metadata["tokens"].items()]
    kinds = [field.integer(limit=_NUM_TYPES) for field in metadata["token_type"].items()]
    scores = [0.0] * len(tokens) if by_merges else _scores(metadata["scores"])
    for name, values in (("token_type", kinds), ("scores", scores)):
        if len(values) != len(tokens):
            raise metadata[name].error(f"has {len(values)} entries for {len(tokens)} tokens")
    pieces = []
    for index, (text, score, kind) in enumerate(zip(tokens, scores, kinds, strict=True)):
        if kind == 0 or not text:
            raise metadata["tokens"].error(f"has entry {index} ({text!r:.80}) of no type or text")
        # The converter fills ids that no token has so, of several types.
        filler = text == f"[PAD{index}]"
        pieces.append(Piece(text, score, PieceType.CONTROL if filler else PieceType(kind)))
    return pieces


def _scores(field: JsonField) -> list[float]:
    scores = []
    for entry in field.items():
        value = entry.value
        if type(value) is not float or not math.isfinite(value):
            raise entry.error(f"is {value!r:.80}, which is no score")
        scores.append(value)
    return scores


def _with_merges(
    description: TokenizerDescription, metadata: JsonField, pieces: list[Piece]
) -> TokenizerDescription:
    """Put merges in the place of scores.

    llama.cpp splits such a text into lines and runs of line feeds. That changes nothing where no
    token has both, and a run that is a token is that token, which is checked when it is compiled.
    """
    model = description.model
    assert isinstance(model, CharacterPairs)  # noqa: S101 - it was made so
    ordinary = {
        piece.text: index
        for index, piece in enumerate(pieces)
        if piece.type == PieceType.NORMAL and description.token_bytes[index]
    }
    for text in ordinary:
        if _LINE_FEED in text and text.strip(_LINE_FEED):
            raise UnsupportedTokenizerError(
                f"{metadata.source}: the token {text!r:.80} has a line feed and another character, "
                "and lines are split from line feeds; not supported yet"
            )
    return replace(
        description,
        model=CharacterPairs(
            merges=read_merges(metadata["merges"], ordinary, description.token_bytes),
            byte_tokens=model.byte_tokens,
            has_lead=model.has_lead,
            whole_pieces=[token for text, token in ordinary.items() if _LINE_FEED in text],
        ),
    )
