"""Certified laziness against exact mode: no law beyond its bound, whatever the model does.

The exact laws are themselves compared with the definition in test_oracle.
"""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import nextbyte as nb
from oracle import comparison
from oracle.zoo import CASES, by_name
from unit import laziness
from unit.known_models import load_all

SUBJECTS = [(case.name, kind) for case in CASES for kind in case.kinds]
HURTFUL = ("late", "early", "equal", "threshold", "zeros", "steep", "noise")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizers")


@pytest.fixture(scope="module")
def tally():
    return laziness.Tally()


def seeded(*what):
    return np.random.default_rng(zlib.crc32(repr(what).encode()))


@pytest.mark.parametrize(("name", "kind"), SUBJECTS)
def test_exact_models_over_the_zoo(name, kind, folder, tally):
    try:
        lm = comparison.make_subject(nb, by_name(name), kind, folder).lm
    except comparison.DeclinedError as reason:
        pytest.skip(f"the product does not claim to be exact here: {reason}")
    for tolerance in laziness.TOLERANCES:
        source = seeded(name, kind, tolerance)
        laziness.walk(lm, tolerance, 12, source, tally)
        laziness.walk(lm, tolerance, 12, source, tally, ask=0.4)
    assert tally.violations == 0


@pytest.mark.parametrize("tokenizer", ["letters", "all_bytes", "smollm2_like"])
@pytest.mark.parametrize("name", HURTFUL)
def test_models_that_are_built_to_hurt(tokenizer, name, folder, tally):
    loaded = load_all(folder)[tokenizer]
    end = loaded.vocab_size - 1 if tokenizer != "smollm2_like" else 0
    for tolerance in laziness.TOLERANCES:
        row = laziness.hurtful_models(loaded, tolerance)[name]

        def rows(contexts, row=row):
            return np.stack([row(context) for context in contexts])

        lm = nb.ByteLM.from_function(loaded, rows, end_tokens=[end])
        source = seeded(tokenizer, name, tolerance)
        for ask in (1.0, 1.0, 0.4):
            laziness.walk(lm, tolerance, 30, source, tally, ask=ask)
    assert tally.violations == 0


def test_what_was_compared(tally, record_property):
    if tally.laws < 1000:
        pytest.skip("this figure is of all the tests above")
    figures = {
        "laws": tally.laws,
        "inexact": tally.inexact,
        "violations": tally.violations,
        "evaluations": (tally.exact_evaluations, tally.lazy_evaluations),
        "median bound / error": tally.median_tightness,
    }
    record_property("laziness", figures)
    assert tally.violations == 0
    assert tally.inexact > 1000  # or nothing was put to the test
    assert tally.lazy_evaluations < 0.9 * tally.exact_evaluations
