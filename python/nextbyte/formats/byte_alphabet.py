"""GPT-2's printable spelling of bytes, used by every byte-level vocabulary file."""

from __future__ import annotations

from typing import Final


def _alphabet() -> dict[int, int]:
    """Map each letter of the alphabet to the byte it stands for (both as code points)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: byte for byte in printable}
    letters |= {0x100 + i: byte for i, byte in enumerate(others)}
    return letters


_BYTE_OF_LETTER = _alphabet()

LETTERS: Final = sorted(_BYTE_OF_LETTER, key=_BYTE_OF_LETTER.__getitem__)
"""The letter (a code point) of each byte."""


def decode_byte_alphabet(spelling: str) -> bytes | None:
    """Return the bytes that a token is spelled for, or None if it has a letter outside.

    Examples
    --------
    >>> decode_byte_alphabet("\u0120hi")
    b' hi'
    >>> decode_byte_alphabet("\u4e2d") is None
    True
    """
    if any(ord(letter) not in _BYTE_OF_LETTER for letter in spelling):
        return None
    return spelling.translate(_BYTE_OF_LETTER).encode("latin-1")
