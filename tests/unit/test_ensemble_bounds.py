"""Bounds of ensembles of inexact members whose true laws are known."""

from __future__ import annotations

import contextlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextbyte as nb
from nextbyte.ensemble import rules as arithmetic
from unit.fake_byte_models import FakeByteModel, FakeByteState, one_text_model, order2_model

RULES = ("mixture", "product", "posterior")
ROUNDING = 1e-12


def distance(one, other):
    return 0.5 * np.abs(np.exp(one) - np.exp(other)).sum()


class LazyState(FakeByteState):
    """Reads a law that is wrong, and says by how much; with intervals of single symbols or not."""

    def __init__(self, model, prefix=b""):
        super().__init__(model.law, prefix)
        self.model = model
        self.bound = 0.0
        if model.intervals:
            self.next_byte_bounds = self._bounds

    def next_byte_logprobs(self):
        truth = super().next_byte_logprobs()
        row, self.bound = self.model.read(self.prefix, truth)
        return row

    def _bounds(self):
        """The truth is at one of the ends, for some symbols."""
        truth = np.exp(self.model.law(self.prefix))
        read = np.exp(self.model.read(self.prefix, self.model.law(self.prefix))[0])
        return np.minimum(truth, read), np.maximum(truth, read)

    @property
    def logprob(self):
        """Wrong, too: that of what was read."""
        rows = (
            self.model.read(self.prefix[:i], self.model.law(self.prefix[:i]))[0]
            for i in range(len(self.prefix))
        )
        return float(sum(row[byte] for row, byte in zip(rows, self.prefix, strict=True)))

    def fork(self):
        other = LazyState(self.model, self.prefix)
        other.bound = self.bound
        return other


class LazyModel(FakeByteModel):
    """Another law in place of the true one, with the true distance as its bound."""

    def __init__(self, seed, share, *, intervals):
        super().__init__(order2_model(seed, b"ab").law)
        self._wrong = order2_model(seed + 1000, b"ab").law
        self._share = share
        self.intervals = intervals

    def read(self, prefix, truth):
        rows = np.stack([truth, self._wrong(prefix)])
        with np.errstate(divide="ignore"):
            weights = np.log([1.0 - self._share, self._share])
        row = arithmetic.mixture_law(rows, weights)
        return row, (distance(row, truth) if self._share else 0.0)

    def start(self, prompt=b""):
        state = LazyState(self)
        state.push(prompt)
        return state


def true_model(lazy):
    return FakeByteModel(lazy.law)


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(
    seeds=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    shares=st.lists(st.sampled_from([0.0, 1e-9, 1e-3, 0.05, 0.4]), min_size=3, max_size=3),
    powers=st.lists(st.sampled_from([1.0, 0.5, 2.0, -1.0]), min_size=3, max_size=3),
    rule=st.sampled_from(RULES),
    intervals=st.booleans(),
    text=st.text("ab", max_size=5),
    pushed=st.integers(0, 5),
    posterior_from=st.sampled_from(["text", "prompt"]),
)
def test_bounds_hold(**drawn):
    """The true ensemble, of the true laws, is within the bound and the intervals."""
    seeds, shares, powers = drawn["seeds"], drawn["shares"], drawn["powers"]
    rule, posterior_from = drawn["rule"], drawn["posterior_from"]
    lazy = [
        LazyModel(seed, share, intervals=drawn["intervals"])
        for seed, share in zip(seeds, shares, strict=False)
    ]
    weights = powers[: len(lazy)] if rule == "product" else np.abs(powers[: len(lazy)])
    options = {"concurrent": False, "posterior_from": posterior_from}
    model = nb.ByteEnsemble(lazy, weights, rule, **options)
    truth = nb.ByteEnsemble([true_model(m) for m in lazy], weights, rule, **options)
    data = drawn["text"].encode()
    at = max(len(data) - drawn["pushed"], 0)
    state, exact = model.start(data[:at]), truth.start(data[:at])
    for i in range(at, len(data) + 1):
        row, expected = state.next_byte_logprobs(), exact.next_byte_logprobs()
        assert exact.bound == 0.0
        assert distance(row, expected) <= state.bound + ROUNDING
        lower, upper = state.next_byte_bounds()
        assert lower.shape == upper.shape == (257,)
        assert (lower <= np.exp(expected) + ROUNDING).all()
        assert (np.exp(expected) <= upper + ROUNDING).all()
        if not any(shares[: len(lazy)]):
            assert state.bound == 0.0
        if i < len(data):
            state.push(data[i : i + 1])
            exact.push(data[i : i + 1])


