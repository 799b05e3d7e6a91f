"""The rules of an ensemble on kept laws, for many weights at once; and what to say of the results.

`rows` are natural log-probabilities, (members, n, 257), and `data` the n bytes that followed. Every
function returns log P of each byte or, for `whole_laws`, laws. They are those of
`nextbyte.ensemble.rules`, which `check` compares.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from nextbyte.ensemble.rules import log_sum, mixture_law, product_law

RESAMPLES = 5000
SHARES = np.linspace(0.0, 1.0, 21)
POWERS = np.linspace(-0.5, 1.25, 15)


def chosen(rows, data):
    """Log P of the bytes of a text under each member, (members, n)."""
    return rows[:, np.arange(len(data)), list(data)]


def _logs(weights):
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(weights, float) / np.sum(weights))


def mixture(rows, data, weights):
    return np.logaddexp.reduce(chosen(rows, data) + _logs(weights)[:, None], axis=0)


def product(rows, data, weights):
    weights = np.asarray(weights, float)
    used = np.flatnonzero(weights)
    law = _product_laws(rows[used], weights[used])
    return law[np.arange(len(data)), list(data)]


def _product_laws(rows, weights):
    possible = np.isfinite(rows).all(axis=0)
    scores = np.tensordot(weights, np.where(possible, rows, 0.0), axes=1)
    scores = np.where(possible, scores, -np.inf)
    top = scores.max(axis=1, keepdims=True)
    return scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))


def evidence(rows, data, weights):
    """Log of w_i P_i(bytes so far), before each byte and behind the last, (members, n + 1)."""
    chain = np.cumsum(chosen(rows, data), axis=1)
    return _logs(weights)[:, None] + np.concatenate([np.zeros((len(rows), 1)), chain], axis=1)


def posterior(rows, data, weights):
    totals = np.logaddexp.reduce(evidence(rows, data, weights), axis=0)
    return np.diff(totals)


RULES = {"mixture": mixture, "product": product, "posterior": posterior}


def whole_laws(rule, rows, data, weights):
    """Whole laws of a rule, (n, 257)."""
    if rule == "product":
        return _product_laws(rows, np.asarray(weights, float))
    scores = np.repeat(_logs(weights)[:, None], len(data), axis=1)
    if rule == "posterior":
        scores = evidence(rows, data, weights)[:, :-1]
        scores = scores - np.logaddexp.reduce(scores, axis=0)
    return np.logaddexp.reduce(rows + scores[:, :, None], axis=0)


def check(rows, data, weights):
    """Return the largest difference to the library's own functions, position by position."""
    worst = 0.0
    for rule, law in RULES.items():
        found = law(rows, data, weights)
        scores = _logs(weights)
        for i, byte in enumerate(data):
            now = rows[:, i]
            if rule == "product":
                expected = product_law(now, np.asarray(weights, float))[byte]
            else:
                expected = mixture_law(now, scores - log_sum(scores))[byte]
            if rule == "posterior":
                scores = scores + now[:, byte]
            worst = max(worst, abs(expected - found[i]))
    return worst


def candidates(rule, count):
    """Return the weights that are tried for a rule."""
    if rule == "posterior":
        return [np.full(count, 1 / count)]
    steps = SHARES if rule == "mixture" else POWERS
    if count > 2:
        steps = steps[::2]
    grid = (np.array(w) for w in itertools.product(steps, repeat=count) if np.any(w))
    return [w for w in grid if rule == "product" or math.isclose(w.sum(), 1.0)]


def choose(rule, rows, data):
    """Return the weights that give a text the most probability, of those that are tried."""
    return min(candidates(rule, len(rows)), key=lambda w: bits(RULES[rule](rows, data, w)))


def bits(chain):
    return -float(np.mean(chain)) / math.log(2)


def interval(values, sizes=None, seed=0):
    """Return the 95 % bootstrap interval of the mean of independent values, or by their sizes.

    With sizes, the values are sums: what is drawn again and again is their sum over that of sizes.
    """
    values = np.asarray(values, float)
    drawn = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    means = values[drawn].mean(axis=1)
    if sizes is not None:
        means /= np.asarray(sizes, float)[drawn].mean(axis=1)
    return np.percentile(means, [2.5, 97.5]).tolist()


def chunks(chain, size=20):
    """Return the bits of each run of so many bytes, and their sizes."""
    count = len(chain) // size
    sums = -chain[: count * size].reshape(count, size).sum(axis=1) / math.log(2)
    return sums, np.full(count, size)
