"""`score`, `loglikelihood` and `bits_per_byte` against log A(xb) - log A(x) of the definition."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextbyte as nb
from nextbyte.backends import TableBackend
from oracle.byte_models import LawModel, law_rows, log_mass, random_text

CASES = (
    "ahead_gpt2",
    "ahead_cl100k",
    "ahead_lines",
    "dead_blank",
    "dead_lead_byte",
    "plain_two",
    "plain_accents",
    "plain_three",
    "added_runs",
    "smollm_words",
    "characters_alone",
    "longest_letters",
)
TOLERANCE = 1e-10


def score(model, data, **options):
    return nb.score(model, data, **options)


def loglikelihood(model, context, continuation, **options):
    return nb.loglikelihood(model, context, continuation, **options)


def bits_per_byte(model, data, **options):
    return nb.bits_per_byte(model, data, **options)


def close(found, wanted):
    found, wanted = np.asarray(found, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    assert found.shape == wanted.shape
    assert ((found == -np.inf) == (wanted == -np.inf)).all()
    finite = wanted > -np.inf
    np.testing.assert_allclose(found[finite], wanted[finite], rtol=0, atol=TOLERANCE)


def check_all(model, law, data, context):
    rows = law_rows(law, data, context)
    symbols = np.array([*data, nb.END_OF_TEXT])
    along = rows[np.arange(len(symbols)), symbols]
    close(score(model, data, context=context), along[:-1])
    close(score(model, data, context=context, end_of_text=True), along)
    close(score(model, data, context=context, full=True), rows[:-1])
    close(score(model, data, context=context, full=True, end_of_text=True), rows)
    whole = log_mass(law, context + data) - log_mass(law, context)
    ended = log_mass(law, context + data, end_of_text=True) - log_mass(law, context)
    close(loglikelihood(model, context, data), whole)
    close(loglikelihood(model, context, data, end_of_text=True), ended)
    if data:
        bits = bits_per_byte(model, data, context=context)
        close(bits, -whole / math.log(2) / len(data))


@pytest.mark.parametrize("kind", ["even", "zeros", "steep", "elsewhere"])
@pytest.mark.parametrize("name", CASES)
def test_texts(name, kind, pairs):
    pair = pairs(name, kind)
    source = random.Random(f"score {name} {kind}")
    for count in (1, 5, 12):
        text = random_text(pair.law, source, count)
        cut = source.randrange(len(text) + 1)
        check_all(pair.lm, pair.law, text, b"")
        check_all(pair.lm, pair.law, text[cut:], text[:cut])


@pytest.mark.parametrize("name", ["ahead_gpt2", "dead_lead_byte", "plain_two"])
def test_every_cut_of_a_text(name, pairs):
    """Context and text may part anywhere: inside a token, a character, a run of blanks."""
    pair = pairs(name, "even")
    text = random_text(pair.law, random.Random(f"cuts {name}"), 9)
    for cut in range(len(text) + 1):
        check_all(pair.lm, pair.law, text[cut:], text[:cut])


@settings(max_examples=25, derandomize=True, database=None)
@given(
    name=st.sampled_from(CASES),
    kind=st.sampled_from(["even", "zeros"]),
    seed=st.integers(0, 2**32),
    count=st.integers(0, 10),
)
def test_drawn_texts(name, kind, seed, count, pairs):
    pair, source = pairs(name, kind), random.Random(seed)
    text = random_text(pair.law, source, count)
    cut = source.randrange(len(text) + 1)
    check_all(pair.lm, pair.law, text[cut:], text[:cut])


@pytest.mark.parametrize("name", CASES)
def test_many_continuations(name, pairs):
    pair = pairs(name, "even")
    source = random.Random(f"continuations {name}")
    context = random_text(pair.law, source, 4)
    texts = [b"", *(random_text(pair.law, source, 3) for _ in range(6))]
    texts = [text for text in texts if pair.law.mass(context + text)]
    base = log_mass(pair.law, context)
    for ends in (False, True):
        wanted = [log_mass(pair.law, context + t, end_of_text=ends) - base for t in texts]
        found = loglikelihood(pair.lm, context, texts, end_of_text=ends)
        close(found, wanted)
        alone = [loglikelihood(pair.lm, context, text, end_of_text=ends) for text in texts]
        assert all(isinstance(value, float) for value in alone)
        close(found, alone)
    assert np.asarray(loglikelihood(pair.lm, context, [])).shape == (0,)


def test_text_and_bytes_are_the_same(pairs):
    pair = pairs("plain_accents", "even")
    np.testing.assert_array_equal(score(pair.lm, "éa"), score(pair.lm, "éa".encode()))
    assert loglikelihood(pair.lm, "é", "aè") == loglikelihood(pair.lm, "é".encode(), "aè".encode())
    assert bits_per_byte(pair.lm, "éa") == bits_per_byte(pair.lm, "éa".encode())


@pytest.mark.parametrize("name", ["ahead_gpt2", "plain_accents"])
def test_any_byte_model_is_scored(name, pairs):
    pair = pairs(name, "even")
    text = random_text(pair.law, random.Random(f"own {name}"), 6)
    check_all(LawModel(pair.law, nb.errors), pair.law, text[2:], text[:2])


@pytest.mark.parametrize("name", ["ahead_gpt2", "plain_three"])
def test_table_backend(name, pairs):
    pair = pairs(name, "zeros")
    model = pair.law.model

    def table(context):
        weights = np.array(model.weights(context), dtype=np.float64)
        return weights / weights.sum()

    backend = TableBackend(table, start_token=model.start_token, end_tokens=model.end_tokens)
    lm = nb.ByteLM(pair.lm.tokenizer, backend)
    text = random_text(pair.law, random.Random(f"table {name}"), 8)
    check_all(lm, pair.law, text[3:], text[:3])


@pytest.mark.parametrize("name", ["ahead_gpt2", "plain_accents"])
def test_impossible_text_is_said_to_be(name, pairs):
    """A byte that cannot follow: its position is named, or its log-probability is -inf."""
    pair = pairs(name, "even")
    text = random_text(pair.law, random.Random(f"impossible {name}"), 4)
    refusal, found = refused(lambda: score(pair.lm, text + b"\xffa"))
    assert refusal in {None, (len(text), 0xFF)}
    if refusal is None:
        assert found[len(text)] == -np.inf
        close(found[: len(text)], score(pair.lm, text))
    refusal, found = refused(lambda: loglikelihood(pair.lm, text, b"\xff"))
    assert refusal in {None, (len(text), 0xFF)}
    assert refusal or found == -np.inf


def refused(call):
    """Return position and byte of the refusal, if it is one, and what the call returned."""
    try:
        return None, call()
    except nb.errors.UnreachableByteError as error:
        return (error.position, error.byte), None


def test_models_stay_usable_between_texts(pairs):
    pair = pairs("dead_blank", "even")
    text = random_text(pair.law, random.Random("again"), 8)
    first = score(pair.lm, text)
    score(pair.lm, text[::-1]) if pair.law.mass(text[::-1]) else None
    np.testing.assert_array_equal(score(pair.lm, text), first)