def test_bounds_are_not_empty_words():
    """What is nearly exact has a small bound; a posterior's grows with the bytes."""
    for rule, intervals in itertools.product(RULES, (True, False)):
        members = [LazyModel(seed, 1e-6, intervals=intervals) for seed in (1, 2)]
        model = nb.ByteEnsemble(members, rule=rule, posterior_from="prompt")
        state = model.start(b"ab")
        state.next_byte_logprobs()
        assert 0.0 < state.bound < 1e-4, (rule, intervals)
        first = state.bound
        state.push(b"a")
        assert state.bound == first  # that of the last law
        state.next_byte_logprobs()
        assert state.bound < 1e-3
        assert state.fork().bound == state.bound


class LazyAtFirst(LazyModel):
    """Wrong about the first byte alone."""

    def read(self, prefix, truth):
        return (truth, 0.0) if prefix else super().read(prefix, truth)


@pytest.mark.parametrize("intervals", [True, False])
def test_what_was_uncertain_once_stays_in_the_weights(intervals):
    lazy = [LazyAtFirst(1, 0.3, intervals=intervals), LazyAtFirst(2, 0.01, intervals=intervals)]
    state = nb.ByteEnsemble(lazy, rule="posterior").start()
    exact = nb.ByteEnsemble([true_model(m) for m in lazy], rule="posterior").start()
    for byte in b"ab":
        state.next_byte_logprobs()
        state.push(bytes([byte]))
        exact.push(bytes([byte]))
        error = distance(state.next_byte_logprobs(), exact.next_byte_logprobs())
        assert 1e-4 < error <= state.bound < 1.0
        assert [m.state.bound for m in state.members.values()] == [0.0, 0.0]


def test_evidence_that_nobody_vouches_for():
    """The prompt's probability under inexact members weighs them, but certifies nothing."""
    state = nb.ByteEnsemble(
        [LazyModel(seed, 0.01, intervals=True) for seed in (1, 2)], rule="posterior"
    ).start(b"ab")
    state.next_byte_logprobs()
    assert state.bound == 1.0


class ExactInHindsight(LazyModel):
    """As a lazy `ByteLM`: laws have bounds, the probability of what was read has none."""

    def start(self, prompt=b""):
        state = ExactInHindsightState(self)
        state.push(prompt)
        return state


class ExactInHindsightState(LazyState):
    logprob_is_exact = True
    logprob = FakeByteState.logprob


def test_evidence_of_a_lazy_member_that_evaluates_what_it_put_off():
    lazy = [ExactInHindsight(seed, 0.01, intervals=True) for seed in (1, 2)]
    exact = nb.ByteEnsemble([true_model(m) for m in lazy], rule="posterior").start(b"ab")
    model = nb.ByteEnsemble(lazy, rule="posterior")
    state = model.start(b"ab")
    error = distance(state.next_byte_logprobs(), exact.next_byte_logprobs())
    assert error <= state.bound < 0.02
    assert state.logprob_is_exact
    nested = nb.ByteEnsemble([model, true_model(lazy[0])], rule="posterior").start(b"ab")
    nested.next_byte_logprobs()
    assert nested.bound < 0.02


def test_the_chain_of_an_ensemble_that_was_inexact_once_is_no_evidence():
    inner = nb.ByteEnsemble([LazyAtFirst(1, 0.3, intervals=True), order2_model(2, b"ab")])
    chain = inner.start(b"a")
    assert chain.logprob < 0.0
    assert not chain.logprob_is_exact
    state = nb.ByteEnsemble([inner, order2_model(3, b"ab")], rule="posterior").start(b"a")
    state.next_byte_logprobs()
    assert [m.state.bound for m in state.members.values()] == [0.0, 0.0]
    assert state.bound > 0.3
    certain = nb.ByteEnsemble([order2_model(1, b"ab"), order2_model(2, b"ab")]).start(b"a")
    assert certain.logprob < 0.0
    assert certain.logprob_is_exact


