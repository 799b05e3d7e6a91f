"""Reads the metadata of a GGUF file that tell of its tokenizer, and trusts nothing in it.

A GGUF file (version 2 or 3, either byte order) is a header, `kv_count` pairs of key and value, and
tensors. Pairs have no length of their own, so all are walked through; those under other keys than
`KEPT` are stepped over, and nothing behind the pairs is touched. Every length is compared with what
the file still has before it is used, so that work and memory are bounded by the file's size; the
entries of an array also by `MAX_ENTRIES`.
"""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nextbyte.errors import TokenizerFormatError
from nextbyte.formats.vocabulary import MAX_TOKENS

if TYPE_CHECKING:
    from pathlib import Path

KEPT: Final = ("tokenizer.ggml.", "general.architecture")
"""What the keys that are read begin with."""

MAX_ENTRIES: Final = MAX_TOKENS
"""An array of texts or arrays may have no more entries, nor one that is read."""

_MAX_DEPTH: Final = 4  # of arrays in arrays
_VERSIONS: Final = (2, 3)
_SCALARS: Final = {
    0: "u1",
    1: "i1",
    2: "u2",
    3: "i2",
    4: "u4",
    5: "i4",
    6: "f4",
    7: "?",
    10: "u8",
    11: "i8",
    12: "f8",
}
_BOOL, _TEXT, _ARRAY = 7, 8, 9


class _DamageError(ValueError):
    """What is wrong, without the file's name."""


def read_gguf_metadata(path: Path) -> dict[str, Any]:
    """Return the values under the keys `KEPT`: int, float, bool, str, or lists of one of them.

    Raises
    ------
    TokenizerFormatError
        It cannot be read, is no GGUF file, or is damaged.
    """
    try:
        with path.open("rb") as stream:
            try:
                data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:
                raise _DamageError("it is empty") from None
            with data:
                return _Reader(data).read()
    except OSError as error:
        raise TokenizerFormatError(f"{path}: cannot be read: {error.strerror}") from None
    except _DamageError as error:
        message = f"{path}: not a GGUF file, or damaged: {error!s:.200}"
        raise TokenizerFormatError(message) from None


class _Reader:
    """A place in the file; every method begins there and leaves it behind what it read."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0
        self._end = len(data)
        self._order = "<"

    def read(self) -> dict[str, Any]:
        """Read the whole header."""
        if self._take(4) != b"GGUF":
            raise _DamageError("it does not begin with GGUF")
        version = self._take(4)
        if int.from_bytes(version, "little") not in _VERSIONS:
            self._order = ">"
            if int.from_bytes(version, "big") not in _VERSIONS:
                raise _DamageError(
                    f"it is of version {int.from_bytes(version, 'little')}; 2 and 3 are known"
                )
        self._number("u8")  # of tensors
        found: dict[str, Any] = {}
        for _ in range(self._count(each=13)):  # key length, type, and one byte of value
            key = self._text()
            kind = self._number("u4")
            if not key.startswith(KEPT):
                self._skip(kind)
            elif key in found:
                raise _DamageError(f"the key {key!r} occurs twice")
            else:
                found[key] = self._value(kind)
        return found

    def _value(self, kind: int) -> Any:  # noqa: ANN401
        if kind == _TEXT:
            return self._text()
        if kind != _ARRAY:
            return self._numbers(kind, 1)[0]
        inner = self._number("u4")
        if inner == _ARRAY:
            raise _DamageError("it has arrays of arrays about its tokenizer")
        if inner == _TEXT:
            return self._texts(self._count(each=8, limit=MAX_ENTRIES))
        return self._numbers(inner, self._count(each=_size_of(inner), limit=MAX_ENTRIES))

    def _skip(self, kind: int, depth: int = 0) -> None:
        if kind == _TEXT:
            self._step(self._number("u8"))
        elif kind != _ARRAY:
            self._step(_size_of(kind))
        elif depth == _MAX_DEPTH:
            raise _DamageError("its arrays are nested too deep")
        else:
            inner = self._number("u4")
            if inner not in (_TEXT, _ARRAY):
                self._step(self._count(each=_size_of(inner)) * _size_of(inner))
                return
            for _ in range(self._count(each=8, limit=MAX_ENTRIES)):
                self._skip(inner, depth + 1)

    def _step(self, size: int) -> int:
        """Go on by `size` bytes, which the file must still have; return where they begin."""
        begin = self._at
        if size > self._end - begin:
            raise _DamageError("it ends too early")
        self._at = begin + size
        return begin

    def _take(self, size: int) -> bytes:
        begin = self._step(size)
        return self._data[begin : begin + size]

    def _number(self, kind: str) -> int:
        order = "little" if self._order == "<" else "big"
        return int.from_bytes(self._take(int(kind[1])), order)  # type: ignore[arg-type]

    def _count(self, *, each: int, limit: int | None = None) -> int:
        """Read how many things follow that take `each` bytes or more."""
        count = self._number("u8")
        if count * each > self._end - self._at:
            raise _DamageError("it ends too early")
        if limit is not None and count > limit:
            raise _DamageError(f"it has an array of {count} entries; at most {limit} are read")
        return count

    def _numbers(self, kind: int, count: int) -> list[Any]:
        data = self._take(_size_of(kind) * count)
        if kind == _BOOL and data.strip(b"\0\1"):
            raise _DamageError("it has a truth value that is neither 0 nor 1")
        values: list[Any] = np.frombuffer(data, self._order + _SCALARS[kind]).tolist()
        return values

    def _text(self) -> str:
        return self._texts(1)[0]

    def _texts(self, count: int) -> list[str]:
        length_at = struct.Struct(self._order + "Q").unpack_from
        data, at, end = self._data, self._at, self._end
        texts = []
        for _ in range(count):
            begin = at + 8
            if begin > end:
                raise _DamageError("it ends too early")
            (length,) = length_at(data, at)
            if length > end - begin:
                raise _DamageError("it ends too early")
            at = begin + length
            try:
                texts.append(str(data[begin:at], "utf-8"))
            except UnicodeDecodeError:
                raise _DamageError(f"the text at byte {begin} is not UTF-8") from None
        self._at = at
        return texts


def _size_of(kind: int) -> int:
    if kind not in _SCALARS:
        raise _DamageError(f"it has a value of the unknown type {kind}")
    return int(_SCALARS[kind][1]) if kind != _BOOL else 1
