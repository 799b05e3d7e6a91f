"""Which slots a forward pass reads: all in use, those that any token needs, or run by run.

Definition. The pool holds S slots; new token q may attend to the set A(q) of its ancestors. Reading
every slot costs Q * S score terms a layer for Q tokens, though the mask closes all but the A(q):
for n streams of T tokens that is n * n * T where n * T are open. Two narrower ways give the same
sums, because a closed slot has weight exp(-huge) = 0 exactly:

- *union*: copy the slots that are open to any token of the pass, and attend over those. One stream
  among many idle ones pays for itself alone.
- *groups*: tokens of one run (neighbours in the pass, each an ancestor of the next) form a group;
  copy for each group the slots open to it. Streams side by side pay for their own contexts.

Cost model. Copying a slot takes about as long as `_COPY` score terms (measured: SmolLM2-135M, one
core, 16 to 64 streams of 20 to 150 tokens); groups are padded to the largest. A narrower way is
taken where it is at most half the cost, so that shared prefixes, whose slots every group would
copy, are read in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Groups", "ReadPlan", "plan_reads"]

_COPY: Final = 5
_WORTH: Final = 0.5


@dataclass(frozen=True, slots=True)
class Groups:
    """Tokens of a pass in groups, each with the slots that it reads.

    Attributes
    ----------
    queries : ndarray, shape (groups, most tokens), int64
        Places in the pass; what is too much repeats the first.
    slots : ndarray, shape (groups, most slots), int64
        Slots; what is too much repeats slot 0.
    is_open : ndarray, shape (groups, most tokens, most slots), bool
        Whether a token attends to a slot; no slot that is too much is open.
    places : ndarray, shape (tokens,), int64
        Where each token of the pass is in the flattened `queries`.
    """

    queries: NDArray[np.int64]
    slots: NDArray[np.int64]
    is_open: NDArray[np.bool_]
    places: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What one forward pass reads.

    Attributes
    ----------
    slots : ndarray of int64, or None
        The slots that are attended over, in order; None for all below the high water mark.
    is_open : ndarray, shape (tokens, slots), bool
        Whether a token attends to a slot.
    groups : Groups or None
        The same in groups, where that is cheaper.
    """

    slots: NDArray[np.int64] | None
    is_open: NDArray[np.bool_]
    groups: Groups | None = None


def plan_reads(
    ancestors: Sequence[int], runs: Sequence[int], high_water: int, *, in_groups: bool
) -> ReadPlan:
    """Choose the cheapest way to read.

    Parameters
    ----------
    ancestors : sequence of int
        Bit set of open slots for each new token, its own included.
    runs : sequence of int
        A number for each new token, the same for neighbours that are each an ancestor of the next.
    high_water : int
        Number of slots in the pool.
    in_groups : bool
        Whether the attention can read in groups.
    """
    is_open = _unpacked(ancestors, high_water)
    tokens = len(ancestors)
    everything = (tokens + _COPY) * high_water
    used = np.flatnonzero(is_open.any(axis=0))
    union = (tokens + _COPY) * len(used)
    narrow = min(everything, union)
    if in_groups and tokens > 1:
        first = np.flatnonzero(np.diff(runs, prepend=-1))
        ends = np.append(first[1:], tokens)
        # The last token of a run is open to all that the others are.
        most_slots = int(is_open[ends - 1].sum(axis=1).max())
        most_tokens = int((ends - first).max())
        grouped = len(first) * most_slots * (most_tokens + _COPY)
        if grouped <= _WORTH * narrow:
            return ReadPlan(None, is_open, _groups(is_open, first, ends, most_tokens, most_slots))
    if union <= _WORTH * everything:
        return ReadPlan(used, is_open[:, used])
    return ReadPlan(None, is_open)


def _unpacked(ancestors: Sequence[int], count: int) -> NDArray[np.bool_]:
    """Return bit sets as rows of booleans."""
    width = -(-count // 8)
    packed = b"".join(bits.to_bytes(width, "little") for bits in ancestors)
    octets = np.frombuffer(packed, dtype=np.uint8).reshape(len(ancestors), width)
    return np.unpackbits(octets, axis=1, count=count, bitorder="little").view(np.bool_)


def _groups(
    is_open: NDArray[np.bool_],
    first: NDArray[np.int64],
    ends: NDArray[np.int64],
    most_tokens: int,
    most_slots: int,
) -> Groups:
    count = len(first)
    queries = np.repeat(first[:, None], most_tokens, axis=1)
    slots = np.zeros((count, most_slots), np.int64)
    opened = np.zeros((count, most_tokens, most_slots), np.bool_)
    places = np.empty(len(is_open), np.int64)
    for group, (begin, end) in enumerate(zip(first, ends, strict=True)):
        own = np.flatnonzero(is_open[end - 1])
        length = end - begin
        queries[group, :length] = np.arange(begin, end)
        slots[group, : len(own)] = own
        opened[group, :length, : len(own)] = is_open[begin:end, own]
        # What repeats the first token does as it does: no row is closed everywhere.
        opened[group, length:] = opened[group, 0]
        places[begin:end] = group * most_tokens + np.arange(length)
    return Groups(queries, slots, opened, places)
