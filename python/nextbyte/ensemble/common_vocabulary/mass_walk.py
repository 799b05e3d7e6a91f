"""`MassWalk`: the members' masses of the tokens after one context, as far as they were looked for.

A text that goes on behind a context walks down the trie of tokens. Where it leaves the trie, its
first token is decided: the longest one that it has passed. So a byte law at a node shares the mass
of the node among its children and, for all other bytes and the end, that token. A node whose law
was not asked for keeps its mass: it goes to tokens below it or to the longest token above, or to
nobody, where it could still reach what the context forbids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

import numpy as np

from nextbyte.byte_model import ALPHABET_SIZE
from nextbyte.ensemble.common_vocabulary.token_trie import END, Forbidden, held_after
from nextbyte.errors import UnreachableByteError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from nextbyte.byte_model import ByteState
    from nextbyte.ensemble.common_vocabulary.token_trie import Context, TokenTrie, TrieNode

    Array: TypeAlias = NDArray[np.float64]
    Flags: TypeAlias = NDArray[np.bool_]
    Integers: TypeAlias = NDArray[np.int64]

__all__ = ["Entry", "Known", "MassWalk", "Open", "Reader", "Reading"]

_MOST_STATES: Final = 1024
"""States of members that one walk holds; each may keep a row of masses. Then it begins anew."""


class Reading(NamedTuple):
    """A member's law at one node, as probabilities; lower ones where it is not exact."""

    probabilities: Array
    lower: Array | None


class Reader(Protocol):
    """Asks members for laws."""

    def __call__(
        self, wanted: Mapping[int, Sequence[ByteState]]
    ) -> dict[int, list[Reading | None]]:
        """Return the laws that members have at some states; None where there is none."""


class Entry:
    """Mass that was not followed: that of a node, or what a law with a bound leaves open there."""

    __slots__ = ("held", "high", "least", "low", "mass", "node", "path", "stop")

    def __init__(
        self,
        node: TrieNode | None,
        stop: int,
        held: tuple[TrieNode, ...],
        *,
        path: bytes | None,
        mass: Array,
        least: Array,
    ) -> None:
        self.node = node  # None behind the trie's end, where only what is held matters
        self.low = stop if node is None else node.low  # the tokens below it
        self.high = stop if node is None else node.high
        self.stop = stop  # the longest token up to here
        self.held = held
        self.path = path  # bytes behind the context; None of what cannot be followed
        self.mass = mass  # of each member
        self.least = least  # ... at the least; the same of exact members


class Known(NamedTuple):
    """Masses of tokens, the tokens in order: (tokens,), (tokens, members) twice."""

    token: Integers
    mass: Array
    least: Array


class Open(NamedTuple):
    """All entries, a row each."""

    low: Integers
    high: Integers
    stop: Integers
    safe: Flags
    """Certain not to be forbidden."""
    follows: Flags
    """It can be followed."""
    mass: Array
    least: Array
    allowed: Integers
    """Allowed tokens below it."""
    share: Array
    """One by the number of tokens it may go to."""
    stops_outside: Flags
    """The longest token up to it is none of those below."""


