"""The canonical law of a tiny model as a byte model: what scores, ensembles and healing must equal.

``chain`` multiplies conditionals, so it needs nothing but ``conditional``: any law over bytes fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oracle import comparison
from oracle.distribution import END_OF_TEXT
from oracle.laws import Law
from oracle.lazy_walks import Even

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from numpy.typing import NDArray

    from oracle.cases import Case


@dataclass
class Pair:
    """The product's model beside its law."""

    lm: Any
    law: Law
    case: Case

    def spelled(self) -> Law:
        """The law that finds everything equally likely: its covers are all that exist."""
        model = self.law.model
        return Law(self.case.definition, Even(model.width, model.end_tokens), exact=False)


def make_pair(nb: Any, case: Case, kind: str, folder: Path, *, seed: int = 0) -> Pair:
    """Load a tokenizer and give it a model."""
    subject = comparison.make_subject(nb, case, kind, folder, seed=seed)
    return Pair(subject.lm, Law(case.definition, subject.model, exact=False), case)


def logs(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithms; nothing becomes -inf."""
    with np.errstate(divide="ignore"):
        result: NDArray[np.float64] = np.log(row)
    return result


def law_rows(law: Law, data: bytes, context: bytes = b"") -> NDArray[np.float64]:
    """Log-probabilities of all symbols before each byte of ``data`` and behind it, (n + 1, 257)."""
    return np.stack([logs(law.row(context + data[:end])) for end in range(len(data) + 1)])


def log_mass(law: Law, data: bytes, *, end_of_text: bool = False) -> float:
    """Natural log of A(data), or of E(data); -inf where it is nothing."""
    mass = law.symbols(data).get(END_OF_TEXT, 0.0) if end_of_text else law.mass(data)
    return math.log(mass) if mass else -math.inf


def random_text(law: Law, source: random.Random, count: int) -> bytes:
    """Draw up to ``count`` bytes, each evenly among those that can follow."""
    data = b""
    while len(data) < count:
        possible = law.possible(data)
        if not possible:
            break
        data += bytes([source.choice(possible)])
    return data


class LawState:
    """A byte state that asks the law itself."""

    bound, lm_evaluations = 0.0, 0

    def __init__(self, law: Law, errors: Any, prefix: bytes = b"") -> None:
        """Begin after a prefix."""
        self.law, self.errors, self.prefix = law, errors, prefix

    @property
    def logprob(self) -> float:
        """Log A(prefix)."""
        return log_mass(self.law, self.prefix)

    def next_byte_logprobs(self) -> NDArray[np.float64]:
        """Return the law's row."""
        return logs(self.law.row(self.prefix))

    def push(self, data: bytes) -> None:
        """Append what can follow."""
        for end, byte in enumerate(data):
            if byte not in self.law.symbols(self.prefix + data[:end]):
                raise self.errors.UnreachableByteError(len(self.prefix) + end, byte)
        self.prefix += data

    def fork(self) -> LawState:
        """Copy."""
        return LawState(self.law, self.errors, self.prefix)

    def rollback(self, n: int) -> None:
        """Take back."""
        self.prefix = self.prefix[: len(self.prefix) - n]


class LawModel:
    """A byte model of the user's own: the law, without a tokenizer or a language model to see."""

    def __init__(self, law: Law, errors: Any) -> None:
        """Keep the law."""
        self.law, self.errors = law, errors

    def start(self, prompt: str | bytes = b"") -> LawState:
        """Begin a text."""
        state = LawState(self.law, self.errors)
        state.push(prompt.encode() if isinstance(prompt, str) else prompt)
        return state

    def next_byte_logprobs(self, states: Any) -> NDArray[np.float64]:
        """One by one."""
        return np.array([state.next_byte_logprobs() for state in states]).reshape(-1, 257)
