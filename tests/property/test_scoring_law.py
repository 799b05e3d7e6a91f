"""Scoring against the definition: every law and every chain, small tokenizers, exact models."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

import nextbyte as nb
from oracle import comparison
from oracle.distribution import END_OF_TEXT
from oracle.zoo import CASES, by_name

SUBJECTS = [(case.name, kind) for case in CASES for kind in case.kinds]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizers")


@pytest.mark.parametrize(("name", "kind"), SUBJECTS)
def test_texts_of_the_definition(name, kind, folder):
    case = by_name(name)
    try:
        subject = comparison.make_subject(nb, case, kind, folder)
    except comparison.DeclinedError as reason:
        pytest.skip(f"the product does not claim to be exact here: {reason}")
    expected = subject.reference()
    source = random.Random(f"scoring {name} {kind}")
    longest = [prefix for prefix in expected.live() if len(prefix) == expected.depth]
    for text in source.sample(longest, min(8, len(longest))):
        cut = source.randrange(len(text) + 1)
        context, data = text[:cut], text[cut:]
        if cut == len(text):
            continue
        end = END_OF_TEXT in expected.conditional(text)
        rows = nb.score(subject.lm, data, context=context, full=True, end_of_text=end)
        for place, row in enumerate(rows):
            subject.check_row(row, expected, context + data[:place])
        wanted = comparison.log_of(expected.mass[text]) - comparison.log_of(expected.mass[context])
        other = data[: source.randrange(len(data) + 1)]
        bad = subject.impossible(expected, text)[:1]
        found = nb.loglikelihood(subject.lm, context, [data, other, data + bytes(bad)])
        assert found[0] == pytest.approx(wanted, rel=1e-12, abs=1e-12)
        assert found[1] == pytest.approx(
            comparison.log_of(expected.mass[context + other])
            - comparison.log_of(expected.mass[context]),
            rel=1e-12,
            abs=1e-12,
        )
        assert found[2] == -math.inf
        if end:
            wanted += math.log(expected.conditional(text)[END_OF_TEXT])
            found_end = nb.loglikelihood(subject.lm, context, data, end_of_text=True)
            assert found_end == pytest.approx(wanted, rel=1e-12, abs=1e-12)
        np.testing.assert_array_equal(
            nb.score(subject.lm, data, context=context),
            rows[np.arange(len(data)), list(data)],
        )
