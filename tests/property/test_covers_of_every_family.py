"""One real tokenizer of each family before the judge: encodings and covers, few of each.

The large run over every tokenizer is `scripts/check_tokenizers.py`; here is what fits a test run.
"""

from __future__ import annotations

import pytest

from judge import catalogue, parity, prefixes, witness

STRINGS = 3000
RANDOM_PREFIXES = 12
SMALL = [entry for entry in catalogue.entries() if entry.small]


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    return catalogue.Assets(scratch=tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="module", params=SMALL, ids=lambda entry: entry.name.replace(" ", "-"))
def judged(request, assets):
    """Return an entry, our tokenizer and its reference engine."""
    entry = request.param
    try:
        path = entry.locate(assets)
    except catalogue.MissingAssetError as reason:
        (pytest.fail if request.config.getoption("--require-model") else pytest.skip)(str(reason))
    ours, plain_words = entry.ours(path)
    return entry, ours, entry.reference(path, plain_words=plain_words)


def test_encodes_as_the_reference(judged, figures):
    entry, ours, engine = judged
    found = parity.compare(ours, engine, seed=f"{entry.name} test", strings=STRINGS)
    figures[entry.name]["texts encoded"] += found.strings
    assert not found.wrong, found
    assert found.equal > STRINGS // 2, found


@pytest.mark.parametrize("case", prefixes.NAMED)
def test_covers_of_a_named_case(judged, case, figures):
    entry, ours, engine = judged
    judge = witness.Judge(ours, engine, seed=f"{entry.name} {case}", most_covers=60)
    for prefix in prefixes.NAMED[case]:
        judge.judge(prefix)
    tell(figures[entry.name], judge.verdict)
    if case == "no text":
        assert not judge.verdict.witnesses, judge.verdict
    elif (entry.name, case) != ("AI21 J2", "newline run"):  # its normalizer leaves no newline
        assert judge.verdict.witnesses > 200, judge.verdict
    assert not judge.verdict.wrong, judge.verdict


def test_covers_of_random_prefixes(judged, figures):
    entry, ours, engine = judged
    judge = witness.Judge(ours, engine, seed=f"{entry.name} covers", most_covers=60)
    for prefix, original in prefixes.random_prefixes(engine, entry.name, RANDOM_PREFIXES):
        judge.judge(prefix, original)
    tell(figures[entry.name], judge.verdict)
    assert judge.verdict.witnesses > 100 * RANDOM_PREFIXES, judge.verdict
    assert not judge.verdict.wrong, judge.verdict


def tell(counts, verdict):
    counts["prefixes"] += verdict.prefixes
    counts["witnesses"] += verdict.witnesses
    counts["covers explained"] += verdict.covers
