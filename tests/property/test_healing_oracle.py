"""`heal` against Bayes' rule: P(cover c | prompt x) = Q(c) / A(x), over all covers of x."""

from __future__ import annotations

import collections
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextbyte as nb
from oracle.byte_models import random_text
from oracle.distribution import END_OF_TEXT

CASES = (
    "ahead_gpt2",
    "ahead_cl100k",
    "ahead_lines",
    "dead_blank",
    "dead_lead_byte",
    "dead_deep",
    "plain_two",
    "plain_accents",
    "plain_three",
    "added_runs",
    "smollm_words",
    "characters_alone",
    "longest_letters",
)


def heal(lm, prompt):
    return nb.heal(lm, prompt)


def covers_of(healed):
    """Token ids, overhang (bytes) and log-probability of every cover."""
    return [(tokens_of(healed, cover), cover.overhang, cover.log_weight) for cover in healed.covers]


def tokens_of(healed, cover):
    return (*healed.base_tokens, *cover.tokens)


def sample(healed, generator):
    return tokens_of(healed, healed.sample(generator))


def check(pair, prompt):
    what = f"{pair.case.name} after {prompt!r}"
    wanted = pair.law.posterior(prompt)
    healed = heal(pair.lm, prompt)
    found = covers_of(healed)
    listed = {tokens: probability for tokens, _, probability in found}
    assert len(listed) == len(found), f"{what}: covers repeat"
    assert set(listed) <= set(pair.spelled().covers(prompt)), what
    assert set(wanted) <= set(listed), f"{what}: lacks {set(wanted) - set(listed)}"
    for tokens, overhang, logprob in found:
        assert pair.case.definition.decode(tokens) == prompt + overhang, what
        assert abs(math.exp(logprob) - wanted.get(tokens, 0.0)) <= 1e-12, what
        if tokens in wanted:
            assert abs(logprob - math.log(wanted[tokens])) <= 1e-10, what
    assert abs(math.fsum(math.exp(logprob) for *_, logprob in found) - 1.0) <= 1e-12, what
    best = tokens_of(healed, healed.best)
    assert wanted[best] >= max(wanted.values()) * (1 - 1e-12), what
    check_next_byte(pair, prompt, found)
    return healed


def check_next_byte(pair, prompt, found):
    """The covers, each continued by its overhang or the next token, carry the next-byte law."""
    row = np.zeros(257)
    for tokens, overhang, logprob in found:
        if overhang:
            row[overhang[0]] += math.exp(logprob)
        elif logprob > -math.inf:
            following, end = pair.law.step(tokens)
            row[END_OF_TEXT] += math.exp(logprob) * end
            for token, probability in following.items():
                first = pair.case.definition.token_bytes[token][0]
                row[first] += math.exp(logprob) * probability
    np.testing.assert_allclose(row, pair.law.row(prompt), rtol=0, atol=1e-12)
    law = np.exp(pair.lm.start(prompt).next_byte_logprobs())
    np.testing.assert_allclose(row, law, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["even", "zeros", "steep"])
@pytest.mark.parametrize("name", CASES)
def test_every_short_prompt(name, kind, pairs):
    """All prompts of up to three bytes: inside tokens, inside characters, at splits, empty."""
    pair = pairs(name, kind)
    prompts = [b""]
    for prompt in prompts:
        check(pair, prompt)
        if len(prompt) < 3:
            prompts += [prompt + bytes([byte]) for byte in pair.law.possible(prompt)][:6]


@settings(max_examples=40, derandomize=True, database=None)
@given(
    name=st.sampled_from(CASES),
    kind=st.sampled_from(["even", "zeros", "elsewhere"]),
    seed=st.integers(0, 2**32),
    count=st.integers(0, 12),
)
def test_drawn_prompts(name, kind, seed, count, pairs):
    pair = pairs(name, kind)
    check(pair, random_text(pair.law, random.Random(seed), count))


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("ahead_gpt2", b"a  "),  # the last blank may belong to the next word
        ("ahead_gpt2", b"a \n\n"),
        ("ahead_cl100k", b"a  \n "),
        ("ahead_lines", b"1 \n \n"),
        ("dead_lead_byte", b"a" + b"\xc3"),  # inside a character
        ("dead_deep", b"a\xf0\x9f"),
        ("plain_accents", "é".encode() + b"\xc3"),
        ("plain_two", b"abab"),
        ("added_runs", b"a\n\n\n"),
    ],
)
def test_prompts_that_break_others(name, prompt, pairs):
    check(pairs(name, "even"), prompt)


@pytest.mark.parametrize("name", CASES)
def test_an_empty_prompt_has_one_empty_cover(name, pairs):
    assert covers_of(heal(pairs(name, "even").lm, b"")) == [((), b"", 0.0)]


@pytest.mark.parametrize("name", ["plain_two", "ahead_gpt2", "added_runs", "plain_accents"])
def test_samples_have_the_posterior(name, pairs):
    """Chi-square of 3,000 draws by a fixed seed, far out in the tail: 5 standard deviations."""
    pair = pairs(name, "even")
    source = random.Random(f"samples {name}")
    prompt = max(
        (random_text(pair.law, source, 3) for _ in range(12)),
        key=lambda text: len(pair.law.posterior(text)),
    )
    wanted = pair.law.posterior(prompt)
    assert len(wanted) > 1
    healed, generator, count = heal(pair.lm, prompt), np.random.default_rng(1), 3000
    found = collections.Counter(sample(healed, generator) for _ in range(count))
    assert set(found) <= set(wanted)
    square = sum(
        (found[cover] - count * probability) ** 2 / (count * probability)
        for cover, probability in wanted.items()
    )
    freedom = len(wanted) - 1
    smallest = min(wanted.values()) * count
    assert square <= freedom + 5 * math.sqrt(2 * freedom + 1 / smallest)
    again = np.random.default_rng(1)
    repeated = collections.Counter(sample(healed, again) for _ in range(count))
    assert repeated == found


def test_an_impossible_prompt_is_refused(pairs):
    with pytest.raises(nb.errors.UnreachableByteError) as caught:
        heal(pairs("plain_accents", "even").lm, b"a\xff")
    assert (caught.value.position, caught.value.byte) == (1, 0xFF)
