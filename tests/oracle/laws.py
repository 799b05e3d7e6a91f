"""Three laws over bytes and the posterior of covers, along one text at a time.

With p the model's probabilities of what follows a context s, and Z(s) the sum of p over the tokens
t with ``s·t`` in PC and, if s is in C, the end of text:

* ``canonical``: ``q(t|s) = p(t|s) / Z(s)`` on what Z sums over, nothing on the rest;
* ``raw``: ``p(t|s)`` itself there (the whole row sums to one), nothing on the rest;
* ``full``: every ordinary token and the end of text after every context; the row, without its other
  columns, sums to one.

Q is the product along a sequence, ``A(x)`` the sum of Q over the covers of x (sequences ``s·t``
with ``dec(s) < x <= dec(s·t)``), ``A(empty) = 1``, and ``E(x)`` the sum of Q times the probability
of the end over the sequences with ``dec(s) = x``. The canonical and the full law are stochastic:
``A(x) = sum of A(xb) + E(x)``; the raw one lacks ``sum of Q(s) (1 - Z(s))`` over ``dec(s) = x``.

``distribution.reference`` is another computation of the canonical law; ``test_laws`` compares them.
Here only contexts that decode to a prefix of the text are visited, so texts may be long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from oracle.distribution import END_OF_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from oracle.definition import Definition, Sequence

Target = Literal["canonical", "raw", "full"]
Step = tuple[dict[int, Any], Any]


@dataclass
class Law:
    """One law of one model; numbers are ``Fraction``, or floats where ``exact`` is false.

    ``model`` has ``weights(context) -> list[int]`` (context with the start token), ``start`` and
    ``end_tokens``, as ``language_models.LanguageModel``.
    """

    definition: Definition
    model: Any
    target: Target = "canonical"
    exact: bool = True
    _steps: dict[Sequence, Step] = field(default_factory=dict)

    @property
    def one(self) -> Any:
        """The number 1."""
        return Fraction(1) if self.exact else 1.0

    def step(self, sequence: Sequence) -> Step:
        """Probabilities of every token that may follow, without zeros, and of the end."""
        if sequence not in self._steps:
            self._steps[sequence] = self._step(sequence)
        return self._steps[sequence]

    def _step(self, sequence: Sequence) -> Step:
        weights = self.model.weights((*self.model.start, *sequence))
        if self.target == "full":
            allowed, may_end = tuple(sorted(self.definition.token_bytes)), True
        else:
            allowed = self.definition.successors(sequence)
            may_end = self.definition.is_canonical(sequence)
        end = sum(weights[t] for t in self.model.end_tokens) if may_end else 0
        total = sum(weights) if self.target == "raw" else sum(weights[t] for t in allowed) + end
        if not total:
            message = f"the model gives no mass to anything that may follow {sequence}"
            raise ZeroDivisionError(message)
        ratio = Fraction if self.exact else (lambda a, b: a / b)
        return {t: ratio(weights[t], total) for t in allowed if weights[t]}, ratio(end, total)

    def contexts(self, prefix: bytes) -> Iterator[tuple[Sequence, bytes, Any]]:
        """Every sequence of positive mass that decodes to a beginning of ``prefix``, with Q."""
        waiting: list[tuple[Sequence, bytes, Any]] = [((), b"", self.one)]
        while waiting:
            sequence, data, mass = waiting.pop()
            yield sequence, data, mass
            if data == prefix:
                continue
            for token, probability in self.step(sequence)[0].items():
                longer = data + self.definition.token_bytes[token]
                if prefix.startswith(longer):
                    waiting.append(((*sequence, token), longer, mass * probability))

    def symbols(self, prefix: bytes) -> dict[int, Any]:
        """``A(xb)`` for every byte b and ``E(x)`` under END_OF_TEXT; no zeros."""
        found: dict[int, Any] = {}
        for sequence, data, mass in self.contexts(prefix):
            tokens, end = self.step(sequence)
            if data == prefix and end:
                found[END_OF_TEXT] = found.get(END_OF_TEXT, 0) + mass * end
            for token, probability in tokens.items():
                longer = data + self.definition.token_bytes[token]
                if len(longer) > len(prefix) and longer.startswith(prefix):
                    symbol = longer[len(prefix)]
                    found[symbol] = found.get(symbol, 0) + mass * probability
        return found

    def covers(self, prefix: bytes) -> dict[Sequence, Any]:
        """Q of every cover; the empty text has the one empty cover."""
        if not prefix:
            return {(): self.one}
        return {
            (*sequence, token): mass * probability
            for sequence, data, mass in self.contexts(prefix)
            if data != prefix
            for token, probability in self.step(sequence)[0].items()
            if (data + self.definition.token_bytes[token]).startswith(prefix)
        }

    def mass(self, prefix: bytes) -> Any:
        """``A(prefix)``."""
        return sum(self.covers(prefix).values(), 0 * self.one)

    def defect(self, prefix: bytes) -> Any:
        """``A(x)`` less the sum of ``A(xb)`` and ``E(x)``: zero but for the raw law."""
        return self.mass(prefix) - sum(self.symbols(prefix).values(), 0 * self.one)

    def posterior(self, prefix: bytes) -> dict[Sequence, Any]:
        """P(cover | prefix): Q of each cover over their sum."""
        covers = self.covers(prefix)
        whole = sum(covers.values())
        return {cover: mass / whole for cover, mass in covers.items()}

    def conditional(self, prefix: bytes) -> dict[int, Any]:
        """P(symbol | prefix), as ratios of A; sums to less than one for the raw law."""
        whole = self.mass(prefix)
        return {symbol: mass / whole for symbol, mass in self.symbols(prefix).items()}

    def row(self, prefix: bytes) -> NDArray[np.float64]:
        """P(symbol | prefix) as an array, shape (257,)."""
        row = np.zeros(257)
        for symbol, probability in self.conditional(prefix).items():
            row[symbol] = float(probability)
        return row

    def possible(self, prefix: bytes) -> list[int]:
        """The bytes that have a positive probability after ``prefix``."""
        return sorted(symbol for symbol in self.symbols(prefix) if symbol != END_OF_TEXT)
