"""Bytes that a row of logits rules out, behind a law that was read: refused, soon or late."""

from __future__ import annotations

import numpy as np
import pytest

import nextbyte as nb
from unit import tiny_tokenizers as tiny


@pytest.fixture
def lm(tmp_path):
    """After the token a, never the token b, which bb does not need."""
    document = tiny.document(
        tiny.single_bytes(b"ab"),
        [(b"a", b"a"), (b"b", b"b")],
        specials=("<e>",),
        pre_tokenizer=tiny.WHOLE,
    )
    tokenizer = nb.Tokenizer.from_file(tiny.write(tmp_path, document))
    a, b, end = (*tokenizer.encode("a"), *tokenizer.encode("b"), tokenizer.special_tokens["<e>"])

    def rows(contexts):
        made = np.full((len(contexts), tokenizer.vocab_size), -np.log(tokenizer.vocab_size))
        for row, context in zip(made, contexts, strict=True):
            if list(context) == [a]:
                row[b] = -np.inf
        return made

    return nb.ByteLM.from_function(tokenizer, rows, end_tokens=[end])


def test_one_by_one(lm):
    state = lm.start("a")
    state.next_byte_logprobs()
    state.push(b"b")
    state.next_byte_logprobs()
    with pytest.raises(nb.errors.UnreachableByteError):
        state.push(b"a")


def test_at_once_behind_a_law_that_was_read(lm):
    state = lm.start("a")
    state.next_byte_logprobs()

    with pytest.raises(nb.errors.UnreachableByteError, match="position 2 has probability zero"):
        state.push(b"ba")
    assert state.prefix == b"a"
    state.push(b"bb")
    assert np.isclose(np.exp(state.next_byte_logprobs()).sum(), 1.0)
