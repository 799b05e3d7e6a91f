"""Write a safetensors file one tensor at a time, hashing on the way.

The format is a little-endian 64-bit length, that many bytes of JSON naming each tensor's type,
shape and byte range, then the tensors. The library's own writer wants every tensor in memory at
once, twice; a model is converted here with one tensor in memory, and its SHA-256 costs no second
reading.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["write_float32_safetensors"]

_ALIGNMENT: Final = 64  # of the first tensor; readers map the file into memory


def write_float32_safetensors(
    path: Path,
    shapes: Sequence[tuple[str, tuple[int, ...]]],
    tensor: Callable[[int], NDArray[np.float32]],
) -> str:
    """Write float32 tensors that are made on demand.

    Parameters
    ----------
    path : Path
        The file to write.
    shapes : sequence of (name, shape)
        The tensors, in the order they are written.
    tensor : callable
        Called once with each index of `shapes`, in order; returns a float32 array of that shape.

    Returns
    -------
    str
        Hexadecimal SHA-256 of the file.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes:
        end = offset + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        for block in (len(text).to_bytes(8, "little"), text):
            digest.update(block)
            stream.write(block)
        for index, (name, shape) in enumerate(shapes):
            values = np.ascontiguousarray(tensor(index), dtype="<f4")
            if values.shape != tuple(shape):
                raise ValueError(f"tensor {name} has shape {values.shape}, announced {shape}")
            view = values.reshape(-1).data.cast("B")
            digest.update(view)
            stream.write(view)
    return digest.hexdigest()
