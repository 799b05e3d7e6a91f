"""Mutations that know a format: they change a field and leave the rest of the file readable."""

from __future__ import annotations

import json
import re
import struct
from typing import TYPE_CHECKING, Any, Final

from fuzz import wire

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    Mutation = Callable[[bytes, random.Random], bytes]

ODD_INTEGERS: Final = (
    *(0, 1, 2, 3, 5, 7, 9, 127, 255, 256, 65_535, 65_536),
    *(1 << 20, (1 << 21) - 1, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32),
    *((1 << 53) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 10**30),
)
_ODD_TEXTS: Final = (
    *("", " ", "a", "ab", "b a", "\0", "\ud800", "\ufffd", "\u0120", "\u2581", "\u4e2d", "e\u0301"),
    *("<0x41>", "<0xZZ>", "Sequence", "Regex", "NFC", "NFKC", "ByteLevel", "Split", "Digits"),
    *("BPE", "Unigram", "WordPiece", "(a|b)*", "(?=a*$)b", "[^", "(a{9}){9}", "\\p{L}+|.", "$"),
    *("YWI=", "=", "YQ", "x" * 300, "a" * 40),
)


def mutate_bytes(data: bytes, source: random.Random) -> bytes:
    """Cut, repeat, insert or change some bytes."""
    at = source.randint(0, len(data))
    end = min(len(data), at + source.choice((1, 2, 4, 8, 64)))
    kind = source.randrange(5)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[end:]
    if kind == 2:
        return data[:at] + data[at:end] * source.choice((2, 3, 17)) + data[end:]
    if kind == 3:
        return data[:at] + source.randbytes(source.choice((1, 1, 2, 8))) + data[end:]
    odd = source.choice(ODD_INTEGERS) & ((1 << 64) - 1)
    size, order = source.choice((1, 2, 4, 8)), source.choice(("little", "big"))
    return data[:at] + (odd % (1 << 8 * size)).to_bytes(size, order) + data[at + size :]


# --- JSON ----------------------------------------------------------------------------------------


def _odd_value(source: random.Random) -> Any:
    kind = source.randrange(9)
    if kind == 0:
        return source.choice(ODD_INTEGERS) * source.choice((1, -1))
    if kind == 1:
        return source.choice((0.5, -1.0, 1e308, float("inf"), float("nan"), 2.0))
    if kind == 2:
        nested: Any = []
        for _ in range(source.choice((1, 3, 40, 300))):
            nested = source.choice(([nested], {"type": "Sequence", "pretokenizers": [nested]}))
        return nested
    if kind < 5:
        return source.choice((True, False, None, [], {}, [[]]))
    return source.choice(_ODD_TEXTS)


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key)."""
    found, left = [], [value]
    while left:
        node = left.pop()
        keys: Any = node if isinstance(node, dict) else range(len(node))
        for key in keys:
            found.append((node, key))
            if isinstance(node[key], dict | list):
                left.append(node[key])
    return found


def _change_text(text: str, source: random.Random) -> str:
    at, end = sorted(source.randint(0, len(text)) for _ in range(2))
    part = source.choice((text[at:end], text[:end], "", *_ODD_TEXTS))
    return text[:at] + part * source.choice((1, 1, 1, 2)) + text[end:]


def _change_node(value: Any, source: random.Random) -> None:
    nodes = _nodes(value)
    if not nodes:
        return
    node, key = source.choice(nodes)
    old = node[key]
    kind = source.randrange(8)
    if kind == 0:
        del node[key]
    elif kind == 1:
        node[key] = _odd_value(source)
    elif kind == 2:
        other, place = source.choice(nodes)
        # By value: the document must stay a tree.
        node[key] = json.loads(json.dumps(other[place]))
    elif kind == 3 and isinstance(node, list):
        node.insert(source.randint(0, len(node)), json.loads(json.dumps(old)))
    elif kind == 4 and isinstance(node, dict):
        node[_change_text(key, source)] = node.pop(key)
    elif isinstance(old, str):
        node[key] = _change_text(old, source)
    elif type(old) is int:
        node[key] = source.choice((old + 1, old - 1, -old, source.choice(ODD_INTEGERS)))
    elif isinstance(old, bool):
        node[key] = not old
    else:
        node[key] = _odd_value(source)


def mutate_json(data: bytes, source: random.Random) -> bytes:
    """Change values, keys and entries of the document."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_bytes(data, source)
    if not isinstance(value, dict | list) or source.randrange(12) == 0:
        return mutate_bytes(data, source)
    try:
        for _ in range(source.choice((1, 1, 2, 4))):
            _change_node(value, source)
        text = json.dumps(value, ensure_ascii=source.random() < 0.5)
    except (RecursionError, KeyError, IndexError):  # two changes met in one place
        return mutate_bytes(data, source)
    return text.encode("utf-8", "surrogatepass")


# --- Lines ---------------------------------------------------------------------------------------


