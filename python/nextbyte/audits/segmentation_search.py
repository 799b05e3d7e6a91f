"""The search over all segmentations: contexts, which can spell the text, which to expand."""

from __future__ import annotations

import copy
import itertools
import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nextbyte.audits.token_byte_arrays import TokenByteArrays

__all__ = ["Segmentation", "SpellingTracker", "choose", "log_sum"]

_AT_ONCE: Final = 32
"""Contexts that are expanded at once for their Q alone; their children may matter more."""

_ids = itertools.count()


class Segmentation:
    """A context: any token sequence that spells a beginning of the text.

    Sequences with the same bytes stay apart, since a model tells them apart.
    """

    __slots__ = ("id", "log_weight", "parent", "position", "token")

    def __init__(
        self, parent: Segmentation | None, token: int, position: int, log_weight: float
    ) -> None:
        self.id = next(_ids)
        self.parent = parent
        self.token = token
        self.position = position
        self.log_weight = log_weight

    @classmethod
    def root(cls) -> Segmentation:
        """Return the empty sequence."""
        return cls(None, -1, 0, 0.0)

    def child(self, token: int, position: int, chance: float) -> Segmentation:
        """Return the sequence with one more token, of probability `chance` > 0."""
        return Segmentation(self, token, position, self.log_weight + math.log(chance))


class SpellingTracker:
    """The text so far, and from which of its positions a token may reach its end.

    A position counts if token sequences spell the text up to there.
    """

    def __init__(self, token_bytes: TokenByteArrays) -> None:
        self._token_bytes = token_bytes
        self.text = bytearray()
        # For each length of the text: the positions from where some token goes on past its end.
        self._starts: list[tuple[int, ...]] = [(0,)]
        self._gaps: list[int] = [0]  # from here on every byte so far is a token by itself

    def push(self, data: bytes) -> int:
        """Append all bytes or none; return how many could follow."""
        text = bytearray(self.text)
        starts, gaps = [], []
        last, gap = self._starts[-1], self._gaps[-1]
        for count, byte in enumerate(data):
            text.append(byte)
            rests = [(start, bytes(text[start:])) for start in last]
            found = [s for s, rest in rests if self._token_bytes.starts_a_token(rest)]
            if any(self._token_bytes.is_token(rest) for _, rest in rests):
                found.append(len(text))
            if not found:
                return count
            last = tuple(found)
            gap = gap if self._token_bytes.is_token(bytes([byte])) else len(text)
            starts.append(last)
            gaps.append(gap)
        self.text = text
        self._starts += starts
        self._gaps += gaps
        return len(data)

    def rollback(self, count: int) -> None:
        """Take back `count` > 0 bytes."""
        del self.text[-count:], self._starts[-count:], self._gaps[-count:]

    def fork(self) -> SpellingTracker:
        """Return an independent copy."""
        other: SpellingTracker = copy.copy(self)
        other.text = bytearray(self.text)
        other._starts, other._gaps = list(self._starts), list(self._gaps)
        return other

    def alive(self, contexts: list[Segmentation], length: int) -> list[Segmentation]:
        """Return the contexts from which tokens can spell the rest of the first `length` bytes."""
        gap = self._gaps[length]
        doubtful = [context.position for context in contexts if context.position < gap]
        if not doubtful:  # byte by byte, if not otherwise
            return contexts
        spells = dict.fromkeys(range(gap, length + 1), True)
        spells.update(dict.fromkeys(self._starts[length], True))
        for place in range(gap - 1, min(doubtful) - 1, -1):
            last = min(length, place + self._token_bytes.longest)
            spells[place] = place in spells or any(
                spells[end] and self._token_bytes.is_token(bytes(self.text[place:end]))
                for end in range(place + 1, last + 1)
            )
        return [context for context in contexts if spells[context.position]]


def choose(
    unexpanded: Sequence[Segmentation],
    *,
    log_certain: float,
    log_reached: Sequence[float],
    tolerance: float,
    room: int | None,
) -> list[Segmentation]:
    """Return the contexts to expand next; none if the bound is met or the limit reached.

    Parameters
    ----------
    unexpanded
        All contexts that can spell the text so far and have no row.
    log_certain
        Log of the mass of what was expanded, L.
    log_reached
        A lower bound of log A for each length of the text up to now.
    tolerance
        The total variation error to reach: R / (L + R).
    room
        How many may be expanded; None for any number. One is, in any case, while L is zero: there
        is no law before.
    """
    if not unexpanded:
        return []
    weights = np.array([context.log_weight for context in unexpanded])
    places = np.array([context.position for context in unexpanded])
    log_rest = log_sum(*weights.tolist())
    log_total = log_sum(log_certain, log_rest)
    log_allowed = (math.log(tolerance) if tolerance > 0.0 else -math.inf) + log_total
    if log_rest <= log_allowed:
        return []
    if room is not None and room <= 0:
        if log_certain > -math.inf:
            return []
        return [unexpanded[int(np.lexsort((weights, places))[-1])]]  # the nearest to the end
    # The share of the mass where the context ends: what it is likely to carry on to here.
    with np.errstate(invalid="ignore"):
        shares = np.exp(weights - np.array(log_reached)[places])
    order = np.argsort(-weights, kind="stable")
    heavy = np.flatnonzero(shares > tolerance)
    limit = _AT_ONCE
    if len(heavy):
        order = heavy[np.argsort(-shares[heavy], kind="stable")]
        limit = len(order)
    if room is not None:
        limit = min(limit, room)
    # No more than it takes: what is left after each choice, from the back.
    lefts = np.exp(weights[order] - log_total)[::-1].cumsum()[::-1]
    others = max(0.0, math.exp(log_rest - log_total) - float(lefts[0]))
    needed = int(np.count_nonzero(lefts + others > tolerance)) if tolerance > 0.0 else len(order)
    return [unexpanded[i] for i in order[: max(1, min(limit, needed))].tolist()]


def log_sum(*logs: float) -> float:
    """Return log of the sum of exp of the numbers; -inf for none."""
    greatest = max(logs, default=-math.inf)
    if greatest == -math.inf:
        return greatest
    return greatest + math.log(math.fsum(math.exp(value - greatest) for value in logs))
