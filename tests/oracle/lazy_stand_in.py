"""A plain evaluator with a tolerance, right or with one fault: the walks must tell them apart.

It lists all contexts along the prefix anew for every query. L is the mass of what was evaluated, R
the weight of the topmost contexts that were not and that may still spell the prefix. The true law
is ``(L l + r v) / (L + r)`` for some r <= R and some v, so ``R / (L + R)`` bounds its distance from
``(L l + R u) / (L + R)`` for any u. While that exceeds the tolerance, the heaviest is evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from oracle.distribution import END_OF_TEXT
from oracle.laws import Law
from oracle.lazy_walks import Even
from oracle.stand_in import UnreachableByteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oracle.adversaries import Adversary

FAULTS = (
    "forgets_what_is_put_off",
    "greatest_instead_of_sum",
    "weighs_against_the_start",
    "no_contexts_below",
    "end_is_never_behind",
    "nothing_for_unknown_bytes",
    "never_asks_again",
    "bound_is_halved",
    "lower_without_the_rest",
)


class InvalidInputError(ValueError):
    """Stands for the product's error: a row gives no mass to anything that may follow."""


class Errors:
    """Stands for ``nextbyte.errors``."""

    UnreachableByteError = UnreachableByteError
    InvalidInputError = InvalidInputError


@dataclass
class LazyStandIn:
    """Stands for a ``ByteLM`` with a tolerance."""

    model: Adversary
    fault: str = ""
    _known: dict[tuple[int, ...], Law] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Prepare what depends on the tokenizer alone, and the rows, taken only after asking."""
        definition = self.model.definition
        even = Even(self.model.width, self.model.end_tokens)
        self.eps = float(self.model.eps)
        self.structure = Law(definition, even, exact=False)
        self.rows = Law(definition, self.model, exact=False)
        self.asked: set[tuple[int, ...]] = set()

    def start(self, prompt: bytes = b"") -> LazyState:
        """Begin a text."""
        state = LazyState(self)
        state.push(prompt)
        return state

    def next_byte_logprobs(self, states: Sequence[LazyState]) -> NDArray[np.float64]:
        """One by one."""
        return np.array([state.next_byte_logprobs() for state in states]).reshape(-1, 257)

    def ask(self, sequence: tuple[int, ...]) -> None:
        """Evaluate a context."""
        self.asked.add(sequence)
        self.model.rows([(*self.model.start, *sequence)])

    def future(self, sequence: tuple[int, ...], data: bytes, prefix: bytes) -> set[int]:
        """Symbols after ``prefix`` that sequences from this context on can spell."""
        tokens, end = self.structure.step(sequence)
        found = {END_OF_TEXT} if data == prefix and end else set()
        for token in tokens:
            longer = data + self.model.definition.token_bytes[token]
            if len(longer) > len(prefix) and longer.startswith(prefix):
                found.add(longer[len(prefix)])
            elif prefix.startswith(longer) and self.fault != "no_contexts_below":
                found |= self.future((*sequence, token), longer, prefix)
        return found - ({END_OF_TEXT} if self.fault == "end_is_never_behind" else set())

    def look(self, prefix: bytes) -> tuple[NDArray[np.float64], list[tuple[Any, float, set[int]]]]:
        """Masses of what was evaluated, and what was not: context, weight, possible symbols."""
        masses, rest = np.zeros(257), []
        waiting: list[tuple[tuple[int, ...], bytes, float]] = [((), b"", 1.0)]
        while waiting:
            sequence, data, weight = waiting.pop()
            if sequence not in self.asked:
                symbols = self.future(sequence, data, prefix)
                if symbols:
                    rest.append((sequence, weight, symbols))
                continue
            try:
                tokens, end = self.rows.step(sequence)
            except ZeroDivisionError as error:
                raise InvalidInputError(str(error)) from error
            masses[END_OF_TEXT] += weight * end if data == prefix else 0.0
            for token, probability in tokens.items():
                longer = data + self.model.definition.token_bytes[token]
                if len(longer) > len(prefix) and longer.startswith(prefix):
                    masses[longer[len(prefix)]] += weight * probability
                elif prefix.startswith(longer):
                    waiting.append(((*sequence, token), longer, weight * probability))
        return masses, rest

    def evaluate(self, prefix: bytes) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Ask until the rest is small; masses L, masses R at their most, and R."""
        while True:
            masses, rest = self.look(prefix)
            weights = [weight for _, weight, _ in rest]
            whole = masses.sum()
            total = max(weights, default=0.0)
            if self.fault != "greatest_instead_of_sum":
                total = sum(weights)
            against = 1.0 if self.fault == "weighs_against_the_start" else whole + total
            if total <= self.eps * against and (whole > 0 or self.fault):
                break
            if not rest or (self.fault == "never_asks_again" and whole > 0 and prefix):
                break
            self.ask(max(rest, key=lambda one: one[1])[0])
        most = np.zeros(257)
        for _, weight, symbols in rest:
            most[sorted(symbols)] += weight
        if self.fault == "forgets_what_is_put_off":
            return masses, np.zeros(257), 0.0
        return masses, most, total

    def resolve(self, prefix: bytes, byte: int) -> bool:
        """Whether a byte is possible; asks whatever may still make it so."""
        while True:
            masses, rest = self.look(prefix)
            if masses[byte] > 0:
                return True
            helping = [one for one in rest if byte in one[2]]
            if not helping:
                return False
            self.ask(max(helping, key=lambda one: one[1])[0])


class LazyState:
    """Stands for a byte state with a tolerance."""

    def __init__(self, lm: LazyStandIn) -> None:
        """Begin with nothing."""
        self.lm, self.prefix, self.bound = lm, b"", 0.0

    def next_byte_logprobs(self) -> NDArray[np.float64]:
        """Spread the rest evenly over what it may become."""
        masses, most, rest = self.lm.evaluate(self.prefix)
        spread = most > 0
        if self.lm.fault == "nothing_for_unknown_bytes":
            spread &= masses > 0
        if rest and spread.any():
            masses = masses + rest * spread / spread.sum()
        self.bound = rest / masses.sum() if rest else 0.0
        if self.lm.fault == "weighs_against_the_start":
            self.bound = rest
        if self.lm.fault == "bound_is_halved":
            self.bound /= 2
        with np.errstate(divide="ignore"):
            row: NDArray[np.float64] = np.log(masses / masses.sum())
        return row

    def next_byte_bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """From ``L(xb) / (L + R)`` to ``(L(xb) + R(xb)) / (L + R(xb))``."""
        masses, most, rest = self.lm.evaluate(self.prefix)
        whole = masses.sum()
        all_of_it = whole + (0.0 if self.lm.fault == "lower_without_the_rest" else rest)
        with np.errstate(invalid="ignore"):  # a fault may leave nothing to divide
            return masses / all_of_it, np.minimum((masses + most) / (whole + most), 1.0)

    def push(self, data: bytes) -> None:
        """Add bytes that can follow."""
        for offset, byte in enumerate(data):
            before = self.prefix + data[:offset]
            if not self.lm.resolve(before, byte):
                raise UnreachableByteError(len(before), byte)
        self.prefix += data

    def fork(self) -> LazyState:
        """Copy."""
        other = LazyState(self.lm)
        other.prefix, other.bound = self.prefix, self.bound
        return other

    def rollback(self, count: int) -> None:
        """Take back the last bytes."""
        self.prefix = self.prefix[: len(self.prefix) - count]
