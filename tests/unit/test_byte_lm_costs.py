"""What a `ByteLM` asks of its backend, and what it keeps: batches, counts, memory, depth."""

from __future__ import annotations

import gc
import math
import sys
import time

import numpy as np
import pytest

from nextbyte import ByteLM
from nextbyte.backends import TableBackend
from unit.known_models import chances, law, load_all, noise, noisy


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


# --- Batches and counts --------------------------------------------------------------------------


def test_a_batch_is_what_its_states_are_one_by_one(tokenizers):
    tokenizer = tokenizers["letters"]
    prefixes = [b"", b"t", b"the", b"the t", b"the \n", b"a\xc3", b"ab"]
    lm, backend = noisy(tokenizer)
    rows = lm.next_byte_logprobs([lm.start(prefix) for prefix in prefixes])
    assert rows.shape == (len(prefixes), 257)
    assert backend.calls == 1
    for row, prefix in zip(rows, prefixes, strict=True):
        np.testing.assert_allclose(row, law(lm.start(prefix)), rtol=1e-12)


def test_no_stream_of_a_batch_reads_a_token_twice(tokenizers):
    lm, backend = noisy(tokenizers["letters"])
    states = [lm.start(prompt) for prompt in (b"the t", b"at the ", b"a\xc3", b"")]
    lm.next_byte_logprobs(states)
    backend.reset()
    for byte in b"he at":
        for state in states:
            law_now = np.exp(state.next_byte_logprobs())
            state.push(bytes([byte if law_now[byte] else int(law_now[:256].argmax())]))
        lm.next_byte_logprobs(states)
    assert backend.requests > 0
    assert backend.tokens <= 1.5 * backend.requests


def test_forks_in_a_batch_share_their_contexts(tokenizers):
    lm, backend = noisy(tokenizers["letters"])
    state = lm.start(b"the t")
    forks = [state, state.fork(), state.fork()]
    forks[2].push(b"h")
    rows = lm.next_byte_logprobs(forks)
    (batch,) = backend.batches
    assert len(batch) == len(set(batch))
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_allclose(rows[2], law(lm.start(b"the th")), rtol=1e-12)


def test_a_function_sees_equal_contexts_of_separate_states_once(tokenizers):
    tokenizer = tokenizers["letters"]
    seen = []

    def rows(contexts):
        seen.append([tuple(context) for context in contexts])
        return np.stack([noise(tokenizer.vocab_size)(context) for context in contexts])

    lm = ByteLM.from_function(tokenizer, rows)
    seen.clear()
    both = lm.next_byte_logprobs([lm.start(b"the t"), lm.start(b"the t")])
    assert len(seen) == 1
    assert len(seen[0]) == len(set(seen[0]))
    np.testing.assert_array_equal(both[0], both[1])


def test_a_state_twice_in_a_batch(tokenizers):
    lm, backend = noisy(tokenizers["letters"])
    state = lm.start(b"the t")
    rows = lm.next_byte_logprobs([state, state])
    np.testing.assert_array_equal(rows[0], rows[1])
    assert state.lm_evaluations == backend.requests


def test_an_empty_batch(tokenizers):
    lm, backend = noisy(tokenizers["letters"])
    assert lm.next_byte_logprobs([]).shape == (0, 257)
    assert backend.calls == 0


def test_lm_evaluations_counts_requested_rows(tokenizers):
    lm, backend = noisy(tokenizers["letters"])
    state = lm.start(b"the tab")
    assert state.lm_evaluations == 0
    law(state)
    assert state.lm_evaluations == backend.requests > 0
    for byte in b" the hat\n\n":
        state.push(bytes([byte]))
        law(state)
    assert state.lm_evaluations == backend.requests
    fork = state.fork()
    assert fork.lm_evaluations == state.lm_evaluations
    fork.push(b"t")
    law(fork)
    assert fork.lm_evaluations == backend.requests > state.lm_evaluations


def test_a_prompt_costs_one_call_and_few_rows(tokenizers):
    for name in ("letters", "all_bytes", "smollm2_like"):
        lm, backend = noisy(tokenizers[name])
        state = lm.start(b"the hat that the bat ate " * 40)
        assert backend.calls == 0  # starting costs nothing
        law(state)
        assert backend.calls == 1
        assert backend.requests <= 4


def test_a_byte_costs_about_one_row(tokenizers):
    lm, backend = noisy(tokenizers["smollm2_like"])
    text = b"the hat that the bat ate in there 2024\n\n" * 5
    state = lm.start(text[:5])
    law(state)
    backend.reset()
    for byte in text[5:]:
        state.push(bytes([byte]))
        law(state)
    assert backend.calls <= len(text)
    assert backend.requests <= 1.2 * len(text)
    assert backend.tokens <= 1.2 * len(text)  # every context is one token more than a known one


def test_logprob_after_a_query_before_every_byte_costs_nothing(tokenizers):
    """Every edge on the way was in a row that has been read."""
    for name in ("letters", "smollm2_like"):
        lm, backend = noisy(tokenizers[name])
        state = lm.start()
        for byte in b"the hat that the bat ate\n\n \xc3\xa9 \n\n a  the":
            law(state)
            state.push(bytes([byte]))
        law(state)
        backend.reset()
        assert state.logprob < 0.0
        assert backend.requests == 0


