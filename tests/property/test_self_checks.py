"""Real tokenizers under a hundred times the self-check of a load, and beside their own library."""

from __future__ import annotations

EFFORT = 100


def test_the_engine_agrees_with_its_encoder(subject, figures):
    found = subject.ours.self_check(effort=EFFORT)
    assert found.texts > 7000
    figures[subject.name]["pairs of tokens by the engine"] += found.pairs
    figures[subject.name]["texts by the engine"] += found.texts


def test_a_tokenizer_agrees_with_its_library(subject, figures):
    found = subject.ours.verify(count=4000)
    assert found is not None
    assert found.differences == 0, found.first_difference
    assert found.texts > 2000
    figures[subject.name]["texts by the library"] += found.texts
