"""The byte law under real tokenizers, with a model whose rows are noise from the last token."""

from __future__ import annotations

import functools
import math
import random
import zlib

import numpy as np
import pytest

import nextbyte as nb
from judge.texts import whole_characters
from nextbyte.errors import UnreachableByteError
from real_tokenizers import random_prefix


@pytest.fixture(scope="module")
def noise(subject):
    """Logits to cut rows from: a row starts where the hash of its context says.

    In float64: masses of float32 rows are right to 1e-6 only, and laws are compared at 1e-10 here.
    """
    size = subject.ours.vocab_size + 4096
    return np.random.default_rng(len(subject.name)).normal(0, 4, size)


@pytest.fixture(scope="module")
def row(subject, noise):
    """Return the logits of a context; all of its tokens decide."""

    def logits(context):
        start = zlib.crc32(repr(context).encode()) % 4096
        made = noise[start : start + subject.ours.vocab_size].copy()
        made[subject.end_token] = 9.0  # the end of text is never out of reach
        return made

    return logits


@pytest.fixture(scope="module")
def lm(subject, row):
    return nb.ByteLM.from_function(
        subject.ours,
        lambda contexts: np.stack([row(list(context)) for context in contexts]),
        end_tokens=(subject.end_token,),
    )


def random_data(subject, source, longest=24):
    prefix, _ = random_prefix(subject, source, fragments=4, longest=longest)
    return prefix


def test_law_sums_to_one_and_chains(subject, lm, figures):
    """The mass of a text is the product of the laws on the way to it, byte by byte or at once."""
    source = random.Random(f"{subject.name} chain")
    for _ in range(30):
        data = random_data(subject, source)
        state = lm.start()
        chain = 0.0
        for position in range(len(data)):
            law = state.next_byte_logprobs()
            assert law.shape == (257,)
            assert abs(math.fsum(np.exp(law)) - 1) < 1e-12, (subject.name, data[:position])
            chain += law[data[position]]
            state.push(data[position : position + 1])
            assert abs(state.logprob - chain) < 1e-10 * max(1, -chain), (subject.name, data)
            figures[subject.name]["laws"] += 1
        at_once = lm.start(data)
        assert at_once.prefix == state.prefix == data
        assert abs(at_once.logprob - state.logprob) < 1e-10, (subject.name, data)
        assert_same_law(at_once, state)
        assert state.bound == at_once.bound == 0.0


def assert_same_law(one, other):
    assert one.prefix == other.prefix
    np.testing.assert_allclose(
        one.next_byte_logprobs(),
        other.next_byte_logprobs(),
        rtol=0,
        atol=1e-13,
        err_msg=str(one.prefix),
    )


def test_law_allows_exactly_what_has_covers(subject, lm):
    """A byte is possible iff a cover reaches it, the end iff the text is whole; the rest raises."""
    source = random.Random(f"{subject.name} support")
    for _ in range(5):
        data = random_data(subject, source, longest=10)
        state = lm.start(data)
        law, before = state.next_byte_logprobs(), state.logprob
        for byte in source.sample(range(256), 60):
            covers = subject.ours.cover_encodings(data + bytes([byte]))
            assert np.isfinite(law[byte]) == bool(covers), (subject.name, data, byte)
            if not covers:
                with pytest.raises(UnreachableByteError) as error:
                    state.push(bytes([byte]))
                assert (error.value.position, error.value.byte) == (len(data), byte)
                assert (state.prefix, state.logprob) == (data, before)
        whole = not whole_characters(data)[1]
        assert np.isfinite(law[nb.END_OF_TEXT]) == whole, (subject.name, data)
        assert_same_law(state, lm.start(data))


def test_forks_and_rollbacks_are_as_if_they_started_afresh(subject, lm, figures):
    """Random walks of a few branches; whatever a branch did, its law is that of its prefix."""
    source = random.Random(f"{subject.name} fork")
    for _ in range(25):
        data = random_data(subject, source)
        states = [(lm.start(), b"")]
        for _ in range(14):
            place = source.randrange(len(states))
            state, prefix = states[place]
            step = source.choice(["push", "push", "push", "fork", "roll back", "ask", "ask all"])
            if step == "push":
                more = data[len(prefix) :][: source.randint(1, 6)]
                state.push(more)
                states[place] = state, prefix + more
            elif step == "fork":
                states.append((state.fork(), prefix))
            elif step == "roll back":
                count = source.randint(0, len(prefix))
                state.rollback(count)
                states[place] = state, prefix[: len(prefix) - count]
            elif step == "ask":
                check_fresh(lm, state, prefix)
            else:
                laws = lm.next_byte_logprobs([state for state, _ in states])
                for law, (state, _) in zip(laws, states, strict=True):
                    np.testing.assert_array_equal(law, state.next_byte_logprobs())
            figures[subject.name]["steps of forking walks"] += 1
        for state, prefix in states:
            check_fresh(lm, state, prefix)


def check_fresh(lm, state, prefix):
    fresh = lm.start(prefix)
    assert state.prefix == prefix
    assert_same_law(state, fresh)
    assert abs(state.logprob - fresh.logprob) < 1e-11


LOOK_AHEADS = [b"a  b", b"1\n\n ", "é!".encode(), b"I'll", "中\n".encode()]


def test_law_is_the_sum_over_covers(subject, lm, row, figures):
    """Compute the masses from the listed covers alone, with each context renormalized."""
    source = random.Random(f"{subject.name} law")

    @functools.cache
    def following(context):
        """Return log p(token | context) over what may follow it, renormalized."""
        read = subject.decode(context)
        allowed = [
            tokens[-1]
            for byte in range(256)
            for tokens, _ in subject.ours.cover_encodings(read + bytes([byte]))
            if tokens[:-1] == context
        ]
        whole, pending = whole_characters(read)
        if not pending and tuple(subject.encode(whole)) == context:
            allowed.append(subject.end_token)
        logits = row(list(context)).astype(np.float64)[allowed]
        logits -= logits.max()
        return dict(zip(allowed, logits - math.log(math.fsum(np.exp(logits))), strict=True))

    def weight(tokens):
        return math.exp(sum(following(tokens[:i])[tokens[i]] for i in range(len(tokens))))

    def mass(prefix):
        covers = subject.ours.cover_encodings(prefix)
        return math.fsum(weight(tokens) for tokens, _ in covers)

    for data in source.sample(LOOK_AHEADS, 2):
        for length in range(len(data)):
            law = np.exp(lm.start(data[:length]).next_byte_logprobs())
            here = mass(data[:length]) if length else 1.0
            assert abs(math.log(here) - lm.start(data[:length]).logprob) < 1e-9
            for byte in {data[length], *source.sample(range(256), 12), *b" \n'a"}:
                expected = mass(data[:length] + bytes([byte])) / here
                assert abs(law[byte] - expected) <= 1e-10 * expected, (data[:length], byte)
                figures[subject.name]["masses from covers"] += 1
            whole, pending = whole_characters(data[:length])
            if not pending:
                ending = weight((*subject.encode(whole), subject.end_token)) / here
                assert abs(law[nb.END_OF_TEXT] - ending) <= 1e-10 * ending, data[:length]
