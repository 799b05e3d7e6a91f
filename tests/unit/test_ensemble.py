"""Ensembles of models whose laws are written down: rules, weights, lost members, generation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextbyte as nb
from nextbyte.errors import (
    InvalidInputError,
)
from unit.fake_byte_models import (
    FakeByteModel,
    chances,
    fixed,
    order2_model,
)

RULES = ("mixture", "product", "posterior")
A, B, END = 97, 98, 256


# --- Definitions by hand -------------------------------------------------------------------------


def test_mixture_by_hand():
    models = [fixed(a=0.5, b=0.25, end=0.25), fixed(a=1.0)]
    state = nb.ByteEnsemble(models, [1, 3]).start()
    assert chances(state) == {"a": 0.875, "b": 0.0625, "end": 0.0625}


def test_product_by_hand_and_what_one_finds_impossible():
    models = [fixed(a=0.5, b=0.25, end=0.25), fixed(a=0.2, b=0.8)]
    state = nb.ByteEnsemble(models, [2, 1], "product").start()
    total = 0.25 * 0.2 + 0.0625 * 0.8
    assert chances(state) == {"a": round(0.05 / total, 12), "b": round(0.05 / total, 12)}


def test_negative_weights_never_make_the_impossible_possible():
    """Proxy tuning: the small model's ratio moves the large one; zeros stay zeros."""
    large, tuned, base = (
        fixed(a=0.5, b=0.5),
        fixed(a=0.6, b=0.3, c=0.1),
        fixed(a=0.2, b=0.6, c=0.2),
    )
    state = nb.ByteEnsemble([large, tuned, base], [1, 1, -1], "product").start()
    assert chances(state) == {"a": round(1.5 / 1.75, 12), "b": round(0.25 / 1.75, 12)}
    without = nb.ByteEnsemble([large, tuned, fixed(b=1.0)], [1, 1, -1], "product").start()
    assert chances(without) == {"b": 1.0}


def test_equal_weights_by_default():
    models = [fixed(a=1.0), fixed(b=1.0)]
    assert nb.ByteEnsemble(models).weights == (0.5, 0.5)
    assert chances(nb.ByteEnsemble(models).start()) == {"a": 0.5, "b": 0.5}
    geometric = nb.ByteEnsemble([fixed(a=0.8, b=0.2), fixed(a=0.2, b=0.8)], rule="product")
    assert chances(geometric.start()) == {"a": 0.5, "b": 0.5}


def test_weights_for_one_text():
    model = nb.ByteEnsemble([fixed(a=1.0), fixed(b=1.0)])
    assert chances(model.start(weights=[3, 1])) == {"a": 0.75, "b": 0.25}
    assert chances(model.start()) == {"a": 0.5, "b": 0.5}
    with pytest.raises(InvalidInputError, match="negative"):
        model.start(weights=[2, -1])


def test_a_member_of_weight_zero_is_never_asked():
    def explode(_):
        raise AssertionError

    for rule in RULES:
        never = FakeByteModel(explode)
        state = nb.ByteEnsemble([fixed(a=0.5, b=0.5), never], [1, 0], rule).start(b"a")
        assert chances(state) == {"a": 0.5, "b": 0.5}
        state.push(b"b")
        assert not never.started
        assert np.isfinite(state.logprob)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": []}, "at least one model"),
        ({"models": [object()]}, "member 0 is no byte model"),
        ({"weights": [1.0]}, "2 numbers"),
        ({"weights": [1.0, "x"]}, "must be numbers"),
        ({"weights": [1.0, np.nan]}, "finite"),
        ({"weights": [0, 0]}, "all weights are zero"),
        ({"weights": [2, -1]}, "must not be negative"),
        ({"weights": [2, -1], "rule": "posterior"}, "must not be negative"),
        ({"rule": "mean"}, "rule must be one of 'mixture', 'product', 'posterior'"),
        ({"posterior_from": "here"}, "posterior_from"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        nb.ByteEnsemble(**{"models": [fixed(a=1.0), fixed(b=1.0)], **arguments})


def test_huge_weights_do_not_overflow():
    state = nb.ByteEnsemble([fixed(a=1.0), fixed(b=1.0)], [1.5e308, 1.5e308]).start()
    assert chances(state) == {"a": 0.5, "b": 0.5}


def test_a_posterior_learns_and_tiny_evidence_is_not_lost():
    model = nb.ByteEnsemble([fixed(a=0.9, b=0.1), fixed(a=0.1, b=0.9)], rule="posterior")
    state = model.start()
    state.push(b"ab" * 400)
    np.testing.assert_allclose(state.weights, [0.5, 0.5], atol=1e-12)  # both are below 1e-400
    state.push(b"a")
    np.testing.assert_allclose(state.weights, [0.9, 0.1], atol=1e-12)
    assert chances(state) == {"a": 0.82, "b": 0.18}
    state.rollback(1)
    np.testing.assert_allclose(state.weights, [0.5, 0.5], atol=1e-12)


# --- Everything above the waist ------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_generate_and_stream(rule):
    model = nb.ByteEnsemble([order2_model(1, b"abc"), order2_model(2, b"abc")], rule=rule)
    params = nb.SamplingParams(max_bytes=30, seed=3)
    result = nb.generate(model, "ab", params)
    assert b"".join(c.bytes for c in nb.stream(model, "ab", params)) == result.bytes
    whole = model.start(b"ab" + result.bytes)
    ended = result.finish_reason == "end_of_text"
    end = whole.next_byte_logprobs()[END] if ended else 0.0
    expected = whole.logprob - model.start(b"ab").logprob + end
    assert result.logprob == pytest.approx(expected, abs=1e-10)
    assert (result.bound, whole.bound) == (0.0, 0.0)


@settings(max_examples=40, derandomize=True, database=None, deadline=None)
@given(
    seeds=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    weights=st.data(),
    rule=st.sampled_from(RULES),
    text=st.text("ab", max_size=6),
    random=st.randoms(use_true_random=False),
)
def test_order_forks_and_rollbacks_do_not_matter(seeds, weights, rule, text, random):
    number = st.floats(0.01, 3.0)
    if rule == "product":
        number = st.one_of(number, st.floats(-2.0, -0.01))
    chosen = [weights.draw(number) for _ in seeds]
    models = [order2_model(seed, b"ab") for seed in seeds]
    data = text.encode()
    expected = nb.ByteEnsemble(models, chosen, rule, concurrent=False).start(data)
    order = list(range(len(seeds)))
    random.shuffle(order)
    permuted = nb.ByteEnsemble(
        [models[i] for i in order], [chosen[i] for i in order], rule, concurrent=False
    )
    state = permuted.start(data[: len(data) // 2])
    for byte in data[len(data) // 2 :]:
        if random.random() < 0.5:
            state.next_byte_logprobs()
        if random.random() < 0.3:
            away = state.fork()
            away.push(b"ba")
            away.next_byte_logprobs()
            away.rollback(random.randrange(len(away.prefix) + 1))
        if random.random() < 0.3:
            state.push(b"ab")
            state.rollback(2)
        state.push(bytes([byte]))
    rows = state.next_byte_logprobs(), expected.next_byte_logprobs()
    np.testing.assert_allclose(np.exp(rows[0]), np.exp(rows[1]), rtol=1e-11, atol=1e-300)
    assert state.logprob == pytest.approx(expected.logprob, abs=1e-10)
