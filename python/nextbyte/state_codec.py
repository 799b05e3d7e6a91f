"""A saved state as bytes: the text so far and what it was read with, versioned and checked.

Layout, little endian: magic; version, uint16; SHA-256 of the tokenizer; numbers of tokens before
the text and of end tokens, uint32, and each of both, uint32; length of the prefix, uint64, and its
bytes; SHA-256 of all that. Rows, keys and values are not saved: they are computed again on demand.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from nextbyte.errors import InvalidInputError

__all__ = ["SavedState", "decode_state", "encode_state"]

VERSION: Final = 1
_MAGIC: Final = b"nextbyte state\n"
_VERSION: Final = struct.Struct("<H")
_HEAD: Final = struct.Struct("<32sII")
_DIGEST: Final = 32


@dataclass(frozen=True, slots=True)
class SavedState:
    """What is kept of a state.

    Attributes
    ----------
    fingerprint : bytes
        SHA-256 of the tokenizer, 32 bytes.
    start_tokens : tuple of int
        The tokens before the text.
    end_tokens : tuple of int
        The tokens that mean END_OF_TEXT.
    prefix : bytes
        The text so far.
    """

    fingerprint: bytes
    start_tokens: tuple[int, ...]
    end_tokens: tuple[int, ...]
    prefix: bytes


def encode_state(state: SavedState) -> bytes:
    """Return the bytes of a state.

    Examples
    --------
    >>> state = SavedState(bytes(32), (), (2,), b"An apple")
    >>> decode_state(encode_state(state)) == state
    True
    """
    tokens = (*state.start_tokens, *state.end_tokens)
    counts = (len(state.start_tokens), len(state.end_tokens))
    body = b"".join(
        [
            _MAGIC,
            _VERSION.pack(VERSION),
            _HEAD.pack(state.fingerprint, *counts),
            struct.pack(f"<{len(tokens)}IQ", *tokens, len(state.prefix)),
            state.prefix,
        ]
    )
    return body + hashlib.sha256(body).digest()


def decode_state(data: bytes) -> SavedState:
    """Return the state whose bytes these are.

    Raises
    ------
    InvalidInputError
        They are no saved state, or one of another version, or damaged.
    """
    if not isinstance(data, bytes):
        raise InvalidInputError(f"a saved state must be bytes, not {type(data).__name__}")
    if not data.startswith(_MAGIC):
        raise InvalidInputError("these bytes are no saved state: to_bytes() makes one")
    place = len(_MAGIC)
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    try:
        (version,) = _VERSION.unpack_from(data, place)
        if version != VERSION:
            raise InvalidInputError(
                f"the saved state is of version {version}, this nextbyte reads version {VERSION}: "
                "save it again with this one"
            )
        if hashlib.sha256(body).digest() != digest:
            raise InvalidInputError("the saved state is damaged: its checksum does not match")
        place += _VERSION.size
        fingerprint, before, ends = _HEAD.unpack_from(body, place)
        place += _HEAD.size
        tail = struct.Struct(f"<{before + ends}IQ")
        *tokens, length = tail.unpack_from(body, place)
        place += tail.size
    except struct.error as error:
        raise InvalidInputError("the saved state is damaged: it is too short") from error
    if len(body) != place + length:
        raise InvalidInputError("the saved state is damaged: its fields do not fit")
    return SavedState(fingerprint, tuple(tokens[:before]), tuple(tokens[before:]), body[place:])
