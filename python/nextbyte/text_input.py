"""Text arguments: `str | bytes` in, bytes out."""

from __future__ import annotations

from nextbyte.errors import InvalidInputError


def as_bytes(text: str | bytes, *, name: str) -> bytes:
    r"""Return the bytes of a text argument: bytes as they are, `str` encoded as UTF-8.

    Parameters
    ----------
    text
        Any bytes, valid UTF-8 or not, or a `str` without lone surrogates.
    name
        What the caller calls this argument; errors start with it.

    Raises
    ------
    InvalidInputError
        A lone surrogate, which no UTF-8 text can hold, or another type.

    Examples
    --------
    >>> as_bytes("\u00e9", name="prompt")
    b'\xc3\xa9'
    """
    if isinstance(text, bytes):
        return bytes(text)
    if isinstance(text, str):
        try:
            return text.encode("utf-8")
        except UnicodeEncodeError as error:
            surrogate = ord(text[error.start])
            raise InvalidInputError(
                f"{name}: lone surrogate U+{surrogate:04X} at character {error.start} has no UTF-8 "
                "encoding; pass bytes to say which bytes are meant"
            ) from None
    raise InvalidInputError(f"{name} must be str or bytes, not {type(text).__name__}")
