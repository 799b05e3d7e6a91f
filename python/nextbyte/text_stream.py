"""Incremental UTF-8: cuts a stream of bytes where no character is split.

Definition. A byte string is held back iff it is a proper prefix of the UTF-8 form of some character
(so it has at most 3 bytes); everything before it is released. An ill-formed byte is released as
soon as no continuation can mend it. Pieces end at borders of characters or of maximal ill-formed
parts (Unicode 16, section 3.9), so decoding piece by piece equals decoding the whole, whatever the
error handler. Cost: O(1) per byte.
"""

from __future__ import annotations

from typing import Final


def _second_byte_range(lead: int) -> tuple[int, int, int] | None:
    """Return (length, least and greatest second byte) of the characters with this lead byte.

    The table of well-formed byte sequences: Unicode 16, table 3-7. None: it leads no character of
    several bytes.
    """
    if 0xC2 <= lead <= 0xDF:
        return 2, 0x80, 0xBF
    if 0xE0 <= lead <= 0xEF:
        # Neither a form that is too long (E0), nor a surrogate (ED).
        return 3, 0xA0 if lead == 0xE0 else 0x80, 0x9F if lead == 0xED else 0xBF
    if 0xF0 <= lead <= 0xF4:
        # Neither a form that is too long (F0), nor past U+10FFFF (F4).
        return 4, 0x90 if lead == 0xF0 else 0x80, 0x8F if lead == 0xF4 else 0xBF
    return None


_LEADS: Final = {
    lead: second for lead in range(256) if (second := _second_byte_range(lead)) is not None
}


def unfinished_length(data: bytes) -> int:
    r"""Return how many bytes at the end of `data` may still become a character, 0 to 3.

    The standard library's incremental decoder is no help here: it also holds surrogates (ED A0),
    which nothing can mend, for the sake of one of its error handlers.

    Examples
    --------
    >>> [unfinished_length(data) for data in (b"a", b"a\xe2", b"a\xe2\x82", b"\xe2\x82\xac")]
    [0, 1, 2, 0]
    """
    for length in range(1, min(3, len(data)) + 1):
        byte = data[-length]
        if 0x80 <= byte <= 0xBF:
            continue  # not a lead byte: look further back
        shape = _LEADS.get(byte)
        if shape is None or length >= shape[0]:
            return 0
        return length if length == 1 or shape[1] <= data[1 - length] <= shape[2] else 0
    return 0


class Utf8Stream:
    r"""Cuts a stream of bytes so that no piece ends inside a character.

    Examples
    --------
    >>> stream = Utf8Stream()
    >>> stream.push(b"caf\xc3"), stream.held
    (b'caf', b'\xc3')
    >>> stream.push(b"\xa9!"), stream.push(b"\xff"), stream.push(b"\xe2\x82"), stream.finish()
    (b'\xc3\xa9!', b'\xff', b'', b'\xe2\x82')
    """

    def __init__(self) -> None:
        self._held = b""

    @property
    def held(self) -> bytes:
        """The bytes held back: a proper prefix of some character, at most 3 bytes."""
        return self._held

    def push(self, data: bytes) -> bytes:
        """Take bytes; return those that are now certain to end at a border, in order."""
        seen = self._held + data
        border = len(seen) - unfinished_length(seen)
        self._held = seen[border:]
        return seen[:border]

    def finish(self) -> bytes:
        """End the stream; return what was held back (ill-formed by itself)."""
        rest, self._held = self._held, b""
        return rest
