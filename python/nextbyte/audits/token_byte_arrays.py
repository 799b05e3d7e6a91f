"""`TokenByteArrays`: the bytes of tokens as flat arrays, to group many by one byte at once."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["TokenByteArrays"]


class TokenByteArrays:
    """Every ordinary token of a vocabulary with its bytes.

    Attributes
    ----------
    tokens : ndarray, shape (n,), int64
        The ids of the tokens that have bytes, ascending; the same bytes may occur twice.
    lengths : ndarray, shape (vocabulary,), int64
        Bytes of each token, 0 for one without.
    longest : int
        The greatest length.
    symbols : ndarray, shape (256,), bool
        The bytes that occur in some token.

    Examples
    --------
    >>> arrays = TokenByteArrays([b"a", b"", b"ab"])
    >>> arrays.tokens.tolist(), arrays.byte_at(np.array([2]), 1).tolist()
    ([0, 2], [98])
    >>> arrays.starts_a_token(b"a"), arrays.is_token(b"b")
    (True, False)
    """

    def __init__(self, token_bytes: Sequence[bytes]) -> None:
        self.lengths: NDArray[np.int64] = np.array([len(data) for data in token_bytes], np.int64)
        self.tokens: NDArray[np.int64] = np.flatnonzero(self.lengths)
        self.longest = int(self.lengths.max(initial=0))
        self._flat = np.frombuffer(b"".join(token_bytes), np.uint8)
        self._offsets = np.cumsum(self.lengths) - self.lengths
        self._sorted = sorted({data for data in token_bytes if data})
        self.symbols: NDArray[np.bool_] = np.zeros(256, np.bool_)
        self.symbols[np.unique(self._flat)] = True

    def byte_at(self, tokens: NDArray[np.integer], depth: int) -> NDArray[np.uint8]:
        """Return byte number `depth` of each token; every one must be longer than that."""
        found: NDArray[np.uint8] = self._flat[self._offsets[tokens] + depth]
        return found

    def starts_a_token(self, data: bytes) -> bool:
        """Say whether some token begins with these bytes."""
        place = bisect_left(self._sorted, data)
        return place < len(self._sorted) and self._sorted[place].startswith(data)

    def is_token(self, data: bytes) -> bool:
        """Say whether some token has exactly these bytes."""
        place = bisect_left(self._sorted, data)
        return place < len(self._sorted) and self._sorted[place] == data
