"""Targets "raw" and "segmentations" against their definitions, over every short byte prefix."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

import nextbyte as nb
from oracle import comparison
from oracle.language_models import LanguageModel
from oracle.other_targets import full_reference, raw_reference
from oracle.zoo import by_name

TOLERANCE = 1e-12
RAW = [
    ("plain_two", "even"), ("plain_three", "elsewhere"), ("dead_lead_byte", "steep"),
    ("gpt2_blanks", "even"), ("ahead_cl100k", "zeros"), ("llama3_blanks", "even"),
    ("added_word", "even"), ("unreachable_tokens", "steep"),
]  # fmt: skip
FULL = [
    ("plain_two", "even", 5), ("plain_three", "steep", 3), ("dead_lead_byte", "even", 4),
    ("gpt2_blanks", "even", 3), ("unreachable_tokens", "zeros", 4), ("missing_bytes", "even", 5),
    ("added_self_overlap", "steep", 4),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizers")


def make(name, kind, folder, **options):
    """Return the oracle's model of a case, and the product's with the same rows."""
    case = by_name(name)
    vocabulary = case.definition.tokenizer.get_vocab(with_added_tokens=True)
    model = LanguageModel(
        case.definition,
        kind,
        5,
        start_token=vocabulary[case.specials[0]] if case.begin else None,
        end_tokens=tuple(vocabulary[token] for token in case.ends),
        padding=2,
    )
    lm = nb.ByteLM.from_function(
        comparison.load(nb, case, folder),
        model.rows,
        start_token=model.start_token,
        end_tokens=model.end_tokens,
        **options,
    )
    return model, lm


def wanted(expected, prefix):
    row = np.zeros(257)
    for symbol, chance in expected.conditional(prefix).items():
        row[symbol] = float(chance)
    return row


def every_prefix(lm, expected):
    """Yield every state in the order of a walk with forks and rollbacks."""
    states = {b"": lm.start()}
    for prefix in expected.live():
        if prefix:
            states[prefix] = states[prefix[:-1]].fork()
            states[prefix].push(prefix[-1:])
        yield prefix, states[prefix]


@pytest.mark.parametrize(("name", "kind"), RAW)
def test_raw_is_its_definition(name, kind, folder):
    model, lm = make(name, kind, folder, target="raw")
    expected, lost = raw_reference(model, min(by_name(name).depth, 5))
    largest = 0.0
    for prefix, state in every_prefix(lm, expected):
        law = np.exp(state.next_byte_logprobs())
        np.testing.assert_allclose(law, wanted(expected, prefix), rtol=TOLERANCE, atol=0)
        assert state.prefix == prefix
        logprob = comparison.log_of(expected.mass[prefix])
        assert abs(math.expm1(state.logprob - logprob)) <= TOLERANCE
        # THEORY's identity, and what the sum lacks: the same number, seen from both sides.
        share = float(lost.get(prefix, 0) / expected.mass[prefix])
        assert 1 - sum(expected.conditional(prefix).values()) == (
            lost.get(prefix, 0) / expected.mass[prefix]
        )
        assert state.defect == pytest.approx(share, rel=1e-11, abs=1e-300)
        assert state.bound == state.defect
        assert abs(math.fsum(law) + state.defect - 1) <= TOLERANCE
        lower, upper = state.next_byte_bounds()
        np.testing.assert_array_equal(lower, upper)
        largest = max(largest, state.defect)
    assert largest > 0.01  # these models do put mass where it cannot go


@pytest.mark.parametrize(("name", "kind", "depth"), FULL)
def test_segmentations_are_their_enumeration(name, kind, depth, folder):
    model, lm = make(name, kind, folder, target="segmentations", max_evaluations_per_byte=None)
    expected = full_reference(model, depth)
    for prefix, state in every_prefix(lm, expected):
        law = np.exp(state.next_byte_logprobs())
        np.testing.assert_allclose(law, wanted(expected, prefix), rtol=TOLERANCE, atol=0)
        assert abs(math.fsum(law) - 1) <= TOLERANCE
        assert state.bound == 0.0
        low, high = state.logprob_bounds
        logprob = comparison.log_of(expected.mass[prefix])
        assert low == state.logprob == pytest.approx(high, abs=TOLERANCE)
        assert abs(math.expm1(low - logprob)) <= TOLERANCE
        lower, upper = state.next_byte_bounds()
        np.testing.assert_allclose(lower, upper, rtol=TOLERANCE)


@pytest.mark.parametrize("limit", [1, 2, 5, None])
@pytest.mark.parametrize("tolerance", [0.3, 1e-2, 1e-4])
@pytest.mark.parametrize("case", FULL, ids=lambda case: case[0])
def test_bounds_are_never_violated(case, tolerance, limit, folder):
    name, kind, depth = case
    model, lm = make(
        name,
        kind,
        folder,
        target="segmentations",
        tolerance=tolerance,
        max_evaluations_per_byte=limit,
    )
    expected = full_reference(model, depth)
    deferred = 0
    for prefix, state in every_prefix(lm, expected):
        truth = wanted(expected, prefix)
        law = np.exp(state.next_byte_logprobs())
        assert abs(math.fsum(law) - 1) <= TOLERANCE
        assert np.abs(law - truth).sum() / 2 <= state.bound + TOLERANCE
        lower, upper = state.next_byte_bounds()
        assert (lower <= truth + TOLERANCE).all()
        assert (truth <= upper + TOLERANCE).all()
        assert (lower <= law + TOLERANCE).all()
        assert (law <= upper + TOLERANCE).all()
        low, high = state.logprob_bounds
        logprob = comparison.log_of(expected.mass[prefix])
        assert low - TOLERANCE <= logprob <= high + TOLERANCE
        if limit is None:
            assert state.bound <= tolerance * (1 + TOLERANCE)
        deferred += state.bound > 0
    assert deferred or tolerance < 0.01


class Adversary(LanguageModel):
    """After an unlikely way to spell the text it is certain; after the likely ways it is not.

    So what a search leaves aside for its small weight is what the text turns out to be.
    """

    def _make_weights(self, context):
        texts = self.definition.token_bytes
        weights = super()._make_weights(context)
        rare = [t for t in context if t in texts and len(texts[t]) == 1]
        scale = 10 ** (3 * min(len(rare), 4))
        last = texts.get(context[-1], b"") if context else b""
        return [w * (scale if texts.get(t, b"")[:1] == b"b" else 1) + len(last)
                for t, w in enumerate(weights)]  # fmt: skip


@pytest.mark.parametrize("limit", [1, 4, None])
@pytest.mark.parametrize("name", ["plain_two", "runs_of_one_letter", "ahead_gpt2"])
def test_bounds_along_random_texts_under_an_adversary(name, limit, folder):
    case = by_name(name)
    adversary = Adversary(case.definition, "even", 1, end_tokens=())
    tokenizer = comparison.load(nb, case, folder)
    lm = nb.ByteLM.from_function(
        tokenizer, adversary.rows, target="segmentations", tolerance=0.02,
        max_evaluations_per_byte=limit,
    )  # fmt: skip
    source, checked, tight = random.Random(8), 0, 0
    for _ in range(4):
        text = "".join(source.choices(case.alphabet, k=9)).encode()
        expected = full_reference(adversary, len(text), along=text)
        state = lm.start()
        for end in range(len(text) + 1):
            truth = wanted(expected, text[:end])
            law = np.exp(state.next_byte_logprobs())
            error = np.abs(law - truth).sum() / 2
            assert error <= state.bound + TOLERANCE
            lower, upper = state.next_byte_bounds()
            assert (lower <= truth + TOLERANCE).all()
            assert (truth <= upper + TOLERANCE).all()
            low, high = state.logprob_bounds
            exact = comparison.log_of(expected.mass[text[:end]])
            assert low - TOLERANCE <= exact <= high + TOLERANCE
            checked += 1
            tight += error > state.bound / 10 > 0
            state.push(text[end : end + 1])
    assert checked == 40
    assert tight or limit is None  # bounds that could not be ten times less


class OnCanonicalPaths(LanguageModel):
    """No mass off the canonical set: the three laws are one."""

    def _make_weights(self, context):
        allowed = self.allowed(context[len(self.start) :])
        return [w if t in allowed else 0 for t, w in enumerate(super()._make_weights(context))]


@pytest.mark.parametrize(
    "name", ["plain_two", "gpt2_blanks", "dead_blank", "added_word", "spelled_accents"]
)
def test_all_targets_coincide_on_canonical_paths(name, folder):
    case = by_name(name)
    vocabulary = case.definition.tokenizer.get_vocab(with_added_tokens=True)
    ends = tuple(vocabulary[token] for token in case.ends)
    model = OnCanonicalPaths(case.definition, "even", 2, end_tokens=ends)
    tokenizer = comparison.load(nb, case, folder)
    laws = []
    for target in ("canonical", "raw", "segmentations"):
        lm = nb.ByteLM.from_function(tokenizer, model.rows, end_tokens=ends, target=target)
        assert lm.target == target
        found, waiting = {}, [lm.start()]
        while waiting:
            state = waiting.pop()
            row = np.exp(state.next_byte_logprobs())
            assert state.bound == pytest.approx(0.0, abs=1e-15)
            found[state.prefix] = np.append(row, math.exp(state.logprob))
            for byte in np.flatnonzero(row[:256]):
                if len(state.prefix) < 4:
                    waiting.append(state.fork())
                    waiting[-1].push(bytes([byte]))
        laws.append(found)
    for other in laws[1:]:
        assert other.keys() == laws[0].keys()
        for prefix, row in other.items():
            np.testing.assert_allclose(row, laws[0][prefix], rtol=TOLERANCE)


def test_how_the_text_came_makes_no_difference(folder):
    """At once, byte by byte with queries, after detours: the same contexts are expanded."""
    options = {"target": "segmentations", "tolerance": 0.05, "max_evaluations_per_byte": 3}
    _, lm = make("plain_two", "even", folder, **options)
    source = random.Random(3)
    for _ in range(5):
        text = bytes(source.choices(b"ab", k=9))
        whole = lm.start(text)
        steps = lm.start()
        for byte in text:
            steps.next_byte_logprobs()
            detour = steps.fork()
            detour.push(b"ba")
            detour.next_byte_logprobs()
            detour.rollback(2)
            steps = detour
            steps.push(bytes([byte]))
        for state in (whole, steps):
            assert state.prefix == text
            np.testing.assert_array_equal(
                state.next_byte_logprobs(), lm.start(text).next_byte_logprobs()
            )
            assert state.bound == lm.start(text).bound
            assert state.logprob_bounds == lm.start(text).logprob_bounds
