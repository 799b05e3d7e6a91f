"""The product against the definition: small tokenizers, exact models, every byte prefix.

The figures (tokenizers, models, prefixes, largest relative error) are printed by the last test. For
more of everything: ``PYTHONPATH=tests python -m oracle.report --deeper 1 --random 200``.
"""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextbyte as nb
from oracle import comparison, walks
from oracle.cases import PRE_TOKENIZERS, random_case
from oracle.language_models import KINDS
from oracle.zoo import ASCII_POOL, CASES, WIDE_POOL, by_name

NAMES = [case.name for case in CASES]
SUBJECTS = [(case.name, kind) for case in CASES for kind in case.kinds]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizers")


@pytest.fixture(scope="module")
def subjects(folder):
    made = {}

    def subject(name, kind):
        if (name, kind) not in made:
            try:
                made[name, kind] = comparison.make_subject(nb, by_name(name), kind, folder)
            except comparison.DeclinedError as reason:
                made[name, kind] = reason
        if isinstance(made[name, kind], comparison.DeclinedError):
            pytest.skip(f"the product does not claim to be exact here: {made[name, kind]}")
        return made[name, kind]

    return subject


@pytest.mark.parametrize("check", walks.TOKENIZER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_tokenizer(name, check, folder):
    try:
        check(nb, by_name(name), folder)
    except comparison.DeclinedError as reason:
        pytest.skip(f"the product does not claim to be exact here: {reason}")


@pytest.mark.parametrize("walk", walks.WALKS, ids=lambda walk: walk.__name__)
@pytest.mark.parametrize(("name", "kind"), SUBJECTS)
def test_distribution(name, kind, walk, subjects):
    walk(subjects(name, kind))


@st.composite
def tokenizers(draw):
    """Draw a tokenizer of random merges, under a random pattern."""
    letters = "".join(sorted(draw(st.sets(st.sampled_from(ASCII_POOL), min_size=1, max_size=2))))
    wide = draw(st.sampled_from(WIDE_POOL[:-2]))
    pattern = draw(st.sampled_from(sorted(PRE_TOKENIZERS)))
    merges = draw(st.lists(st.tuples(st.integers(0, 63), st.integers(0, 63)), max_size=12))
    return random_case("drawn", pattern, letters, wide, merges)


@settings(max_examples=15, derandomize=True, database=None)
@given(case=tokenizers(), kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32))
def test_random_tokenizer(case, kind, seed, folder):
    """Random merges in random order: odd ranks, unreachable tokens and dead contexts occur."""
    assert not case.definition.compare_with_exhaustive(case.exhaustive)[2]
    comparison.TALLY.random_tokenizers += 1
    subject = comparison.make_subject(nb, case, kind, folder, seed=seed)
    walks.walk_with_forks(subject)
    walks.random_operations(subject, count=40, seed=seed)
    walks.cover_encodings(nb, case, folder)


@pytest.mark.parametrize("name", ["runs_of_one_letter", "dead_blank", "ahead_gpt2", "no_merges"])
def test_every_short_rollback(name, subjects):
    walks.rollbacks(subjects(name, by_name(name).kinds[0]))


def test_states_outlive_what_they_came_from(subjects):
    """A fork stays right when its relatives are gone, and one model serves many texts at a time."""
    subject = subjects("cl100k_blanks", "even")
    expected = subject.reference()
    source = random.Random(7)
    longest = [prefix for prefix in expected.live() if len(prefix) == expected.depth]
    kept = []
    for prefix in source.sample(longest, 40):
        parent = subject.lm.start(prefix[:2])
        child = parent.fork()
        parent.rollback(1)
        del parent
        child.push(prefix[2:])
        kept.append((child, prefix))
    rows = subject.lm.next_byte_logprobs([state for state, _ in kept])
    for (state, prefix), row in zip(kept, rows, strict=True):
        subject.check_row(row, expected, prefix)
        subject.check_state(state, expected, prefix)


def test_zz_figures(capsys, record_property):
    """Print what was compared; the required cases alone are dozens of tokenizers."""
    figures = comparison.TALLY.summary()
    for name, value in figures.items():
        record_property(name, value)
    with capsys.disabled():
        print("\noracle: " + json.dumps(figures))  # noqa: T201 - the figures are the result
    assert figures["largest_relative_error"] <= comparison.TOLERANCE
