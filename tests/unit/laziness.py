"""Checks of lazy laws against exact ones, and models that are built to hurt laziness."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

import numpy as np

from unit.known_models import noise

TOLERANCES = (1e-6, 1e-4, 1e-3, 1e-2, 0.1, 0.5)
ROUNDING = 1e-12


@dataclass
class Tally:
    """What has been compared."""

    laws: int = 0
    violations: int = 0
    inexact: int = 0
    exact_evaluations: int = 0
    lazy_evaluations: int = 0
    tightness: list[float] = field(default_factory=list)  # bound / true error

    @property
    def median_tightness(self):
        return statistics.median(self.tightness)


def compare(exact, lazy, tally):
    """Compare the law of a lazy state with that of an exact one after the same bytes."""
    assert exact.bound == 0.0
    true = np.exp(exact.next_byte_logprobs())
    row = lazy.next_byte_logprobs()
    found = np.exp(row)
    lower, upper = lazy.next_byte_bounds()
    distance = 0.5 * np.abs(true - found).sum()
    tally.laws += 1
    tally.inexact += lazy.bound > 0.0
    holds = (
        distance <= lazy.bound + ROUNDING
        and 0.0 <= lazy.bound <= lazy.tolerance
        and abs(found.sum() - 1.0) <= ROUNDING
        and not np.isnan(row).any()
        and bool((lower <= true).all() and (true <= upper).all())
        and bool((lower <= upper).all() and (lower >= 0.0).all() and (upper <= 1.0).all())
        and bool((upper - lower <= 2 * lazy.bound + ROUNDING).all())
        and not ((row == -np.inf) & (true > 0.0)).any()  # nothing possible is given up
        and bool((lower <= found + ROUNDING).all() and (found <= upper + ROUNDING).all())
    )
    tally.violations += not holds
    if lazy.bound > 0.0 and distance > ROUNDING:
        tally.tightness.append(lazy.bound / distance)
    return holds


def walk(lm, tolerance, length, source, tally, *, ask=1.0):
    """Walk a text of possible bytes, favouring unlikely ones, and compare the law at every prefix.

    `ask`: the share of prefixes at which the lazy state is asked.
    """
    exact, lazy = lm.start(tolerance=0.0), lm.start(tolerance=tolerance)
    for _ in range(length):
        law = exact.next_byte_logprobs()
        if source.random() < ask:
            assert compare(exact, lazy, tally), (tolerance, exact.prefix)
        support = np.flatnonzero(law[:256] > -np.inf)
        if not len(support):
            break
        if source.random() < 0.3:
            byte = int(support[np.argmin(law[support])])
        elif source.random() < 0.3:
            byte = int(support[np.argmax(law[support])])
        else:
            byte = int(source.choice(support))
        for state in (exact, lazy):
            state.push(bytes([byte]))
        if source.random() < 0.1:  # there and back again
            count = int(source.integers(1, len(exact.prefix) + 1))
            taken = exact.prefix[len(exact.prefix) - count :]
            for state in (exact, lazy):
                state.rollback(count)
            assert compare(exact, lazy, tally)
            for state in (exact, lazy):
                state.push(taken)
        if source.random() < 0.1:
            exact, lazy = exact.fork(), lazy.fork()
    assert compare(exact, lazy, tally), (tolerance, exact.prefix)
    tally.exact_evaluations += exact.lm_evaluations
    tally.lazy_evaluations += lazy.lm_evaluations


def lengths(tokenizer):
    """Bytes of each token, 0 for special ones."""
    size = np.zeros(tokenizer.vocab_size)
    for token in range(tokenizer.vocab_size):
        size[token] = len(tokenizer.token_bytes(token) or b"")
    return size


def hurtful_models(tokenizer, tolerance):
    """Return rows by name: each a function of the context, made to be hard to put off.

    ``late``: long tokens have nearly all the mass, so that what was put off has all of it once the
    text turns away from them. ``early``: the reverse. ``equal``: all contexts weigh the same.
    ``threshold``: every probability is the tolerance or its square, give or take an ulp.
    ``zeros``: two thirds of the tokens are impossible, other ones after each context. ``steep``:
    differences of hundreds of nats. ``noise``: nothing special.
    """
    size = lengths(tokenizer)
    width = tokenizer.vocab_size
    steps = np.array(
        [tolerance, tolerance**2, np.nextafter(tolerance, 1), np.nextafter(tolerance, 0)]
    )

    def drawn(context):
        return noise(width, 1.0)(context)

    def zeros(context):
        row = drawn(context)
        keep = row > np.quantile(row, 0.67)
        return np.where(keep | (size == 1), np.where(keep, row, row - 8), -np.inf)

    return {
        "late": lambda context: 6.0 * size + drawn(context),
        "early": lambda context: -6.0 * size + drawn(context),
        "equal": lambda _: np.zeros(width),
        "threshold": lambda context: np.log(steps[(np.abs(drawn(context)) * 1e6).astype(int) % 4]),
        "zeros": zeros,
        "steep": lambda context: 150.0 * drawn(context),
        "noise": lambda context: 3.0 * drawn(context),
    }
