"""Turns descriptions into bytes and back, whatever dataclasses of `nextbyte.formats` they use.

A head in JSON says what the values are; arrays and byte strings stand behind it as they are, at the
places that the head names. Nothing in it is run: a value is rebuilt only as one of the types below,
a dataclass only if a module of `nextbyte.formats` defines it.

Written are None, bool, int, float, str, bytes, numpy arrays of numbers, lists, tuples and frozen
sets of all these (of `bytes`, `int` or `float` alone as one array), dictionaries with text for
keys, and dataclasses.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from typing import Any, Final

import numpy as np

from nextbyte import _core

_DTYPES: Final = frozenset("biuf")
_LENGTH: Final = 8  # bytes of the head's length
_HOME: Final = re.compile(r"nextbyte\.formats\.[a-z_]+")
_PLAIN: Final = (type(None), bool, int, float, str)


def encode(value: object) -> bytes:
    """Return the bytes of a value.

    Raises
    ------
    TypeError
        It has something of another type than those above.
    """
    parts: list[bytes] = []
    head = json.dumps(_Writer(parts).node(value), separators=(",", ":")).encode()
    return b"".join([len(head).to_bytes(_LENGTH, "little"), head, *parts])


def decode(data: memoryview) -> Any:  # noqa: ANN401
    """Return the value whose bytes these are.

    Raises
    ------
    AttributeError, LookupError, OverflowError, TypeError, ValueError
        They are no such bytes.
    """
    length = int.from_bytes(data[:_LENGTH], "little")
    head = json.loads(bytes(data[_LENGTH : _LENGTH + length]))
    return _Reader(data[_LENGTH + length :]).value(head)


class _Writer:
    """Makes nodes of the head: `[kind, ...]`. Big values go to `parts`."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts
        self._size = 0

    def node(self, value: Any) -> list[Any]:  # noqa: ANN401
        kind = type(value)
        if kind in _PLAIN:
            return ["plain", value]
        if kind is bytes:
            return ["bytes", *self._place(value)]
        if kind is np.ndarray and value.dtype.kind in _DTYPES:
            return ["array", *self._array(value)]
        if kind is dict and all(type(key) is str for key in value):
            return ["dict", [[key, self.node(entry)] for key, entry in value.items()]]
        if dataclasses.is_dataclass(kind) and _HOME.fullmatch(kind.__module__):
            names = [field.name for field in dataclasses.fields(kind) if field.init]
            fields = {name: self.node(getattr(value, name)) for name in names}
            return ["dataclass", kind.__module__, kind.__name__, fields]
        if kind is list:
            return self._list(value)
        if kind is tuple:
            return ["tuple", [self.node(entry) for entry in value]]
        if kind is frozenset:
            return ["frozenset", [self.node(entry) for entry in value]]
        raise TypeError(f"a description has a {kind.__name__}, which cannot be kept")

    def _list(self, value: list[Any]) -> list[Any]:
        kinds = set(map(type, value))
        if kinds == {bytes}:
            lengths = np.fromiter(map(len, value), np.uint32, len(value))
            return ["bytes list", self._array(lengths), self._place(b"".join(value))]
        if kinds == {float} or (kinds == {int} and -(2**63) <= min(value) <= max(value) < 2**63):
            dtype = np.float64 if kinds == {float} else np.int64
            return ["number list", self._array(np.array(value, dtype=dtype))]
        if kinds <= set(_PLAIN):
            return ["plain", value]
        return ["list", [self.node(entry) for entry in value]]

    def _array(self, array: np.ndarray[Any, Any]) -> list[Any]:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        return [little.dtype.str, list(array.shape), *self._place(little.tobytes())]

    def _place(self, data: bytes) -> list[int]:
        """Return where `data` will stand: begin and end."""
        self._parts.append(data)
        self._size += len(data)
        return [self._size - len(data), self._size]


class _Reader:
    """Makes values of nodes."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def value(self, node: Any) -> Any:  # noqa: ANN401
        match node:
            case ["plain", value]:
                return value
            case ["bytes", begin, end]:
                return self._bytes(begin, end)
            case ["array", *place]:
                return self._array(*place)
            case ["dict", entries]:
                return {key: self.value(entry) for key, entry in entries}
            case ["dataclass", str(module), str(name), fields]:
                kind = _dataclass(module, name)
                return kind(**{key: self.value(entry) for key, entry in fields.items()})
            case ["bytes list", lengths, [begin, end]]:
                found = _core.cut_bytes(self._bytes(begin, end), self._array(*lengths))
                if found is None:
                    raise ValueError("the lengths are not those of the whole")
                return found
            case ["number list", place]:
                return self._array(*place).tolist()
            case ["list", entries]:
                return [self.value(entry) for entry in entries]
            case ["tuple", entries]:
                return tuple(self.value(entry) for entry in entries)
            case ["frozenset", entries]:
                return frozenset(self.value(entry) for entry in entries)
        raise ValueError("a node of no known kind")

    def _bytes(self, begin: int, end: int) -> bytes:
        if not 0 <= begin <= end <= len(self._data):
            raise ValueError("a place outside the data")
        return bytes(self._data[begin:end])

    def _array(self, dtype: str, shape: list[int], begin: int, end: int) -> np.ndarray[Any, Any]:
        kind = np.dtype(dtype)
        if kind.kind not in _DTYPES:
            raise TypeError(f"an array of {dtype}")
        flat = np.frombuffer(self._bytes(begin, end), kind)
        return flat.astype(kind.newbyteorder("="), copy=False).reshape(shape)


def _dataclass(module: str, name: str) -> type[Any]:
    if not _HOME.fullmatch(module):
        raise ValueError(f"{module} is no module of formats")
    kind = getattr(importlib.import_module(module), name)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise TypeError(f"{module}.{name} is no dataclass")
    return kind
