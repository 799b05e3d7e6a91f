"""Backslash escapes in arguments of the command line: text as a shell passes it, to bytes."""

from __future__ import annotations

import contextlib
import re
from typing import Final

from nextbyte.errors import InvalidInputError

__all__ = ["argument_bytes", "escaped", "unescape"]


def argument_bytes(argument: str, *, escapes: bool) -> bytes:
    """Return the bytes of a text argument: exactly those the shell passed, unless escapes are on.

    Python turns arguments that are not UTF-8 into lone surrogates; this turns them back.
    """
    try:
        data = argument.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"lone surrogate at character {error.start} of the argument {argument!r}"
        ) from None
    return unescape(data) if escapes else data


def unescape(data: bytes) -> bytes:
    r"""Return bytes with their backslash escapes replaced, as `--escapes` asks for.

    Known are `\n`, `\t`, `\r`, `\0`, `\\`, `\'`, `\"`, `\xHH` for any byte, and `\uHHHH` and
    `\UHHHHHHHH` for a character in UTF-8.

    Raises
    ------
    InvalidInputError
        Another escape, or a character that does not exist.

    Examples
    --------
    >>> unescape(rb"a\n\xff\u00e9")
    b'a\n\xff\xc3\xa9'
    """
    return _ESCAPE.sub(_unescaped, data)


def escaped(data: bytes) -> str:
    r"""Return bytes as printable text that `unescape` takes back to the same bytes.

    Examples
    --------
    >>> print(escaped(b"a\n\xff \xc3\xa9\\"))
    a\n\xff é\\
    """
    text = data.replace(b"\\", rb"\\").decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable()
        else _SPELLED.get(character)
        or (f"\\u{ord(character):04x}" if ord(character) < 0x10000
            else f"\\U{ord(character):08x}")
        for character in text
    )  # fmt: skip


_ESCAPE: Final = re.compile(
    rb"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([ntr0\\'\"])|)"
)
_SIMPLE: Final = {
    b"n": b"\n", b"t": b"\t", b"r": b"\r", b"0": b"\0", b"\\": b"\\", b"'": b"'", b'"': b'"',
}  # fmt: skip

_SPELLED: Final = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\0": r"\0"}


def _unescaped(match: re.Match[bytes]) -> bytes:
    """Return the bytes that one escape stands for."""
    byte, short, long, simple = match.groups()
    if simple is not None:
        return _SIMPLE[simple]
    if byte is not None:
        return bytes.fromhex(byte.decode())
    number = short or long
    if number is not None:
        with contextlib.suppress(ValueError, OverflowError):  # a surrogate, or past U+10FFFF
            return chr(int(number, 16)).encode()
    raise InvalidInputError(
        rf"unknown escape at byte {match.start()}: use \n \t \r \0 \\ \' \" \xHH \uHHHH \UHHHHHHHH"
    )
