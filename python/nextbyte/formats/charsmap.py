"""Decodes precompiled charsmaps: the replacements that SentencePiece normalizers are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from nextbyte.errors import TokenizerFormatError

if TYPE_CHECKING:
    import numpy.typing as npt

_LABELS: Final = np.arange(1, 256, dtype=np.uint32)
_LONGEST_KEY: Final = 256
"""In bytes; the longest one met has 18."""
_MOST_NODES: Final = 1 << 20
"""Beginnings of keys; nmt_nfkc has about a tenth."""
_FRONTIER: Final = 4096
"""Nodes whose children are looked up at once: it bounds the memory."""


def decode_charsmap(blob: bytes, *, source: str) -> dict[str, str]:
    """Return what each character sequence is replaced by.

    The blob is the size of a double array in bytes, the array, and the replacements, each with a
    zero byte at its end. A unit of the array (32 bits) has the label of the edge that leads to it
    in its lowest byte (with bit 31 set, none leads there), bit 8 if a key ends there, and the
    offset of its children above: child = (node ^ offset) ^ label; label 0 leads to the key's value.

    Keys with equal ends may share units, so a small array can have very many: there is a limit.

    Raises
    ------
    TokenizerFormatError
        It is damaged.
    """
    size = int.from_bytes(blob[:4], "little")
    if len(blob) < 8 or size % 4 or not 4 <= size <= len(blob) - 4:
        raise _damaged(source, f"its array of {size} bytes does not fit in {len(blob)}")
    units = np.frombuffer(blob, dtype="<u4", count=size // 4, offset=4).astype(np.uint32)
    values = blob[4 + size :]
    edges = units & np.uint32(0x800000FF)
    offsets = (units >> np.uint32(10)) << ((units & np.uint32(0x200)) >> np.uint32(6))
    replacements: dict[str, str] = {}
    nodes, keys = np.zeros(1, dtype=np.uint32), [b""]
    num_seen = 0
    while len(nodes):
        num_seen += len(nodes)
        if num_seen > _MOST_NODES or len(keys[0]) >= _LONGEST_KEY:
            raise _damaged(source, "its array has a loop, or too many or too long keys")
        bases = nodes ^ offsets[nodes]
        for index in np.flatnonzero(units[nodes] & np.uint32(0x100)):
            value = int(bases[index])
            if value >= len(units):
                raise _damaged(source, f"a key's value is unit {value} of {len(units)}")
            key = keys[index]
            replacements[_text(key, source)] = _value(
                values, int(units[value] & np.uint32(0x7FFFFFFF)), source
            )
        nodes, keys = _children(edges, bases, keys)
    return replacements


def _children(
    edges: npt.NDArray[np.uint32], bases: npt.NDArray[np.uint32], keys: list[bytes]
) -> tuple[npt.NDArray[np.uint32], list[bytes]]:
    found = [np.zeros(0, dtype=np.uint32)]
    longer = []
    for first in range(0, len(bases), _FRONTIER):
        places = bases[first : first + _FRONTIER, None] ^ _LABELS
        inside = places < len(edges)
        is_child = inside & (edges[np.where(inside, places, 0)] == _LABELS)
        parents, labels = np.nonzero(is_child)
        found.append(places[parents, labels])
        longer += [
            keys[first + parent] + bytes([label + 1])
            for parent, label in zip(parents.tolist(), labels.tolist(), strict=True)
        ]
    return np.concatenate(found), longer


def _value(values: bytes, start: int, source: str) -> str:
    end = values.find(b"\0", start)
    if start >= len(values) or end < 0:
        raise _damaged(source, f"a replacement at byte {start} of {len(values)} has no end")
    return _text(values[start:end], source)


def _text(data: bytes, source: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _damaged(source, f"{data!r:.40} is no UTF-8") from None


def _damaged(source: str, problem: str) -> TokenizerFormatError:
    return TokenizerFormatError(f"{source}: the normalizer's precompiled map is damaged: {problem}")
