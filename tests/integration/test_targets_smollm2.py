"""The other targets of a `ByteLM` on the embedded model, beside the canonical law."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nextbyte as nb

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def lm(model_folder):
    return nb.ByteLM.from_pretrained(model_folder)


def test_the_three_targets(lm):
    """What is lost raw is little and accounted for; all segmentations lie within their bounds."""
    text = b"The cat sat on"
    canonical = lm.start(text)
    raw = nb.ByteLM(lm.tokenizer, lm.backend, target="raw").start(text)
    full = nb.ByteLM(
        lm.tokenizer, lm.backend, target="segmentations", tolerance=0.01, max_evaluations_per_byte=8
    ).start(text)
    law = np.exp(raw.next_byte_logprobs())
    assert 0.0 < raw.defect < 0.05
    assert abs(math.fsum(law) + raw.defect - 1.0) < 1e-9
    assert full.bound <= 0.01
    low, high = full.logprob_bounds
    assert raw.logprob <= high  # fewer sequences, and nothing scaled up
    assert low <= high < low + 0.02
    assert abs(canonical.logprob - low) < 0.05
    lower, upper = full.next_byte_bounds()
    found = np.exp(full.next_byte_logprobs())
    assert (lower <= found).all()
    assert (found <= upper).all()
    assert np.abs(found - np.exp(canonical.next_byte_logprobs())).sum() / 2 < 0.02
