"""States of a `ByteLM`: forks, rollback, and bytes that cannot be pushed."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest

from nextbyte.errors import InvalidInputError, UnreachableByteError
from unit.known_models import assert_same_law, law, load_all, noisy


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


# --- States --------------------------------------------------------------------------------------


def test_the_prefix_is_prompt_and_pushes(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    state = lm.start("thé")
    assert state.prefix == "thé".encode()
    state.push(b" a")
    state.push(b"")
    assert state.prefix == "thé a".encode()
    state.rollback(3)
    assert state.prefix == b"th\xc3"
    state.rollback(0)
    assert state.prefix == b"th\xc3"
    state.rollback(3)
    assert state.prefix == b""
    assert_same_law(state, lm.start())


def test_text_may_be_pushed_as_str(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    state = lm.start("é")
    state.push("é a")
    assert state.prefix == "éé a".encode()


def test_prompts_cut_anywhere_give_the_law_of_the_bytes(tokenizers):
    text = "the é hat".encode()
    lm, _ = noisy(tokenizers["letters"])
    for cut in range(len(text) + 1):
        whole, parts = lm.start(text[:cut]), lm.start()
        for byte in text[:cut]:
            parts.push(bytes([byte]))
        assert_same_law(whole, parts)


def test_a_law_asked_for_twice_costs_nothing_and_is_the_callers(tokenizers):
    lm, backend = noisy(tokenizers["letters"])
    state = lm.start(b"the")
    first = law(state)
    count = state.lm_evaluations
    backend.reset()
    kept = first.copy()
    first[:] = 0.0
    np.testing.assert_array_equal(law(state), kept)
    assert (backend.calls, state.lm_evaluations) == (0, count)


@pytest.mark.parametrize("asked_before", [False, True])
def test_forks_never_influence_each_other(tokenizers, asked_before):
    lm, _ = noisy(tokenizers["letters"])
    state = lm.start(b"the t")
    if asked_before:
        law(state)
    fork, second = state.fork(), state.fork()
    fork.push(b"ha")
    state.rollback(2)
    state.push(b" abab")
    second.rollback(5)
    for found, prefix in ((fork, b"the tha"), (state, b"the abab"), (second, b"")):
        assert found.prefix == prefix
        assert_same_law(found, lm.start(prefix))


def test_a_fork_asks_after_its_origin_did(tokenizers):
    """Forked before the query: the origin's rows are not the fork's, but its branches are known."""
    lm, backend = noisy(tokenizers["letters"])
    state = lm.start(b"the t")
    fork = state.fork()
    expected = law(state)
    backend.reset()
    np.testing.assert_allclose(law(fork), expected, rtol=1e-12)
    assert backend.tokens <= 4  # nothing is read from the start again


def test_a_fork_asks_after_its_origin_went_on(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    state = lm.start(b"the t")
    fork = state.fork()
    for byte in b"ha the":
        law(state)
        state.push(bytes([byte]))
    law(state)
    assert_same_law(fork, lm.start(b"the t"))
    fork.push(b"ha ")
    assert_same_law(fork, lm.start(b"the tha "))
    assert fork.logprob == pytest.approx(lm.start(b"the tha ").logprob, rel=1e-12)


def test_a_fork_outlives_its_origin(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    state = lm.start(b"the t")
    law(state)
    fork = state.fork()
    state.push(b"hat")
    law(state)
    del state
    gc.collect()
    fork.push(b"a")
    assert_same_law(fork, lm.start(b"the ta"))


def test_rollback_and_the_same_bytes_again(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    text = b"the tab the hat"
    expected = [law(lm.start(text[:end])) for end in range(len(text) + 1)]
    state = lm.start()
    for count in (1, 2, 3, 5, 15):
        state.rollback(len(state.prefix))
        for end in range(len(text) + 1):
            np.testing.assert_allclose(law(state), expected[end], rtol=1e-10)
            if end and end % count == 0:
                state.rollback(count)
                np.testing.assert_allclose(law(state), expected[end - count], rtol=1e-10)
                state.push(text[end - count : end])
            state.push(text[end : end + 1])


def test_random_walks_of_pushes_forks_and_rollbacks(tokenizers):
    """Every state of a growing family has the law of its prefix, whatever happened around it."""
    lm, _ = noisy(tokenizers["letters"], end_tokens=(tokenizers["letters"].special_tokens["<e>"],))
    fresh, _ = noisy(tokenizers["letters"], end_tokens=lm.end_tokens)
    source = np.random.default_rng(5)
    family = [lm.start(b"the ")]
    for _ in range(150):
        state = family[source.integers(len(family))]
        match source.integers(5):
            case 0 if len(family) < 6:
                family.append(state.fork())
            case 1:
                state.rollback(int(source.integers(min(4, len(state.prefix)) + 1)))
            case 2:
                law(state)
            case 3 if len(family) > 2:
                family.remove(state)
            case _:
                state.push(source.choice([b"t", b"h", b"e", b" ", b"a", b"\n", b"ab"]))
        chosen = family[source.integers(len(family))]
        assert_same_law(chosen, fresh.start(chosen.prefix))
        if source.integers(4) == 0:
            expected = fresh.start(chosen.prefix).logprob
            assert chosen.logprob == pytest.approx(expected, rel=1e-11, abs=1e-11)


# --- Bytes that cannot follow --------------------------------------------------------------------


IMPOSSIBLE = [
    ("all_bytes", b"a", b"\xff", 0),
    ("all_bytes", b"a", b"\x80", 0),  # a continuation byte alone
    ("all_bytes", b"a", b"\xc0\xaf", 0),  # overlong
    ("all_bytes", b"a", b"\xe0\x80\xaf", 1),
    ("all_bytes", b"a", b"\xed\xa0\x80", 1),  # a surrogate
    ("all_bytes", b"a", b"\xf4\x90\x80\x80", 1),  # above U+10FFFF
    ("all_bytes", b"a\xe4\xb8", b"a", 0),  # a character cut off
    ("all_bytes", b"", b"he said \xf0\x9f\x98 it", 11),
    ("letters", b"the ", b"tab", None),
    ("letters", b"the ", b"that xy", 5),  # x has no token
    ("letters", b"the ", b"that \xe4", 5),
    ("smollm2_like", b"the", b" t\x04", 2),
    ("smollm2_like", b"the", b"\xf3\xa0\x81\xf2", 3),
]


@pytest.mark.parametrize("case", IMPOSSIBLE)
@pytest.mark.parametrize("asked", [False, True])
def test_impossible_bytes_leave_the_state_as_it_was(tokenizers, case, asked):
    name, prompt, data, offset = case
    lm, backend = noisy(tokenizers[name])
    state = lm.start(prompt)
    if offset is None:  # the control: a possible push
        state.push(data)
        assert_same_law(state, lm.start(prompt + data))
        return
    if asked:
        law(state)
    backend.reset()
    evaluations = state.lm_evaluations
    position, byte = len(prompt) + offset, data[offset]
    for _ in range(2):
        with pytest.raises(UnreachableByteError) as caught:
            state.push(data)
        assert (caught.value.position, caught.value.byte) == (position, byte)
        assert f"position {position}" in str(caught.value)
        assert f"0x{byte:02x}" in str(caught.value).lower()
        assert state.prefix == prompt
        assert state.lm_evaluations == evaluations
    assert_same_law(state, lm.start(prompt))
    if asked:
        assert backend.requests <= 4  # only the fresh state's
    with pytest.raises(UnreachableByteError) as caught:
        lm.start(prompt + data)
    assert caught.value.position == position
    state.push(data[:offset])
    assert state.prefix == prompt + data[:offset]
    assert law(state)[byte] == -math.inf


@pytest.mark.parametrize("data", [None, 5, 5.0, [1], bytearray(b"a"), memoryview(b"a"), True])
def test_pushing_something_else(tokenizers, data):
    lm, _ = noisy(tokenizers["letters"])
    state = lm.start(b"the")
    kind = type(data).__name__
    with pytest.raises(InvalidInputError, match=f"data must be str or bytes, not {kind}"):
        state.push(data)
    with pytest.raises(InvalidInputError, match=f"prompt must be str or bytes, not {kind}"):
        lm.start(data)
    assert state.prefix == b"the"


def test_lone_surrogates(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    with pytest.raises(InvalidInputError, match=r"prompt: lone surrogate U\+DCE9 at character 2"):
        lm.start("ab\udce9")
    state = lm.start("ab")
    with pytest.raises(InvalidInputError, match=r"data: lone surrogate U\+D83D at character 0"):
        state.push("\ud83d")
    assert state.prefix == b"ab"


@pytest.mark.parametrize("asked", [False, True])
def test_rollback_out_of_range(tokenizers, asked):
    lm, _ = noisy(tokenizers["letters"])
    state = lm.start(b"the")
    if asked:
        law(state)
    with pytest.raises(InvalidInputError, match="cannot roll back 4 bytes: only 3"):
        state.rollback(4)
    with pytest.raises(InvalidInputError, match="n must not be negative, got -1"):
        state.rollback(-1)
    for n in (1.5, "1", None, 2**70):
        with pytest.raises((InvalidInputError, TypeError)):
            state.rollback(n)
    assert state.prefix == b"the"
    assert_same_law(state, lm.start(b"the"))


def test_states_of_another_model(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    other, _ = noisy(tokenizers["letters"])
    for states in ([other.start()], [lm.start(), other.start()]):
        with pytest.raises(InvalidInputError, match="a state belongs to another ByteLM"):
            lm.next_byte_logprobs(states)


def test_something_that_is_no_state(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    with pytest.raises((InvalidInputError, TypeError)):
        lm.next_byte_logprobs([object()])
