"""How much of long texts around a gap is read: whole lines next to it, as many as may be.

A window of n bytes is the greatest part next to the gap, of n bytes at most, that begins at the
start of a line (for a prefix) or ends behind a line end (for a suffix); where no line does, at a
character. The gap's own borders are never moved.

By default the window is what the model can read: its limit in tokens, less what is always there
and room for the middle. Three quarters of that are the prefix's, a quarter is the suffix's; what
either does not need is the other's. Tokens are counted by encoding, so the window fits for certain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nextbyte.errors import InvalidInputError
from nextbyte.text_stream import unfinished_length

if TYPE_CHECKING:
    from collections.abc import Callable

    from nextbyte.tokenizer import Tokenizer

__all__ = ["fit", "prefix_window", "suffix_window", "token_count"]

_TOKEN_BYTES: Final = 16
"""Bytes a token that are tried first: more than texts have, so that little is encoded in vain."""


def prefix_window(text: bytes, size: int) -> bytes:
    r"""Return the end of a text, cut at the start of a line.

    Examples
    --------
    >>> prefix_window(b"one\ntwo\nthr", 8), prefix_window(b"one\ntwo\nthr", 6)
    (b'two\nthr', b'thr')
    >>> prefix_window("na\u00efve".encode(), 3)
    b've'
    """
    if len(text) <= size:
        return text
    start = len(text) - size
    line = text.find(b"\n", max(start - 1, 0)) + 1  # a line may start just there
    if 0 < line < len(text):
        return text[line:]
    while start < len(text) and text[start] & 0xC0 == 0x80:  # inside a character
        start += 1
    return text[start:]


def suffix_window(text: bytes, size: int) -> bytes:
    r"""Return the beginning of a text, cut behind a line end.

    Examples
    --------
    >>> suffix_window(b"e\nfour\nfive", 8), suffix_window(b"efour", 3)
    (b'e\nfour\n', b'efo')
    """
    if len(text) <= size:
        return text
    line = text.rfind(b"\n", 0, size) + 1
    if line:
        return text[:line]
    return text[: size - unfinished_length(text[:size])]


def token_count(tokenizer: Tokenizer, text: bytes) -> int:
    """Return how many tokens an open text has at most, where its end may be inside a character."""
    rest = unfinished_length(text)
    try:
        return len(tokenizer.encode(text[: len(text) - rest])) + rest
    except InvalidInputError:  # it cannot be read at all, and whoever reads it says so
        return len(text)


def fit(
    prefix: bytes, suffix: bytes, room: int, count: Callable[[bytes], int]
) -> tuple[bytes, bytes]:
    r"""Return windows of both that have at most `room` tokens together.

    Examples
    --------
    >>> fit(b"aaa\nbb\n", b"cc\ndd\nee\nff", 8, len)
    (b'bb\n', b'cc\n')
    >>> fit(b"a", b"cc\ndd\nee\nff", 8, len)
    (b'a', b'cc\ndd\n')
    """
    if len(prefix) + len(suffix) <= room:
        return prefix, suffix
    first = _longest(prefix, room, prefix_window, count)
    second = _longest(suffix, room, suffix_window, count)
    before, after = count(first), count(second)
    if before + after > room:
        quarter = room // 4
        if after > quarter and before > room - quarter:
            first = _longest(prefix, room - quarter, prefix_window, count)
            second = _longest(suffix, room - count(first), suffix_window, count)
        elif after <= quarter:
            first = _longest(prefix, room - after, prefix_window, count)
        else:
            second = _longest(suffix, room - before, suffix_window, count)
    return first, second


def _longest(
    text: bytes, room: int, window: Callable[[bytes, int], bytes], count: Callable[[bytes], int]
) -> bytes:
    """Return a window of at most `room` tokens, about as long as can be."""
    size = min(len(text), _TOKEN_BYTES * room)
    while size > 0:
        part = window(text, size)
        tokens = count(part)
        if tokens <= room:
            return part
        size = min(len(part) - 1, len(part) * room // tokens)
    return b""
