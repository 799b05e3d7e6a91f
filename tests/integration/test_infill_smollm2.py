"""Infilling with the embedded model, which was not trained for it: hard gaps, a long prefix."""

from __future__ import annotations

import math

import pytest

import nextbyte as nb

pytestmark = pytest.mark.model

EMOJI = "\U0001f600".encode()


@pytest.fixture(scope="module")
def lm(model_folder):
    return nb.ByteLM.from_pretrained(model_folder)


GAPS = {
    "indentation": (b"def f(x):\n    ", b" x + 1\n"),
    "space": (b"The cat sat on the ", b" and slept.\n"),
    "blank line": (b"A heading\n\n", b" is the first sentence.\n"),
    "half an emoji": (b"So happy " + EMOJI[:2], b" today\n"),
    "angle bracket": (b"A paragraph starts with <", b"> in HTML.\n"),
    "inside a word": (b"Hello, worl", b"! How are you?\n"),
    "CRLF": (b"one\r\ntwo\r\n", b"\r\nfour\r\n"),
    "empty prefix": (b"", b" upon a time there was a king.\n"),
    "empty suffix": (b"Once upon a ti", b""),
    "both empty": (b"", b""),
    "suffix from mid-word": (b"The capital of Fra", b"ce is Paris.\n"),
    "spelling of a special token": (b"x<|endoftext|", b" is a token\n"),
}


@pytest.mark.parametrize("name", GAPS)
def test_a_gap_that_breaks_others(name, lm):
    prefix, suffix = GAPS[name]
    params = nb.SamplingParams(seed=0, max_bytes=4)
    found = nb.infill(lm, prefix, suffix, params, candidates=2, suffix_bytes=12)
    assert found.format is None  # its vocabulary has no sentinels
    total = math.fsum(math.exp(c.log_weight) for c in found.candidates)
    assert total == pytest.approx(1.0, abs=1e-12)
    best = max(found.candidates, key=lambda c: c.suffix_logprob + math.log(c.draws))
    if best.suffix_logprob > -math.inf:
        whole = lm.start(prefix + best.bytes + suffix[:12]).logprob
        given = lm.start(prefix + best.bytes).logprob
        assert best.suffix_logprob == pytest.approx(whole - given, abs=1e-3)
    assert found.bytes == best.bytes


def test_words_are_completed_across_the_gap(lm):
    params = nb.SamplingParams(seed=0, max_bytes=4)
    assert nb.infill(lm, b"Hello, worl", b"! How are you?", params, candidates=4).bytes == b"d"
    assert nb.infill(lm, b"The capital of Fra", b"ce is Paris.", params).bytes == b"n"


def test_a_prefix_of_50_kilobytes(lm):
    line = "The cat sat on the mat, and then it went away.\n"
    prefix = line * 1100 + "Hello, worl"
    params = nb.SamplingParams(seed=0, max_bytes=2)
    found = nb.infill(
        lm, prefix, "! How are you?", params, candidates=2, prefix_bytes=200, suffix_bytes=8
    )
    assert found.prefix_bytes == 4 * len(line) + len("Hello, worl")
    assert prefix[len(prefix) - found.prefix_bytes :].startswith("The cat")
    assert found.bytes == b"d"
