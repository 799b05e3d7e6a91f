"""Reading ahead: the same laws from the same rows, in fewer passes; and what it keeps."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import nextbyte as nb
from nextbyte import ByteLM
from nextbyte.errors import InvalidInputError
from unit import laziness
from unit.known_models import CountingBackend, load_all, noise

TEXT = b"the the the the ab the the abab the"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))["letters"]


def make(tokenizer, look_ahead, **options):
    row = laziness.hurtful_models(tokenizer, 1e-3)["late"]
    backend = CountingBackend(row, tokenizer.vocab_size)
    return ByteLM(tokenizer, backend, look_ahead=look_ahead, **options), backend


@pytest.mark.parametrize("look_ahead", [0.5, 0, 1.01, -1, float("nan"), "x", True, [0.7]])
def test_shares_that_are_none(tokenizer, look_ahead):
    with pytest.raises(InvalidInputError, match="look_ahead must be"):
        make(tokenizer, look_ahead)


@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
def test_the_same_laws_in_fewer_passes(tokenizer, tolerance):
    plain, _ = make(tokenizer, None, tolerance=tolerance)
    ahead, backend = make(tokenizer, 0.51, tolerance=tolerance)
    one, two = plain.start(), ahead.start()
    for byte in TEXT:
        np.testing.assert_array_equal(one.next_byte_logprobs(), two.next_byte_logprobs())
        assert one.bound == two.bound
        for state in (one, two):
            state.push(bytes([byte]))
    assert two.lm_passes < one.lm_passes
    assert backend.calls == two.lm_passes
    assert backend.requests == two.lm_evaluations
    assert two.lm_evaluations >= one.lm_evaluations
    assert two.logprob == pytest.approx(one.logprob, rel=1e-12)


def test_forks_rollbacks_and_batches(tokenizer):
    plain, _ = make(tokenizer, None)
    lm, _ = make(tokenizer, 0.51)
    source = np.random.default_rng(3)
    family = [lm.start(b"the "), lm.start(b"ab", tolerance=0.01)]
    for _ in range(120):
        state = family[source.integers(len(family))]
        match source.integers(4):
            case 0 if len(family) < 6:
                family.append(state.fork())
            case 1:
                state.rollback(int(source.integers(min(4, len(state.prefix)) + 1)))
            case _:
                state.push(source.choice([b"t", b"h", b"e", b" ", b"a", b"the ", b"ab"]))
        rows = np.exp(lm.next_byte_logprobs(family))
        for member, row in zip(family, rows, strict=True):
            true = np.exp(plain.start(member.prefix).next_byte_logprobs())
            assert 0.5 * np.abs(row - true).sum() <= member.bound + 1e-12


def test_few_are_kept(tokenizer):
    lm, backend = make(tokenizer, 0.51)
    state = lm.start()
    for _ in range(4):
        for byte in TEXT:
            state.next_byte_logprobs()
            state.push(bytes([byte]))
        gc.collect()
        assert backend.rows <= 4
    state.rollback(len(state.prefix))
    state.next_byte_logprobs()
    gc.collect()
    assert len(backend.branches) <= 3
    del state
    gc.collect()
    assert len(backend.branches) == 0


def test_more_than_can_be_kept_is_not_read(tokenizer):
    """Behind every byte of a text that is scored, rows that would be gone at once."""
    costs = []
    for look_ahead in (None, 0.6):
        backend = CountingBackend(noise(tokenizer.vocab_size, 6.0), tokenizer.vocab_size)
        lm = ByteLM(tokenizer, backend, tolerance=1e-3, look_ahead=look_ahead)
        nb.score(lm, b"the that at the tea " * 8)
        costs.append(backend.requests)
    assert costs[1] <= 1.05 * costs[0]


def test_from_function_takes_it_too(tokenizer):
    def rows(contexts):
        return np.zeros((len(contexts), tokenizer.vocab_size))

    assert ByteLM.from_function(tokenizer, rows, look_ahead=0.9).look_ahead == 0.9
    assert ByteLM.from_function(tokenizer, rows).look_ahead is None
