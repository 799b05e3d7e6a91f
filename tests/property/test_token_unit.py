"""Healing and drawing by tokens against the definition: every cover, every token sequence."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nextbyte as nb
from oracle import comparison
from oracle.posterior import cover_posterior
from oracle.zoo import by_name
from unit.token_laws import assert_same_law, law_by_bytes, law_by_tokens

POSTERIORS = [
    ("plain_two", "even"),
    ("plain_three", "elsewhere"),
    ("plain_four_byte_character", "even"),
    ("gpt2_blanks", "even"),
    ("gpt2_contraction", "even"),
    ("gpt2_digits", "steep"),
    ("smollm_words", "even"),
    ("smollm_wide_digits", "even"),
    ("cl100k_blanks", "elsewhere"),
    ("cl100k_digits", "zeros"),
    ("cl100k_returns", "even"),
    ("llama3_blanks", "even"),
    ("o200k_blanks", "zeros"),
    ("deepseek_ideographs", "even"),
    ("dead_lead_byte", "even"),
    ("dead_blank", "even"),
    ("ahead_gpt2", "even"),
    ("ahead_lines", "steep"),
]
ENUMERATED = [  # with prompts that end inside a token, a character, at a look-ahead split
    ("plain_two", "even", [b"", b"a", b"ab", b"aab"]),
    ("plain_endless", "even", [b"", b"ab"]),
    ("plain_accents", "even", [b"a\xc3", "é".encode(), "aé".encode() + b"\xc3"]),
    ("plain_four_byte_character", "even", [b"\xf0", b"a\xf0\x9f"]),
    ("gpt2_blanks", "even", [b" ", b"a ", b"a \n", b"\n"]),
    ("gpt2_digits", "steep", [b"1", b" ", b"a1"]),
    ("smollm_words", "even", [b"", b"a ", b"1"]),
    ("cl100k_digits", "zeros", [b"1", b" \n"]),
    ("cl100k_returns", "even", [b" \r", b"\r\n"]),
    ("llama3_blanks", "even", [b"a", b"a ", b" \n"]),
    ("dead_blank", "even", [b"a", b"a ", b"  "]),
    ("ahead_cl100k", "even", [b"a ", b"  ", b" \n"]),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizers")


@pytest.fixture(scope="module")
def subject(folder):
    made = {}

    def get(name, kind):
        if (name, kind) not in made:
            made[name, kind] = comparison.make_subject(nb, by_name(name), kind, folder)
        return made[name, kind]

    return get


@pytest.mark.parametrize(("name", "kind"), POSTERIORS)
def test_posterior_is_that_of_the_definition(name, kind, subject):
    case = subject(name, kind)
    prefixes = [x for x in case.reference().live() if len(x) <= 4][:60]
    for prefix in prefixes:
        expected = cover_posterior(case.model, prefix)
        healing = nb.heal(case.lm, prefix)
        start = list(case.model.start)
        found = {tuple(healing.token_ids(c))[len(start) :]: c for c in healing.covers}
        assert found.keys() == expected.keys(), prefix
        assert len(found) == len(healing.covers)
        for tokens, cover in found.items():
            assert math.exp(cover.log_weight) == pytest.approx(float(expected[tokens]), rel=1e-12)
            assert prefix + cover.overhang == case.definition.decode(tokens)
            assert healing.token_ids(cover)[: len(start)] == start  # never eaten
        assert abs(math.fsum(np.exp(healing.log_weights)) - 1.0) < 1e-12
        assert (np.diff(healing.log_weights) <= 0).all()
        assert healing.best == healing.covers[0]
        assert healing.sample(7).tokens in {cover.tokens for cover in healing.covers}


@pytest.mark.parametrize(("name", "kind", "prompts"), ENUMERATED)
def test_tokens_give_the_law_of_bytes(name, kind, prompts, subject, monkeypatch):
    case = subject(name, kind)
    expected = case.reference()
    for prompt in prompts:
        count = 2
        whole = expected.mass[prompt]
        law = law_by_tokens(monkeypatch, case.lm, prompt, max_bytes=count)
        wanted = {}
        for text, mass in expected.mass.items():
            if text.startswith(prompt) and len(text) == len(prompt) + count:
                wanted[text[len(prompt) :], "length"] = mass / whole
        for text, mass in expected.end.items():
            if mass and text.startswith(prompt) and len(text) < len(prompt) + count:
                wanted[text[len(prompt) :], "end_of_text"] = mass / whole
        assert_same_law(law, wanted)


def test_stops_cut_tokens_where_they_cut_bytes(subject, monkeypatch):
    lm = subject("plain_two", "even").lm
    options = {"max_bytes": 3, "stop": b"ba"}
    found = law_by_tokens(monkeypatch, lm, b"a", **options)
    assert {reason for _, reason in found} == {"stop", "length", "end_of_text"}
    assert_same_law(found, law_by_bytes(lm, b"a", **options))
