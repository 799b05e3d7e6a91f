"""The beam search of `examples/`: exhaustive where it is wide enough, and frees what it drops."""

from __future__ import annotations

import gc
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from nextbyte import END_OF_TEXT
from unit.known_models import load_all, noisy

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def example():
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module("beam_search")
    finally:
        sys.path.remove(str(EXAMPLES))


def every_continuation(state, depth, logprob=0.0, data=b""):
    """Yield (log-probability, bytes, ended) of all of them, by pushing and rolling back."""
    if depth == 0:
        yield logprob, data, False
        return
    row = state.next_byte_logprobs()
    for symbol in np.flatnonzero(np.isfinite(row)):
        if symbol == END_OF_TEXT:
            yield logprob + row[symbol], data, True
            continue
        byte = bytes([symbol])
        state.push(byte)
        yield from every_continuation(state, depth - 1, logprob + row[symbol], data + byte)
        state.rollback(1)


def assert_same(beams, expected):
    """Equal sets, in order; equally probable ones may be in any."""
    found = {(beam.data, beam.has_ended): beam.logprob for beam in beams}
    assert len(found) == len(beams) == len(expected)
    assert found == pytest.approx(
        {(data, ended): logprob for logprob, data, ended in expected}, abs=1e-9
    )
    assert [beam.logprob for beam in beams] == sorted(found.values(), reverse=True)


@pytest.mark.parametrize("prompt", [b"", b"ba", b"an"])
def test_a_beam_as_wide_as_everything_is_brute_force(example, prompt):
    model = example.make_model()
    everything = sorted(every_continuation(model.start(prompt), 5), reverse=True)
    assert abs(sum(np.exp(logprob) for logprob, _, _ in everything) - 1.0) < 1e-9
    beams = example.beam_search(model, prompt, width=len(everything), max_bytes=5)
    assert_same(beams, everything)


def test_a_narrow_beam_is_the_definition_step_by_step(example, tmp_path):
    """Against beams that are strings, scored from nothing each time."""
    lm, backend = noisy(load_all(tmp_path)["letters"])
    width, steps = 3, 6
    beams = [(0.0, b"", False)]
    for _ in range(steps):
        found = [beam for beam in beams if beam[2]]
        for logprob, data, ended in beams:
            if not ended:
                row = lm.start(b"th" + data).next_byte_logprobs()
                found += [
                    (logprob + row[s], data + (b"" if s == END_OF_TEXT else bytes([s])),
                     s == END_OF_TEXT)
                    for s in np.flatnonzero(np.isfinite(row))
                ]  # fmt: skip
        beams = sorted(found, key=lambda beam: -beam[0])[:width]
    backend.reset()
    assert_same(example.beam_search(lm, b"th", width=width, max_bytes=steps), beams)
    assert backend.calls <= steps
    gc.collect()
    assert (len(backend.branches), backend.rows) == (0, 0)
