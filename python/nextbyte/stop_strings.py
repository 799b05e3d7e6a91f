"""Finds stop strings in a stream of bytes and says how much of its end may still become one.

Definition. For stops S and the bytes x pushed so far, `pending` is the length of the longest suffix
of x that is a proper prefix of some stop: exactly the bytes that more input can turn into a stop.
Invariant. For each stop s the matcher holds the length of the longest suffix of x that is a prefix
of s (the Knuth-Morris-Pratt state), so a push costs amortised O(number of stops), whatever their
lengths. Source: Knuth, Morris and Pratt, "Fast pattern matching in strings", 1977.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def _borders(pattern: bytes) -> list[int]:
    """Return, for every n >= 1, the longest proper prefix of pattern[:n] that is its suffix too."""
    borders = [0] * (len(pattern) + 1)
    length = 0
    for end in range(1, len(pattern)):
        while length and pattern[end] != pattern[length]:
            length = borders[length]
        if pattern[end] == pattern[length]:
            length += 1
        borders[end + 1] = length
    return borders


class StopMatcher:
    r"""Watches a stream of bytes for the first end of any stop string.

    Parameters
    ----------
    stops
        Non-empty byte strings; none at all is allowed.

    Examples
    --------
    >>> matcher = StopMatcher([b"END", b"\n\n"])
    >>> [matcher.push(byte) for byte in b"a EN"], matcher.pending
    ([None, None, None, None], 2)
    >>> matcher.push(ord("D"))
    b'END'
    """

    def __init__(self, stops: Sequence[bytes]) -> None:
        self._stops = tuple(stops)
        self._borders = [_borders(stop) for stop in self._stops]
        self._matched = [0] * len(self._stops)

    @property
    def pending(self) -> int:
        """Number of bytes at the end of the stream that may still become a stop string."""
        return max(self._matched, default=0)

    def push(self, byte: int) -> bytes | None:
        """Take the next byte; return the stop string that ends with it, the longest if several.

        The longest starts first, so cutting it leaves no part of another one behind. The stream
        ends at a match: push nothing after it.
        """
        found: bytes | None = None
        for index, (stop, borders) in enumerate(zip(self._stops, self._borders, strict=True)):
            length = self._matched[index]
            while length and stop[length] != byte:
                length = borders[length]
            if stop[length] == byte:
                length += 1
            self._matched[index] = length
            if length == len(stop) and (found is None or length > len(found)):
                found = stop
        return found
