"""Plain forward passes of a real model, and by brute force which tokens may follow a text."""

from __future__ import annotations

import itertools

import numpy as np
import torch


def probabilities(lm, tokens):
    """Return the next-token distribution by a plain forward pass: no cache, no mask, no tree."""
    with torch.inference_mode():
        logits = lm.backend._model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
    return torch.softmax(logits.double(), 0).numpy()


def decoded(data):
    """Return the text of some bytes, None where they end or start inside a character."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def endings(data):
    """Return bytes that may follow, one for each way the pre-tokenizer could look ahead."""
    if decoded(data) is not None:
        return [b"x", b" x", b" ", b"\n", b"\nx", b"1", b"'", b"!", b"\xc3\xa9"]
    tails = (itertools.product((0x80, 0x90, 0xA0, 0xBF), repeat=length) for length in (1, 2, 3))
    return [bytes(tail) for tail in itertools.chain.from_iterable(tails)]


class Contexts:
    """Plain forward passes after some tokens, and which tokens may follow by brute force."""

    def __init__(self, lm, reference, start):
        self._lm, self._reference, self._start = lm, reference, start
        self.data = [lm.tokenizer.token_bytes(token) for token in range(lm.tokenizer.vocab_size)]
        self._chances = {}

    def chances(self, text):
        if text not in self._chances:
            tokens = self._reference.encode(text).ids
            self._chances[text] = probabilities(self._lm, [self._start, *tokens])
        return self._chances[text]

    def _begin_an_encoding(self, text, tokens, tails_of):
        """Return those tokens that, after the text's, begin the encoding of a text with a tail."""
        before = self._reference.encode(text).ids
        asked = [
            (token, whole)
            for token in tokens
            for tail in tails_of(self.data[token])
            if (whole := decoded(text.encode() + self.data[token] + tail)) is not None
        ]
        encoded = self._reference.encode_batch([whole for _, whole in asked])
        return {
            token
            for (token, _), found in zip(asked, encoded, strict=True)
            if found.ids[: len(before) + 1] == [*before, token]
        }

    def mass(self, text, prefix, *, round_trip=False):
        """Sum the chances of the tokens after the text that start with `prefix` and may follow.

        Tokens below 1e-7 do not matter here. `round_trip`: decoding and encoding alone decides.
        """
        chances = self.chances(text)
        tokens = [
            int(token)
            for token in np.flatnonzero(chances > 1e-7)
            if self.data[token] and self.data[token].startswith(prefix)
        ]
        kept = self._begin_an_encoding(text, tokens, lambda _: [b""])
        if not round_trip:
            others = [token for token in tokens if token not in kept]
            kept |= self._begin_an_encoding(text, others, endings)
        return sum(chances[token] for token in kept)
