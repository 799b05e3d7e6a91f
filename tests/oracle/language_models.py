"""Exact language models: every weight is an integer, a fixed function of the token context."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence as Rows

    from numpy.typing import NDArray

    from oracle.definition import Definition, Sequence

KINDS = ("even", "zeros", "steep", "elsewhere")


@dataclass
class LanguageModel:
    """Weights over the whole vocabulary, special tokens included, from a hash of the context.

    ``even``: 1..1000. ``zeros``: a third of them zero (never everything that may follow).
    ``steep``: powers of two up to 2^60, so that tiny probabilities matter. ``elsewhere``: 10^9
    times the weight on whatever may not follow, so that anything computed as one minus the
    forbidden mass is lost.

    A context is what the model sees: the start token first, when there is one.
    """

    definition: Definition
    kind: str
    seed: int
    start_token: int | None = None
    end_tokens: tuple[int, ...] = ()
    padding: int = 0
    shifted: bool = False
    contexts_seen: int = 0
    _weights: dict[Sequence, list[int]] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Columns of a row: the vocabulary, and some padding that no token owns."""
        return self.definition.vocabulary_size + self.padding

    @property
    def start(self) -> Sequence:
        """The context of the empty text."""
        return () if self.start_token is None else (self.start_token,)

    def allowed(self, sequence: Sequence) -> tuple[int, ...]:
        """What may follow: ordinary tokens by PC, end tokens by C."""
        ends = self.end_tokens if self.definition.is_canonical(sequence) else ()
        return (*self.definition.successors(sequence), *ends)

    def weights(self, context: Sequence) -> list[int]:
        """Integer weights of every column after ``context`` (start token included)."""
        known = self._weights.get(context)
        if known is None:
            known = self._make_weights(context)
            self._weights[context] = known
        return known

    def _make_weights(self, context: Sequence) -> list[int]:
        material = f"{self.kind} {self.seed} {context}".encode()
        digest = hashlib.shake_128(material).digest(4 * self.width)
        draws = np.frombuffer(digest, dtype="<u4").tolist()
        if self.kind == "steep":
            return [1 << (draw % 61) for draw in draws]
        weights = [1 + draw % 1000 for draw in draws]
        if self.kind == "even":
            return weights
        allowed = self.allowed(context[len(self.start) :])
        if self.kind == "zeros":
            keep = allowed[draws[0] % len(allowed)] if allowed else -1
            return [
                0 if draw % 3 == 0 and t != keep else weights[t] for t, draw in enumerate(draws)
            ]
        return [weight if t in allowed else weight * 10**9 for t, weight in enumerate(weights)]

    def rows(self, contexts: Rows[Rows[int]]) -> NDArray[np.float64]:
        """The function handed to the product: float64 log-probabilities, one row per context."""
        result = np.empty((len(contexts), self.width), dtype=np.float64)
        for row, context in zip(result, contexts, strict=True):
            self.contexts_seen += 1
            weights = self.weights(tuple(int(token) for token in context))
            total = math.log(sum(weights)) if not self.shifted else float(len(context) % 7 - 3)
            row[:] = [math.log(weight) - total if weight else -math.inf for weight in weights]
        return result
