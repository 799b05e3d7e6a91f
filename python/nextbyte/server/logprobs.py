r"""The `logprobs` of a completion: one entry a byte, from the model's own exact law of each byte.

They are P(byte | prompt, bytes before it) whatever was drawn at a time, and before temperature and
filters: what `score` returns, in one pass. A byte that is no character by itself is spelled
``bytes:\xe4``, as OpenAI's API spells such tokens, and `bytes` beside has the numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from nextbyte.byte_model import END_OF_TEXT
from nextbyte.scoring import score

if TYPE_CHECKING:
    from nextbyte.byte_model import ByteModel

__all__ = ["END_SPELLING", "byte_logprobs", "offsets"]

END_SPELLING: Final = "<end of text>"
"""How `top_logprobs` spells the end; no other entry has more than one character or a colon."""


def byte_logprobs(
    model: ByteModel, context: bytes, data: bytes, *, top: int, start: int = 0
) -> dict[str, list[object]]:
    """Return the entries of a text.

    Parameters
    ----------
    model
        Any byte model.
    context
        What comes before the text.
    data
        The text.
    top
        How many of the most probable symbols each entry lists.
    start
        Characters of the choice's text that come before this one.

    Returns
    -------
    dict
        `tokens`, `token_logprobs`, `top_logprobs`, `text_offset`, `bytes`: lists of one length.
    """
    tops: list[object] = [None] * len(data)
    if not data:
        logprobs: list[object] = []
    elif top:
        rows = score(model, data, context=context, full=True)
        logprobs = [float(row[byte]) for row, byte in zip(rows, data, strict=True)]
        tops = [_largest(row, top) for row in rows]
    else:
        logprobs = score(model, data, context=context).tolist()
    return {
        "tokens": [_spelled(byte) for byte in data],
        "token_logprobs": logprobs,
        "top_logprobs": tops,
        "text_offset": [start + place for place in offsets(data)],
        "bytes": [[byte] for byte in data],
    }


def offsets(data: bytes) -> list[int]:
    r"""Return for each byte in which character of the text it is, U+FFFD standing for ill-formed.

    Examples
    --------
    >>> offsets("a\u00e9b".encode() + b"\xff.")
    [0, 1, 1, 2, 3, 4]
    """
    found: list[int] = []
    count = place = 0
    while place < len(data):
        try:
            text, end = data[place:].decode("utf-8"), len(data)
        except UnicodeDecodeError as error:
            text, end = data[place : place + error.start].decode("utf-8"), place + error.start
            bad = error.end - error.start
        else:
            bad = 0
        for character in text:
            found += [count] * len(character.encode("utf-8"))
            count += 1
        if bad:
            found += [count] * bad
            count += 1
        place = end + bad
    return found


def _largest(row: np.ndarray[tuple[int], np.dtype[np.float64]], top: int) -> dict[str, float]:
    """Return the most probable symbols of a law; smaller ones first among equals."""
    order = np.argsort(-row, kind="stable")[:top]
    return {
        _spelled(int(symbol)): float(row[symbol]) for symbol in order if row[symbol] > -math.inf
    }


def _spelled(symbol: int) -> str:
    if symbol == END_OF_TEXT:
        return END_SPELLING
    return chr(symbol) if symbol < 0x80 else f"bytes:\\x{symbol:02x}"
