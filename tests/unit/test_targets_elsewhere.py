"""Audit targets under what is written on byte models, and under what only covers can do."""

from __future__ import annotations

import pytest

import nextbyte as nb
from nextbyte import ByteLM, SamplingParams
from nextbyte.errors import InvalidInputError
from unit.known_models import CountingBackend, load_all, noise

AUDITS = ("raw", "segmentations")
PROMPT = b"the a"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))["letters"]


def make(tokenizer, target, **options):
    width = tokenizer.vocab_size
    backend = CountingBackend(noise(width), width, end_tokens=[width - 1])
    return ByteLM(tokenizer, backend, target=target, **options)


def chain(lm, generation):
    """Return the log-probability of each byte that was generated, one query each."""
    state = lm.start(generation.prompt)
    found = []
    for byte in generation.bytes:
        found.append(state.next_byte_logprobs()[byte])
        state.push(bytes([byte]))
    return found


@pytest.mark.parametrize("target", AUDITS)
def test_generation_is_of_the_targets_own_law(tokenizer, target):
    """Tokens drawn behind a canonical cover would be of another law."""
    lm = make(tokenizer, target)
    params = SamplingParams(max_bytes=6, seed=3)
    one = nb.generate(lm, PROMPT, params)
    assert one.cover is None
    assert one.byte_logprobs.tolist() == chain(lm, one)
    assert nb.generate(lm, [PROMPT], [params])[0].bytes == one.bytes
    assert b"".join(chunk.bytes for chunk in nb.stream(lm, PROMPT, params)) == one.bytes


@pytest.mark.parametrize("target", AUDITS)
def test_what_needs_canonical_covers_is_refused(tokenizer, target):
    lm = make(tokenizer, target)
    params = SamplingParams(max_bytes=6, unit="token")
    for call in (
        lambda: nb.heal(lm, PROMPT),
        lambda: nb.generate(lm, PROMPT, params),
        lambda: nb.generate(lm, [PROMPT, b"a"], params),
        lambda: nb.infill(lm, PROMPT, b"the", format="none"),
    ):
        with pytest.raises(InvalidInputError, match=f'target="canonical", not {target!r}'):
            call()


@pytest.mark.parametrize("target", AUDITS)
def test_scores_are_the_chain_and_cost_no_more(tokenizer, target):
    options = {"tolerance": 1e-3} if target == "segmentations" else {}
    lm = make(tokenizer, target, **options)
    state = lm.start()
    found = []
    for byte in PROMPT:
        found.append(state.next_byte_logprobs()[byte])
        state.push(bytes([byte]))
    step_by_step = lm.backend.requests
    assert (state.lm_evaluations, state.lm_passes) == (lm.backend.requests, lm.backend.calls)
    lm.backend.reset()
    assert nb.score(lm, PROMPT).tolist() == pytest.approx(found, abs=1e-12)
    assert lm.backend.requests <= step_by_step


def test_segmentations_say_what_is_certain_of_them(tokenizer):
    lm = make(tokenizer, "segmentations", tolerance=0.25)
    state = lm.start(PROMPT, tolerance=0.2)
    assert state.tolerance == 0.2
    assert lm.start(PROMPT).tolerance == 0.25
    low, high = state.logprob_bounds
    assert low < high
    assert not state.logprob_is_exact
    whole = make(tokenizer, "segmentations", max_evaluations_per_byte=None).start(b"ab")
    assert whole.logprob_is_exact
    assert make(tokenizer, "raw").start(PROMPT).logprob_is_exact


def test_a_posterior_does_not_vouch_for_the_lower_end_of_its_evidence(tokenizer):
    lazy = make(tokenizer, "segmentations", tolerance=0.3)
    other = make(tokenizer, "canonical")
    found = nb.ByteEnsemble([lazy, other], rule="posterior").start(b"thea")
    assert found.weights.sum() == pytest.approx(1.0)
    assert not found.logprob_is_exact
    alone = sum(
        w * m.state.bound for w, m in zip(found.weights, found.members.values(), strict=True)
    )
    assert found.bound > alone
