"""`target="raw"` and `target="segmentations"` against their definitions in ``oracle.laws``.

The tokenizers here have no special token but the end, so a whole row is what may ever follow. The
raw law's conditionals are ratios of A, less than one in sum; a row of the product may be these or
their normalization, so ratios within a row are compared. All segmentations come with a bound.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.backends import FunctionBackend
from oracle import comparison
from oracle.byte_models import random_text
from oracle.laws import Law
from oracle.zoo import by_name

CASES = ("ahead_gpt2", "ahead_cl100k", "dead_lead_byte", "plain_accents", "runs_of_one_letter")


def make_lm(tokenizer, model, target, **options):
    backend = FunctionBackend(model.rows, model.width, end_tokens=model.end_tokens)
    return nb.ByteLM(tokenizer, backend, target=target, **options)


def bounds_of(state):
    lower, upper = state.next_byte_bounds()
    return np.asarray(lower), np.asarray(upper)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizers")


def texts_of(law, name, *, count, longest):
    source = random.Random(f"targets {name}")
    return [b"", *(random_text(law, source, source.randrange(1, longest)) for _ in range(count))]


@pytest.mark.parametrize("kind", ["even", "steep", "zeros"])
@pytest.mark.parametrize("name", CASES)
def test_raw(name, kind, folder):
    case = by_name(name)
    model = comparison.model_for(case, kind)
    law = Law(case.definition, model, "raw", exact=False)
    lm = make_lm(comparison.load(nb, case, folder), model, "raw")
    for text in texts_of(law, name, count=12, longest=7):
        wanted = law.row(text)
        found = np.exp(lm.start(text).next_byte_logprobs())
        assert ((found > 0) == (wanted > 0)).all()
        np.testing.assert_allclose(
            found / found.sum(), wanted / wanted.sum(), rtol=0, atol=1e-12, err_msg=str(text)
        )
        assert found.sum() <= 1 + 1e-12


@pytest.mark.parametrize("kind", ["even", "steep"])
@pytest.mark.parametrize("name", CASES)
def test_segmentations(name, kind, folder):
    """The truth lies within the bounds, at every byte of short texts."""
    case = by_name(name)
    model = comparison.model_for(case, kind)
    law = Law(case.definition, model, "full", exact=False)
    for options in ({}, {"tolerance": 0.1}, {"tolerance": 1e-3}):
        lm = make_lm(comparison.load(nb, case, folder), model, "segmentations", **options)
        for text in texts_of(law, name, count=4, longest=6):
            state = lm.start()
            for end in range(len(text) + 1):
                wanted = law.row(text[:end])
                found = np.exp(state.next_byte_logprobs())
                lower, upper = bounds_of(state)
                what = f"{name} after {text[:end]!r}, {options}"
                assert abs(found.sum() - 1.0) <= 1e-12, what
                assert 0.5 * np.abs(found - wanted).sum() <= state.bound + 1e-12, what
                assert (lower <= wanted + 1e-12).all(), what
                assert (wanted <= upper + 1e-12).all(), what
                if not options:  # else a byte may be possible by what was not expanded alone
                    assert (found[wanted > 0] > 0).all(), what
                else:
                    assert state.bound <= options["tolerance"] + 1e-12, what
                state.push(text[end : end + 1])
