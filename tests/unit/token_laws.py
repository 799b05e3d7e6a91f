"""The law of a generation's bytes, by enumerating all its draws; of tokens, and of bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.sampling.token_generation import TokenSampler


def law_by_tokens(monkeypatch, lm, prompt, **options):
    """Return the law of (bytes, finish reason) with unit="token": each way the draws can fall."""
    script, chances, widths = [], [], []

    def choose(probabilities):
        """Take the draw that the script says, the first possible one where it says nothing."""
        possible = np.flatnonzero(probabilities).tolist()
        place = len(chances)
        if place == len(script):
            script.append(0)
        widths.append(len(possible))
        chances.append(float(probabilities[possible[script[place]]]))
        return possible[script[place]]

    def draw_token(self, walk):
        probabilities = walk.probabilities()
        token = choose(probabilities)
        return -1 if token == len(probabilities) - 1 else token

    monkeypatch.setattr(TokenSampler, "_draw_token", draw_token)
    monkeypatch.setattr(
        TokenSampler, "_draw_cover", lambda _, covers: choose(np.exp(covers.log_weights))
    )
    law = {}
    while True:
        chances.clear()
        widths.clear()
        result = nb.generate(lm, prompt, nb.SamplingParams(unit="token", **options))
        key = (result.bytes, result.finish_reason)
        chance = math.prod(chances)
        law[key] = law.get(key, 0.0) + chance
        assert result.logprob == pytest.approx(math.log(chance), abs=1e-9)
        while script and script[-1] + 1 == widths[len(script) - 1]:
            script.pop()
        if not script:
            return law
        script[-1] += 1


def law_by_bytes(lm, prompt, *, max_bytes, stop=None):
    """Return the same law from the states' laws: what unit="byte" samples."""
    law = {}

    def add(text, reason, chance):
        law[text, reason] = law.get((text, reason), 0.0) + chance

    def walk(state, text, chance):
        if stop is not None and text.endswith(stop):
            add(text[: len(text) - len(stop)], "stop", chance)
            return
        if len(text) == max_bytes:
            add(text, "length", chance)
            return
        row = np.exp(state.next_byte_logprobs())
        for symbol in np.flatnonzero(row).tolist():
            if symbol == nb.END_OF_TEXT:
                add(text, "end_of_text", chance * row[symbol])
                continue
            child = state.fork()
            child.push(bytes([symbol]))
            walk(child, text + bytes([symbol]), chance * row[symbol])

    walk(lm.start(prompt), b"", 1.0)
    return law


def assert_same_law(found, expected):
    """Same support, and the same probabilities to 1e-12 of each."""
    assert found.keys() == expected.keys()
    for key, chance in found.items():
        assert chance == pytest.approx(float(expected[key]), rel=1e-12), key
