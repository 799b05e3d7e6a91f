"""The arithmetic of ensembles: members' laws and weights in, one law out; certified intervals.

A *law* is a row of 257 natural log-probabilities, p_i that of member i; w_i are weights.

- *mixture*: p(b) = sum_i w_i p_i(b), w_i >= 0 of sum one;
- *posterior*: the mixture with w_i proportional to prior_i times P_i(bytes so far);
- *product*: p(b) proportional to prod_i p_i(b)^w_i, any real w_i. Its support is the common
  support of the members: what one member finds impossible is impossible, also where its weight is
  negative (0^-1 would say "certain", and two such symbols nothing at all).

Intervals. Where a member gives the interval [l_i(b), u_i(b)] for its true q_i(b), the functions
below return intervals for the true law of the ensemble, and from them a bound on the total
variation. All of it is monotone arithmetic; the proofs are with the functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from nextbyte.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

__all__ = [
    "RULES",
    "Rule",
    "box_to_intervals",
    "checked_weights",
    "intervals_from_total_variation",
    "log_sum",
    "mixture_intervals",
    "mixture_law",
    "product_intervals",
    "product_law",
    "total_variation_bound",
]

Rule: TypeAlias = Literal["mixture", "product", "posterior"]

RULES: Final[tuple[Rule, ...]] = ("mixture", "product", "posterior")


def checked_weights(weights: Sequence[float] | None, count: int, rule: Rule) -> Array:
    """Return the weights of `count` members as an array that `rule` can use.

    Parameters
    ----------
    weights
        One finite number a member; None for equal ones, which sum to one. Those of a mixture and
        the priors of a posterior must not be negative and are scaled to sum to one; those of a
        product are taken as they are.

    Raises
    ------
    InvalidInputError
        Another number of weights, one that is not finite, a negative one where it has no meaning,
        or all of them zero.

    Examples
    --------
    >>> checked_weights([3, 1], 2, "mixture")
    array([0.75, 0.25])
    >>> checked_weights([1, 1, -1], 3, "product")
    array([ 1.,  1., -1.])
    """
    if weights is None:
        return np.full(count, 1.0 / count)
    try:
        found = np.array(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"weights must be numbers, not {weights!r:.80}") from error
    if found.shape != (count,):
        raise InvalidInputError(
            f"weights must be {count} numbers, one a member, not {weights!r:.80}"
        )
    if not np.isfinite(found).all():
        raise InvalidInputError(f"weights must be finite, not {weights!r:.80}")
    if not found.any():
        raise InvalidInputError("all weights are zero: no member would have a say")
    if rule == "product":
        return found
    if (found < 0.0).any():
        raise InvalidInputError(
            f"weights of a {rule} must not be negative, not {weights!r:.80}; "
            'rule="product" takes any real weights'
        )
    found /= found.max()  # first, so that the sum cannot overflow
    found /= found.sum()
    return found


def log_sum(values: Array) -> float:
    """Return log(sum(exp(values))), -inf where there is nothing to sum.

    Examples
    --------
    >>> log_sum(np.array([-np.inf, 0.0]))
    0.0
    """
    highest = float(values.max(initial=-np.inf))
    if not np.isfinite(highest):
        return highest
    with np.errstate(under="ignore"):
        return highest + float(np.log(np.exp(values - highest).sum()))


def mixture_law(rows: Array, log_weights: Array) -> Array:
    """Return the weighted mean of laws: rows (n, 257), natural logs of weights that sum to one.

    Summed in logarithms, so that no symbol is lost that some member finds possible.

    Examples
    --------
    >>> np.exp(mixture_law(np.log([[0.5, 0.5], [0.1, 0.9]]), np.log([0.5, 0.5]))).round(9)
    array([0.3, 0.7])
    """
    summed: Array = np.logaddexp.reduce(rows + log_weights[:, None], axis=0)
    return np.minimum(summed, 0.0)


def product_law(rows: Array, weights: Array) -> Array | None:
    """Return the weighted geometric mean of laws, renormalized; None where nothing is possible.

    Examples
    --------
    >>> np.exp(product_law(np.log([[0.5, 0.5], [0.2, 0.8]]), np.array([1.0, -1.0]))).round(9)
    array([0.8, 0.2])
    """
    possible = np.isfinite(rows).all(axis=0)
    if not possible.any():
        return None
    law = np.full(rows.shape[1], -np.inf)
    scores = weights @ rows[:, possible]
    law[possible] = np.minimum(scores - log_sum(scores), 0.0)
    return law


def intervals_from_total_variation(law: Array, bound: float) -> tuple[Array, Array]:
    """Return (lower, upper) probabilities of any law within total variation `bound` of `law`.

    |q(b) - p(b)| <= TV(p, q) for every single symbol, being |q(A) - p(A)| for A = {b}.
    """
    with np.errstate(under="ignore"):
        probabilities = np.exp(law)
    return np.maximum(probabilities - bound, 0.0), np.minimum(probabilities + bound, 1.0)


def mixture_intervals(
    lower: Array, upper: Array, weights_lower: Array, weights_upper: Array
) -> tuple[Array, Array]:
    """Return intervals of sum_i v_i q_i(b) for v_i and q_i(b) in theirs, v of sum one.

    All terms are products of numbers that are not negative, so the ends are reached at the ends.
    """
    return weights_lower @ lower, np.minimum(weights_upper @ upper, 1.0)


def product_intervals(lower: Array, upper: Array, weights: Array) -> tuple[Array, Array]:
    """Return intervals of the renormalized product of q_i(b)^w_i, q_i(b) in [lower, upper].

    x^w rises with x for w > 0 and falls for w < 0, so each factor is between the powers of its
    ends, and the product between the products. By the rule's definition it is 0 where some q_i(b)
    is: so its lower end is 0 where any lower end is, and both are where an upper end is. Then
    `box_to_intervals`.
    """
    with np.errstate(divide="ignore"):
        low, high = np.log(lower), np.log(upper)
    rising = weights[:, None] > 0.0
    scaled_low = weights[:, None] * np.where(rising, low, high)
    scaled_high = weights[:, None] * np.where(rising, high, low)
    never = (upper <= 0.0).any(axis=0)
    perhaps_not = (lower <= 0.0).any(axis=0)
    # Where `never`, opposite infinities may meet below: those columns are not read.
    box_low = np.full(lower.shape[1], -np.inf)
    box_high = np.full(lower.shape[1], -np.inf)
    certain = ~perhaps_not
    box_low[certain] = scaled_low[:, certain].sum(axis=0)
    box_high[~never] = scaled_high[:, ~never].sum(axis=0)
    return box_to_intervals(box_low, box_high)


def box_to_intervals(low: Array, high: Array) -> tuple[Array, Array]:
    """Return intervals of m(b) / sum m for natural log-masses log m(b) in [low, high].

    m / (m + r) rises with the symbol's own mass m and falls with the rest r: so its least value is
    at the least m and the greatest rest, and the other way round.

    Examples
    --------
    >>> box_to_intervals(np.log([1.0, 1.0]), np.log([1.0, 3.0]))
    (array([0.25, 0.5 ]), array([0.5 , 0.75]))
    """
    unbounded = high == np.inf
    scale = float(np.max(high[~unbounded], initial=-np.inf))
    if not np.isfinite(scale):
        scale = 0.0
    with np.errstate(under="ignore"):
        least, most = np.exp(low - scale), np.exp(np.where(unbounded, -np.inf, high) - scale)
    most[unbounded] = np.inf
    rest_most = _sum_of_others(most)
    rest_least = _sum_of_others(least)
    lower = np.zeros_like(least)
    some = (least > 0.0) & np.isfinite(rest_most)
    lower[some] = least[some] / (least[some] + rest_most[some])
    upper = np.where(most > 0.0, 1.0, 0.0)
    some = (most > 0.0) & np.isfinite(most) & (rest_least > 0.0)
    upper[some] = most[some] / (most[some] + rest_least[some])
    return lower, upper


def _sum_of_others(values: Array) -> Array:
    """Return for each value the sum of all others, without any subtraction."""
    before = np.concatenate([[0.0], np.cumsum(values[:-1])])
    behind = np.concatenate([np.cumsum(values[:0:-1])[::-1], [0.0]])
    return np.asarray(before + behind, dtype=np.float64)


def total_variation_bound(probabilities: Array, lower: Array, upper: Array) -> float:
    """Return the most that TV(p, q) can be for a law q in [lower, upper].

    TV(p, q) = sum_b (q(b) - p(b))^+ = sum_b (p(b) - q(b))^+, as both laws sum to one; the first is
    at most sum_b (upper(b) - p(b))^+, the second at most sum_b (p(b) - lower(b))^+.

    Examples
    --------
    >>> p = np.array([0.5, 0.5])
    >>> total_variation_bound(p, p - 0.125, np.array([1.0, 1.0]))
    0.25
    """
    above = float(np.maximum(upper - probabilities, 0.0).sum())
    below = float(np.maximum(probabilities - lower, 0.0).sum())
    return min(above, below, 1.0)
