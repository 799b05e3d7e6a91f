"""Writes GGUF and SentencePiece files, field by field: seeds for the mutations."""

from __future__ import annotations

import struct
from typing import Any

_INT, _FLOAT, _BOOL, _TEXT, _ARRAY = 5, 6, 7, 8, 9


def gguf(pairs: dict[str, Any], *, version: int = 3) -> bytes:
    """Return a GGUF file without tensors."""
    head = b"GGUF" + struct.pack("<IQQ", version, 0, len(pairs))
    return head + b"".join(
        _gguf_text(key) + struct.pack("<I", _kind(value)) + _gguf_value(value)
        for key, value in pairs.items()
    )


def _kind(value: Any) -> int:
    return {bool: _BOOL, int: _INT, float: _FLOAT, str: _TEXT, list: _ARRAY}[type(value)]


def _gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _gguf_value(value: Any) -> bytes:
    if isinstance(value, list):
        inner = _kind(value[0]) if value else _INT
        return struct.pack("<IQ", inner, len(value)) + b"".join(map(_gguf_value, value))
    if isinstance(value, str):
        return _gguf_text(value)
    if isinstance(value, bool):
        return bytes([value])
    return struct.pack("<f" if isinstance(value, float) else "<i", value)


def varint(value: int) -> bytes:
    """Return an integer of the protocol buffer wire format; negative ones as 64-bit complement."""
    value %= 1 << 64
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def message(number: int, data: bytes) -> bytes:
    """Return a field that holds bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def integer(number: int, value: int) -> bytes:
    """Return a field that holds an integer."""
    return varint(number << 3) + varint(value)


def sentencepiece(
    pieces: list[tuple[str, float, int]], *, trainer: dict[int, int], normalizer: dict[int, int]
) -> bytes:
    """Return a SentencePiece model: text, score and type of each piece, then integer fields."""
    body = b""
    for text, score, kind in pieces:
        piece = message(1, text.encode()) + b"\x15" + struct.pack("<f", score)
        body += message(1, piece + integer(3, kind))
    body += message(2, b"".join(integer(*field) for field in trainer.items()))
    return body + message(3, b"".join(integer(*field) for field in normalizer.items()))
