"""The mixture of the members' token laws after one context: sum_i w_i P_i(token | context)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from nextbyte.ensemble.common_vocabulary.token_law import (
    Shares,
    SortedOut,
    largest,
    member_shares,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nextbyte.ensemble.common_vocabulary.mass_walk import MassWalk
    from nextbyte.ensemble.common_vocabulary.token_trie import TrieNode

    Array: TypeAlias = NDArray[np.float64]
    Integers: TypeAlias = NDArray[np.int64]

__all__ = ["MixtureLaw"]


class MixtureLaw:
    """See `TokenLaw`. A member that finds the context impossible leaves its weight to the others.

    With k the mass of tokens that is known of a member and e the open one, the member's law is
    q(A) = (k(A) + e(A)) / (k + e), where a part of e may be forbidden. It is least with nothing in
    A and everything elsewhere: k(A) / (k + e). It is at most x / max(x, k), x = k(A) + e(A).
    """

    def __init__(self, walk: MassWalk, weights: Array) -> None:
        self.walk = walk
        self._weights = weights

    def refine(self, node: TrieNode, tolerance: float, *, by_token: bool = False) -> bool:
        """Ask for laws until no more than `tolerance` of a node's mass is undecided."""
        asked = False
        while len(chosen := self._wanted(node, tolerance, by_token=by_token)):
            self.walk.follow(chosen.tolist())
            asked = True
        return asked

    def shares(self, node: TrieNode) -> Shares:
        """Return the shares of a node."""
        known, entries = self.walk.arrays()
        out, value, lower, upper = member_shares(node, known, entries)
        weights, total = self._weights_here()
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.where(total > 0.0, value / total, 0.0) @ weights
        open_here = out.touches & ~out.certain & entries.least.any(axis=1)
        exact = not open_here.any() and not entries.least[~entries.safe].any()
        if exact:
            return Shares(found, found, found, exact=True)
        least, most = self._totals()
        if ((least <= 0.0) & (most > 0.0)).any():  # perhaps the context is impossible for one
            return Shares(found, np.zeros_like(found), np.ones_like(found), exact=False)
        with np.errstate(invalid="ignore", divide="ignore"):
            low = np.where(most > 0.0, lower / most, 0.0) @ weights
            high = np.where(upper > 0.0, upper / np.maximum(least, upper), 0.0) @ weights
        return Shares(found, low, np.minimum(high, 1.0), exact=False)

    def impossible(self, node: TrieNode) -> list[int]:
        """Return the members, by their place, for which a node's own token is impossible."""
        *_, upper = member_shares(node, *self.walk.arrays())
        return np.flatnonzero(upper[0] <= 0.0).tolist()

    def token_bounds(self, count: int) -> tuple[Array, Array]:
        """Return bounds of all tokens."""
        known, entries = self.walk.arrays()
        members = known.mass.shape[1]
        lower, open_ = np.zeros((count, members)), np.zeros((count + 1, members))
        lower[known.token] = known.least
        np.add.at(open_, entries.low, entries.least)
        np.add.at(open_, entries.high, -entries.least)
        open_ = np.maximum(np.cumsum(open_, axis=0)[:-1], 0.0)
        outside = entries.stops_outside
        np.add.at(open_, entries.stop[outside], entries.least[outside])
        upper = lower + open_
        weights, _ = self._weights_here()
        least, most = self._totals()
        if ((least <= 0.0) & (most > 0.0)).any():
            return np.zeros(count), np.ones(count)
        with np.errstate(invalid="ignore", divide="ignore"):
            low = np.where(most > 0.0, lower / most, 0.0) @ weights
            high = np.where(upper > 0.0, upper / np.maximum(least, upper), 0.0) @ weights
        return low, np.minimum(high, 1.0)

    def _totals(self) -> tuple[Array, Array]:
        """Return the least and the most that each member's allowed mass can be."""
        known, entries = self.walk.arrays()
        least = known.least.sum(axis=0) + entries.least[entries.safe].sum(axis=0)
        return least, least + entries.least[~entries.safe].sum(axis=0)

    def _weights_here(self) -> tuple[Array, Array]:
        """Return the weights of those that find the context possible, and the members' masses."""
        known, entries = self.walk.arrays()
        total = known.mass.sum(axis=0) + entries.mass.sum(axis=0)
        weights = np.where(total > 0.0, self._weights, 0.0)
        return weights / max(weights.sum(), np.finfo(float).tiny), total

    def _wanted(self, node: TrieNode, tolerance: float, *, by_token: bool) -> Integers:
        """Return the entries to follow next."""
        known, entries = self.walk.arrays()
        weights, total = self._weights_here()
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = np.where(total > 0.0, weights / total, 0.0)
        sizes = entries.mass @ scale
        can = entries.follows & entries.mass.any(axis=1)
        out = SortedOut(node, known, entries)
        on_the_way = can & out.touches & ~out.contained
        inside = can & out.touches & out.contained & ~out.certain
        if by_token:
            several = entries.allowed + entries.stops_outside > 1
            inside = can & out.touches & out.contained & (several | ~entries.safe)
        outside = can & ~out.touches & ~entries.safe
        least, most = self._totals()
        unsure = bool(((least <= 0.0) & (most > 0.0)).any())
        if tolerance == 0.0 or unsure:
            if tolerance > 0.0:
                inside |= can & ~entries.safe
            return np.flatnonzero(on_the_way | inside | outside)
        _, value, _, _ = member_shares(node, known, entries)
        budget = tolerance * float(value.sum(axis=0) @ scale)
        within, beyond = np.flatnonzero(inside), np.flatnonzero(outside)
        return np.concatenate(
            [
                np.flatnonzero(on_the_way),
                largest(within, sizes[within], budget),
                largest(beyond, sizes[beyond], tolerance),
            ]
        )
