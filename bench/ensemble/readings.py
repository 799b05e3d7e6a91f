"""The laws of several models along the texts of one kind, and what is counted of them.

A long text is cut into chunks of 20 bytes for intervals, which then know nothing of other texts;
of many texts each is one part. Weights are chosen on other texts of the kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import members  # noqa: F401 - finds what is beside this folder
import numpy as np
from arithmetic import RULES, bits, candidates, chunks
from laws import WINDOW
from tasks import problems
from texts import CHOICE_TEXTS, LONG_TEXTS

CODE_WINDOW = 1200
"""Bytes: what the code models have read at once in their training."""
CHOICE_EVERY = 40
"""Of so many problems one is to choose weights on."""


@dataclass(frozen=True)
class Kind:
    """Texts to report, others to choose weights on; of each, where what counts begins."""

    name: str
    own: list[tuple[str, int]]
    other: list[tuple[str, int]]
    window: int = WINDOW


def reported(text, size):
    """The first bytes of a text, whole characters."""
    return LONG_TEXTS[text].encode()[:size].decode(errors="ignore")


def prose(size):
    """English, Python and Chinese, one text each."""
    return [Kind(n, [(reported(n, size), 0)], [(CHOICE_TEXTS[n], 0)]) for n in LONG_TEXTS]


def code(count):
    """HumanEval's prompts and solutions: all of it, and the solutions behind their prompts."""
    every = problems()
    other = every[::CHOICE_EVERY]
    own = [problem for i, problem in enumerate(every) if i % CHOICE_EVERY][:count]
    kinds = []
    for name, counted in (("HumanEval", False), ("HumanEval, solutions", True)):
        parts = [
            [
                (p["prompt"] + p["canonical_solution"], len(p["prompt"].encode()) * counted)
                for p in some
            ]
            for some in (own, other)
        ]
        kinds.append(Kind(name, *parts, window=CODE_WINDOW))
    return kinds


class Reading:
    """Laws along texts, (members, n, 257) each."""

    def __init__(self, readers, texts, window):
        self.data = [text.encode() for text, _ in texts]
        self.begins = [begin for _, begin in texts]
        self.rows = [np.stack([r.text(text, window=window) for r in readers]) for text, _ in texts]

    def chains(self, rule, index, weights):
        """Return log P of the bytes that count, a text at a time, under a rule of some members."""
        index, found = list(index), []
        for rows, data, begin in zip(self.rows, self.data, self.begins, strict=True):
            skipped = 0 if rule == "posterior" else begin  # its evidence is what comes before
            chain = RULES[rule](rows[index, skipped:], data[skipped:], weights)
            found.append(chain[begin - skipped :])
        return found

    def bits(self, rule, index, weights):
        """Return the bits per byte."""
        return bits(np.concatenate(self.chains(rule, index, weights)))

    def choose(self, rule, index):
        """Return the weights that are best here, of those that are tried."""
        return min(candidates(rule, len(index)), key=lambda w: self.bits(rule, index, w))

    def single(self, member):
        """Return the chains of one model."""
        return self.chains("mixture", [member], [1.0])


def parts(chains):
    """Return bits and bytes of what a bootstrap draws."""
    if len(chains) == 1:
        return chunks(chains[0])
    return np.array([-c.sum() / math.log(2) for c in chains]), np.array([len(c) for c in chains])


def twice(reader, kind, short):
    """Return a model's laws beside its own in short windows: to report, and to choose on."""
    made = []
    for texts in (kind.own, kind.other):
        found = Reading([reader], texts, kind.window)
        brief = Reading([reader], texts, short)
        found.rows = [np.concatenate(pair) for pair in zip(found.rows, brief.rows, strict=True)]
        made.append(found)
    return made
