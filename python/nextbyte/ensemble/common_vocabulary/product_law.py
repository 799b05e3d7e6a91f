"""The product of the members' token laws after one context: prod_i P_i(token | context)^w_i.

The members' normalizers are a common factor and are left out, as is the product's own: shares are
numerators, and the sum of the root's shares is what they are to be divided by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from nextbyte.ensemble.common_vocabulary.token_law import Shares, SortedOut, largest, member_shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nextbyte.ensemble.common_vocabulary.mass_walk import Known, MassWalk, Open
    from nextbyte.ensemble.common_vocabulary.token_trie import TrieNode

    Array: TypeAlias = NDArray[np.float64]
    Integers: TypeAlias = NDArray[np.int64]

__all__ = ["ProductLaw"]


class _Products(NamedTuple):
    """Products of tokens that are known, and of all tokens below an entry together."""

    value: Array
    lower: Array
    upper: Array
    group_value: Array
    group_upper: Array
    most: Array
    """Upper masses of the members, (tokens, members)."""


def _powers(low: Array, high: Array, weights: Array) -> tuple[Array, Array]:
    """Return the least and the most of prod_i x_i^w_i, x_i in [low, high], over the last axis.

    By the rule's definition it is 0 where some x_i is, at a negative weight too.
    """
    rising = weights > 0.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        least = np.exp((weights * np.log(np.where(rising, low, high))).sum(axis=-1))
        most = np.exp((weights * np.log(np.where(rising, high, low))).sum(axis=-1))
    least = np.where((low <= 0.0).any(axis=-1), 0.0, least)
    most = np.where((high <= 0.0).any(axis=-1), 0.0, most)
    return least, most


class ProductLaw:
    """See `TokenLaw`.

    Of n tokens that nothing is known about but the members' masses together, m_i, the products sum
    to at most n^max(0, 1 - W) prod_i m_i^w_i, W the sum of the weights: Hoelder's inequality.
    """

    def __init__(self, walk: MassWalk, weights: Array, root: TrieNode) -> None:
        self.walk = walk
        self._weights = weights
        self._root = root
        self._made: tuple[Known, _Products] | None = None

    def refine(self, node: TrieNode, tolerance: float, *, by_token: bool = False) -> bool:
        """Ask for laws until no more than `tolerance` of a node's mass is undecided."""
        del by_token  # it always is
        asked = False
        while len(chosen := self._wanted(node, tolerance)):
            self.walk.follow(chosen.tolist())
            asked = True
        return asked

    def shares(self, node: TrieNode) -> Shares:
        """Return the shares of a node."""
        known, entries = self.walk.arrays()
        out = SortedOut(node, known, entries)
        products = self._products()
        value, lower, upper = np.zeros((3, out.count))
        for sums, each in zip(
            (value, lower, upper), (products.value, products.lower, products.upper), strict=True
        ):
            np.add.at(sums, out.token_shares, each[out.tokens])
        inside = out.touches & out.contained
        np.add.at(value, out.first[inside], products.group_value[inside])
        np.add.at(upper, out.first[inside], products.group_upper[inside])
        upper += products.group_upper[out.touches & ~out.contained].sum()
        if not entries.least[out.touches].any():
            return Shares(value, value, value, exact=True)
        return Shares(value, lower, upper, exact=False)

    def impossible(self, node: TrieNode) -> list[int]:
        """Return the members, by their place, for which a node's own token is impossible."""
        *_, upper = member_shares(node, *self.walk.arrays())
        return np.flatnonzero(upper[0] <= 0.0).tolist()

    def token_bounds(self, count: int) -> tuple[Array, Array]:
        """Return bounds of all tokens."""
        known, entries = self.walk.arrays()
        products = self._products()
        lower, upper = np.zeros(count), np.zeros(count)
        for low, high, most in zip(entries.low, entries.high, products.group_upper, strict=True):
            upper[low:high] = np.maximum(upper[low:high], most)
        lower[known.token], upper[known.token] = products.lower, products.upper
        total = self.shares(self._root)
        others_most = np.maximum(total.upper.sum() - products.upper.sum(), 0.0)
        rest_most = np.full(count, total.upper.sum())
        rest_most[known.token] = others_most + products.upper.sum() - products.upper
        rest_least = np.maximum(total.lower.sum() - lower, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            low = np.where(lower > 0.0, lower / (lower + rest_most), 0.0)
            high = np.where(upper == np.inf, 1.0, upper / (upper + rest_least))
        return low, np.where(upper > 0.0, high, 0.0)

    def _products(self) -> _Products:
        known, entries = self.walk.arrays()
        if self._made is not None and self._made[0] is known:
            return self._made[1]
        value, upper = known.mass.copy(), known.least.copy()
        stopping = np.flatnonzero(entries.stops_outside)
        at = np.searchsorted(known.token, entries.stop[stopping])
        np.add.at(value, at, (entries.mass * entries.share[:, None])[stopping])
        np.add.at(upper, at, entries.least[stopping])
        upper += self._doubt(known.token, entries)
        most = entries.least + self._doubt(entries.low, entries)
        size = np.maximum(entries.allowed, 1.0) ** max(0.0, 1.0 - self._weights.sum())
        spread = entries.mass * entries.share[:, None]
        group_value = entries.allowed * self._power(spread)
        # What laws with bounds leave open may also be of tokens that nobody is known to give mass:
        # of those below the same open entry, no more than what is open there and above.
        group_upper = np.where(
            entries.allowed > 0, size * _powers(most * 0.0, most, self._weights)[1], 0.0
        )
        low, high = _powers(known.least, upper, self._weights)
        products = _Products(self._power(value), low, high, group_value, group_upper, upper)
        self._made = known, products
        return products

    def _power(self, mass: Array) -> Array:
        return _powers(mass, mass, self._weights)[0]

    @staticmethod
    def _doubt(token: Integers, entries: Open) -> Array:
        """Return what laws with bounds leave open and may be a token's, (tokens, members)."""
        doubt = np.zeros((len(token), entries.least.shape[1]))
        for k in np.flatnonzero(~entries.follows):
            covered = (token >= entries.low[k]) & (token < entries.high[k])
            doubt[covered] += entries.least[k]
        return doubt

    def _wanted(self, node: TrieNode, tolerance: float) -> Integers:
        """Return the entries to follow next."""
        known, entries = self.walk.arrays()
        out = SortedOut(node, known, entries)
        can = entries.follows & out.touches & entries.mass.any(axis=1)
        if tolerance == 0.0:
            return np.flatnonzero(can)
        products = self._products()
        sizes = products.group_upper.copy()
        stopping = np.flatnonzero(entries.stops_outside & can)
        at = np.searchsorted(known.token, entries.stop[stopping])
        without = np.maximum(products.most[at] - entries.least[stopping], 0.0)
        sizes[stopping] += products.upper[at] - _powers(without, without, self._weights)[0]
        on_the_way = can & ~out.contained
        within = np.flatnonzero(can & out.contained)
        budget = tolerance * float(self.shares(node).value.sum())
        return np.concatenate([np.flatnonzero(on_the_way), largest(within, sizes[within], budget)])
