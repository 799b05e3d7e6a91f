"""Frequencies of sampled bytes against the laws they are drawn from, with fixed seeds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nextbyte.byte_model import END_OF_TEXT
from nextbyte.sampling import SamplingParams, generate
from nextbyte.sampling.warping import warp
from unit.fake_byte_models import order2_model


def law_of(model, prefix):
    return model.start(prefix).next_byte_logprobs()


def chi_square(counts, probabilities):
    """Return Pearson's statistic and a threshold five standard deviations above its mean."""
    expected = np.asarray(probabilities) * sum(counts)
    statistic = float((((np.asarray(counts) - expected) ** 2) / expected).sum())
    freedom = len(counts) - 1
    return statistic, freedom + 5.0 * math.sqrt(2.0 * freedom)


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.8}, {"min_p": 0.2}]
)
def test_first_symbols_follow_the_warped_law(options):
    model = order2_model(11, b"abcdef")
    law = warp(law_of(model, b"ab"), SamplingParams(**options))
    counts = np.zeros(257)
    for seed in range(3000):
        result = generate(model, b"ab", SamplingParams(seed=seed, max_bytes=1, **options))
        counts[END_OF_TEXT if result.finish_reason == "end_of_text" else result.bytes[0]] += 1
    support = law > 0
    assert counts[~support].sum() == 0
    statistic, threshold = chi_square(counts[support], law[support])
    assert statistic < threshold
    # The test has the power to see a wrong law: the next most plausible one fails it by far.
    wrong, _ = chi_square(counts[support], np.roll(law[support], 1))
    assert wrong > threshold


def test_pairs_of_bytes_follow_the_chain_rule():
    model = order2_model(12, b"abc", end=False)
    pairs = [bytes(pair) for pair in itertools.product(b"abc", repeat=2)]
    results = [generate(model, b"", SamplingParams(seed=seed, max_bytes=2)) for seed in range(4000)]
    counts = [sum(result.bytes == pair for result in results) for pair in pairs]
    statistic, threshold = chi_square(counts, [math.exp(model.start(p).logprob) for p in pairs])
    assert statistic < threshold
