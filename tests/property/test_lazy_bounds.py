"""The certificates of lazy evaluation, against the true law and every model it could have been.

The checks are those of ``oracle.lazy_walks``, which a plain evaluator passes and each of nine
faulty ones fails (``tests/oracle/test_lazy_walks.py``).
"""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextbyte as nb
from nextbyte.backends import FunctionBackend
from oracle import comparison
from oracle.adversaries import ATTACKS, CASE_NAMES, Adversary, case_of
from oracle.distribution import END_OF_TEXT
from oracle.lazy_walks import Walker

TOLERANCES = (Fraction(1, 10), Fraction(1, 100), Fraction(1, 1000))


def make_lm(tokenizer, model, tolerance):
    backend = FunctionBackend(
        model.rows,
        model.width,
        start_token=model.start_token,
        end_tokens=model.end_tokens,
    )
    return nb.ByteLM(tokenizer, backend, tolerance=tolerance)


def start(lm, prompt, tolerance):
    return lm.start(prompt, tolerance=tolerance)


def bounds_of(state):
    lower, upper = state.next_byte_bounds()
    return np.asarray(lower), np.asarray(upper)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("tokenizers"), {}

    def tokenizer(name):
        if name not in made:
            made[name] = comparison.load(nb, case_of(name), folder)
        return made[name]

    return tokenizer


def walker_of(tokenizers, name, kind, eps, *, seed=0, tolerance=None):
    model = Adversary.of(case_of(name), kind, eps, seed=seed)
    lm = make_lm(tokenizers(name), model, float(eps) if tolerance is None else tolerance)
    return Walker(case_of(name), model, lm, nb.errors, bounds_of)


@pytest.mark.parametrize("kind", ATTACKS)
@pytest.mark.parametrize("name", CASE_NAMES)
def test_random_walks(name, kind, tokenizers):
    for seed, eps in enumerate(TOLERANCES):
        walker = walker_of(tokenizers, name, kind, eps, seed=seed)
        walker.walk(walker.lm.start, count=30, longest=9)
        assert walker.laws


@settings(max_examples=25, derandomize=True, database=None)
@given(
    name=st.sampled_from(CASE_NAMES),
    kind=st.sampled_from(ATTACKS),
    eps=st.fractions(Fraction(1, 10**6), Fraction(1, 2), max_denominator=10**6),
    seed=st.integers(0, 2**32),
)
def test_random_tolerances(name, kind, eps, seed, tokenizers):
    walker = walker_of(tokenizers, name, kind, eps, seed=seed)
    walker.walk(walker.lm.start, count=25, longest=8)


@pytest.mark.parametrize("name", CASE_NAMES)
def test_tolerance_of_one_state(name, tokenizers):
    """`start(prompt, tolerance=...)` on a model that is exact otherwise."""
    walker = walker_of(tokenizers, name, "ambush", Fraction(1, 20), tolerance=0.0)
    walker.walk(
        lambda prompt: start(walker.lm, prompt, float(walker.model.eps)), count=30, longest=8
    )


@pytest.mark.parametrize("name", ["long_blanks", "long_lines", "ahead_gpt2", "ahead_cl100k"])
@pytest.mark.parametrize("kind", ["ambush", "erosion", "late_end", "alternating"])
def test_long_runs(name, kind, tokenizers):
    """Runs in which hypotheses stay open, then what closes them; a query after every byte."""
    eps = Fraction(1, 50)
    walker = walker_of(tokenizers, name, kind, eps)
    for run in (b"a" + b" " * 11 + b"a", b" " * 9 + b"aa", b"a \n" * 4, b" \n  \n    \na"):
        state, prefix = walker.lm.start(b""), b""
        for byte in run:
            row = walker.truth(prefix)
            if not row[byte]:
                break
            assert walker.refusal(state, bytes([byte])) is None
            prefix += bytes([byte])
            walker.check(state, prefix)
        walker.check_refusals(state, prefix)


