"""The bench of ensembles: drawn words against all words, many texts against their definition."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from unit.fake_byte_models import order2_model

pytest.importorskip("transformers")

BENCH = Path(__file__).resolve().parents[2] / "bench"
TEXT = b"a ab. b a aab"
WORDS = list(re.finditer(rb" [ab]+(?=[^ab])", TEXT))


@pytest.fixture(scope="module", autouse=True)
def importable_bench():
    before, path = set(sys.modules), list(sys.path)
    sys.path[:0] = [str(BENCH / "ensemble"), str(BENCH)]
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(BENCH) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def word_draws():
    return importlib.import_module("word_draws")


@pytest.fixture
def readings():
    return importlib.import_module("readings")


def laws(model, text):
    return np.stack([model.law(text[:i]) for i in range(len(text))])


def all_words(model, before, longest=8):
    """Every word behind some bytes and its probability, by the definition."""
    found, begun = {}, {b"": 1.0}
    for place in range(longest):
        longer = {}
        for word, chance in begun.items():
            law = np.exp(model.law(before + word))
            for symbol in b" ab.":
                if place == 0 or symbol in b"ab":
                    longer[word + bytes([symbol])] = chance * law[symbol]
            found[word] = chance * (law[256] + (0 if place == 0 else law[32] + law[46]))
        begun = longer
    return found


def test_the_chance_of_a_word_and_of_the_better_of_two(word_draws, tmp_path):
    model = order2_model(3, b" ab.")
    law = laws(model, TEXT)
    right = word_draws.chances(law, TEXT, WORDS)
    reader = SimpleNamespace(name="made", folder=tmp_path, model=model)
    over = word_draws.above(reader, law, TEXT, WORDS, [0] * len(WORDS), count=600)
    better = word_draws.better_of_two(right, over)
    for i, word in enumerate(WORDS):
        every = all_words(model, TEXT[: word.start()])
        assert sum(every.values()) == pytest.approx(1.0, abs=1e-2)
        assert right[i] == pytest.approx(every[word.group()], abs=1e-12)
        more = sum(p for other, p in every.items() if other != word.group() and p > right[i])
        assert over[i] == pytest.approx(more, abs=0.05)
        words, chances = list(every), np.array(list(every.values()))
        first = chances[:, None] >= chances  # of each two draws, whether the first is kept
        kept = np.where(first, np.arange(len(words))[:, None], np.arange(len(words)))
        pairs = (np.outer(chances, chances) * (kept == words.index(word.group()))).sum()
        assert better[i] == pytest.approx(pairs, abs=0.03)
    again = word_draws.above(reader, law, TEXT, WORDS, [0] * len(WORDS), count=600)
    np.testing.assert_array_equal(again, over)  # kept


def test_what_counts_is_behind_the_begin_and_the_evidence_before_it(readings):
    one, two = (order2_model(seed, b" ab.") for seed in (5, 6))
    readers = [
        SimpleNamespace(text=lambda text, window, model=model: laws(model, text.encode()))
        for model in (one, two)
    ]
    texts = [(TEXT.decode(), 4), ("b. a", 0)]
    reading = readings.Reading(readers, texts, 100)
    weights = np.array([0.25, 0.75])

    def mixed(text):
        return np.log(np.exp([model.start(text).logprob for model in (one, two)]) @ weights)

    chains = reading.chains("posterior", [0, 1], weights)
    for chain, (text, begin) in zip(chains, texts, strict=True):
        data = text.encode()
        assert len(chain) == len(data) - begin
        assert chain.sum() == pytest.approx(mixed(data) - mixed(data[:begin]), abs=1e-9)
    for rule in ("mixture", "product"):
        whole = reading.chains(rule, [1], [1.0])
        for chain, (text, begin) in zip(whole, texts, strict=True):
            law = laws(two, text.encode())
            expected = law[np.arange(len(law)), list(text.encode())][begin:]
            np.testing.assert_allclose(chain, expected, atol=1e-12)


def test_an_interval_by_sizes_is_of_the_ratio(readings):
    interval = importlib.import_module("arithmetic").interval
    sums, sizes = np.array([8.0, 1.0, 2.0, 9.0]), np.array([8, 1, 2, 9])
    assert interval(sums, sizes) == pytest.approx([1.0, 1.0])
    same = interval([2.0, 4.0, 9.0], [2, 2, 2])
    assert same == pytest.approx(interval([1.0, 2.0, 4.5]))


def test_a_file_that_is_cut_off_is_not_there(tmp_path):
    keep = importlib.import_module("laws").keep

    def half(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep(tmp_path / "laws" / "kept.npz", half)
    assert not (tmp_path / "laws" / "kept.npz").exists()
    keep(tmp_path / "laws" / "kept.npz", lambda file: file.write(b"whole"))
    assert (tmp_path / "laws" / "kept.npz").read_bytes() == b"whole"
