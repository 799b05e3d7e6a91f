"""Which key/value slot holds which token: the token tree of a backend, without any tensor.

The keys and values of all living contexts lie in one row of numbered *slots*. A context is a path
of segments from the root; what a token may attend to is the set of slots on its path, held as a
Python integer with bit s set for slot s. Order among slots means nothing, since a token's position
is already in its keys; so a freed slot can be given to any other token, and nothing ever moves.

Cost: a set of T slots is T / 8 bytes, copied once per new token. Slots are handed out lowest
first, which keeps the *high water mark*, the number of slots attention has to look at, low.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from nextbyte.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NewTokens", "Segment", "SlotPool", "grow"]


class SlotPool:
    """Hands out slot numbers, lowest first, and takes them back.

    `give_back` may be called at any time from any thread, even by the garbage collector in the
    middle of `take`: it only appends to a queue, which `take` and `in_use` empty. All else is for
    one thread at a time.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._used = 0
        self._returned: deque[int] = deque()

    def take(self, count: int) -> tuple[tuple[int, ...], int]:
        """Return `count` free slots in ascending order, and the same as a bit set.

        Raises
        ------
        BackendError
            If the limit on slots does not leave that many.
        """
        self._collect()
        if self._limit is not None and self._used.bit_count() + count > self._limit:
            raise BackendError(
                f"{count} more tokens do not fit: {self._used.bit_count()} of max_slots="
                f"{self._limit} key/value slots are in use; drop streams or raise max_slots"
            )
        used = self._used
        slots = []
        for _ in range(count):
            lowest = ~used & (used + 1)  # the lowest bit that is not set
            used |= lowest
            slots.append(lowest.bit_length() - 1)
        taken = used ^ self._used
        self._used = used
        return tuple(slots), taken

    def give_back(self, slots: int) -> None:
        """Mark a bit set of slots as free from the next `take` on."""
        self._returned.append(slots)

    @property
    def in_use(self) -> int:
        """Number of slots that hold a token of some living context."""
        self._collect()
        return self._used.bit_count()

    @property
    def high_water(self) -> int:
        """One more than the highest slot in use."""
        return self._used.bit_length()

    def _collect(self) -> None:
        while self._returned:
            self._used ^= self._returned.popleft()


class Segment:
    """A run of tokens in the tree, and through its parent a whole context.

    Attributes
    ----------
    parent : Segment or None
        The context before this run.
    slots : tuple of int
        Where the keys and values of its own tokens are.
    ancestors : int
        Bit set of the slots of the whole context, its own included.
    length : int
        Number of tokens of the whole context.
    """

    __slots__ = ("_own", "ancestors", "length", "parent", "pool", "slots")

    def __init__(self, pool: SlotPool, parent: Segment | None, count: int) -> None:
        self.pool = pool
        self.parent = parent
        self._own = 0  # __del__ runs even where `take` raises
        self.slots, self._own = pool.take(count)
        self.length: int = count + (0 if parent is None else parent.length)
        self.ancestors: int = self._own | (0 if parent is None else parent.ancestors)

    def __del__(self) -> None:
        # Children hold their parent, so nobody can still attend to these slots.
        self.pool.give_back(self._own)


class NewTokens:
    """A run of tokens that has to be computed, ending in the segment that will stand for it.

    Attributes
    ----------
    tokens : tuple of int
        The run.
    wanted : bool
        Whether a request ends here, so that the last token's logits are needed.
    segment : Segment
        Set once slots are given.
    """

    __slots__ = ("children", "segment", "tokens", "wanted")

    segment: Segment

    def __init__(self, tokens: tuple[int, ...]) -> None:
        self.tokens = tokens
        self.children: dict[int, NewTokens] = {}
        self.wanted = False


def grow(
    pool: SlotPool, requests: Sequence[tuple[Segment | None, tuple[int, ...]]]
) -> tuple[list[NewTokens], list[NewTokens]]:
    """Give slots to the tokens of requests, once for every distinct context.

    Requests under the same parent are merged into a radix tree: runs are cut where requests part
    or end, and nowhere else.

    Parameters
    ----------
    pool : SlotPool
        Where slots come from.
    requests : sequence of (Segment or None, tuple of int)
        The context to read on from, and at least one token.

    Returns
    -------
    order : list of NewTokens
        All new runs, every one after its parent.
    ends : list of NewTokens
        For each request, the run that ends it.

    Raises
    ------
    BackendError
        If there are not enough slots; none is taken then.
    """
    roots: dict[int, tuple[Segment | None, dict[int, NewTokens]]] = {}
    ends = []
    for parent, tokens in requests:
        _, children = roots.setdefault(id(parent), (parent, {}))
        ends.append(_insert(children, tokens))
    order: list[NewTokens] = []
    waiting = [(parent, run) for parent, children in roots.values() for run in children.values()]
    waiting.reverse()
    while waiting:
        before, run = waiting.pop()
        run.segment = Segment(pool, before, len(run.tokens))
        order.append(run)
        waiting.extend((run.segment, child) for child in reversed(run.children.values()))
    return order, ends


def _insert(children: dict[int, NewTokens], tokens: tuple[int, ...]) -> NewTokens:
    """Add a path to a radix tree and return its last run."""
    rest = tokens
    while True:
        run = children.get(rest[0])
        if run is None:
            run = children[rest[0]] = NewTokens(rest)
            run.wanted = True
            return run
        shared = 0
        for ours, theirs in zip(rest, run.tokens, strict=False):
            if ours != theirs:
                break
            shared += 1
        if shared < len(run.tokens):
            # Cut the run in two. Its end stays the same object: other requests point to it.
            upper = NewTokens(run.tokens[:shared])
            run.tokens = run.tokens[shared:]
            upper.children[run.tokens[0]] = run
            run = children[rest[0]] = upper
        if shared == len(rest):
            run.wanted = True
            return run
        children = run.children
        rest = rest[shared:]
