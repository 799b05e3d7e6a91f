"""The law of the next byte, made of the laws of tokens behind the contexts that a text may be in.

P(b | y) is Q(texts that begin with yb) over the sum of that for all symbols. A text that begins
with yb has read some tokens, a context that spells a beginning of y, and its next token begins with
the rest of y and b. So Q(yb) is a sum over contexts of their weight times a share of the law behind
them. Weights are relative to the last context that all have in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from nextbyte.byte_model import ALPHABET_SIZE, END_OF_TEXT
from nextbyte.ensemble.rules import box_to_intervals, total_variation_bound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from nextbyte.ensemble.common_vocabulary.text import Owner
    from nextbyte.ensemble.common_vocabulary.token_law import TokenLaw
    from nextbyte.ensemble.common_vocabulary.token_trie import Context, Place

    Array: TypeAlias = NDArray[np.float64]
    LawAfter: TypeAlias = Callable[[Context], TokenLaw]

__all__ = ["ByteLaw", "combined"]

_TINY = float(np.finfo(float).tiny)


class ByteLaw(NamedTuple):
    """A law of the next byte: natural logs; certain bounds, as probabilities; total variation."""

    logprobs: Array
    lower: Array
    upper: Array
    bound: float


class _Weight(NamedTuple):
    """The probability of a context relative to the one that all have in common."""

    value: float
    lower: float
    upper: float


def combined(
    owner: Owner, places: Sequence[Place], law_after: LawAfter, tolerances: Sequence[float]
) -> tuple[ByteLaw | None, list[float]]:
    """Return the law at some places, the laws behind each refined to its own tolerance.

    Returns
    -------
    ByteLaw or None
        None where no symbol is possible.
    list of float
        How much of the law each place has at the most, over the sum of that.
    """
    base = _common([place.context for place in places])
    weighing = _Weighing(owner, base, law_after)
    sums = np.zeros((3, ALPHABET_SIZE))
    sizes = []
    for place, tolerance in zip(places, tolerances, strict=True):
        factors = weighing.weight(place.context, tolerance)
        law = law_after(place.context)
        law.refine(place.node, tolerance)
        shares = law.shares(place.node)
        weighing.exact &= shares.exact
        if place.context is not base:
            factors = weighing.over_total(factors, law, tolerance)
        symbols = [END_OF_TEXT, *place.node.bytes_below.tolist()]
        found = np.stack([shares.value, shares.lower, shares.upper])
        # Of nothing there is nothing, however much a context may weigh.
        np.multiply(found, np.array(factors)[:, None], out=found, where=found > 0.0)
        if place.node is not owner.trie.root:  # its own token is another place's context
            found, symbols = found[:, 1:], symbols[1:]
        sums[:, symbols] += found
        sizes.append(float(found[2].sum()))
    most = sum(sizes)
    parts = [max(size / most, _TINY) if 0.0 < most < np.inf else 1.0 for size in sizes]
    return _normalized(sums, exact=weighing.exact), parts


def _normalized(sums: Array, *, exact: bool) -> ByteLaw | None:
    """Return the law of masses: their values, and between what they are."""
    value, lower, upper = sums
    if not value.sum() > 0.0:
        return None
    with np.errstate(divide="ignore", under="ignore"):
        logprobs = np.minimum(np.log(value) - np.log(value.sum()), 0.0)
        law = np.exp(logprobs)
        if exact:
            return ByteLaw(logprobs, law, law, 0.0)
        low, high = box_to_intervals(np.log(lower), np.log(upper))
    low, high = np.minimum(low, law), np.maximum(high, law)
    return ByteLaw(logprobs, low, high, total_variation_bound(law, low, high))


class _Weighing:
    """Weights of contexts, each computed once; whether all that went into them is exact."""

    def __init__(self, owner: Owner, base: Context, law_after: LawAfter) -> None:
        self._owner = owner
        self._base = base
        self._law_after = law_after
        self._weights = {base: _Weight(1.0, 1.0, 1.0)}
        self.exact = True

    def weight(self, context: Context, tolerance: float) -> _Weight:
        """Return the weight of a context, by those between it and the base."""
        for child in context.way_from(self._weights):
            parent = child.parent or self._base
            node = self._owner.trie.nodes[child.token]
            law = self._law_after(parent)
            law.refine(node, tolerance)
            shares = law.shares(node)
            self.exact &= shares.exact
            weight = self._weights[parent]
            if parent is not self._base:
                weight = self.over_total(weight, law, tolerance)
            own = shares.value[0], shares.lower[0], shares.upper[0]
            self._weights[child] = _Weight(
                *(float(w * s) if s > 0.0 else 0.0 for w, s in zip(weight, own, strict=True))
            )
        return self._weights[context]

    def over_total(self, weight: _Weight, law: TokenLaw, tolerance: float) -> _Weight:
        """Divide a weight by the sum of a law's shares; the base's is common to all."""
        if self._owner.rule != "product":
            return weight
        root = self._owner.trie.root
        law.refine(root, tolerance)
        shares = law.shares(root)
        self.exact &= shares.exact
        value, least, most = shares.value.sum(), shares.lower.sum(), shares.upper.sum()
        return _Weight(
            weight.value / value if value > 0.0 else 0.0,
            weight.lower / most if most > 0.0 else 0.0,
            weight.upper / least if least > 0.0 else (np.inf if weight.upper > 0.0 else 0.0),
        )


def _common(contexts: Sequence[Context]) -> Context:
    """Return the deepest context that is at or above all."""
    found = set(contexts)
    while len(found) > 1:
        deepest = max(found, key=lambda context: context.depth)
        found.remove(deepest)
        if deepest.parent is not None:
            found.add(deepest.parent)
    return found.pop()