def mutate_lines(data: bytes, source: random.Random) -> bytes:
    """Change, repeat, drop and exchange lines, and the numbers in them."""
    if source.randrange(6) == 0:
        return mutate_bytes(data, source)
    lines = data.split(b"\n")
    at, other = source.randrange(len(lines)), source.randrange(len(lines))
    kind = source.randrange(6)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(other, lines[at])
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 3:
        odd = str(source.choice(ODD_INTEGERS) * source.choice((1, 1, -1))).encode()
        odd = source.choice((odd, b"9" * 5000, b"1_0", "\u0663".encode()))
        numbers = list(re.finditer(rb"\d+", lines[at]))
        if numbers:
            start, end = source.choice(numbers).span()
            lines[at] = lines[at][:start] + odd + lines[at][end:]
    elif kind == 4:
        first, second = lines[at].split(b" "), lines[other].split(b" ")
        place = source.randrange(len(first))
        first[place] = source.choice(second)
        lines[at] = b" ".join(first)
    else:
        lines[at] = mutate_bytes(lines[at], source)
    return b"\n".join(lines)


# --- Protocol buffers ----------------------------------------------------------------------------

Fields = list[tuple[int, int, Any]]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError


def _read_fields(data: bytes) -> Fields:
    fields, at = [], 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value: Any
        if key & 7 == 0:
            value, at = _read_varint(data, at)
        elif key & 7 == 2:
            size, at = _read_varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            size = {1: 8, 5: 4}.get(key & 7, 0)
            value, at = data[at : at + size], at + size
        fields.append((key >> 3, key & 7, value))
    return fields


def _write_field(number: int, kind: int, value: Any, source: random.Random) -> bytes:
    key = wire.varint(number << 3 | kind)
    if isinstance(value, int):
        return key + wire.varint(value)
    size = len(value) if source.randrange(200) else source.choice(ODD_INTEGERS)
    return key + (wire.varint(size) if kind == 2 else b"") + value


def _change_fields(data: bytes, source: random.Random) -> bytes:
    fields = _read_fields(data)
    at = source.randrange(len(fields)) if fields else 0
    number, kind, value = fields[at] if fields else (1, 2, b"")
    action = source.randrange(8)
    if action == 0:
        del fields[at : at + 1]
    elif action == 1:
        fields.insert(source.randint(0, len(fields)), (number, kind, value))
    elif action == 2:
        fields[at : at + 1] = [(source.choice((0, 1, 2, 3, 4, 5, 15, 16, 99)), kind, value)]
    elif action == 3:
        fields[at : at + 1] = [(number, source.randrange(8), value)]
    elif kind == 2 and value:
        try:
            inner = _change_fields(value, source) if number in (1, 2, 3) else value
        except IndexError:
            inner = value
        changed = source.choice((inner, inner, mutate_bytes(value, source)))
        if source.random() < 0.2:
            changed = source.choice(_ODD_TEXTS).encode("utf-8", "surrogatepass")
        fields[at] = (number, kind, changed)
    elif kind == 0:
        fields[at : at + 1] = [(number, kind, source.choice(ODD_INTEGERS))]
    else:
        scores = (0.0, -1.0, -1e38, 1e-45, float("inf"), float("nan"), -2.5)
        fields[at : at + 1] = [(number, 5, struct.pack("<f", source.choice(scores)))]
    return b"".join(_write_field(*field, source) for field in fields)


def mutate_protobuf(data: bytes, source: random.Random) -> bytes:
    """Change fields at any depth, their numbers, kinds and lengths."""
    if source.randrange(8) == 0:
        return mutate_bytes(data, source)
    try:
        return _change_fields(data, source)
    except IndexError:
        return mutate_bytes(data, source)


# --- GGUF ----------------------------------------------------------------------------------------


def mutate_gguf(data: bytes, source: random.Random) -> bytes:
    """Change a text in place, a length or count, or a type."""
    kind = source.randrange(5)
    # A text: eight bytes of length, then printable ones.
    texts = [
        (found.start() - 8, found.end())
        for found in re.finditer(rb"[\x20-\x7e\x80-\xff]{1,99}", data)
        if found.start() >= 8
    ]
    if not texts or kind == 0:
        return mutate_bytes(data, source)
    start, end = source.choice(texts)
    if kind == 1:
        text = source.choice(_ODD_TEXTS).encode("utf-8", "surrogatepass")
        return data[:start] + struct.pack("<Q", len(text)) + text + data[end:]
    if kind == 2:
        odd = source.choice(ODD_INTEGERS) & ((1 << 64) - 1)
        at = start - source.choice((0, 8, 12))
        return data[: max(at, 0)] + struct.pack("<Q", odd) + data[max(at, 0) + 8 :]
    if kind == 3:
        at = end  # the type of the value, if the text is a key
        return data[:at] + struct.pack("<I", source.randrange(14)) + data[at + 4 :]
    other_start, other_end = source.choice(texts)
    return data[:start] + data[other_start:other_end] + data[end:]
