"""States with a tolerance: what they ask for, what they promise, and what they keep."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest

import nextbyte as nb
from nextbyte import ByteLM
from nextbyte.errors import InvalidInputError, UnreachableByteError
from unit import laziness
from unit.known_models import CountingBackend, load_all

TEXT = b"the abab the hat\n\n the ab" * 4


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


def long_tokens(tokenizer, *, name="late", **options):
    """Return a model that puts nearly all mass on long tokens, and its counting backend."""
    row = laziness.hurtful_models(tokenizer, 1e-3)[name]
    backend = CountingBackend(row, tokenizer.vocab_size)
    return ByteLM(tokenizer, backend, **options), backend


# --- Options -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [-1e-300, -1, 1, 1.0, 2, math.nan, math.inf, "x", None, [0]])
def test_tolerances_that_are_none(tokenizers, tolerance):
    tokenizer = tokenizers["letters"]
    backend = CountingBackend(lambda _: np.zeros(tokenizer.vocab_size), tokenizer.vocab_size)
    with pytest.raises(InvalidInputError, match="tolerance must be a number with 0 <= tolerance"):
        ByteLM(tokenizer, backend, tolerance=tolerance)
    with pytest.raises(InvalidInputError, match="tolerance"):
        ByteLM.from_function(
            tokenizer,
            lambda contexts: np.zeros((len(contexts), tokenizer.vocab_size)),
            tolerance=tolerance,
        )
    lm = ByteLM(tokenizer, backend)
    if tolerance is not None:
        with pytest.raises(InvalidInputError, match="total variation"):
            lm.start(b"the", tolerance=tolerance)


def test_the_core_refuses_them_too(tokenizers):
    for tolerance in (-1e-9, 1.0, math.nan):
        with pytest.raises(InvalidInputError, match="the tolerance must be"):
            nb._core.ByteStream(tokenizers["letters"].compiled, [], tolerance)


def test_a_state_takes_the_models_tolerance_or_its_own(tokenizers):
    lm, _ = long_tokens(tokenizers["letters"], tolerance=0.25)
    assert lm.tolerance == lm.start().tolerance == lm.start().fork().tolerance == 0.25
    assert lm.start(tolerance=0).tolerance == 0.0
    assert lm.start(b"the", tolerance=0.5).fork().tolerance == 0.5
    assert long_tokens(tokenizers["letters"])[0].start().tolerance == 0.0


# --- Costs ---------------------------------------------------------------------------------------


def walk(state, text=TEXT):
    bounds = []
    for byte in text:
        state.next_byte_logprobs()
        bounds.append(state.bound)
        state.push(bytes([byte]))
    return bounds


def test_contexts_of_little_weight_are_not_asked_for(tokenizers):
    lm, backend = long_tokens(tokenizers["letters"])
    exact, lazy = lm.start(), lm.start(tolerance=1e-2)
    assert walk(exact) == [0.0] * len(TEXT)
    backend.reset()
    bounds = walk(lazy)
    assert 0.0 < max(bounds) <= 1e-2
    assert backend.requests == lazy.lm_evaluations < 0.8 * exact.lm_evaluations
    assert backend.calls == lazy.lm_passes <= lazy.lm_evaluations
    assert lazy.fork().lm_passes == lazy.lm_passes


def test_a_tolerance_of_zero_asks_for_all_and_is_exact(tokenizers):
    lm, backend = long_tokens(tokenizers["letters"])
    plain, zero = lm.start(), lm.start(tolerance=0.0)
    for byte in TEXT:
        np.testing.assert_array_equal(plain.next_byte_logprobs(), zero.next_byte_logprobs())
        assert zero.bound == 0.0
        for state in (plain, zero):
            state.push(bytes([byte]))
    assert plain.lm_evaluations == zero.lm_evaluations
    assert backend.calls == plain.lm_passes + zero.lm_passes


def test_what_everything_descends_from_is_never_asked_for(tokenizers):
    """A context that was put off, and that all live ones turn out to descend from."""
    lm, backend = long_tokens(tokenizers["all_bytes"], name="early")
    row = lm.start(tolerance=0.4)
    walk(row, b"zz")
    backend.reset()
    state = lm.start(b"a", tolerance=0.4)
    state.push(b"b")  # no context in between was asked for
    state.next_byte_logprobs()
    assert all(len(context) != 1 for context in backend.batches[0])


def test_logprob_is_exact_at_any_tolerance(tokenizers):
    lm, _ = long_tokens(tokenizers["letters"])
    exact, lazy = lm.start(), lm.start(tolerance=0.3)
    for byte in TEXT[:30]:
        lazy.next_byte_logprobs()
        exact.next_byte_logprobs()
        assert lazy.logprob == pytest.approx(exact.logprob, rel=1e-12)
        for state in (exact, lazy):
            state.push(bytes([byte]))


def test_rows_and_branches_do_not_accumulate(tokenizers):
    lm, backend = long_tokens(tokenizers["letters"], tolerance=1e-2)
    state = lm.start()
    most = 0
    for _ in range(5):
        walk(state)
        gc.collect()
        assert backend.rows == 0
        most = max(most, len(backend.branches) - len(state.prefix))
    assert most <= 3  # the path, and what is live
    state.rollback(len(state.prefix))
    state.next_byte_logprobs()
    gc.collect()
    assert len(backend.branches) <= 2


# --- Laws ----------------------------------------------------------------------------------------


def test_mixed_tolerances_in_one_batch(tokenizers):
    lm, _ = long_tokens(tokenizers["letters"])
    tolerances = [0.0, 1e-3, 0.3, 1e-2, 0.0]
    for end in range(1, 30):
        states = [lm.start(TEXT[:end], tolerance=tolerance) for tolerance in tolerances]
        forks = [state.fork() for state in states]
        rows = lm.next_byte_logprobs([*states, *forks])
        true = np.exp(rows[0])
        np.testing.assert_array_equal(rows[0], rows[4])
        for state, row, again in zip(states, rows[:5], rows[5:], strict=True):
            assert state.bound <= state.tolerance
            assert 0.5 * np.abs(np.exp(row) - true).sum() <= state.bound + 1e-12
            np.testing.assert_allclose(again, row, rtol=1e-12)


def test_forks_of_a_lazy_state_find_each_others_rows(tokenizers):
    lm, backend = long_tokens(tokenizers["letters"])
    tally = laziness.Tally()
    exact, lazy = lm.start(), lm.start(tolerance=1e-2)
    for byte in TEXT[:40]:
        fork = lazy.fork()
        assert laziness.compare(exact, lazy, tally)
        backend.reset()
        fork.next_byte_logprobs()
        assert backend.requests == 0
        assert laziness.compare(exact, fork, tally)
        for state in (exact, lazy):
            state.push(bytes([byte]))


def test_rollback_of_a_lazy_state(tokenizers):
    lm, _ = long_tokens(tokenizers["letters"])
    tally = laziness.Tally()
    lazy = lm.start(tolerance=1e-2)
    walk(lazy, TEXT[:40])
    for count in (1, 3, 2, 7):
        lazy.rollback(count)
        exact = lm.start(lazy.prefix)
        assert laziness.compare(exact, lazy, tally)
    assert tally.laws == 4


def test_bounds_of_an_exact_law_are_the_law(tokenizers):
    lm, _ = long_tokens(tokenizers["letters"])
    state = lm.start(b"the a")
    lower, upper = state.next_byte_bounds()
    law = np.exp(state.next_byte_logprobs())
    assert lower.shape == upper.shape == (257,)
    assert (lower <= law).all()
    assert (law <= upper).all()
    np.testing.assert_allclose(lower, upper, rtol=1e-12)
    assert (upper[law == 0.0] == 0.0).all()


def test_only_what_is_impossible_for_certain_is_refused(tokenizers):
    """Of a group that was put off, anything may follow that its tokens allow."""
    lm, _ = long_tokens(tokenizers["letters"])
    exact, lazy = lm.start(b"th"), lm.start(b"th", tolerance=0.5)
    true, row = exact.next_byte_logprobs(), lazy.next_byte_logprobs()
    for byte in range(256):
        if row[byte] > -np.inf:
            fork = lazy.fork()
            fork.push(bytes([byte]))
            assert fork.prefix == b"th" + bytes([byte])
            continue
        assert true[byte] == -np.inf
        with pytest.raises(UnreachableByteError):
            lazy.push(bytes([byte]))
    assert lazy.prefix == b"th"


def test_a_byte_that_only_a_group_gives_and_the_model_never_does(tokenizers):
    """It may be pushed, and turns out to be impossible once the group's row is there."""
    tokenizer = tokenizers["ab_with_specials"]
    probabilities = np.array([0.1, 0.0, 0.9, 0, 0, 0, 0])  # a, b, ab

    def rows(contexts):
        with np.errstate(divide="ignore"):
            return np.stack([np.log(probabilities) for _ in contexts])

    lm = ByteLM.from_function(tokenizer, rows)
    lazy = lm.start(b"a", tolerance=0.2)
    assert np.exp(lazy.next_byte_logprobs()[ord("a")]) > 0.0
    assert lazy.bound == pytest.approx(0.1)
    lazy.push(b"a")
    exact = lm.start(b"aa")
    np.testing.assert_allclose(
        np.exp(lazy.next_byte_logprobs()), np.exp(exact.next_byte_logprobs()), atol=0.2
    )


@pytest.mark.parametrize("prefix", [b"", b"th", b"the a"])
def test_rows_without_mass_are_the_errors_of_exact_mode(tokenizers, prefix):
    tokenizer = tokenizers["letters"]
    lm = ByteLM.from_function(
        tokenizer, lambda contexts: np.full((len(contexts), tokenizer.vocab_size), -np.inf)
    )
    errors = []
    for tolerance in (0.0, 0.1):
        state = lm.start(prefix, tolerance=tolerance)
        for ask in (state.next_byte_logprobs, state.next_byte_logprobs, state.next_byte_bounds):
            with pytest.raises((InvalidInputError, UnreachableByteError)) as caught:
                ask()
            errors.append(str(caught.value))
    assert len(set(errors)) == 1
