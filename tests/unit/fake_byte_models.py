"""Small byte models whose laws are written down, for tests of everything above `ByteModel`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from nextbyte.byte_model import END_OF_TEXT
from nextbyte.errors import UnreachableByteError

Row = NDArray[np.float64]


class FakeByteState:
    """Counts one LM evaluation for every law it is asked for at a new position."""

    bound = 0.0

    def __init__(self, law: Callable[[bytes], Row], prefix: bytes = b"") -> None:
        self._law = law
        self._rows: list[Row | None] = [None] * (len(prefix) + 1)
        self.prefix = prefix
        self.lm_evaluations = 0
        self.rows_read: list[bytes] = []

    @property
    def logprob(self) -> float:
        return float(sum(self._law(self.prefix[:i])[byte] for i, byte in enumerate(self.prefix)))

    def next_byte_logprobs(self) -> Row:
        if self._rows[-1] is None:
            self.lm_evaluations += 1
            self._rows[-1] = self._law(self.prefix)
        return self._rows[-1]

    def push(self, data: bytes) -> None:
        prefix = self.prefix
        for byte in data:
            if self._law(prefix)[byte] == -np.inf:
                raise UnreachableByteError(len(prefix), byte)
            prefix += bytes([byte])
        self.prefix = prefix
        self._rows += [None] * len(data)

    def fork(self) -> FakeByteState:
        other = FakeByteState(self._law, self.prefix)
        other.lm_evaluations = self.lm_evaluations
        return other

    def rollback(self, n: int) -> None:
        self.prefix = self.prefix[: len(self.prefix) - n]
        del self._rows[len(self.prefix) + 1 :]


class FakeByteModel:
    """A byte model from a function: the bytes so far -> log-probabilities of shape (257,)."""

    def __init__(self, law: Callable[[bytes], Row]) -> None:
        self.law = law
        self.started: list[FakeByteState] = []

    def start(self, prompt: str | bytes = b"") -> FakeByteState:
        state = FakeByteState(self.law)
        state.push(prompt.encode() if isinstance(prompt, str) else prompt)
        self.started.append(state)
        return state

    def next_byte_logprobs(self, states: Sequence[FakeByteState]) -> Row:
        return np.stack([state.next_byte_logprobs() for state in states])


def order2_model(seed: int, alphabet: bytes, *, end: bool = True) -> FakeByteModel:
    """Return a model whose law depends on the last two bytes and is a Dirichlet draw."""
    symbols = sorted(set(alphabet)) + ([END_OF_TEXT] if end else [])

    @functools.cache
    def row(context: bytes) -> Row:
        random = np.random.default_rng([seed, len(context), *context])
        logprobs = np.full(257, -np.inf)
        logprobs[symbols] = np.log(random.dirichlet(np.full(len(symbols), 0.7)))
        logprobs.flags.writeable = False
        return logprobs

    return FakeByteModel(lambda prefix: row(prefix[-2:]))


def one_text_model(text: bytes) -> FakeByteModel:
    """Return a model that is certain of one text and its end."""

    def law(prefix: bytes) -> Row:
        logprobs = np.full(257, -np.inf)
        logprobs[[*text, END_OF_TEXT][len(prefix)]] = 0.0
        return logprobs

    return FakeByteModel(law)


def fixed(**probabilities):
    """Return a model with the same law everywhere: fixed(a=0.5, end=0.5)."""
    row = np.full(257, -np.inf)
    for symbol, p in probabilities.items():
        row[END_OF_TEXT if symbol == "end" else ord(symbol)] = np.log(p)
    return FakeByteModel(lambda _: row)


def chances(state):
    """Return the possible symbols and their probabilities, END_OF_TEXT as "end"."""
    row = np.exp(state.next_byte_logprobs())
    return {
        "end" if s == END_OF_TEXT else chr(s): round(float(row[s]), 12)
        for s in np.flatnonzero(row > 0.0)
    }


class FakeTokenModel:
    """The token side of a `ByteLM`, with a greedy tokenizer and a law that is a function."""

    def __init__(self, tokens, law, *, start_token=None, end_tokens=()):
        self.tokenizer = FakeTokenizer(tokens)
        self.backend = FakeBackend(law)
        self.start_token = start_token
        self.end_tokens = end_tokens


class FakeTokenizer:
    """Takes the longest token each time."""

    def __init__(self, tokens):
        self._tokens = tokens
        self.vocab_size = len(tokens)

    def encode(self, data):
        found = []
        while data:
            token = max(
                (
                    t
                    for t, spelling in enumerate(self._tokens)
                    if spelling and data.startswith(spelling)
                ),
                key=lambda t: len(self._tokens[t]),
            )
            found.append(token)
            data = data[len(self._tokens[token]) :]
        return found

    def token_bytes(self, token):
        return self._tokens[token]


class FakeBackend:
    """Asks a function for the logits after a list of tokens; writes down what it was asked."""

    def __init__(self, law):
        self._law = law
        self.contexts = []

    def extend(self, requests):
        return [self._branch(parent, tokens) for parent, tokens in requests]

    def _branch(self, parent, tokens):
        context = [*([] if parent is None else parent.context), *tokens]
        self.contexts.append(context)
        return SimpleNamespace(context=context, logits=self._law(context))
