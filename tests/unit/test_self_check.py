"""The self-check at load and the comparison with a tokenizer's own library: both can fail."""

from __future__ import annotations

import base64
import json
import sys
import types

import pytest
import tokenizers

import nextbyte as nb
from nextbyte import _core, verification
from nextbyte.errors import UnsupportedTokenizerError
from nextbyte.verification import Reference, verify
from unit import tiny_tokenizers as tiny
from unit.loading import load

ALL = [tiny.ab, tiny.ab_with_specials, tiny.letters, tiny.one_letter, tiny.all_bytes]
ALL += [tiny.smollm2_like]


def rank_file(folder, merged=()):
    lines = [*(bytes([byte]) for byte in range(256)), *merged]
    path = folder / "ranks.tiktoken"
    path.write_bytes(
        b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(lines))
    )
    return path


# --- With the engine's own encoder ---------------------------------------------------------------


@pytest.mark.parametrize("content", ALL)
def test_right_tokenizers_pass_with_any_effort(tmp_path, content):
    tokenizer = load(tmp_path, content())
    loaded = tokenizer.report().self_check
    assert loaded.tokens == tokenizer.report().reachable_tokens
    assert min(loaded.texts, loaded.pairs) > 30
    more = tokenizer.self_check(effort=10)
    assert more.tokens == loaded.tokens  # all were looked at before
    assert more.texts > 5 * loaded.texts
    assert more.pairs == 10 * loaded.pairs
    assert tokenizer.report().self_check == more


def test_a_token_for_whole_pieces_only_passes(tmp_path):
    content = tiny.ab()
    content["model"]["vocab"]["ba"] = 3
    content["model"]["ignore_merges"] = True
    assert load(tmp_path, content).self_check(effort=20).texts > 1000


def test_a_difference_refuses_the_tokenizer(tmp_path, monkeypatch):
    asked = []

    def find_fault(_compiled, **options):
        asked.append(options)
        return types.SimpleNamespace(differences=3, first_difference='the engine takes b"x"')

    monkeypatch.setattr(_core, "self_check", find_fault)
    with pytest.raises(UnsupportedTokenizerError) as caught:
        load(tmp_path, tiny.ab())
    assert asked == [{"effort": 1, "with_masks": False}]
    for part in ("tokenizer.json", "3 differences", 'the engine takes b"x"', "not exact"):
        assert part in str(caught.value)


def test_more_effort_asks_the_masks_too(tmp_path, monkeypatch):
    tokenizer = load(tmp_path, tiny.ab())
    right, asked = _core.self_check, []

    def spy(compiled, **options):
        asked.append((options["effort"], options["with_masks"]))
        return right(compiled, **options)

    monkeypatch.setattr(_core, "self_check", spy)
    tokenizer.self_check(effort=120)
    assert asked == [(120, False), (3, True)]


def test_adversarial_texts_are_the_same_in_every_run(tmp_path):
    compiled = load(tmp_path, tiny.all_bytes()).compiled
    texts = _core.adversarial_texts(compiled, 3000, seed=1)
    assert texts == _core.adversarial_texts(compiled, 3000, seed=1)
    assert texts[:50] != _core.adversarial_texts(compiled, 50, seed=2)
    assert max(len(text.encode()) for text in texts) <= 48
    together = "".join(texts)
    for hit in ("\r\n", "  ", "'ll", "12", "\u0301", "\u200d", "\u4e2d", "end", "\u2581"):
        assert hit in together


# --- With the library ----------------------------------------------------------------------------


def test_a_right_tokenizer_agrees_with_its_library(tmp_path):
    tokenizer = load(tmp_path, tiny.all_bytes())
    assert tokenizer.report().verification is None
    found = tokenizer.verify(count=300)
    assert found.library == f"tokenizers {tokenizers.__version__}"
    assert (found.texts, found.skipped, found.differences) == (300, 0, 0)
    assert tokenizer.report().verification == found
    assert tokenizer.exactness == tokenizer.report().exactness == "exact"
    assert found.library in tokenizer.report().why