class MassWalk:
    """The walk behind one context; `roots` are the members that find it possible, by index."""

    def __init__(
        self,
        trie: TokenTrie,
        context: Context,
        roots: Mapping[int, ByteState],
        members: Sequence[int],
        read: Reader,
    ) -> None:
        self._trie = trie
        self._roots = dict(roots)
        self._members = list(members)
        self._read = read
        self._forbidden = Forbidden(trie, context.held)
        start = np.array([float(i in roots) for i in members])
        root = Entry(trie.root, END, context.held, path=b"", mass=start, least=start)
        self.entries = [root]
        self._found: dict[int, tuple[Array, Array]] = {}
        self._states: dict[bytes, dict[int, ByteState]] = {}
        self._arrays: tuple[Known, Open] | None = None
        self.doubtful = False  # some law had a bound
        self.refused: list[tuple[int, bytes]] = []  # members without a law, and where

    @property
    def states_held(self) -> int:
        """How many states of members are kept for walks that go on."""
        return sum(map(len, self._states.values()))

    def release(self) -> None:
        """Give those states up; they are made again where they are needed."""
        self._states.clear()

    def arrays(self) -> tuple[Known, Open]:
        """Return what is known and what is open."""
        if self._arrays is None:
            self._arrays = self._known(), self._open()
        return self._arrays

    def follow(self, chosen: Sequence[int]) -> None:
        """Ask for the laws at some entries, by index, and follow them one byte."""
        entries = [self.entries[k] for k in chosen]
        asked: dict[int, list[tuple[Entry, ByteState]]] = {}
        kept = {}
        for entry in entries:
            states = self._states_at(entry)
            kept[entry.path or b""] = states
            for i, state in states.items():
                asked.setdefault(i, []).append((entry, state))
        found = self._read({i: [state for _, state in pairs] for i, pairs in asked.items()})
        if self.states_held > _MOST_STATES:
            self.release()
        self._states.update(kept)
        readings: dict[int, dict[int, Reading]] = {id(entry): {} for entry in entries}
        for i, pairs in asked.items():
            for (entry, _), reading in zip(pairs, found[i], strict=True):
                if reading is not None:
                    readings[id(entry)][i] = reading
                else:
                    self.refused.append((i, entry.path or b""))
        gone = set(map(int, chosen))
        self.entries = [entry for k, entry in enumerate(self.entries) if k not in gone]
        for entry in entries:
            self._share_out(entry, readings[id(entry)])
        self._arrays = None

    def _states_at(self, entry: Entry) -> dict[int, ByteState]:
        """Return the states of the members that have mass at an entry."""
        path = entry.path or b""
        found: dict[int, ByteState] = {}
        for k, i in enumerate(self._members):
            if entry.mass[k] <= 0.0:
                continue
            if not path:
                found[i] = self._roots[i]
                continue
            above = self._states.get(path[:-1], {}).get(i)
            state = (self._roots[i] if above is None else above).fork()
            try:
                state.push(path if above is None else path[-1:])
            except UnreachableByteError:  # its law there was rounded up from nothing
                continue
            found[i] = state
        return found

    def _share_out(self, entry: Entry, readings: Mapping[int, Reading]) -> None:
        """Share the mass of an entry among what its next byte leads to."""
        mass = np.zeros((ALPHABET_SIZE, len(self._members)))
        least = mass
        bounded = any(reading.lower is not None for reading in readings.values())
        if bounded or not np.array_equal(entry.least, entry.mass):
            least = np.zeros_like(mass)
        for k, i in enumerate(self._members):
            if i in readings:
                reading = readings[i]
                mass[:, k] = entry.mass[k] * reading.probabilities
                lower = reading.probabilities if reading.lower is None else reading.lower
                least[:, k] = entry.least[k] * lower
        inside = {} if entry.node is None else entry.node.children
        keys = set(inside).union(*(node.children for node in entry.held))
        leaving = np.ones(ALPHABET_SIZE, dtype=bool)
        leaving[list(keys)] = False
        self._add(entry.stop, mass[leaving].sum(axis=0), least[leaving].sum(axis=0))
        alive = np.any(mass + least, axis=1).tolist()
        for byte in sorted(keys):
            if not alive[byte]:
                continue
            held = held_after(entry.held, byte)
            if held is None:  # forbidden
                continue
            child = inside.get(byte)
            stop = entry.stop if child is None else child.longest
            if not held and (child is None or not child.children):
                self._add(stop, mass[byte], least[byte])
                continue
            path = (entry.path or b"") + bytes([byte])
            self.entries.append(
                Entry(child, stop, held, path=path, mass=mass[byte], least=least[byte])
            )
        if least is not mass:
            doubt = np.maximum(entry.least - least.sum(axis=0), 0.0)
            if doubt.any():
                self.doubtful = True
                nothing = np.zeros_like(doubt)
                self.entries.append(
                    Entry(entry.node, entry.stop, entry.held, path=None, mass=nothing, least=doubt)
                )

    def _add(self, token: int, mass: Array, least: Array) -> None:
        before = self._found.get(token)
        if before is not None:
            mass, least = before[0] + mass, before[1] + least
        self._found[token] = mass, least

    def _known(self) -> Known:
        shape = (len(self._found), len(self._members))
        tokens = sorted(self._found)
        return Known(
            np.array(tokens, dtype=np.int64),
            np.array([self._found[t][0] for t in tokens]).reshape(shape),
            np.array([self._found[t][1] for t in tokens]).reshape(shape),
        )

    def _open(self) -> Open:
        shape = (len(self.entries), len(self._members))
        low, high, stop = (
            np.array([getattr(entry, name) for entry in self.entries], dtype=np.int64)
            for name in ("low", "high", "stop")
        )
        count = self._forbidden.allowed(low, high)
        outside = (stop < low) | (low == high)
        return Open(
            low=low,
            high=high,
            stop=stop,
            safe=np.array([not entry.held for entry in self.entries], dtype=bool),
            follows=np.array([entry.path is not None for entry in self.entries], dtype=bool),
            mass=np.array([entry.mass for entry in self.entries]).reshape(shape),
            least=np.array([entry.least for entry in self.entries]).reshape(shape),
            allowed=count,
            share=1.0 / np.maximum(count + outside, 1),
            stops_outside=outside,
        )
