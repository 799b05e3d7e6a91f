"""The exceptions of nextbyte: one base class, and the built-in class each error also is.

Every exception is a `NextByteError` and the built-in exception that a caller would expect, so that
``except ValueError`` and ``except RuntimeError`` keep working. Messages say what is wrong, where,
and what to do about it.

Examples
--------
>>> from nextbyte import errors
>>> issubclass(errors.InvalidInputError, ValueError)
True
>>> error = errors.UnreachableByteError(3, 0xFF)
>>> error.position, error.byte
(3, 255)
>>> print(error)
byte 0xff at position 3 cannot follow: no encoding under this tokenizer produces it
"""

from __future__ import annotations

__all__ = [
    "BackendError",
    "FetchError",
    "InvalidInputError",
    "MemberLostWarning",
    "MissingDependencyError",
    "NextByteError",
    "TokenizerFormatError",
    "UnreachableByteError",
    "UnsupportedTokenizerError",
]


class NextByteError(Exception):
    """Base class of every exception raised by nextbyte."""


class InvalidInputError(NextByteError, ValueError):
    """An argument has the wrong type, shape, range or meaning."""


class TokenizerFormatError(NextByteError, ValueError):
    """A tokenizer file is damaged or is not in the format it claims."""


class UnsupportedTokenizerError(NextByteError, ValueError):
    """A tokenizer file is well formed but uses a feature that is not known to be exact."""


class UnreachableByteError(NextByteError, ValueError):
    """A byte was pushed that cannot follow the bytes before it.

    Parameters
    ----------
    position : int
        Index of the byte in the text of the stream, 0 for the first byte.
    byte : int
        The byte, 0 to 255.
    message : str, optional
        Text of the exception; by default one is made from the position and the byte.

    Attributes
    ----------
    position : int
        Index of the byte in the text of the stream.
    byte : int
        The byte, 0 to 255.
    """

    position: int
    byte: int

    def __init__(self, position: int, byte: int, message: str | None = None) -> None:
        if message is None:
            message = (
                f"byte 0x{byte:02x} at position {position} cannot follow: "
                "no encoding under this tokenizer produces it"
            )
        super().__init__(message)
        self.position = position
        self.byte = byte

    def __reduce__(self) -> tuple[type[UnreachableByteError], tuple[int, int, str]]:
        """Pickle with all three arguments; the default would pass the message alone."""
        return (type(self), (self.position, self.byte, str(self)))


class BackendError(NextByteError, RuntimeError):
    """A language model could not do what was asked of it, or returned something unusable."""


class FetchError(NextByteError, RuntimeError):
    """A model could not be downloaded, checked, converted or stored."""


class MissingDependencyError(NextByteError, ImportError):
    """An optional package is needed for this feature and is not installed."""


class MemberLostWarning(UserWarning):
    """A member of an ensemble finds the text impossible, and the others go on without it."""
