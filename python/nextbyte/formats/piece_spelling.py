"""What the pieces of SentencePiece vocabularies, and of what was made from them, spell."""

from __future__ import annotations

import re
from typing import Final

BLANK_SYMBOL: Final = "\u2581"
"""Stands for a blank in every piece. In a text it would come back as a blank: it is in none."""

_BYTE: Final = re.compile(r"<0x([0-9A-F]{2})>")


def piece_bytes(spelling: str) -> bytes:
    """Return the bytes of an ordinary piece; b"" if it is in no escaped text.

    That is a piece with a blank, or with a lone surrogate.
    """
    if " " in spelling:
        return b""
    try:
        return spelling.replace(BLANK_SYMBOL, " ").encode()
    except UnicodeEncodeError:
        return b""


def byte_of_piece(spelling: str) -> bytes | None:
    """Return the byte that a byte piece, as `<0x0A>`, stands for; None for any other spelling."""
    match = _BYTE.fullmatch(spelling) if spelling.startswith("<0x") else None
    return None if match is None else bytes.fromhex(match.group(1))