def test_texts_that_cannot_be_encoded_are_skipped_and_counted(tmp_path):
    found = load(tmp_path, tiny.smollm2_like()).verify(count=300)
    assert found.texts + found.skipped == 300
    assert 200 < found.texts < 300
    assert found.differences == 0


def test_rank_files_agree_with_tiktoken(tmp_path):
    path = rank_file(tmp_path, [b"th", b"the", b" the", b"\n\n", b"  ", b"'s"])
    tokenizer = nb.Tokenizer.from_tiktoken(path, pattern="cl100k")
    found = tokenizer.verify(count=300)
    assert found.library.startswith("tiktoken ")
    assert (found.texts, found.differences) == (300, 0)


def test_a_file_that_changed_is_refuted(tmp_path):
    """The library reads the file again: with other merges it encodes otherwise."""
    content = tiny.all_bytes()
    tokenizer = load(tmp_path, content)
    content["model"]["merges"].remove("e n")
    content["model"]["merges"].remove("en d")
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    found = tokenizer.verify(count=400)
    assert 0 < found.differences < found.texts
    assert tokenizer.exactness == tokenizer.report().exactness == "refuted"
    assert found.first_difference in tokenizer.report().why


def test_added_words_that_are_ignored_are_not_compared(tmp_path):
    content = tiny.all_bytes()
    content["added_tokens"][0] |= {"special": False}
    path = tiny.write(tmp_path, content)
    tokenizer = nb.Tokenizer.from_file(path, ignore_added_words=True)
    reference = verification.find_reference(tokenizer._description)
    assert reference.read_out == ("<s>",)
    found = verify(tokenizer, reference, texts=["a<s>b", "<e>", "x"])
    assert (found.texts, found.skipped, found.differences) == (2, 1, 0)


def test_a_comparison_can_fail(tmp_path):
    tokenizer = load(tmp_path, tiny.ab())
    wrong = Reference("wrong 1.0", lambda text: [0] * len(text))
    found = verify(tokenizer, wrong, texts=["a", "ab", "b", "aa", "\u00e9"])
    assert (found.texts, found.skipped, found.differences) == (4, 1, 2)
    assert found.first_difference == "'ab' is [2] here and [0, 0] by wrong 1.0"


@pytest.mark.parametrize("library", ["tokenizers", "tiktoken"])
def test_without_the_library_nothing_is_compared(tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    if library == "tokenizers":
        tokenizer = load(tmp_path, tiny.ab())
    else:
        tokenizer = nb.Tokenizer.from_tiktoken(rank_file(tmp_path), pattern="gpt2")
    assert tokenizer.verify() is None
    assert tokenizer.report().verification is None


def test_a_library_that_cannot_read_the_file_is_no_judge(tmp_path):
    tokenizer = load(tmp_path, tiny.ab())
    (tmp_path / "tokenizer.json").write_text('{"version": "9.0"}')
    assert tokenizer.verify() is None


def test_a_rank_file_without_a_byte_has_no_judge(tmp_path):
    path = tmp_path / "ranks.tiktoken"
    path.write_bytes(base64.b64encode(b"a") + b" 0\n")
    assert nb.Tokenizer.from_tiktoken(path, pattern="gpt2").verify() is None


def test_a_model_with_a_refuted_tokenizer_is_not_loaded(tmp_path, monkeypatch):
    tiny.write(tmp_path, tiny.all_bytes())
    wrong = Reference("wrong 1.0", lambda text: [0] * len(text))
    monkeypatch.setattr(nb.tokenizer_inspection, "find_reference", lambda _: wrong)
    with pytest.raises(UnsupportedTokenizerError, match=r"wrong 1\.0 encodes otherwise: '"):
        nb.ByteLM.from_pretrained(tmp_path)
