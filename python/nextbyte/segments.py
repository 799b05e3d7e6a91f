"""Texts with special tokens between them: what is closed becomes tokens, the last text stays open.

A special token ends the text before it and begins a fresh one. So in `text, special, ..., text` all
texts but the last are complete, and a complete text has one encoding, its own: these tokens and the
special ones are the fixed beginning of every context, as a start token is. Only the last text may
go on; its covers, and the law of what follows, are those of a text by itself (docs/theory.md 2).

Where the tokenizer puts a blank in front of every text (SentencePiece), each text gets one, except
a `Continued` one: code models with such tokenizers read what follows the gap so.

Special tokens come in as numbers only. Text is text: the spelling of a special token in it, a
user's literal `<fim_middle>` say, is spelled by ordinary tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from nextbyte.errors import InvalidInputError
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from nextbyte.tokenizer import Tokenizer

__all__ = ["Continued", "Segment", "close_segments", "spell_leads"]

_MARK: Final = "\u263a".encode()
"""A character that merges with nothing: the trick of Code Llama's own code, and of Mistral's."""


@dataclass(frozen=True, slots=True)
class Continued:
    """A complete text that gets no blank in front, as if it went on from another."""

    text: str | bytes


Segment: TypeAlias = str | bytes | Continued | int | Sequence[int]
"""Text, or special tokens by id."""


def close_segments(
    tokenizer: Tokenizer, segments: Sequence[Segment]
) -> tuple[tuple[int, ...], bytes]:
    """Return the tokens of all that is closed, and the text that is open.

    Texts next to each other are one text. The open text is empty where special tokens come last.

    Raises
    ------
    InvalidInputError
        A segment is neither text nor special tokens; a closed text is not valid UTF-8 or has bytes
        without a token. The message begins with the number of the segment.
    """
    if isinstance(segments, str | bytes) or not isinstance(segments, Sequence):
        raise InvalidInputError(
            f"segments must be a list of texts and special tokens, not {segments!r:.80}"
        )
    tokens: list[int] = []
    text = b""
    first = 0  # the number of the segment that the text began with
    for number, segment in enumerate(segments):
        if isinstance(segment, Continued):
            if (
                text
                or not number + 1 < len(segments)
                or isinstance(segments[number + 1], str | bytes)
            ):
                raise InvalidInputError(
                    f"segment {number} is a continued text, so it must stand between special tokens"
                )
            tokens += _encoded_without_lead(tokenizer, segment, number)
            continue
        if isinstance(segment, str | bytes):
            first = first if text else number
            text += as_bytes(segment, name=f"segment {number}")
            continue
        if text:
            tokens += _encoded(tokenizer, text, first)
            text = b""
        tokens += _special(tokenizer, segment, number)
    return tuple(tokens), text


def spell_leads(segments: Sequence[Segment], lead: bytes) -> list[Segment]:
    """Return the segments for the same tokenizer without a lead: each text has it, if it is to.

    Examples
    --------
    >>> spell_leads([1, "a", 2, Continued("b"), 3, ""], b" ")
    [1, b' a', 2, b'b', 3, b'']
    """
    spelled: list[Segment] = []
    for segment in segments:
        if isinstance(segment, Continued):
            spelled.append(as_bytes(segment.text, name="text"))
        elif isinstance(segment, str | bytes):
            text = as_bytes(segment, name="text")
            spelled.append(lead + text if text else text)
        else:
            spelled.append(segment)
    return spelled


def _encoded(tokenizer: Tokenizer, text: bytes, number: int) -> list[int]:
    try:
        return tokenizer.encode(text)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"segment {number} is followed by a special token, so it must be a complete text: "
            f"{error}"
        ) from error


def _encoded_without_lead(tokenizer: Tokenizer, segment: Continued, number: int) -> list[int]:
    text = as_bytes(segment.text, name=f"segment {number}")
    if not tokenizer.compiled.lead:
        return _encoded(tokenizer, text, number) if text else []
    mark = _encoded(tokenizer, _MARK, number)
    tokens = _encoded(tokenizer, _MARK + text, number)
    if tokens[: len(mark)] != mark:
        raise InvalidInputError(
            f"segment {number}: this tokenizer cannot read a text without a blank in front"
        )
    return tokens[len(mark) :]


def _special(tokenizer: Tokenizer, segment: int | Sequence[int], number: int) -> list[int]:
    found = [segment] if isinstance(segment, int | np.integer) else segment
    if not isinstance(found, Sequence | np.ndarray):
        raise InvalidInputError(
            f"segment {number} must be text, or special tokens by id, not {segment!r:.80}"
        )
    tokens = []
    for token in found:
        if isinstance(token, bool) or not isinstance(token, int | np.integer) or token < 0:
            raise InvalidInputError(f"segment {number}: {token!r:.80} is no token id")
        spelled = tokenizer.token_bytes(int(token)) if token < tokenizer.vocab_size else b""
        if spelled and spelled not in tokenizer.added_words:
            raise InvalidInputError(
                f"segment {number}: token {token} is the ordinary token "
                f"{spelled!r}; give its text instead"
            )
        tokens.append(int(token))
    return tokens
