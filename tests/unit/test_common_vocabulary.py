"""Models combined over their common tokens, against the definition spelled out over whole texts."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import BackendError, UnreachableByteError
from oracle import comparison
from oracle.zoo import by_name
from unit.common_vocabulary_definition import (
    COMMON,
    OTHERS,
    TEXTS,
    TOKENS,
    Definition,
    member,
    pair,
    random_member,
    with_tokens,
)
from unit.fake_byte_models import fixed

RULES = [("mixture", [0.25, 0.75]), ("product", [0.6, 0.4]), ("product", [1.0, -0.5])]


@pytest.mark.parametrize(("rule", "weights"), RULES)
def test_laws_are_the_definition(rule, weights):
    models = pair()
    model = nb.CommonVocabularyEnsemble(models, weights, rule=rule, tolerance=0.0)
    definition = Definition(models, COMMON, weights, rule)
    for text in TEXTS:
        state = model.start(text)
        row = np.exp(state.next_byte_logprobs())
        np.testing.assert_allclose(row, definition.row(text), atol=1e-12)
        assert math.isclose(row.sum(), 1.0, abs_tol=1e-12)
        assert state.bound == 0.0
        assert math.isclose(math.exp(state.logprob), definition.begins(text), rel_tol=1e-9)


def as_read(model, text, source):
    """Read a text, some laws on the way; return its state and law, None if it is impossible."""
    state = model.start()
    try:
        for byte in text:
            if source.random() < 0.5:
                state.next_byte_logprobs()
            state.push(bytes([byte]))
        return state, np.exp(state.next_byte_logprobs())
    except (UnreachableByteError, BackendError):
        return None, None


@pytest.mark.filterwarnings("ignore::nextbyte.errors.MemberLostWarning")
@pytest.mark.parametrize("seed", range(12))
def test_random_members_and_tokens(seed):
    """Up to three members, whose supports differ; exact, and within a tolerance."""
    source = random.Random(seed)
    alphabet = source.choice([b"ab", b"abc"])
    lengths = range(2, 7 - len(alphabet))
    pool = [bytes(t) for n in lengths for t in itertools.product(alphabet, repeat=n)]
    tokens = set(source.sample(pool, source.randint(1, 6)))
    rule = ["mixture", "product"][seed % 2]
    models = [random_member(source, tokens, alphabet) for _ in range(source.randint(1, 3))]
    weights = np.array([source.uniform(0.1, 1.0) for _ in models])
    weights /= weights.sum() if rule == "mixture" else 1.0
    definition = Definition(models, tokens, weights.tolist(), rule, alphabet)
    exact, rough = (
        nb.CommonVocabularyEnsemble(models, weights, rule=rule, tolerance=t, concurrent=False)
        for t in (0.0, 0.1)
    )
    for _ in range(8):
        text = bytes(source.choice(alphabet) for _ in range(source.randint(0, 5)))
        state, row = as_read(exact, text, source)
        law = definition.row(text) if definition.begins(text) else np.zeros(257)
        if state is None:
            assert law.sum() <= 1e-12
            continue
        law /= law.sum()  # a product may lead to where nothing is possible
        np.testing.assert_allclose(row, law, atol=1e-12)
        state, row = as_read(rough, text, source)
        lower, upper = state.next_byte_bounds()
        assert (lower <= law + 1e-12).all()
        assert (law <= upper + 1e-12).all()
        assert 0.5 * abs(law - row).sum() <= state.bound + 1e-12
        assert state.bound <= 0.1


def test_it_is_another_law_than_a_mixture_over_bytes():
    models = pair()
    rows = [
        np.exp(model.start(b"ab").next_byte_logprobs())
        for model in (
            nb.CommonVocabularyEnsemble(models, tolerance=0.0),
            nb.ByteEnsemble(models),
        )
    ]
    assert abs(rows[0] - rows[1]).max() > 0.01


@pytest.mark.parametrize("rule", ["mixture", "product"])
def test_a_model_with_itself_is_that_model(rule):
    one = member(5, [b"ab", b"abba", b"bab", b"aabb", b"abbab"])
    model = nb.CommonVocabularyEnsemble([one, one], [0.3, 0.7], rule=rule, tolerance=0.0)
    for text in TEXTS:
        row = model.start(text).next_byte_logprobs()
        np.testing.assert_allclose(np.exp(row), np.exp(one.law(text)), atol=1e-12)


@pytest.mark.parametrize("rule", ["mixture", "product"])
def test_tokenized_models_with_themselves(rule, tmp_path):
    subject = comparison.make_subject(nb, by_name("gpt2_blanks"), "even", tmp_path, seed=3)
    with nb.CommonVocabularyEnsemble([subject.lm] * 2, rule=rule, tolerance=0.0) as model:
        special = set(subject.lm.tokenizer.special_tokens.values())
        count = subject.lm.tokenizer.vocab_size
        own = {subject.lm.tokenizer.token_bytes(t) for t in range(count) if t not in special}
        assert model.tokens == sorted(own | {bytes([b]) for b in range(256)})
        for prefix in subject.reference().live()[:40]:
            row = model.start(prefix).next_byte_logprobs()
            subject.check_row(row, subject.reference(), prefix)


# --- Tolerance -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "weights"), RULES[:2])
@pytest.mark.parametrize("tolerance", [0.5, 0.1, 0.01])
def test_bounds_hold_and_keep_to_the_tolerance(rule, weights, tolerance):
    models = pair()
    exact = nb.CommonVocabularyEnsemble(models, weights, rule=rule, tolerance=0.0)
    rough = nb.CommonVocabularyEnsemble(models, weights, rule=rule, tolerance=tolerance)
    inexact = fewer = 0
    for text in TEXTS:
        true, found = exact.start(text), rough.start(text)
        law, row = (np.exp(state.next_byte_logprobs()) for state in (true, found))
        lower, upper = found.next_byte_bounds()
        assert (lower <= law + 1e-12).all()
        assert (law <= upper + 1e-12).all()
        assert 0.5 * abs(law - row).sum() <= found.bound + 1e-12
        assert found.bound <= tolerance
        assert math.isclose(row.sum(), 1.0, abs_tol=1e-12)
        inexact += found.bound > 0.0
        fewer += found.byte_laws < true.byte_laws
    if tolerance == 0.5:
        assert inexact
        assert fewer


@pytest.mark.parametrize(("rule", "weights"), [*RULES[:2], ("product", [1.0, 0.0])])
@pytest.mark.parametrize("tolerance", [0.4, 0.05, 0.0])
def test_token_bounds_hold(rule, weights, tolerance):
    models = pair()
    model = nb.CommonVocabularyEnsemble(
        models, weights, rule=rule, tolerance=0.0 if min(weights) < 0 else 0.1
    )
    definition = Definition(models, COMMON, weights, rule)
    if 0.0 in weights:
        definition = Definition(models[:1], COMMON, weights[:1], rule)
    for text in [b"", b"a", b"ab", b"bab", b"aab"]:
        lower, upper = model.token_bounds(text, tolerance=tolerance)
        law = definition.law(definition.greedy(text))
        for token, low, high in zip([*model.tokens, None], lower, upper, strict=True):
            assert low - 1e-12 <= law.get(token, 0.0) <= high + 1e-12
        if tolerance == 0.0:
            np.testing.assert_allclose(lower, upper, atol=1e-12)


def bounded(model, doubt):
    """Make the states of a model say that a part of every law may be elsewhere."""

    class Bounded(type(model.start())):
        bound = doubt

        def next_byte_bounds(self):
            law = np.exp(self.next_byte_logprobs())
            return law * (1.0 - doubt), np.minimum(law + doubt, 1.0)

        def fork(self):
            return Bounded(self._law, self.prefix)

    start = model.start
    model.start = lambda prompt=b"": Bounded(model.law, start(prompt).prefix)
    return model


@pytest.mark.parametrize("rule", ["mixture", "product"])
@pytest.mark.parametrize("tolerance", [0.0, 0.1])
def test_bounds_of_members_are_passed_on(rule, tolerance):
    """Members say less than they know: the laws are right, and so must the bounds be."""
    models = [bounded(member(1, TOKENS), 0.02), member(2, OTHERS)]
    exact = nb.CommonVocabularyEnsemble(pair(), rule=rule, tolerance=0.0)
    model = nb.CommonVocabularyEnsemble(models, rule=rule, tolerance=tolerance)
    for text in TEXTS[:15]:
        state = model.start(text)
        row, law = (np.exp(s.next_byte_logprobs()) for s in (state, exact.start(text)))
        lower, upper = state.next_byte_bounds()
        assert (lower <= law + 1e-12).all()
        assert (law <= upper + 1e-12).all()
        assert 0.5 * abs(law - row).sum() <= state.bound + 1e-12
        assert state.bound > 0.0
        state.logprob  # noqa: B018 - it finds out whether it is exact
        assert not state.logprob_is_exact


@pytest.mark.parametrize("rule", ["mixture", "product"])
@pytest.mark.parametrize("tolerance", [0.0, 0.05])
@pytest.mark.parametrize("both", [False, True])
def test_laws_that_are_wrong_within_their_bounds(rule, tolerance, both):
    """Members say one law and mean another, which their bound covers; "c" is never said."""
    said = [{"a": 0.5, "b": 0.3, "end": 0.2}, {"a": 0.2, "b": 0.5, "end": 0.3}]
    meant = [{"a": 0.49, "b": 0.3, "c": 0.02, "end": 0.19}, {**said[1]}]
    if both:
        meant[1] = {"a": 0.2, "b": 0.48, "c": 0.02, "end": 0.3}
    lists = [[*TOKENS, b"ac", b"cab"], [*OTHERS, b"ac", b"cab"]]
    true = [with_tokens(fixed(**law), own) for law, own in zip(meant, lists, strict=True)]
    wrong = [with_tokens(fixed(**law), own) for law, own in zip(said, lists, strict=True)]
    wrong = [bounded(wrong[0], 0.05), bounded(wrong[1], 0.05) if both else wrong[1]]
    exact = nb.CommonVocabularyEnsemble(true, rule=rule, tolerance=0.0)
    rough = nb.CommonVocabularyEnsemble(wrong, rule=rule, tolerance=tolerance)
    for text in TEXTS[:15]:
        state = rough.start(text)
        rows = [np.exp(s.next_byte_logprobs()) for s in (exact.start(text), state)]
        assert 1e-6 < 0.5 * abs(rows[0] - rows[1]).sum() <= state.bound
        lower, upper = state.next_byte_bounds()
        assert (lower <= rows[0] + 1e-12).all()
        assert (rows[0] <= upper + 1e-12).all()
        lower, upper = rough.token_bounds(text, tolerance=0.1)
        law, same = exact.token_bounds(text, tolerance=0.0)
        np.testing.assert_allclose(law, same, atol=1e-12)
        assert (lower <= law + 1e-12).all()
        assert (law <= upper + 1e-12).all()
