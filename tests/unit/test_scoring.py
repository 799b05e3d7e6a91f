"""Scoring against one query a byte: laws, joins, impossible bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextbyte as nb
from nextbyte import END_OF_TEXT
from nextbyte.backends import TableBackend
from nextbyte.errors import InvalidInputError, UnreachableByteError
from unit.fake_byte_models import one_text_model, order2_model
from unit.known_models import END, A, load_all, noise, noisy
from unit.scored import InBatchesOf, assert_same_laws, chain, ending, step_by_step

TEXTS = {
    "letters": "the hat that the bat ate\n\n bathe",
    "smollm2_like": "the hat 2024 don't  stop\n\n é naïve 今天 \U0001f600",
    "all_bytes": "a é 今 \U0001f600!",
    "one_letter": "aaaaaaa",
}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


# --- One pass is one query a byte ----------------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 256])
@pytest.mark.parametrize("name", TEXTS)
def test_one_pass_gives_the_laws_of_one_query_a_byte(tokenizers, name, at_once):
    lm, _ = ending(tokenizers[name])
    data = TEXTS[name].encode()
    expected = step_by_step(lm, data)
    batched = InBatchesOf(lm, at_once)
    found = nb.score(batched, data, full=True, end_of_text=True)
    assert_same_laws(found, expected)
    assert max(batched.asked) == min(at_once, len(data) + 1)
    assert sum(batched.asked) == len(data) + 1
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, rtol=0, atol=1e-12)
    logprobs = nb.score(batched, data)
    assert logprobs.shape == (len(data),)
    assert logprobs.dtype == np.float64
    np.testing.assert_array_equal(logprobs, chain(nb.score(batched, data, full=True), data))
    assert math.fsum(logprobs) == pytest.approx(lm.start(data).logprob, rel=1e-12)


@settings(max_examples=60)
@given(
    text=st.text(st.sampled_from("the a\n12'té今\U0001f600"), max_size=24),
    before=st.integers(0, 12),
    at_once=st.integers(1, 9),
    name=st.sampled_from(["letters", "smollm2_like"]),
)
def test_any_text_after_any_context(tokenizers, text, before, at_once, name):
    """Contexts that end anywhere: in a token, in a character, before a look-ahead is decided."""
    lm, _ = ending(tokenizers[name])
    whole = text.encode()
    if name == "letters":
        whole = bytes(byte for byte in whole if byte in b"thea \n")
    context, data = whole[:before], whole[before:]
    try:
        expected = step_by_step(lm, data, context)
    except UnreachableByteError:
        return  # the tiny vocabulary lacks a byte
    batched = InBatchesOf(lm, at_once)
    end = bool(expected[-1, END_OF_TEXT] > -np.inf)
    found = nb.score(batched, data, context=context, full=True, end_of_text=end)
    assert_same_laws(found, expected[: len(data) + end])
    assert nb.loglikelihood(batched, context, data) == pytest.approx(
        math.fsum(chain(expected, data)), rel=1e-12, abs=1e-12
    )


def test_a_table_of_rational_numbers(tokenizers):
    """After `a` in ab_with_specials the law is known by hand; see test_byte_lm."""
    probabilities = [0.2, 0.1, 0.3, 0.05, 0.1, 0.2, 0.05]
    backend = TableBackend({(): probabilities}, end_tokens=[4, 5])
    lm = nb.ByteLM(tokenizers["ab_with_specials"], backend)
    found = np.exp(nb.score(lm, "ab", end_of_text=True))
    np.testing.assert_allclose(found, [0.5 / 0.9, 0.6, 0.3 / 0.9], rtol=1e-14)


def test_any_byte_model_can_be_scored():
    model = order2_model(3, b"abc")
    data = b"abcabacbbca"
    found = nb.score(model, data, context=b"cc", full=True, end_of_text=True)
    assert_same_laws(found, step_by_step(model, data, b"cc"), atol=0)
    assert nb.bits_per_byte(model, data) == pytest.approx(
        -model.start(data).logprob / len(data) / math.log(2), rel=1e-12
    )


def test_every_context_is_evaluated_once(tokenizers):
    data = TEXTS["smollm2_like"].encode()
    lm, backend = noisy(tokenizers["smollm2_like"])
    state = lm.start()
    for byte in data:
        state.next_byte_logprobs()
        state.push(bytes([byte]))
    one_by_one = state.lm_evaluations
    backend.reset()
    nb.score(InBatchesOf(lm, 8), data)
    assert backend.requests == one_by_one
    contexts = [context for batch in backend.batches for context in batch]
    assert len(contexts) == len(set(contexts))
    assert backend.calls == math.ceil(len(data) / 8)


# --- Several continuations -----------------------------------------------------------------------


def test_continuations_are_the_chain_rule_whatever_the_batches(tokenizers):
    lm, backend = noisy(tokenizers["letters"])
    context = b"the ha"
    choices = [b"t that", b"t", b"t that the", b"", b"te", b"t that"]
    whole = lm.start(context).logprob
    expected = [lm.start(context + choice).logprob - whole for choice in choices]
    for at_once in (1, 2, 5, 100):
        found = nb.loglikelihood(InBatchesOf(lm, at_once), context, choices)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        assert found.dtype == np.float64
    backend.reset()
    nb.loglikelihood(lm, context, choices)
    assert backend.calls == 2  # the context, and all the rest
    single = nb.loglikelihood(lm, context.decode(), "t that")
    assert isinstance(single, float)
    assert single == pytest.approx(expected[0], rel=1e-12)
    assert nb.loglikelihood(lm, context, []).shape == (0,)


def test_the_join_is_where_the_tokenizer_would_merge(tokenizers):
    """P(th) * P(e | th) = P(the), though `the` is one token."""
    lm, _ = noisy(tokenizers["letters"])
    for cut in range(8):
        data = b"the that"
        total = nb.loglikelihood(lm, b"", data[:cut]) + nb.loglikelihood(lm, data[:cut], data[cut:])
        assert total == pytest.approx(nb.loglikelihood(lm, b"", data), rel=1e-12)


def test_the_end_counts_if_asked(tokenizers):
    lm, _ = noisy(tokenizers["ab_with_specials"], end_tokens=[4])
    state = lm.start(b"ab")
    state.push(b"a")
    expected = state.logprob - lm.start(b"ab").logprob + state.next_byte_logprobs()[END_OF_TEXT]
    assert nb.loglikelihood(lm, b"ab", b"a", end_of_text=True) == pytest.approx(expected, rel=1e-12)


# --- Impossible bytes ----------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 2, 5, 100])
def test_a_byte_that_cannot_follow_is_named_by_its_place_in_the_data(tokenizers, at_once):
    lm, _ = noisy(tokenizers["letters"])
    model = InBatchesOf(lm, at_once)
    for position in range(6):
        data = b"the t\xff"[5 - position :] + b"the"
        with pytest.raises(UnreachableByteError, match=f"position {position}") as caught:
            nb.score(model, data, context=b"at")
        assert (caught.value.position, caught.value.byte) == (position, 0xFF)
        found = nb.loglikelihood(model, b"at", [data, b"the", data[:position], b"\xff"])
        assert np.isneginf(found).tolist() == [True, False, False, True]
        assert found[1] == pytest.approx(nb.loglikelihood(lm, b"at", b"the"), rel=1e-12)
        assert found[2] == pytest.approx(nb.loglikelihood(lm, b"at", data[:position]), abs=1e-12)


@pytest.mark.parametrize("at_once", [1, 2, 5, 100])
def test_a_byte_that_the_model_rules_out(tokenizers, at_once):
    """Nobody would ask for the rows behind it; a batch has, and they are no rows at all."""
    tokenizer = tokenizers["one_letter"]
    letter, end = 0, 1

    def rows(contexts):
        made = np.zeros((len(contexts), 2))
        for logits, context in zip(made, contexts, strict=True):
            if len(context) == 2:
                logits[letter] = -np.inf  # the text ends after `aa`
            elif len(context) > 2:
                logits[:] = np.nan
        return made

    model = InBatchesOf(nb.ByteLM.from_function(tokenizer, rows, end_tokens=[end]), at_once)
    for data in (b"aaa", b"aaaa", b"aaaaaaa"):
        with pytest.raises(UnreachableByteError) as caught:
            nb.score(model, data)
        assert (caught.value.position, caught.value.byte) == (2, ord("a"))
        found = nb.loglikelihood(model, b"a", [data[1:], b"a", data])
        assert found.tolist() == [-np.inf, math.log(0.5), -np.inf]
    assert nb.score(model, b"aa", end_of_text=True)[-1] == 0.0


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_a_byte_that_a_lazy_law_still_allows(tokenizers, at_once):
    """What was put off may turn out to be impossible once the text has gone there."""
    tokenizer = tokenizers["ab_with_specials"]

    def rows(contexts):
        made = np.full((len(contexts), tokenizer.vocab_size), -np.inf)
        for logits, context in zip(made, contexts, strict=True):
            logits[END] = 0.0
            if context[-1:] != [A]:
                logits[:3] = -4.0, -4.0, 0.0
        return made

    lm = nb.ByteLM.from_function(tokenizer, rows, end_tokens=[END], tolerance=0.3)
    lazy = InBatchesOf(lm, at_once)
    found = nb.loglikelihood(lazy, b"ba", [b"aab", b"b", b"aabab"])
    assert found[[0, 2]].tolist() == [-math.inf, -math.inf]
    assert found[1] > -0.1
    with pytest.raises(UnreachableByteError, match="data: byte 0x61") as caught:
        nb.score(lazy, b"aaab", context=b"ab")
    # `aa` is impossible. Where a batch begins behind it, the first law to say so is that of `aaa`.
    assert caught.value.position in (1, 2)


def test_a_model_that_refuses_what_its_law_allows():
    """Then the refusal counts: P(byte) = 0."""
    model = order2_model(1, b"abc")
    start = model.start

    def refusing(prompt=b""):
        state = start(prompt)
        push, fork = state.push, state.fork

        def refuse(data):
            if b"c" in data:
                raise UnreachableByteError(len(state.prefix), ord("c"))
            push(data)

        state.push = refuse
        state.fork = lambda: refusing(fork().prefix)
        return state

    model.start = refusing
    assert nb.loglikelihood(model, b"a", [b"bab", b"bcb"])[1] == -np.inf
    with pytest.raises(UnreachableByteError) as caught:
        nb.score(model, b"abcb")
    assert caught.value.position == 2


@pytest.mark.parametrize("at_once", [1, 2, 4, 100])
def test_a_model_that_is_certain_of_one_text(at_once):
    model = InBatchesOf(one_text_model(b"abc"), at_once)
    assert nb.score(model, b"abc", end_of_text=True).tolist() == [0.0] * 4
    found = nb.loglikelihood(model, b"a", [b"bc", b"c", b"b"], end_of_text=True)
    assert found.tolist() == [0.0, -math.inf, -math.inf]
    with pytest.raises(UnreachableByteError) as caught:
        nb.score(model, b"abb")
    assert caught.value.position == 2
    assert nb.score(model, b"ab", end_of_text=True).tolist() == [0.0, 0.0, -math.inf]
    assert nb.bits_per_byte(model, b"ab", end_of_text=True) == math.inf


def test_an_impossible_context_is_an_error(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    for context in (b"th\xff", b"\xff"):
        with pytest.raises(UnreachableByteError):
            nb.loglikelihood(lm, context, [b"a"])
        with pytest.raises(UnreachableByteError):
            nb.score(lm, b"", context=context)


def test_a_row_that_is_no_distribution_is_an_error_and_can_be_mended(tokenizers):
    tokenizer = tokenizers["letters"]
    broken = [True]

    def rows(contexts):
        made = np.stack([noise(tokenizer.vocab_size)(context) for context in contexts])
        if broken[0] and len(contexts) > 1:
            made[1, 5] = np.nan
        return made

    lm = nb.ByteLM.from_function(tokenizer, rows)
    with pytest.raises(InvalidInputError):
        nb.score(lm, b"the that")
    broken[0] = False
    assert nb.score(lm, b"the that").shape == (8,)


def test_text_that_no_text_is(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    with pytest.raises(InvalidInputError, match="data: lone surrogate"):
        nb.score(lm, "\ud800")
    with pytest.raises(InvalidInputError, match="continuation 1: lone surrogate"):
        nb.loglikelihood(lm, "", ["a", "\udc00"])
    with pytest.raises(InvalidInputError, match="lone surrogate"):
        nb.loglikelihood(lm, "\ud800", "a")
    with pytest.raises(InvalidInputError, match="data is empty"):
        nb.bits_per_byte(lm, b"")


def test_an_empty_text(tokenizers):
    lm, backend = noisy(tokenizers["ab_with_specials"], end_tokens=[4])
    assert nb.score(lm, b"").shape == (0,)
    assert nb.score(lm, b"", full=True).shape == (0, 257)
    assert nb.loglikelihood(lm, b"ab", b"") == 0.0
    assert backend.calls == 0
    end = lm.start(b"a").next_byte_logprobs()[END_OF_TEXT]
    assert nb.score(lm, b"", context=b"a", end_of_text=True).tolist() == [end]


# --- Progress ------------------------------------------------------------------------------------


def test_the_bar_ends_full(monkeypatch):
    steps = []

    class Bar:
        def __init__(self, description, *, total, enabled):
            assert (description, total, enabled) == ("scoring", 11, True)

        def __enter__(self):
            return steps.append

        def __exit__(self, *_):
            return None

    monkeypatch.setattr("nextbyte.scoring.progress_bar", Bar)
    nb.score(order2_model(1, b"ab"), b"abababab" + b"ab", end_of_text=True, progress=True)
    assert sum(steps) == 11
