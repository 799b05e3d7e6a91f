"""What tests of scoring share: a query a byte, batches of any size, models whose texts end."""

from __future__ import annotations

import numpy as np

from unit.known_models import noisy


class InBatchesOf:
    """A model that is asked for so many states at once."""

    def __init__(self, model, count):
        self._model, self.states_at_once = model, count
        self.asked = []

    def start(self, prompt=b""):
        return self._model.start(prompt)

    def next_byte_logprobs(self, states):
        self.asked.append(len(states))
        return self._model.next_byte_logprobs(states)


def ending(tokenizer):
    """Return a model whose texts end by a special token, and its backend."""
    special = next(t for t in range(tokenizer.vocab_size) if not tokenizer.token_bytes(t))
    return noisy(tokenizer, end_tokens=[special])


def step_by_step(model, data, context=b""):
    """Return the laws before every byte and after the last, a query and a push at a time."""
    state = model.start(context)
    rows = [state.next_byte_logprobs()]
    for byte in data:
        state.push(bytes([byte]))
        rows.append(state.next_byte_logprobs())
    return np.stack(rows)


def assert_same_laws(found, expected, atol=1e-12):
    assert found.shape == expected.shape
    np.testing.assert_array_equal(np.isneginf(found), np.isneginf(expected))
    alive = ~np.isneginf(expected)
    np.testing.assert_allclose(found[alive], expected[alive], rtol=0, atol=atol)


def chain(rows, data):
    return rows[np.arange(len(data)), list(data)]
