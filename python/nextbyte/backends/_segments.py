"""Key/value slots and the runs of tokens that hold them: taken, shared, given up, taken again.

The keys and values of all contexts lie in one row of numbered *slots*. A context is a path of
segments from the root; what a token may attend to is the set of slots on its path, held as a
Python integer with bit s set for slot s. Order among slots means nothing, since a token's position
is already in its keys; so a freed slot can be given to any other token, and nothing ever moves.

Invariants. A segment with slots has a parent with slots. A table of children has, weakly, segments
whose slots are filled; two of them never begin with the same token.

Cost: a set of T slots is T / 8 bytes, copied once per new token. Slots are handed out lowest
first, which keeps the *high water mark*, the number of slots attention may have to look at, low.
"""

from __future__ import annotations

from collections import deque
from weakref import WeakSet, WeakValueDictionary

__all__ = ["Segment", "SlotPool"]


class SlotPool:
    """Hands out slot numbers, lowest first, and takes them back.

    `give_back` may be called at any time from any thread, even by the garbage collector in the
    middle of `take`: it only appends to a queue, which `take` and `in_use` empty. All else is for
    one thread at a time.

    Attributes
    ----------
    limit : int or None
        The most slots in use. Whoever takes makes room before.
    roots : WeakValueDictionary
        First token to segment, of the segments without a parent.
    segments : WeakSet
        All segments, where there is a limit.
    clock : int
        Counts the calls, where there is a limit.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.roots: WeakValueDictionary[int, Segment] = WeakValueDictionary()
        self.segments: WeakSet[Segment] = WeakSet()
        self.clock = 0
        self._used = 0
        self._returned: deque[int] = deque()

    def take(self, count: int) -> tuple[tuple[int, ...], int]:
        """Return `count` free slots in ascending order, and the same as a bit set."""
        self._collect()
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
    tokens : tuple of int
        Its own tokens, at least one.
    slots : tuple of int
        Where the keys and values of its own tokens are; none where they were given up.
    ancestors : int
        Bit set of the slots of the whole context, its own included.
    length : int
        Number of tokens of the whole context.
    used : int
        When a call last needed it; where there is no limit on slots, nobody keeps count.
    """

    __slots__ = (
        "__weakref__", "_children", "_own", "ancestors", "length", "parent", "pool", "slots",
        "tokens", "used",
    )  # fmt: skip

    def __init__(self, pool: SlotPool, parent: Segment | None, tokens: tuple[int, ...]) -> None:
        self.pool = pool
        self.parent = parent
        self.tokens = tokens
        self.length: int = len(tokens) + (0 if parent is None else parent.length)
        self.used = 0
        self._children: WeakValueDictionary[int, Segment] | None = None
        self._own = 0
        self.slots: tuple[int, ...] = ()
        self.ancestors = 0
        if pool.limit is not None:
            pool.segments.add(self)

    def __del__(self) -> None:
        # Children hold their parent, so nobody can still attend to these slots.
        self.pool.give_back(self._own)

    @property
    def is_held(self) -> bool:
        """Whether its tokens have slots."""
        return self._own != 0

    def take(self) -> None:
        """Give its tokens slots; the parent has them."""
        self.slots, self._own = self.pool.take(len(self.tokens))
        self.ancestors = self._own | (0 if self.parent is None else self.parent.ancestors)

    def give_up(self) -> None:
        """Free its slots. Whoever does so does it to all that descend from it, too."""
        self.pool.give_back(self._own)
        self._own, self.slots, self.ancestors = 0, (), 0

    def link(self) -> None:
        """Let others find it, once its slots are filled."""
        self._siblings()[self.tokens[0]] = self

    def find(self, token: int) -> Segment | None:
        """Return the child that begins with a token, if one is known."""
        return None if self._children is None else self._children.get(token)

    def split(self, count: int) -> Segment:
        """Cut the first `count` tokens off; return the new segment that has them, now the parent.

        The context that this segment stands for stays the same.
        """
        upper = Segment(self.pool, self.parent, self.tokens[:count])
        upper.slots, self.slots = self.slots[:count], self.slots[count:]
        upper._own = sum(1 << slot for slot in upper.slots)
        self._own ^= upper._own
        upper.ancestors = self.ancestors ^ self._own
        upper.used = self.used
        self.tokens = self.tokens[count:]
        self.parent = upper
        upper.link()
        self.link()
        return upper

    def _siblings(self) -> WeakValueDictionary[int, Segment]:
        parent = self.parent
        if parent is None:
            return self.pool.roots
        if parent._children is None:  # noqa: SLF001 - of this class
            parent._children = WeakValueDictionary()  # noqa: SLF001
        return parent._children  # noqa: SLF001
