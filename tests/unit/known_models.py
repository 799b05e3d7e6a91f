"""Models over tiny tokenizers whose rows are known, backends that count, and checks of laws."""

from __future__ import annotations

import weakref
import zlib

import numpy as np

from nextbyte import END_OF_TEXT, ByteLM, Tokenizer
from nextbyte.backends import TableBackend
from nextbyte.errors import BackendError
from unit import tiny_tokenizers as tiny

A, B, AB, START, END, END2, CHAT = range(7)  # the tokens of `ab_with_specials`
PROBABILITIES = [0.2, 0.1, 0.3, 0.05, 0.1, 0.2, 0.05]


TOKENIZERS = ("ab_with_specials", "letters", "one_letter", "all_bytes", "smollm2_like")


def load_all(folder):
    """Write and load the tiny tokenizers, by name."""
    return {
        name: Tokenizer.from_file(tiny.write(folder, getattr(tiny, name)(), f"{name}.json"))
        for name in TOKENIZERS
    }


def noise(width, spread=2.0):
    """Return a model: rows of logits that depend on the whole context and on nothing else."""

    def row(context):
        seed = zlib.crc32(repr([int(token) for token in context]).encode())
        return np.random.default_rng(seed).normal(0.0, spread, width)

    return row


class Row:
    """A branch whose row can be seen to be alive."""

    def __init__(self, backend, context, row):
        self._backend, self.context, self._row = backend, context, row
        backend.rows += 1

    @property
    def logits(self):
        assert self._row is not None, "read after its release"
        return self._row

    def release_logits(self):
        if self._row is not None:
            self._backend.rows -= 1
        self._row = None

    def __del__(self):
        self.release_logits()


class CountingBackend:
    """A backend that counts, and refuses what the protocol does not allow."""

    def __init__(self, row, width, *, start_token=None, end_tokens=(), takes_empty=True):
        self._row, self.vocab_size, self._takes_empty = row, width, takes_empty
        self.start_token, self.end_tokens = start_token, end_tokens
        self.calls = self.requests = self.tokens = self.rows = 0
        self.branches = weakref.WeakSet()
        self.batches = []

    def extend(self, requests):
        self.calls += 1
        found = []
        for parent, tokens in requests:
            assert tokens or parent is None, "a branch extended by nothing"
            if parent is None and not tokens and not self._takes_empty:
                raise BackendError("the empty context: give start(bos=...)")
            context = (*(() if parent is None else parent.context), *tokens)
            self.requests += 1
            self.tokens += len(tokens)
            found.append(Row(self, context, self._row(context)))
            self.branches.add(found[-1])
        self.batches.append([branch.context for branch in found])
        return found

    def reset(self):
        self.calls = self.requests = self.tokens = 0
        self.batches.clear()


def noisy(tokenizer, **options):
    """Return a ByteLM and its counting backend."""
    width = tokenizer.vocab_size
    backend = CountingBackend(noise(width), width, **options)
    return ByteLM(tokenizer, backend), backend


def table_lm(tokenizer, **options):
    return ByteLM(tokenizer, TableBackend({(): PROBABILITIES}, **options))


def law(state):
    """Return the law of the next byte, after checking what every law must be."""
    row = state.next_byte_logprobs()
    assert row.shape == (257,)
    assert row.dtype == np.float64
    assert not np.isnan(row).any()
    assert row.max() <= 0.0
    assert abs(np.exp(row).sum() - 1.0) < 1e-12
    assert state.bound == 0.0
    return row


def chances(state):
    """Return the possible symbols and their probabilities, END_OF_TEXT as "end"."""
    row = np.exp(law(state))
    return {
        "end" if symbol == END_OF_TEXT else chr(symbol): float(row[symbol])
        for symbol in np.flatnonzero(row)
    }


def assert_same_law(state, other):
    np.testing.assert_allclose(np.exp(law(state)), np.exp(law(other)), rtol=0, atol=1e-12)


class Switch:
    """A function whose answer can be changed, and its repaired twin."""

    def __init__(self, width):
        self.width = width
        self.spoil = lambda rows, _: rows

    def __call__(self, contexts):
        rows = np.stack([noise(self.width)(context) for context in contexts])
        return self.spoil(rows, contexts)
