"""SamplingParams refuses what has no meaning; warp agrees with a slow reading of its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from nextbyte.errors import InvalidInputError
from nextbyte.sampling.warping import SamplingParams, warp


def row_of(**probabilities):
    """A row from the probabilities of named symbols: a letter, or END."""
    row = np.full(257, -np.inf)
    for name, probability in probabilities.items():
        row[256 if name == "END" else ord(name)] = np.log(probability)
    return row


def slow_warp(logprobs, *, temperature, top_k, top_p, min_p, margin):
    """The definition in plain Python, one symbol at a time. None: too near an edge to tell."""
    logprobs = [float(value) for value in logprobs]
    ranked = sorted(range(257), key=lambda symbol: (-logprobs[symbol], symbol))
    if temperature == 0:
        return [1.0 if symbol == ranked[0] else 0.0 for symbol in range(257)]
    weight = {
        symbol: math.exp((logprobs[symbol] - logprobs[ranked[0]]) / temperature)
        for symbol in ranked
        if logprobs[symbol] > -math.inf
    }
    staying = [symbol for symbol in ranked if symbol in weight]
    if top_k > 0:
        staying = staying[:top_k]
    if top_p < 1:
        total = math.fsum(weight[symbol] for symbol in staying)
        fewest, held = [], 0.0
        for symbol in staying:
            if held >= top_p * total:
                break
            fewest.append(symbol)
            held = math.fsum(weight[kept] for kept in fewest)
            if abs(held - top_p * total) < margin:
                return None
        staying = fewest
    if any(abs(weight[symbol] - min_p) < margin for symbol in staying if weight[symbol] != min_p):
        return None
    staying = [symbol for symbol in staying if weight[symbol] >= min_p]
    total = math.fsum(weight[symbol] for symbol in staying)
    return [weight[symbol] / total if symbol in staying else 0.0 for symbol in range(257)]


@st.composite
def rows(draw):
    """Rows with many ties, zeros, and both few and many symbols."""
    levels = draw(st.lists(st.floats(-30.0, 0.0), min_size=1, max_size=6))
    count = draw(st.integers(1, 257))
    row = np.full(257, -np.inf)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    where = random.choice(257, size=count, replace=False)
    row[where] = random.choice(levels, size=count)
    return row


@given(
    rows(),
    st.sampled_from([0.0, 1e-3, 0.5, 1.0, 1.7, 100.0]),
    st.sampled_from([0, 1, 2, 5, 256, 257, 1000]),
    st.sampled_from([1e-9, 0.1, 0.5, 0.9, 0.999999, 1.0]),
    st.sampled_from([0.0, 1e-6, 0.05, 0.5, 1.0]),
)
@example(np.full(257, -5.5), 1.0, 3, 0.5, 0.0)
@example(np.zeros(257), 0.0, 0, 1.0, 0.0)
def test_warp_agrees_with_the_definition(row, temperature, top_k, top_p, min_p):
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    expected = slow_warp(row, **options, margin=1e-9)
    assume(expected is not None)
    before = row.copy()
    result = warp(row, params)
    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-300)
    np.testing.assert_array_equal(row, before)
    assert abs(result.sum() - 1.0) < 1e-12
    assert np.all(result[row == -np.inf] == 0.0)


def test_warp_without_warping_is_the_law_itself():
    row = row_of(a=0.5, b=0.125, END=0.375)
    np.testing.assert_allclose(warp(row, SamplingParams()), np.exp(row), rtol=1e-15)


def test_ties_go_to_the_smaller_symbol():
    row = row_of(a=0.25, b=0.25, c=0.25, END=0.25)
    assert np.flatnonzero(warp(row, SamplingParams(temperature=0))).tolist() == [97]
    assert np.flatnonzero(warp(row, SamplingParams(top_k=3))).tolist() == [97, 98, 99]
    assert np.flatnonzero(warp(row, SamplingParams(top_p=0.5))).tolist() == [97, 98]
    assert np.flatnonzero(warp(row, SamplingParams(top_p=0.500001))).tolist() == [97, 98, 99]


def test_filters_act_one_after_the_other():
    row = row_of(a=0.5, b=0.25, c=0.125, END=0.125)
    # Of the three that top_k leaves, a and b hold 6/7 of the mass: top_p sees shares, not 3/4.
    both = warp(row, SamplingParams(top_k=3, top_p=0.85))
    np.testing.assert_allclose(both[[97, 98, 99]], [2 / 3, 1 / 3, 0])
    # The temperature comes first: at T = 0.5 the masses are 16 : 4 : 1 : 1.
    cold = warp(row, SamplingParams(temperature=0.5, top_p=0.75, min_p=0.1))
    np.testing.assert_allclose(cold[[97, 98, 99]], [0.8, 0.2, 0])
    # min_p is relative to the largest: at least 0.5 of 0.5 is kept, its edge included.
    np.testing.assert_allclose(warp(row, SamplingParams(min_p=0.5))[[97, 98]], [2 / 3, 1 / 3])


def test_order_survives_a_temperature_that_rounds_weights_together():
    row = row_of(a=0.25, b=0.25 * (1 + 1e-12), c=0.5)
    kept = np.flatnonzero(warp(row, SamplingParams(temperature=1e9, top_k=2)))
    assert kept.tolist() == [98, 99]


def test_tiny_temperatures_are_greedy_in_the_limit():
    row = row_of(a=0.3, b=0.4, c=0.3)
    assert warp(row, SamplingParams(temperature=5e-324))[98] == 1.0
    tied = row_of(a=0.5, b=0.5)
    np.testing.assert_array_equal(warp(tied, SamplingParams(temperature=5e-324))[[97, 98]], 0.5)


def test_unnormalized_rows_are_allowed():
    row = row_of(a=0.25, b=0.75)
    np.testing.assert_allclose(warp(row + 700.0, SamplingParams()), np.exp(row), rtol=1e-12)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (np.zeros(256), r"must have shape \(257,\), got \(256,\)"),
        (np.zeros((1, 257)), r"got \(1, 257\)"),
        (np.full(257, -np.inf), "every entry is -inf"),
        (np.full(257, np.nan), "not NaN"),
        (np.where(np.arange(257) == 9, np.nan, 0.0), "not NaN"),
        (np.where(np.arange(257) == 9, np.inf, 0.0), "below"),
    ],
)
def test_warp_refuses_what_is_no_law(row, message):
    with pytest.raises(InvalidInputError, match=message):
        warp(row, SamplingParams())


REFUSED = {
    "temperature": [-0.1, math.nan, math.inf, "1", None, True, np.True_, 1j],
    "top_k": [-2, 1.0, True, "3", None],
    "top_p": [0.0, -0.5, 1.0001, math.nan, False, "1"],
    "min_p": [-1e-9, 1.1, math.nan, True, None],
    "seed": [-1, 1.5, True, "0"],
    "max_bytes": [-1, 2.0, False, None],
    "max_tokens": [-1, 2.0, False, "3"],
    "stop": [3, None, {b"x"}],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values]
)
def test_parameters_name_field_value_and_range(name, value):
    with pytest.raises(InvalidInputError) as caught:
        SamplingParams(**{name: value})
    assert str(caught.value).startswith(f"{name} must be ")
    assert str(caught.value).endswith(f"got {value!r}")


@pytest.mark.parametrize(
    ("stop", "message"),
    [
        ("", r"stop must be a non-empty string"),
        ([b"a", b""], r"stop\[1\] must be a non-empty string"),
        (["a", "\udc80"], r"stop\[1\]: lone surrogate U\+DC80 at character 0"),
        ([7], r"stop\[0\] must be str or bytes, not int"),
        (bytearray(b"a"), r"stop\[0\] must be str or bytes, not int"),
    ],
)
def test_stop_strings_are_checked_one_by_one(stop, message):
    with pytest.raises(InvalidInputError, match=message):
        SamplingParams(stop=stop)


def test_parameters_come_to_a_normal_form():
    params = SamplingParams(
        temperature=1, top_k=np.int64(-1), seed=np.uint8(7), stop=["\u00e9", b"\n", b"\xc3\xa9"]
    )
    assert params.stop == params.stop_strings == ("\u00e9".encode(), b"\n")
    assert type(params.temperature) is float
    assert params.top_k == 0
    assert type(params.seed) is int
    same = SamplingParams(seed=7, stop=("\u00e9", "\n"))
    assert params == same
    assert hash(params) == hash(same)
    assert SamplingParams(stop="ab").stop == (b"ab",)
    with pytest.raises(AttributeError):
        params.top_k = 3


def test_parameters_are_keyword_only():
    with pytest.raises(TypeError):
        SamplingParams(0.5)
