"""Beam search over bytes: the most probable continuations, from any byte model.

Run: python beam_search.py [MODEL PROMPT], by default a tiny model without any download. A beam is a
state; forks share their history and the language model's keys and values, and one call gives the
next laws of all beams. Dropping a beam frees what it alone held.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from tiny_model import make_model

import nextbyte as nb


@dataclass(frozen=True)
class Hypothesis:
    """A continuation, and log P(it | prompt); of one that has ended, END_OF_TEXT included."""

    logprob: float
    data: bytes
    has_ended: bool


def beam_search(
    model: nb.ByteModel, prompt: str | bytes, *, width: int, max_bytes: int
) -> list[Hypothesis]:
    """Return up to `width` continuations of at most `max_bytes` bytes, the most probable first.

    Those that have ended compete with those that go on. With a width of at least the number of
    continuations the search is exhaustive.
    """
    ended: list[Hypothesis] = []
    beams = [(Hypothesis(0.0, b"", has_ended=False), model.start(prompt))]
    for _ in range(max_bytes):
        rows = model.next_byte_logprobs([state for _, state in beams])
        scores = np.array([beam.logprob for beam, _ in beams])[:, None] + rows
        found: list[tuple[Hypothesis, int | None]] = [(beam, None) for beam in ended]
        for index, symbol in np.argwhere(scores > -np.inf):
            data, logprob = beams[index][0].data, float(scores[index, symbol])
            if symbol == nb.END_OF_TEXT:
                found.append((Hypothesis(logprob, data, has_ended=True), None))
            else:
                longer = data + bytes([symbol])
                found.append((Hypothesis(logprob, longer, has_ended=False), int(index)))
        found.sort(key=lambda one: -one[0].logprob)
        ended = [beam for beam, origin in found[:width] if origin is None]
        going = [(beam, origin) for beam, origin in found[:width] if origin is not None]
        old, beams = beams, []
        for beam, origin in going:
            state = old[origin][1].fork()
            state.push(beam.data[-1:])
            beams.append((beam, state))
        if not beams:
            break
    return sorted([*ended, *(beam for beam, _ in beams)], key=lambda beam: -beam.logprob)


def main() -> None:
    """Print the five best continuations."""
    model, prompt = (
        (nb.ByteLM.from_pretrained(sys.argv[1]), sys.argv[2])
        if len(sys.argv) == 3
        else (make_model(), "ba")
    )
    for beam in beam_search(model, prompt, width=5, max_bytes=12):
        print(f"{beam.logprob:8.3f} {beam.data!r}{' (end)' if beam.has_ended else ''}")


if __name__ == "__main__":
    main()
