"""`TokenTrie`: the tokens that all members have, as a trie, and the greedy longest match over them.

Tokens are numbered in the order of their bytes. Number 0 is the empty string, which stands for the
end of the text: the tokens below a node of the trie are then a range, and the token that a text
reaches when it leaves the trie at a node is always the last one above it.

A *context* is a sequence of tokens that the greedy longest match can output. Bytes behind it can
still make one of its tokens longer; then it was not the output. So it *holds* the nodes at which
its last tokens stand, and bytes that lead any of them to a token are forbidden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from numpy.typing import NDArray

    Integers: TypeAlias = NDArray[np.int64]

__all__ = ["END", "Context", "Forbidden", "Place", "TokenTrie", "TrieNode", "held_after"]

END: Final = 0
"""The number of the empty token: the text ends."""

_NONE: Final = -1


class TrieNode:
    """A byte string that some token begins with."""

    __slots__ = ("bytes_below", "children", "high", "longest", "low", "starts_below", "token")

    def __init__(self, low: int, longest: int) -> None:
        self.children: dict[int, TrieNode] = {}
        self.low, self.high = low, low  # its tokens, itself included
        self.token = _NONE  # its own number, if it is a token
        self.longest = longest  # the longest token that it begins with
        self.bytes_below: Integers
        self.starts_below: Integers  # the first token of each child

    @property
    def is_token(self) -> bool:
        """Whether the string is itself a token."""
        return self.token != _NONE


Held: TypeAlias = tuple[TrieNode, ...]


class TokenTrie:
    """Tokens by their bytes.

    Examples
    --------
    >>> trie = TokenTrie([b"a", b"ab"])
    >>> trie.tokens
    (b'', b'a', b'ab')
    >>> node = trie.find(b"a")
    >>> node.low, node.high, node.longest
    (1, 3, 1)
    """

    def __init__(self, spellings: Iterable[bytes]) -> None:
        self.tokens = (b"", *sorted(set(spellings) - {b""}))
        self.root = TrieNode(END, END)
        self.nodes = [self.root]  # of every token
        everything = [self.root]
        for token, spelling in enumerate(self.tokens):
            node = self.root
            node.high = token + 1
            for byte in spelling:
                if byte not in node.children:
                    node.children[byte] = TrieNode(token, node.longest)
                    everything.append(node.children[byte])
                node = node.children[byte]
                node.high = token + 1
            node.token = node.longest = token
            if spelling:
                self.nodes.append(node)
        for node in everything:  # children came in the order of their bytes
            node.bytes_below = np.array(list(node.children), dtype=np.int64)
            node.starts_below = np.array([c.low for c in node.children.values()], dtype=np.int64)

    def find(self, data: bytes) -> TrieNode | None:
        """Return the node of a byte string, None where no token begins with it."""
        node: TrieNode | None = self.root
        for byte in data:
            node = None if node is None else node.children.get(byte)
        return node

    def starting_places(self) -> tuple[Place, ...]:
        """Return where a text begins."""
        return (Place(Context(), self.root, ()),)


def held_after(held: Held, byte: int) -> Held | None:
    """Return what is held one byte later, None if the byte is forbidden.

    Examples
    --------
    >>> trie = TokenTrie([b"a", b"b", b"c", b"abc"])
    >>> later = held_after((trie.find(b"a"),), ord("b"))
    >>> held_after(later, ord("c")) is None, held_after(later, ord("b"))
    (True, ())
    """
    found = []
    for node in held:
        child = node.children.get(byte)
        if child is None:
            continue
        if child.is_token:
            return None
        found.append(child)
    return tuple(found)


class Context:
    """Tokens that the greedy longest match may output; knows the context without the last one."""

    __slots__ = ("depth", "held", "length", "parent", "token")

    def __init__(
        self, parent: Context | None = None, token: int = END, length: int = 0, held: Held = ()
    ) -> None:
        self.parent = parent
        self.token = token
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.length = length  # bytes
        self.held = held

    @property
    def tokens(self) -> list[int]:
        """Its tokens, by number."""
        return [context.token for context in self.way_from(None)]

    def way_from(self, above: Container[Context] | None) -> list[Context]:
        """Return the contexts below the nearest of `above`, or all but the empty one, in order."""
        found: list[Context] = []
        context = self
        while context.parent is not None and (above is None or context not in above):
            found.append(context)
            context = context.parent
        return found[::-1]


class Place(NamedTuple):
    """A context, and bytes behind it which are the beginning of the next token."""

    context: Context
    node: TrieNode
    held: Held

    @staticmethod
    def after(places: tuple[Place, ...], byte: int, trie: TokenTrie) -> tuple[Place, ...]:
        """Return all places that a text has after one more byte; never none."""
        found = []
        for context, node, held in places:
            child = node.children.get(byte)
            later = None if child is None else held_after(held, byte)
            if child is None or later is None:
                continue
            if child.children:
                found.append(Place(context, child, later))
            if child.is_token:
                holding = (child, *later) if child.children else later
                length = context.length + len(trie.tokens[child.token])
                longer = Context(context, child.token, length, holding)
                found.append(Place(longer, trie.root, holding))
        return tuple(found)


class Forbidden:
    """The tokens that cannot follow a context, as ranges of numbers.

    Examples
    --------
    >>> trie = TokenTrie([b"a", b"b", b"ba", b"c", b"ab"])  # numbered 1: a, ab, b, ba, c
    >>> forbidden = Forbidden(trie, (trie.find(b"a"),))  # after "a" nothing that begins with "b"
    >>> forbidden.allowed(np.array([1, 3]), np.array([6, 5]))
    array([3, 0])
    """

    def __init__(self, trie: TokenTrie, held: Held) -> None:
        ranges = set()
        waiting = [(node, trie.root) for node in held]
        while waiting:
            node, own = waiting.pop()
            for byte, child in node.children.items():
                below = own.children.get(byte)
                if below is None:
                    continue
                if child.is_token:
                    ranges.add((below.low, below.high))
                else:
                    waiting.append((child, below))
        lows, highs = [0], [0]
        for low, high in sorted(ranges, key=lambda ends: (ends[0], -ends[1])):
            if low >= highs[-1]:  # else it is inside the one before
                lows.append(low)
                highs.append(high)
        self._lows = np.array(lows, dtype=np.int64)
        self._sizes = np.array(highs, dtype=np.int64) - self._lows
        self._before = np.cumsum(self._sizes) - self._sizes

    def allowed(self, low: Integers, high: Integers) -> Integers:
        """Return how many tokens of each range can follow."""
        found: Integers = (high - low) - (self._below(high) - self._below(low))
        return found

    def _below(self, token: Integers) -> Integers:
        """Return how many forbidden tokens have a smaller number."""
        at = np.searchsorted(self._lows, token, side="right") - 1
        inside = np.minimum(token - self._lows[at], self._sizes[at])
        found: Integers = self._before[at] + inside
        return found
