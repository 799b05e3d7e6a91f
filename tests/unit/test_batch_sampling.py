"""Batched `generate`: every result is that of its prompt alone, from one call a step."""

from __future__ import annotations

import gc
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbyte.errors import BackendError, InvalidInputError, UnreachableByteError
from nextbyte.sampling import SamplingParams, generate
from unit.fake_byte_models import FakeByteModel, one_text_model, order2_model
from unit.known_models import load_all, noisy

ALPHABET = b"ab\n\xc3\xa9"


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


def assert_same(found, expected):
    """Everything is equal, to the last bit of the log-probabilities."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.byte_logprobs, other.byte_logprobs)
        for name in ("prompt", "bytes", "finish_reason", "stop", "logprob", "lm_evaluations"):
            assert getattr(one, name) == getattr(other, name), name
        assert (one.bound, one.errors) == (other.bound, other.errors)


params_of_a_stream = st.builds(
    SamplingParams,
    seed=st.integers(0, 1000),
    max_bytes=st.integers(0, 12),
    stop=st.lists(st.sampled_from([b"a", b"ab", b"\n", b"ba\n"]), max_size=2),
    temperature=st.sampled_from([0.0, 0.8, 1.0]),
    top_k=st.sampled_from([0, 2]),
)


@given(
    seed=st.integers(0, 6),
    streams=st.lists(
        st.tuples(st.lists(st.sampled_from(ALPHABET), max_size=3).map(bytes), params_of_a_stream),
        max_size=6,
    ),
)
@settings(deadline=None, max_examples=60)
def test_each_result_is_that_of_its_prompt_alone(seed, streams):
    model = order2_model(seed, ALPHABET)
    prompts, params = [prompt for prompt, _ in streams], [own for _, own in streams]
    expected = [generate(model, prompt, own) for prompt, own in streams]
    assert_same(generate(model, prompts, params), expected)


@pytest.mark.parametrize("name", ["letters", "smollm2_like"])
def test_a_tokenized_model_gives_the_same_bits_from_one_call_a_step(tokenizers, name):
    prompts = [b"the t", b"a", b"the t", b"", b"the ", b"ba", b"a a"]
    params = SamplingParams(seed=5, max_bytes=9)
    lm, backend = noisy(tokenizers[name])
    expected = [
        generate(lm, prompt, replace(params, seed=5 + index))
        for index, prompt in enumerate(prompts)
    ]
    backend.reset()
    found = generate(lm, prompts, params)
    assert_same(found, expected)
    assert backend.calls <= 9
    assert backend.requests <= sum(result.lm_evaluations for result in expected)
    gc.collect()
    assert backend.rows == 0


def test_one_seed_gives_each_prompt_its_own(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    params = SamplingParams(seed=3, max_bytes=20)
    results = generate(lm, ["the "] * 4, params)
    assert len({result.bytes for result in results}) > 1
    assert_same(results[:1], [generate(lm, "the ", params)])
    assert_same(generate(lm, ["the "] * 4, params), results)
    assert_same(generate(lm, ["the "] * 2, [params, params]), results[:1] * 2)
    fresh = generate(lm, ["the "] * 8, SamplingParams(max_bytes=20))
    assert len({result.bytes for result in fresh}) > 1


def test_streams_that_end_leave_the_batch_and_free_what_they_held(tokenizers):
    lm, backend = noisy(tokenizers["letters"])
    params = [SamplingParams(seed=n, max_bytes=length) for n, length in enumerate((1, 30, 2))]
    held = []
    inner = lm.next_byte_logprobs

    class Watching:
        start = staticmethod(lm.start)

        @staticmethod
        def next_byte_logprobs(states):
            held.append((len(states), len(backend.branches)))
            return inner(states)

    found = generate(Watching(), [b"the t", b"a", b"ba"], params)
    ends = [len(result.byte_logprobs) for result in found]
    assert [count for count, _ in held] == [3, 2, *([1] * (len(held) - 2))]
    assert len(held) == max(ends) + (found[1].finish_reason == "end_of_text")
    gc.collect()
    assert len(backend.branches) == 0


def test_nothing_asked_for():
    model = order2_model(0, b"ab")
    assert generate(model, []) == []
    assert generate(model, [], []) == []
    assert model.started == []
    (empty,) = generate(model, ["a"], SamplingParams(max_bytes=0))
    assert (empty.bytes, empty.finish_reason) == (b"", "length")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", 3],), "prompt 1 must be str or bytes, not int"),
        ((["a", "b\ud800"],), r"prompt 1: lone surrogate U\+D800 at character 1"),
        ((["a"], [SamplingParams()] * 2), "1 prompts need 1 params, got 2"),
        ((["a", "b"], [SamplingParams(), 3]), "params 1 must be SamplingParams, not int"),
        ((["a"], {"seed": 1}), "params must be SamplingParams, not dict"),
        (("a", [SamplingParams()]), "params must be SamplingParams, not list"),
    ],
)
def test_arguments_are_checked_before_the_model_is_asked(arguments, message):
    model = order2_model(0, b"ab")
    with pytest.raises(InvalidInputError, match=message):
        generate(model, *arguments)
    with pytest.raises(InvalidInputError, match="errors must be one of"):
        generate(model, ["a"], errors="surrogateescape")
    assert model.started == []


def test_an_impossible_prompt_is_named():
    with pytest.raises(UnreachableByteError, match=r"^prompt 2: .*position 1") as caught:
        generate(order2_model(0, b"ab"), ["a", "b", "ac", "c"])
    assert (caught.value.position, caught.value.byte) == (1, ord("c"))


def test_a_stream_whose_law_fails_is_named():
    model = order2_model(1, b"ab", end=False)

    def law(prefix):
        if prefix.startswith(b"b") and len(prefix) == 4:
            raise BackendError("the model is out of positions")
        return model.law(prefix)

    with pytest.raises(BackendError, match=r"^prompt 1: the model is out of positions"):
        generate(FakeByteModel(law), ["a", "b", "ab"], SamplingParams(seed=0, max_bytes=6))


def test_a_failure_of_the_batch_alone_is_the_models_error():
    model = order2_model(1, b"ab", end=False)

    class OneAtATime:
        start = staticmethod(model.start)

        @staticmethod
        def next_byte_logprobs(states):
            raise BackendError(f"{len(states)} streams do not fit")

    with pytest.raises(BackendError, match=r"^2 streams do not fit"):
        generate(OneAtATime(), ["a", "b"])


def test_the_bar_counts_every_byte_asked_for(monkeypatch, capfd):
    steps = []

    class Bar:
        def __enter__(self):
            return steps.append

        def __exit__(self, *_):
            return None

    totals = []

    def bar(_title, *, total, enabled):
        totals.append(total)
        assert enabled
        return Bar()

    monkeypatch.setattr("nextbyte.sampling.progress_bar", bar)
    model = one_text_model(b"abc")
    params = [SamplingParams(max_bytes=n) for n in (2, 3, 9)]
    results = generate(model, ["", "a", "ab"], params, progress=True)
    assert [result.bytes for result in results] == [b"ab", b"bc", b"c"]
    assert totals == [14]
    assert sum(steps) == 14
    assert math.isclose(sum(result.logprob for result in results), 0.0)
    assert capfd.readouterr() == ("", "")