@pytest.mark.parametrize("kind", ATTACKS)
@pytest.mark.parametrize("name", CASE_NAMES)
def test_zero_tolerance_is_exact(name, kind, tokenizers):
    walker = walker_of(tokenizers, name, kind, Fraction(1, 10), tolerance=0.0)
    walker.model.eps = Fraction(0)
    source = random.Random(f"zero {name} {kind}")
    for _ in range(3):
        state, prefix = walker.lm.start(b""), b""
        for _ in range(6):
            truth = walker.truth(prefix)
            found = np.exp(state.next_byte_logprobs())
            assert state.bound == 0.0
            np.testing.assert_allclose(found, truth, rtol=1e-11, atol=1e-12)
            assert ((found > 0) == (truth > 0)).all()
            lower, upper = bounds_of(state)
            np.testing.assert_allclose(lower, truth, rtol=0, atol=1e-12)
            np.testing.assert_allclose(upper, truth, rtol=0, atol=1e-12)
            possible = [b for b in np.flatnonzero(truth).tolist() if b != END_OF_TEXT]
            if not possible:
                break
            byte = bytes([source.choice(possible)])
            state.push(byte)
            prefix += byte


@pytest.mark.parametrize("name", CASE_NAMES)
def test_contexts_with_nothing_to_follow(name, tokenizers):
    """A row that rules out all that may follow is an error once it is read, and never a NaN."""
    for seed, eps in enumerate(TOLERANCES):
        walker = walker_of(tokenizers, name, "desert", eps, seed=seed)
        source = random.Random(f"desert {name} {seed}")
        for _ in range(6):
            state, prefix = walker.lm.start(b""), b""
            for _ in range(6):
                walker.check(state, prefix)
                possible = np.flatnonzero(walker.spelled(prefix)[:256]).tolist()
                byte = bytes([source.choice(possible)])
                known = walker.truth(prefix)
                try:
                    refused = walker.refusal(state, byte) is not None
                except nb.errors.InvalidInputError:  # if a push reads rows, it may meet the bad one
                    refused = True
                    assert known is None
                if not refused and known is not None and known[byte[0]] == 0.0:
                    with pytest.raises(
                        (nb.errors.UnreachableByteError, nb.errors.InvalidInputError)
                    ):
                        state.next_byte_logprobs()
                    break
                if refused:
                    assert known is None or known[byte[0]] == 0.0
                    break
                prefix += byte


@pytest.mark.parametrize("kind", ["all_or_nothing", "late_end"])
@pytest.mark.parametrize("name", CASE_NAMES)
def test_what_only_the_model_rules_out_is_refused_as_soon_as_it_is_known(name, kind, tokenizers):
    """A byte that is spelled, but has probability zero, and perhaps only a deferred row says so.

    A push reads no rows: it refuses what the rows at hand rule out. The rest shows in the
    probability of the text, if not in the next law: there is none, unless all that is alive goes
    through one context, whose own probability no law asks for (as that of a prompt).
    """
    walker = walker_of(tokenizers, name, kind, Fraction(1, 10))
    source, met = random.Random(f"zeros {name} {kind}"), 0
    for _ in range(12):
        state, prefix = walker.lm.start(b""), b""
        for _ in range(5):
            truth, spelled = walker.truth(prefix), walker.spelled(prefix)
            walker.check(state, prefix)
            for byte in np.flatnonzero(spelled[:256] & (truth[:256] == 0)).tolist():
                is_ruled_out = state.next_byte_logprobs()[byte] == -np.inf
                assert not is_ruled_out or state.next_byte_bounds()[1][byte] == 0
                fork = state.fork()
                refusal = walker.refusal(fork, bytes([byte]))
                assert refusal == ((len(prefix), byte) if is_ruled_out else None)
                if refusal is None:
                    assert fork.logprob == -np.inf
                met += 1
            walker.check(state, prefix)
            possible = np.flatnonzero(truth[:256]).tolist()
            if not possible:
                break
            byte = bytes([source.choice(possible)])
            assert walker.refusal(state, byte) is None
            prefix += byte
    assert met or kind == "late_end" or name == "plain_accents"


@pytest.mark.parametrize("name", CASE_NAMES)
def test_fewer_rows_than_exact(name, tokenizers):
    """Something is put off at all: no more rows than the exact evaluation of the same bytes."""
    counts = {}
    for tolerance in (0.0, 0.1):
        walker = walker_of(tokenizers, name, "ambush", Fraction(1, 10), tolerance=tolerance)
        state, prefix = walker.lm.start(b""), b""
        for _ in range(8):
            row = walker.truth(prefix)
            state.next_byte_logprobs()
            possible = [b for b in np.flatnonzero(row).tolist() if b != END_OF_TEXT]
            if not possible:
                break
            byte = bytes([max(possible, key=lambda b: row[b])])
            state.push(byte)
            prefix += byte
        counts[tolerance] = state.lm_evaluations
    assert counts[0.1] <= counts[0.0]
