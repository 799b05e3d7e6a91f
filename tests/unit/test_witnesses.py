"""Tokenizers that are not compiled, against the exact covers of ones that are."""

from __future__ import annotations

import base64
import itertools
import random

import numpy as np
import pytest

import nextbyte as nb
from nextbyte import _core
from nextbyte.errors import UnsupportedTokenizerError
from unit import tiny_tokenizers as tiny
from unit.loading import random_texts

# Look-behind at nothing: the same pieces, but no longer a pattern that is compiled.
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
OUTSIDE = rf"(?:(?<=\A)|(?<!\A))(?:{GPT2})"


@pytest.fixture
def pair(tmp_path):
    """Return the exact tokenizer and the validated one of the same rule."""
    document = tiny.all_bytes()
    exact = document | {"pre_tokenizer": tiny.split(GPT2)}
    outside = document | {"pre_tokenizer": tiny.split(OUTSIDE)}
    path = tiny.write(tmp_path, outside, "outside.json")
    with pytest.raises(UnsupportedTokenizerError, match=r"look-behind.*validate=True"):
        nb.Tokenizer.from_file(path)
    return (
        nb.Tokenizer.from_file(tiny.write(tmp_path, exact, "exact.json")),
        nb.Tokenizer.from_file(path, validate=True),
    )


def test_the_label_names_the_construct(pair):
    exact, validated = pair
    assert exact.exactness == "exact"
    assert validated.exactness == validated.report().exactness == "validated"
    assert "look-behind" in validated.report().why


def test_encodings(pair):
    exact, validated = pair
    for text in random_texts("the '\nsé1 中", count=200):
        assert validated.encode(text) == exact.encode(text)


def test_confirmed_covers_are_the_exact_ones(pair):
    """Sound always; complete where the list of tails is long enough, as it is here."""
    exact, validated = pair
    source = random.Random(5)
    for text in random_texts("the '\nsé1 中", count=60, longest=6):
        prefix = text.encode()[: source.randint(1, 12)]
        assert sorted(validated.cover_encodings(prefix)) == sorted(exact.cover_encodings(prefix))


def flat(contexts, size):
    """Rows that depend on the last token; no token is out of reach."""
    rows = [np.random.default_rng(sum(context) % 97).normal(size=size) for context in contexts]
    return np.stack(rows).astype(np.float32)


def test_laws_and_what_they_leave_out(pair):
    exact, _ = pair
    size, end = exact.vocab_size + 1, exact.vocab_size
    one, other = (
        nb.ByteLM.from_function(t, lambda contexts: flat(contexts, size), end_tokens=(end,))
        for t in pair
    )
    for data in (b"the t", b"th  ", "é中"[:1].encode() + b"\xe4", b"a\n\n", b"1 "):
        state, copy = one.start(data), other.start(data)
        law, estimate = np.exp(state.next_byte_logprobs()), np.exp(copy.next_byte_logprobs())
        assert abs(estimate.sum() - 1) < 1e-12
        assert (state.bound, copy.bound) == (0.0, 1.0)
        assert state.unconfirmed_mass == 0.0
        assert 0.0 <= copy.unconfirmed_mass < 1.0
        # At most a thousandth of a row stays untested; all that counts is confirmed otherwise.
        assert np.abs(law - estimate).sum() / 2 < 0.01, data


def test_text_that_the_tokenizer_changes_is_refused(tmp_path):
    document = tiny.all_bytes() | {"pre_tokenizer": tiny.split(r"(?<=a)\s+")}
    document["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"
    path = tiny.write(tmp_path, document)
    with pytest.raises(UnsupportedTokenizerError, match="does not give back"):
        nb.Tokenizer.from_file(path, validate=True)


def test_an_error_of_the_encoder_reaches_the_caller():
    def broken(texts):
        raise RuntimeError(f"no answer for {len(texts)} texts")

    with pytest.raises(RuntimeError, match="no answer for 1 texts"):
        _core.compile_witnessed([b"a", b"b"], broken).encode(b"ab")


def test_rank_files_with_any_regex(tmp_path):
    tokens = [bytes([byte]) for byte in range(256)] + [b"ab", b" a"]
    path = tmp_path / "x.tiktoken"
    path.write_bytes(
        b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))
    )
    options = {"pattern": r"(?<=a)b|[^b]+|b"}
    with pytest.raises(UnsupportedTokenizerError, match="look-behind"):
        nb.Tokenizer.from_tiktoken(path, **options)
    validated = nb.Tokenizer.from_tiktoken(path, **options, validate=True)
    for text in map("".join, itertools.product("ab ", repeat=4)):
        assert validated.decode(validated.encode(text)) == text.encode()
    assert validated.encode("aab") == [97, 97, 98]  # the split is before the b
