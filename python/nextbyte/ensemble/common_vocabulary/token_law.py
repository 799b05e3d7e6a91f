"""`TokenLaw`: what the members' masses behind one context say about tokens together, by rule.

The law is asked for one node of the trie at a time: how much of it is the node's own token, and how
much is below each child. Of a mixture most of that needs no more than the byte laws on the way to
the node: mass below a child is the child's, whichever token it will be. A product is one of single
tokens, so it needs the mass of each. docs/theory.md has the proofs of the bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nextbyte.ensemble.common_vocabulary.mass_walk import Known, MassWalk, Open
    from nextbyte.ensemble.common_vocabulary.token_trie import TrieNode

    Array: TypeAlias = NDArray[np.float64]
    Flags: TypeAlias = NDArray[np.bool_]
    Integers: TypeAlias = NDArray[np.int64]

__all__ = ["Shares", "SortedOut", "TokenLaw", "TokenRule", "largest", "member_shares"]

TokenRule: TypeAlias = Literal["mixture", "product"]


class Shares(NamedTuple):
    """Shares of a node's own token, first, and of each child: (1 + children,) each.

    Of a product they have a common factor, one over the law's total.
    """

    value: Array
    lower: Array
    upper: Array
    exact: bool


class TokenLaw(Protocol):
    """The law of the token after a context."""

    walk: MassWalk

    def refine(self, node: TrieNode, tolerance: float, *, by_token: bool = False) -> bool:
        """Ask for laws until no more than `tolerance` of a node's mass is undecided.

        `by_token`: even about which token below a child it belongs to. Returns whether anything was
        asked.
        """

    def shares(self, node: TrieNode) -> Shares:
        """Return the shares of a node, as far as they are known."""

    def impossible(self, node: TrieNode) -> list[int]:
        """Return the members, by their place, for which a node's own token is impossible."""

    def token_bounds(self, count: int) -> tuple[Array, Array]:
        """Return (lower, upper) probabilities of all tokens, (count,) each, by number."""


class SortedOut:
    """Which share of a node everything known and open belongs to."""

    def __init__(self, node: TrieNode, known: Known, entries: Open) -> None:
        self.count = 1 + len(node.children)
        first, last = np.searchsorted(known.token, [node.low, node.high])
        self.tokens = slice(int(first), int(last))
        self.token_shares = self._share(node, known.token[self.tokens])
        below = entries.high > entries.low
        stop_inside = (entries.stop >= node.low) & (entries.stop < node.high)
        overlaps = below & (entries.low < node.high) & (entries.high > node.low)
        self.touches = overlaps | stop_inside
        self.stops = self._share(node, entries.stop)
        self.first = np.where(below, self._share(node, entries.low), self.stops)
        last_of = np.where(below, self._share(node, entries.high - 1), self.stops)
        self.contained = np.where(
            below,
            (entries.low >= node.low) & (entries.high <= node.high) & (self.first == last_of),
            stop_inside,
        )
        self.stops_inside = stop_inside
        self.certain = entries.safe & self.contained & stop_inside & (self.stops == self.first)
        self.elsewhere = stop_inside & self.contained & (self.stops != self.first)

    @staticmethod
    def _share(node: TrieNode, token: Integers) -> Integers:
        found: Integers = np.searchsorted(node.starts_below, token, side="right")
        return found


def member_shares(
    node: TrieNode, known: Known, entries: Open
) -> tuple[SortedOut, Array, Array, Array]:
    """Return each member's shares of a node: value, lower and upper, (shares, members) each."""
    out = SortedOut(node, known, entries)
    members = known.mass.shape[1]
    value, lower = np.zeros((out.count, members)), np.zeros((out.count, members))
    np.add.at(value, out.token_shares, known.mass[out.tokens])
    np.add.at(lower, out.token_shares, known.least[out.tokens])
    inside = out.touches & out.contained
    spread = entries.mass * entries.share[:, None]
    np.add.at(value, out.first[inside], (spread * entries.allowed[:, None])[inside])
    stopping = entries.stops_outside & out.stops_inside
    np.add.at(value, out.stops[stopping], spread[stopping])
    np.add.at(lower, out.first[out.certain], entries.least[out.certain])
    upper = lower.copy()
    perhaps = inside & ~out.certain
    np.add.at(upper, out.first[perhaps], entries.least[perhaps])
    np.add.at(upper, out.stops[out.elsewhere], entries.least[out.elsewhere])
    upper += entries.least[out.touches & ~out.contained].sum(axis=0)
    return out, value, lower, upper


def largest(indices: Integers, sizes: Array, budget: float) -> Integers:
    """Return the fewest of some indices so that the sizes of the rest sum to at most `budget`.

    Examples
    --------
    >>> largest(np.array([4, 7, 9]), np.array([0.1, 0.5, 0.2]), 0.15)
    array([7, 9])
    """
    order = np.argsort(-sizes, kind="stable")
    behind = np.cumsum(sizes[order][::-1])[::-1]  # of each and those after it
    found: Integers = indices[order[behind > budget]]
    return found
