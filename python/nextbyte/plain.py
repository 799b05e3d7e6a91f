"""What plain tokenization predicts: the biased baseline that exact laws are compared with.

Plain practice encodes the prompt once and lets the model continue its tokens. The prompt's last
token is then taken as ended, although text that goes on inside a word would have been encoded
otherwise, so the law of the next byte is conditioned on an event that the user did not mean. These
functions do exactly that, on purpose. Use them to show the difference and for nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from nextbyte.byte_model import ALPHABET_SIZE, END_OF_TEXT
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nextbyte.backends.base import Backend

__all__ = ["TokenModel", "TokenSide", "plain_complete", "plain_next_byte_probs"]


class TokenSide(Protocol):
    """What is needed of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""

    def encode(self, data: bytes, /) -> Sequence[int]:
        """Return the tokens of a text."""

    def token_bytes(self, token: int, /) -> bytes:
        """Return the bytes of a token; b"" for a special token."""


class TokenModel(Protocol):
    """What is needed of a `ByteLM`: its two halves and the tokens that start and end a text."""

    @property
    def tokenizer(self) -> TokenSide:
        """Bytes to tokens."""

    @property
    def backend(self) -> Backend:
        """Tokens to logits."""

    @property
    def start_token(self) -> int | None:
        """The token that every context starts with, if any."""

    @property
    def end_tokens(self) -> Sequence[int]:
        """The tokens that end a text."""


def plain_next_byte_probs(lm: TokenModel, prompt: str | bytes) -> NDArray[np.float64]:
    """Return the law of the next byte as the tokens of the prompt would have it.

    It is the next-token law after `tokenizer.encode(prompt)`, summed by the first byte of the
    token. As in the exact law, end tokens are summed into `END_OF_TEXT`, and other special tokens
    are masked before normalizing. Cost: one LM evaluation and one pass over the vocabulary.

    Returns
    -------
    ndarray, shape (257,), float64
        Probabilities that sum to one.
    """
    data = as_bytes(prompt, name="prompt")
    logits = lm.backend.extend([(None, _context(lm, data))])[0].logits
    size = min(lm.tokenizer.vocab_size, len(logits))  # rows may be padded past the last token
    symbols = np.full(size, ALPHABET_SIZE, dtype=np.intp)  # the one index past the alphabet: masked
    for token in range(size):
        spelling = lm.tokenizer.token_bytes(token)
        if spelling:
            symbols[token] = spelling[0]
    symbols[[token for token in lm.end_tokens if token < size]] = END_OF_TEXT
    row = np.array(logits[:size], dtype=np.float64)
    row[symbols == ALPHABET_SIZE] = -np.inf
    weights = np.exp(row - row.max())
    masses = np.bincount(symbols, weights=weights, minlength=ALPHABET_SIZE)[:ALPHABET_SIZE]
    return cast("NDArray[np.float64]", masses / masses.sum())


def plain_complete(lm: TokenModel, prompt: str | bytes, max_bytes: int) -> bytes:
    """Return the greedy continuation of the prompt's tokens, cut to `max_bytes` bytes.

    The most probable token again and again, the smallest id among equals, until an end token.
    Cost: one LM evaluation per token.
    """
    data = as_bytes(prompt, name="prompt")
    generated = b""
    if max_bytes <= 0:
        return generated
    ends = frozenset(lm.end_tokens)
    branch = lm.backend.extend([(None, _context(lm, data))])[0]
    while True:
        token = _likeliest(lm, branch.logits, ends)
        if token in ends:
            return generated
        generated += lm.tokenizer.token_bytes(token)
        if len(generated) >= max_bytes:
            return generated[:max_bytes]
        branch = lm.backend.extend([(branch, [token])])[0]


def _context(lm: TokenModel, data: bytes) -> list[int]:
    """Return the start token, where there is one, and the tokens of the prompt."""
    start = [] if lm.start_token is None else [lm.start_token]
    return [*start, *lm.tokenizer.encode(data)]


def _likeliest(lm: TokenModel, logits: NDArray[np.floating[Any]], ends: frozenset[int]) -> int:
    """Return the most probable token that has bytes or ends the text."""
    size = min(lm.tokenizer.vocab_size, len(logits))
    row = np.array(logits[:size])
    while True:  # special tokens are rarely on top: asking for the bytes of all would be slower
        token = int(np.argmax(row))
        if token in ends or lm.tokenizer.token_bytes(token):
            return token
        row[token] = -np.inf
