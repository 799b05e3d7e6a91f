"""Many at once equal one by one: batched laws, batched generation; states saved and restored."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextbyte as nb
from oracle.byte_models import law_rows, random_text

CASES = (
    "ahead_gpt2",
    "ahead_cl100k",
    "dead_blank",
    "plain_accents",
    "plain_three",
    "smollm_words",
    "characters_alone",
    "longest_letters",
)


def generate_many(model, prompts, params):
    """Return one `Generation` for each prompt."""
    return list(nb.generate(model, prompts, params))


def params_of(params, index):
    """Return the parameters that give prompt `index` of a batch the same bytes by itself."""
    rule = getattr(nb.sampling, "params_of_prompt", None)
    if rule is not None:
        return rule(params, index)
    if params.seed is None:
        return params
    return dataclasses.replace(params, seed=params.seed + index)


def save(state):
    return state.to_bytes()


def restore(lm, data):
    return lm.restore(data)


def prompts_of(pair, count, *, seed=0):
    """Prompts of different lengths; the empty one, a repeated one, and one that begins another."""
    source = random.Random(f"prompts {pair.case.name} {seed}")
    prompts = [random_text(pair.law, source, source.randrange(1, 9)) for _ in range(count)]
    prompts = [p if source.random() < 0.7 else p[: source.randrange(len(p) + 1)] for p in prompts]
    return [*prompts, b"", prompts[0], prompts[1][:1]]


def same_generation(found, wanted):
    assert (found.prompt, found.bytes) == (wanted.prompt, wanted.bytes)
    assert (found.finish_reason, found.stop) == (wanted.finish_reason, wanted.stop)
    np.testing.assert_allclose(found.byte_logprobs, wanted.byte_logprobs, rtol=0, atol=1e-12)
    assert abs(found.logprob - wanted.logprob) <= 1e-10


def check_against_law(generation, law):
    """The log-probabilities are those of the definition, whoever drew the bytes."""
    rows = law_rows(law, generation.bytes, generation.prompt)
    wanted = rows[np.arange(len(generation.bytes)), list(generation.bytes)]
    np.testing.assert_allclose(generation.byte_logprobs, wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": 1.0, "seed": 3},
        {"temperature": 0.7, "top_p": 0.9, "seed": 11},
        {"temperature": 1.0, "seed": 5, "stop": ["a", "  "]},
        {"max_bytes": 0},
    ],
    ids=["greedy", "plain", "warped", "stop", "nothing"],
)
@pytest.mark.parametrize("name", CASES)
def test_batched_generation(name, options, pairs):
    pair = pairs(name)
    params = nb.SamplingParams(**{"unit": "byte", "max_bytes": 7, **options})
    prompts = prompts_of(pair, 5)
    found = generate_many(pair.lm, prompts, params)
    assert [generation.prompt for generation in found] == prompts
    for index, (prompt, generation) in enumerate(zip(prompts, found, strict=True)):
        check_against_law(generation, pair.law)
        same_generation(generation, nb.generate(pair.lm, prompt, params_of(params, index)))


@pytest.mark.parametrize("name", CASES)
def test_a_prompt_does_not_feel_its_neighbours(name, pairs):
    """The same place in another batch of the same seed gives the same bytes."""
    pair, params = pairs(name), nb.SamplingParams(unit="byte", max_bytes=8, seed=17)
    prompts, others = prompts_of(pair, 4), prompts_of(pair, 4, seed=1)
    whole = generate_many(pair.lm, prompts, params)
    for index, prompt in enumerate(prompts):
        batch = [*others[:index], prompt, *others[index + 1 :]][: len(prompts)]
        same_generation(generate_many(pair.lm, batch, params)[index], whole[index])
    again = generate_many(pair.lm, prompts, params)
    for one, other in zip(again, whole, strict=True):
        same_generation(one, other)


def test_batches_of_none_and_of_one(pairs):
    pair, params = pairs("ahead_gpt2"), nb.SamplingParams(unit="byte", max_bytes=5, seed=2)
    assert generate_many(pair.lm, [], params) == []
    (only,) = generate_many(pair.lm, [b"a "], params)
    same_generation(only, nb.generate(pair.lm, b"a ", params_of(params, 0)))
    (text,) = generate_many(pair.lm, ["a "], params)
    same_generation(text, only)


def test_a_bad_prompt_is_named(pairs):
    pair, params = pairs("plain_accents"), nb.SamplingParams(unit="byte", max_bytes=5)
    with pytest.raises(nb.errors.UnreachableByteError) as caught:
        generate_many(pair.lm, [b"a", b"a\xff", b""], params)
    assert (caught.value.position, caught.value.byte) == (1, 0xFF)


@pytest.mark.parametrize("kind", ["even", "zeros"])
@pytest.mark.parametrize("name", CASES)
def test_batched_laws(name, kind, pairs):
    """Ragged prefixes, forks of one lineage, fresh states and one state twice in a batch."""
    pair = pairs(name, kind)
    source = random.Random(f"laws {name} {kind}")
    for _ in range(4):
        texts = [random_text(pair.law, source, source.randrange(7)) for _ in range(6)]
        states = [pair.lm.start(text) for text in texts]
        for text, state in zip(list(texts), list(states), strict=True):
            fork = state.fork()
            fork.rollback(len(text) // 2)
            states.append(fork)
            texts.append(text[: len(text) - len(text) // 2])
        states.append(states[0])
        texts.append(texts[0])
        order = list(range(len(states)))
        source.shuffle(order)
        rows = pair.lm.next_byte_logprobs([states[place] for place in order])
        for place, row in zip(order, rows, strict=True):
            alone = pair.lm.start(texts[place]).next_byte_logprobs()
            np.testing.assert_array_equal(row, states[place].next_byte_logprobs())
            np.testing.assert_allclose(np.exp(row), np.exp(alone), rtol=0, atol=1e-13)
            wanted = pair.law.row(texts[place])
            np.testing.assert_allclose(np.exp(row), wanted, rtol=0, atol=1e-12)


def same_state(found, wanted, law):
    assert found.prefix == wanted.prefix
    assert found.bound == wanted.bound
    row = found.next_byte_logprobs()
    np.testing.assert_allclose(np.exp(row), law.row(found.prefix), rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.exp(row), np.exp(wanted.next_byte_logprobs()), rtol=0, atol=1e-13)
    assert abs(found.logprob - wanted.logprob) <= 1e-10


@pytest.mark.parametrize("kind", ["even", "zeros"])
@pytest.mark.parametrize("name", CASES)
def test_saved_states(name, kind, pairs):
    """Saved looked at or not, after pushes, forks and rollbacks; and all of that afterwards."""
    pair = pairs(name, kind)
    source = random.Random(f"saved {name} {kind}")
    for _ in range(6):
        text = random_text(pair.law, source, source.randrange(8))
        state = pair.lm.start(text[: len(text) // 2])
        if source.random() < 0.5:
            state.next_byte_logprobs()
        state.push(text[len(text) // 2 :])
        if source.random() < 0.5:
            state = state.fork()
            state.rollback(len(text) // 3)
        data = save(state)
        assert isinstance(data, bytes)
        other = restore(pair.lm, data)
        assert other.prefix == state.prefix
        same_state(other, state, pair.law)
        assert restore(pair.lm, save(other)).prefix == state.prefix
        possible = pair.law.possible(other.prefix)
        if possible:
            byte = bytes([source.choice(possible)])
            fork = other.fork()
            fork.push(byte)
            state.push(byte)
            same_state(fork, state, pair.law)
            state.rollback(1)
        other.rollback(len(other.prefix) // 2)
        state.rollback(len(state.prefix) // 2)
        same_state(other, state, pair.law)
        with pytest.raises(nb.errors.UnreachableByteError) as caught:
            other.push(b"\xff")
        assert caught.value.position == len(other.prefix)


def test_a_saved_state_keeps_its_start_token(pairs):
    pair = pairs("plain_three")
    assert pair.lm.start_token is not None
    state = pair.lm.start(b"ab", bos=None)
    other = restore(pair.lm, save(state))
    np.testing.assert_array_equal(other.next_byte_logprobs(), state.next_byte_logprobs())
    with_start = pair.lm.start(b"ab").next_byte_logprobs()
    assert not np.allclose(np.exp(other.next_byte_logprobs()), np.exp(with_start))


@pytest.mark.parametrize("name", ["ahead_gpt2", "plain_accents", "plain_three"])
def test_every_changed_byte_is_noticed(name, pairs):
    pair = pairs(name)
    text = random_text(pair.law, random.Random(f"corrupt {name}"), 9)
    state = pair.lm.start(text)
    state.next_byte_logprobs()
    data = save(state)
    for place in range(len(data)):
        for change in (0x01, 0x20, 0x80, 0xFF):
            wrong = bytearray(data)
            wrong[place] ^= change
            with pytest.raises(nb.errors.InvalidInputError):
                restore(pair.lm, bytes(wrong))
    for end in range(len(data)):
        with pytest.raises(nb.errors.InvalidInputError):
            restore(pair.lm, data[:end])
    for longer in (data + b"\0", data + data, b"\0" + data):
        with pytest.raises(nb.errors.InvalidInputError):
            restore(pair.lm, longer)
    same_state(restore(pair.lm, data), state, pair.law)


@settings(max_examples=60, derandomize=True, database=None)
@given(data=st.binary(max_size=200))
def test_noise_is_refused(data, pairs):
    with pytest.raises(nb.errors.InvalidInputError):
        restore(pairs("ahead_gpt2").lm, data)


@settings(max_examples=60, derandomize=True, database=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6)
)
def test_edited_states_are_refused(edits, pairs):
    lm = pairs("ahead_gpt2").lm
    data = save(lm.start(b"a  a\n"))
    wrong = bytearray(data)
    for place, value in edits:
        wrong[place % len(wrong)] = value
    if bytes(wrong) != data:
        with pytest.raises(nb.errors.InvalidInputError):
            restore(lm, bytes(wrong))


def test_a_state_of_another_tokenizer_is_refused(pairs):
    """Even where both could spell the bytes."""
    state = pairs("ahead_gpt2").lm.start(b"a  a")
    with pytest.raises(nb.errors.InvalidInputError):
        restore(pairs("ahead_cl100k").lm, save(state))


@pytest.mark.parametrize("wrong", ["a state", None, 7, [1, 2]])
def test_what_is_no_saved_state_is_refused(wrong, pairs):
    with pytest.raises((nb.errors.InvalidInputError, TypeError)):
        restore(pairs("ahead_gpt2").lm, wrong)
