"""What the members of an ensemble weigh at one position, and what that leaves uncertain.

*Evidence* is log P_i(bytes so far), which weighs the members of a posterior. A lazy member's is
known between bounds only, the products of those of its laws; then the weights are, too.
docs/theory.md has the proofs of the bounds in its last section.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from nextbyte.ensemble.rules import (
    box_to_intervals,
    intervals_from_total_variation,
    log_sum,
    mixture_intervals,
    product_intervals,
    total_variation_bound,
)
from nextbyte.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from nextbyte.ensemble.members import Member
    from nextbyte.ensemble.rules import Rule

    Array: TypeAlias = NDArray[np.float64]
    Alive: TypeAlias = Mapping[int, Member]

__all__ = [
    "Evidence",
    "evidence_after",
    "evidence_here",
    "law_bound",
    "law_intervals",
    "log_weights",
    "prompt_evidence",
    "scores",
]


class Evidence(NamedTuple):
    """log P_i(bytes so far) of every member: as it was read, and between which bounds."""

    value: Array
    lower: Array
    upper: Array


def evidence_here(alive: Alive, count: int, *, since_prompt: bool) -> Evidence:
    """Return the evidence by the log-probabilities that the members were asked for.

    They are certain of a state whose `logprob_is_exact` (a lazy `ByteLM` evaluates what it put off
    for it), and of one that does not say so if its law here is exact. Else nothing is.
    """
    value, lower = np.full(count, -np.inf), np.full(count, -np.inf)
    upper = np.zeros(count)
    for i, member in alive.items():
        value[i] = member.logprob
        if since_prompt:
            value[i] -= member.at_prompt
        exact_here = member.row is not None and member.bounds is None
        if getattr(member.state, "logprob_is_exact", exact_here):
            lower[i] = upper[i] = value[i]
    return Evidence(value, lower, upper)


def evidence_after(before: Evidence, alive: Alive, byte: int) -> Evidence | None:
    """Return the evidence one byte further on; None if the laws here were not read."""
    after = Evidence(*(array.copy() for array in before))
    for i, member in alive.items():
        if member.row is None:
            return None
        after.value[i] += member.row[byte]
        lower = upper = member.row[byte]
        if member.bounds is not None:
            with np.errstate(divide="ignore"):
                lower, upper = (np.log(side[byte]) for side in member.bounds)
        after.lower[i] += lower
        after.upper[i] += upper
    return after


def prompt_evidence(weights: Array, members: Mapping[int, Member], start: int) -> float:
    """Return log sum_i w_i P_i(prompt), less that of the weights with which the text goes on."""
    known = {i: m.at_prompt for i, m in members.items() if m.at_prompt is not None}
    prompt = log_sum(np.array([np.log(weights[i]) + value for i, value in known.items()]))
    there = [i for i, m in members.items() if m.lost_at is None or m.lost_at >= start]
    return prompt - float(np.log(weights[there].sum()))


def scores(weights: Array, alive: Alive, evidence: Array | None) -> Array:
    """Return log(w_i P_i(bytes so far)), or log w_i without evidence; -inf for lost members."""
    found = np.full(len(weights), -np.inf)
    indices = list(alive)
    found[indices] = np.log(weights[indices])
    if evidence is not None:
        found[indices] += evidence[indices]
    return found


def log_weights(weights: Array, alive: Alive, evidence: Evidence | None) -> Array:
    """Return the natural logs of weights that sum to one.

    Raises
    ------
    BackendError
        No member gives the text any probability.
    """
    found = scores(weights, alive, None if evidence is None else evidence.value)
    total = log_sum(found)
    if total == -np.inf:
        raise BackendError(
            "every member of the ensemble gives the text so far the probability zero: there is "
            "nothing to weigh them by"
        )
    return found - total


def _member_intervals(alive: Alive) -> tuple[Array, Array]:
    """Return the lower and upper probabilities of the members' laws, each (members, 257)."""
    pairs = [member.intervals() for member in alive.values()]
    return np.stack([lower for lower, _ in pairs]), np.stack([upper for _, upper in pairs])


def law_bound(
    rule: Rule,
    weights: Array,
    alive: Alive,
    *,
    doubt: float,
    evidence: Evidence | None,
    law: Array | None,
) -> float:
    """Return a bound on the total variation between the law read here and the true one.

    Parameters
    ----------
    rule, weights, alive
        Of the ensemble, and the members that are not lost.
    doubt
        The share of the weight that is with members that may be lost wrongly.
    evidence
        For a posterior, what the law was weighed by.
    law
        The law, if it was read: the bounds of a product depend on it.
    """
    bounds = np.array([member.state.bound for member in alive.values()])
    if not bounds.any() and doubt == 0.0 and (evidence is None or _is_exact(evidence, alive)):
        return 0.0
    if rule == "product":
        if law is None:
            return 1.0
        intervals = product_intervals(*_member_intervals(alive), weights[list(alive)])
        with np.errstate(under="ignore"):
            return total_variation_bound(np.exp(law), *intervals)
    if rule == "posterior" and (evidence is None or doubt > 0.0):
        return 1.0
    with np.errstate(under="ignore"):
        used = np.exp(log_weights(weights, alive, evidence))
    bound = float(used[list(alive)] @ bounds)
    if evidence is not None:
        low, high = (scores(weights, alive, side) for side in (evidence.lower, evidence.upper))
        bound += total_variation_bound(used, *box_to_intervals(low, high))
    return min(doubt + (1.0 - doubt) * bound, 1.0)


def law_intervals(
    rule: Rule, weights: Array, alive: Alive, law: Array, *, bound: float, doubt: float
) -> tuple[Array, Array]:
    """Return lower and upper probabilities of the true law; arguments as for `law_bound`."""
    if bound > 0.0 and rule == "product":
        return product_intervals(*_member_intervals(alive), weights[list(alive)])
    if bound > 0.0 and rule == "mixture" and doubt == 0.0:
        used = np.exp(log_weights(weights, alive, None))[list(alive)]
        return mixture_intervals(*_member_intervals(alive), used, used)
    return intervals_from_total_variation(law, bound)


def _is_exact(evidence: Evidence, alive: Alive) -> bool:
    indices = list(alive)
    return bool((evidence.lower[indices] == evidence.upper[indices]).all())
