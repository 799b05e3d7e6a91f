"""Streams of a `ByteLM` over transformers: bounded keys and values, shared prefixes, equal laws."""

from __future__ import annotations

import dataclasses
import gc
import random

import numpy as np
import pytest

import nextbyte as nb
from integration.small_models import VOCAB, llama
from nextbyte.backends import TransformersBackend
from nextbyte.errors import BackendError
from unit.known_models import load_all

LIMIT = 45
CLOSE = 1e-9  # of float64 rows: what batches and reading again may change


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    found = load_all(tmp_path_factory.mktemp("tokenizers"))["letters"]
    assert found.vocab_size <= VOCAB
    return found


def make(tokenizer, **options):
    backend = TransformersBackend(llama().double(), start_token=0, end_tokens=(), **options)
    return nb.ByteLM(tokenizer, backend)


@pytest.fixture(scope="module")
def unlimited(tokenizer):
    return make(tokenizer)


def likely(row, chance):
    """Return one of the possible bytes."""
    return bytes([chance.choice(np.flatnonzero(np.isfinite(row[:256])))])


def test_alternating_streams_under_a_limit_have_the_laws_of_streams_without_one(
    tokenizer, unlimited
):
    lm = make(tokenizer, max_slots=LIMIT)
    chance = random.Random(0)
    states = [lm.start(prompt) for prompt in (b"the t" * 4, b"at the ", b"a" * 9)]
    twins = [unlimited.start(state.prefix) for state in states]
    for _ in range(40):
        n = chance.randrange(3)
        row = states[n].next_byte_logprobs()
        np.testing.assert_allclose(np.exp(row), np.exp(twins[n].next_byte_logprobs()), atol=CLOSE)
        assert lm.backend.kv_tokens <= LIMIT
        if len(states[n].prefix) > 35:
            states[n].rollback(20)
            twins[n].rollback(20)
        else:
            byte = likely(row, chance)
            states[n].push(byte)
            twins[n].push(byte)
    assert unlimited.backend.kv_tokens > LIMIT + 5, "else nothing was given up"
    assert states[0].logprob == pytest.approx(twins[0].logprob, abs=1e-6)
    del states
    gc.collect()
    assert lm.backend.kv_tokens == 0


def test_a_call_that_cannot_fit_says_so_and_the_next_one_works(tokenizer):
    lm = make(tokenizer, max_slots=30)
    states = [lm.start(prompt * 18) for prompt in (b"a\n", b"t ")]
    with pytest.raises(BackendError, match="max_slots=30"):
        lm.next_byte_logprobs(states)
    with pytest.raises(BackendError, match=r"^prompt 0: .*max_slots=30"):
        nb.generate(lm, [b"a\n" * 18, b"t"])
    small = lm.start(b"the t")
    assert abs(np.exp(small.next_byte_logprobs()).sum() - 1.0) < 1e-12


def test_a_batch_that_does_not_fit_at_once_is_read_in_parts(tokenizer, unlimited):
    lm = make(tokenizer, max_slots=LIMIT)
    prompts = [letter * 12 for letter in (b"a\n", b"t ", b"\n\n", b"h ")]
    params = nb.SamplingParams(seed=0, max_bytes=6)
    for unit in ("byte", "token"):
        own = [dataclasses.replace(params, unit=unit, seed=n) for n in range(4)]
        found, twins = nb.generate(lm, prompts, own), nb.generate(unlimited, prompts, own)
        assert [one.bytes for one in found] == [one.bytes for one in twins]
        assert lm.backend.kv_tokens == 0


def test_a_batch_is_its_prompts_one_by_one(tokenizer, unlimited):
    lm = make(tokenizer)
    prompts = [b"the t", b"at the ", b"the t", b"a", b"the the at", b"\n"]
    params = [nb.SamplingParams(seed=n, max_bytes=5 + 4 * n) for n in range(6)]
    for one, prompt, own in zip(nb.generate(lm, prompts, params), prompts, params, strict=True):
        alone = nb.generate(unlimited, prompt, own)
        assert one.bytes == alone.bytes
        np.testing.assert_allclose(one.byte_logprobs, alone.byte_logprobs, rtol=0, atol=1e-6)
        assert one.lm_evaluations == alone.lm_evaluations
    gc.collect()
    assert lm.backend.kv_tokens == 0


def test_equal_beginnings_share_keys_and_values(tokenizer):
    lm = make(tokenizer)
    prompt = b"the t at the a" * 4
    first = lm.start(prompt)
    row = first.next_byte_logprobs()
    held = lm.backend.kv_tokens
    others = [lm.start(prompt + end) for end in (b"", b"t", b"a", b" ")]
    rows = lm.next_byte_logprobs(others)
    assert lm.backend.kv_tokens <= held + 4 * 4
    np.testing.assert_allclose(np.exp(rows[0]), np.exp(row), atol=CLOSE)
    del first
    others[1].push(b"h")
    fresh = make(tokenizer).start(others[1].prefix)
    np.testing.assert_allclose(
        np.exp(others[1].next_byte_logprobs()), np.exp(fresh.next_byte_logprobs()), atol=CLOSE
    )
    del others
    gc.collect()
    assert lm.backend.kv_tokens == 0


def test_long_use_of_beams_holds_what_lives(tokenizer):
    lm = make(tokenizer)
    chance = random.Random(5)
    beams = [lm.start(b"the ")]
    most = 0
    for _ in range(60):
        rows = lm.next_byte_logprobs(beams)
        grown = []
        for beam, row in zip(beams, rows, strict=True):
            for _ in range(2):
                fork = beam.fork()
                fork.push(likely(row, chance))
                grown.append(fork)
        beams = chance.sample(grown, min(len(grown), 4))
        most = max(most, lm.backend.kv_tokens)
    assert most <= 4 * 70  # the paths of four beams, at most
    del beams, beam, fork, grown
    gc.collect()
    assert lm.backend.kv_tokens == 0