def test_rollback_evaluates_a_few_contexts_again(tokenizers):
    lm, backend = noisy(tokenizers["smollm2_like"])
    text = b"the hat that the bat ate in there 2024\n\n"
    state = lm.start(text * 5)
    law(state)
    for byte in text:
        state.push(bytes([byte]))
        law(state)
        backend.reset()
        state.rollback(1)
        law(state)
        assert backend.requests <= 2
        assert backend.tokens <= 4
        state.push(bytes([byte]))
        law(state)
    for count in (2, 5, 20):
        backend.reset()
        state.rollback(count)
        law(state)
        assert backend.requests <= 3
        assert backend.tokens <= 6


# --- Memory and depth ----------------------------------------------------------------------------


def test_rows_and_branches_do_not_accumulate(tokenizers):
    lm, backend = noisy(tokenizers["smollm2_like"])
    text = (b"the hat that the bat ate in there 2024\n\n" * 50)[:2000]
    state = lm.start(b"the ")
    gc.collect()
    for position, byte in enumerate(text):
        law(state)
        state.push(bytes([byte]))
        if position % 50 == 0:
            law(state)
            # Rows are in the core as masses; of the backend's none is kept. A branch is kept for
            # the contexts of the text itself (rollback, and their KV is needed), few others.
            assert backend.rows == 0
            path = len(lm.tokenizer.encode(state.prefix))
            assert len(backend.branches) <= path + 8
    del state
    gc.collect()
    assert len(backend.branches) == 0


def test_a_byte_late_in_a_stream_costs_what_an_early_one_does(tokenizers):
    """Calls, of Python and of the core, and blocks of memory, byte for byte; no timing."""
    lm, backend = noisy(tokenizers["smollm2_like"])
    line = b"the hat that the bat ate in there 2024\n\n"
    state = lm.start(line)
    state.next_byte_logprobs()
    calls, blocks = [], []
    for _ in range(60):
        backend.batches.clear()  # the backend's own books
        gc.collect()
        blocks.append(sys.getallocatedblocks())
        counted = 0

        def count(_frame, event, _argument):
            nonlocal counted
            counted += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            for byte in line:
                state.push(bytes([byte]))
                state.next_byte_logprobs()
        finally:
            sys.setprofile(None)
        calls.append(counted)
    assert max(calls[-10:]) <= 1.02 * min(calls[5:15])
    # What stays is the history of the text: the same for each line.
    early, late = blocks[15] - blocks[5], blocks[-1] - blocks[-11]
    assert late <= 1.1 * early + 100


def test_scoring_a_long_text_keeps_nothing(tokenizers):
    lm, backend = noisy(tokenizers["smollm2_like"])
    state = lm.start(b"the hat that the bat ate in there 2024\n\n" * 20)
    assert state.logprob < 0.0
    assert state.lm_evaluations == backend.requests
    assert backend.requests <= len(lm.tokenizer.encode(state.prefix)) + 4
    gc.collect()
    assert backend.rows <= 3  # of the contexts at the prompt's end, for rollback
    assert len(backend.branches) <= 4
    backend.reset()
    assert state.logprob < 0.0
    assert backend.requests == 0  # known by now


def test_dropped_forks_free_their_branches(tokenizers):
    lm, backend = noisy(tokenizers["smollm2_like"])
    state = lm.start(b"the hat")
    law(state)
    alive = len(backend.branches)
    for byte in b"aeth \n":
        fork = state.fork()
        fork.push(bytes([byte]) + b"the")
        law(fork)
        del fork
    gc.collect()
    assert len(backend.branches) <= alive
    assert backend.rows == 0


def test_a_deep_text_of_one_state(tokenizers):
    """200,000 tokens in a chain: no recursion, no quadratic cost, in push, query and release."""
    lm = ByteLM(tokenizers["one_letter"], TableBackend({(): [0.75, 0.25]}, end_tokens=[1]))
    began = time.process_time()
    state = lm.start(b"a" * 100_000)
    for _ in range(1000):
        state.push(b"a" * 100)
    assert chances(state) == pytest.approx({"a": 0.75, "end": 0.25}, rel=1e-14)
    fork = state.fork()
    fork.push(b"a")
    assert len(fork.prefix) == 200_001
    state.rollback(199_999)
    assert chances(state) == pytest.approx({"a": 0.75, "end": 0.25}, rel=1e-14)
    del state, fork
    gc.collect()
    assert time.process_time() - began < 20.0


def test_a_query_after_every_byte_of_a_deep_text(tokenizers):
    lm = ByteLM(tokenizers["one_letter"], TableBackend({(): [0.75, 0.25]}, end_tokens=[1]))
    state = lm.start()
    for _ in range(5000):
        law(state)
        state.push(b"a")
    assert state.logprob == pytest.approx(5000 * math.log(0.75), rel=1e-12)
    assert state.lm_evaluations <= 5001
    late = lm.start(b"a" * 20_000)
    assert late.logprob == pytest.approx(20_000 * math.log(0.75), rel=1e-12)
    del state, late
    gc.collect()
