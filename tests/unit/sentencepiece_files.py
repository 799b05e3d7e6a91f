"""Writes SentencePiece `.model` files, field by field, for tests."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from fuzz.wire import integer, message

if TYPE_CHECKING:
    from collections.abc import Iterable

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
UNIGRAM, BPE = 1, 2


def piece(text: str, score: float = 0.0, kind: int = NORMAL) -> bytes:
    """Write one piece."""
    data = message(1, text.encode()) + b"\x15" + struct.pack("<f", score)
    return message(1, data + (integer(3, kind) if kind != NORMAL else b""))


def byte_pieces() -> list[tuple[str, float, int]]:
    """Return the 256 byte pieces."""
    return [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]


def model(
    pieces: Iterable[tuple[str, float, int]],
    *,
    model_type: int = BPE,
    byte_fallback: bool = True,
    treat_whitespace_as_suffix: bool = False,
    add_dummy_prefix: bool = True,
    remove_extra_whitespaces: bool = False,
    escape_whitespaces: bool = True,
    charsmap: bytes = b"",
) -> bytes:
    """Write a whole file."""
    trainer = integer(3, model_type) + integer(24, treat_whitespace_as_suffix)
    trainer += integer(35, byte_fallback)
    normalizer = message(1, b"identity") + (message(2, charsmap) if charsmap else b"")
    normalizer += integer(3, add_dummy_prefix) + integer(4, remove_extra_whitespaces)
    normalizer += integer(5, escape_whitespaces)
    return (
        b"".join(piece(*entry) for entry in pieces) + message(2, trainer) + message(3, normalizer)
    )
