"""The biased baseline, on a token model small enough to work out by hand."""

from __future__ import annotations

import types

import numpy as np
import pytest

from nextbyte.errors import InvalidInputError
from nextbyte.plain import plain_complete, plain_next_byte_probs
from unit.fake_byte_models import FakeTokenModel

#         0     1     2      3     4       5 = special, 6 = end, 7 = end too
TOKENS = [b"a", b"b", b"ab", b"c", b"\xc3", b"", b"", b""]


def model_of(law, **options):
    return FakeTokenModel(TOKENS, law, end_tokens=(6, 7), **options)


def test_masses_are_summed_by_first_byte_and_end_tokens_into_one():
    law = {(): [1, 2, 3, 4, 5, 100, 6, 7]}
    lm = model_of(lambda tokens: np.log(law[tuple(tokens)]))
    probabilities = plain_next_byte_probs(lm, "")
    expected = np.zeros(257)
    expected[[ord("a"), ord("b"), ord("c"), 0xC3, 256]] = np.array([4, 2, 4, 5, 13]) / 28
    np.testing.assert_allclose(probabilities, expected, rtol=1e-12)


def test_the_context_is_the_start_token_and_the_greedy_tokens_of_the_prompt():
    contexts = []

    def law(tokens):
        contexts.append(tokens)
        return np.zeros(8)

    plain_next_byte_probs(model_of(law), b"abca")
    plain_next_byte_probs(model_of(law, start_token=5), "abca")
    assert contexts == [[2, 3, 0], [5, 2, 3, 0]]


def test_padding_of_rows_is_left_out():
    lm = model_of(lambda _: np.array([0.0] * 8 + [50.0, 60.0], dtype=np.float32))
    probabilities = plain_next_byte_probs(lm, "")
    assert probabilities.sum() == pytest.approx(1.0)
    assert probabilities[256] == pytest.approx(2 / 7)
    assert plain_complete(lm, "", 3) == b"aaa"


def test_completion_takes_the_best_token_each_time_until_the_end():
    #              a  b  ab c  C3 sp end end
    law = {
        0: np.array([0, 0, 3, 0, 0, 9, 0, 0.0]),  # special tokens cannot be chosen
        1: np.array([0, 0, 0, 4, 0, 9, 3, 0.0]),
        2: np.array([0, 0, 0, 4, 0, 9, 5, 0.0]),
    }
    lm = model_of(lambda tokens: law[len(tokens)])
    assert plain_complete(lm, b"", 100) == b"abc"
    assert plain_complete(lm, b"", 2) == b"ab"
    assert plain_complete(lm, b"", 1) == b"a"
    lm.backend.contexts.clear()
    assert plain_complete(lm, b"", 0) == b""
    assert lm.backend.contexts == []


def test_prompts_are_checked():
    lm = model_of(lambda _: np.zeros(8))
    with pytest.raises(InvalidInputError, match="prompt: lone surrogate"):
        plain_next_byte_probs(lm, "\ud800")
    with pytest.raises(InvalidInputError, match="prompt must be str or bytes"):
        plain_complete(lm, types.SimpleNamespace(), 5)