def test_the_mixture_of_bounds():
    members = [LazyModel(1, 0.1, intervals=False), LazyModel(2, 0.2, intervals=False)]
    state = nb.ByteEnsemble(members, [1, 3]).start()
    state.next_byte_logprobs()
    bounds = [m.state.bound for m in state.members.values()]
    assert state.bound == pytest.approx(0.25 * bounds[0] + 0.75 * bounds[1], abs=1e-15)


class Vague(FakeByteModel):
    """Refuses what its library did not confirm: its bound says nothing."""

    def start(self, prompt=b""):
        state = super().start(prompt)
        state.bound = 1.0
        return state


@pytest.mark.parametrize("rule", ["mixture", "posterior"])
@pytest.mark.parametrize("prompt", [b"", b"b"])
def test_a_refusal_that_is_not_certain_stays_in_the_bound(rule, prompt):
    vague = Vague(one_text_model(b"aa").law)
    model = nb.ByteEnsemble([vague, order2_model(1, b"ab")], [1, 3], rule)
    with pytest.warns(nb.errors.MemberLostWarning) if prompt else contextlib.nullcontext():
        state = model.start(prompt)
    with contextlib.nullcontext() if prompt else pytest.warns(nb.errors.MemberLostWarning):
        state.push(b"b")
    state.next_byte_logprobs()
    assert state.bound == (0.25 if rule == "mixture" else 1.0)
    lower, upper = state.next_byte_bounds()
    assert (upper - lower).max() >= 0.25


def test_nested_bounds_are_those_of_the_flat_ensemble():
    members = [LazyModel(seed, 0.1, intervals=True) for seed in (1, 2, 3)]
    nested = nb.ByteEnsemble([nb.ByteEnsemble(members[:2]), members[2]], [2, 1]).start(b"a")
    flat = nb.ByteEnsemble(members).start(b"a")
    nested.next_byte_logprobs()
    flat.next_byte_logprobs()
    assert nested.bound == pytest.approx(flat.bound, abs=1e-12)
    for one, other in zip(nested.next_byte_bounds(), flat.next_byte_bounds(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


@settings(max_examples=200, derandomize=True, database=None)
@given(
    st.lists(st.tuples(st.floats(-9, 3), st.floats(0, 4)), min_size=2, max_size=6),
    st.data(),
)
def test_intervals_of_boxes_are_tight(box, data):
    """No law of the box is outside, and the ends are laws of the box."""
    low = np.array([a for a, _ in box])
    high = low + np.array([b for _, b in box])
    lower, upper = arithmetic.box_to_intervals(low, high)
    masses = np.exp([data.draw(st.floats(a, b)) for a, b in zip(low, high, strict=True)])
    law = masses / masses.sum()
    assert (lower <= law * (1 + 1e-12)).all()
    assert (law <= upper * (1 + 1e-12)).all()
    for i in range(len(box)):
        for own, others, end in ((low, high, lower), (high, low, upper)):
            mixed = np.exp(np.where(np.arange(len(box)) == i, own, others))
            assert end[i] == pytest.approx(mixed[i] / mixed.sum(), rel=1e-12)


def test_boxes_without_ends():
    """A member of negative weight may have probability zero: then a mass has no upper end."""
    minus, plus = -np.inf, np.inf
    lower, upper = arithmetic.box_to_intervals(
        np.array([minus, 0.0, minus]), np.array([plus, 0.0, minus])
    )
    assert lower.tolist() == [0.0, 0.0, 0.0]
    assert upper.tolist() == [1.0, 1.0, 0.0]
    lower, upper = arithmetic.product_intervals(
        np.array([[0.5, 0.5], [0.0, 0.5]]), np.array([[0.5, 0.5], [0.5, 1.0]]), np.array([1, -1])
    )
    assert lower.tolist() == [0.0, 0.0]
    assert upper.tolist() == [1.0, 1.0]
