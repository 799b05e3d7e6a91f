"""Certified laziness over the embedded model: its laws are within their bounds, for fewer rows."""

from __future__ import annotations

import numpy as np
import pytest

import nextbyte as nb

pytestmark = pytest.mark.model

TOLERANCE = 1e-2
# Rows of one context differ with what else is in the batch: by so much in a law, at most.
BATCHING = 1e-4


@pytest.fixture(scope="module")
def lm(model_folder):
    return nb.ByteLM.from_pretrained(model_folder, tolerance=TOLERANCE)


def test_laws_of_a_text_are_within_their_bounds(lm):
    text = b"def f(x):\n    return x"
    exact, lazy = lm.start(tolerance=0.0), lm.start()
    inexact = 0
    for byte in text:
        true = np.exp(exact.next_byte_logprobs())
        law = np.exp(lazy.next_byte_logprobs())
        lower, upper = lazy.next_byte_bounds()
        assert 0.5 * np.abs(true - law).sum() <= lazy.bound + BATCHING
        assert lazy.bound <= TOLERANCE
        assert (lower <= true + BATCHING).all()
        assert (true <= upper + BATCHING).all()
        inexact += lazy.bound > 0.0
        for state in (exact, lazy):
            state.push(bytes([byte]))
    assert inexact > len(text) // 4
    assert lazy.lm_evaluations < 0.8 * exact.lm_evaluations
    assert lazy.lm_passes <= lazy.lm_evaluations
    assert lazy.logprob == pytest.approx(exact.logprob, abs=1e-3)
