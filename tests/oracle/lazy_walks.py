"""Random walks over states with a tolerance, and all that their certificates promise.

After every query: ``0 <= bound <= eps``; the law sums to one and is within ``bound`` (total
variation) of the true one; ``lower <= truth <= upper`` for every symbol; what is possible is not
-inf; what no sequence spells is -inf and is refused. The rows that the evaluator never asked for
could have been any others, so the same must hold against every ``Completion``.

Nothing here knows the product: a *walker* is given a model whose states have ``prefix``, ``bound``,
``next_byte_logprobs``, ``next_byte_bounds``, ``push``, ``fork`` and ``rollback``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from oracle.adversaries import Completion
from oracle.distribution import END_OF_TEXT
from oracle.laws import Law

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from oracle.adversaries import Adversary
    from oracle.cases import Case

SLACK = 1e-12
STRANGE_BYTES = (0x00, 0x7E, 0x80, 0xC0, 0xFF)


@dataclass
class Even:
    """The model that finds everything equally likely: what it makes possible is all there is."""

    width: int
    end_tokens: tuple[int, ...]
    start: tuple[int, ...] = ()

    def weights(self, _context: tuple[int, ...]) -> list[int]:
        """Ones."""
        return [1] * self.width


@dataclass
class Walker:
    """One tokenizer, one model and one evaluator under test.

    Attributes
    ----------
    errors
        The module with ``UnreachableByteError`` and ``InvalidInputError``.
    bounds_of
        Returns lower and upper probabilities, two arrays of shape (257,), of a state.
    laws, completions, deferred, refusals
        Counts of what was checked; ``deferred`` counts laws with rows that were never asked for.
    """

    case: Case
    model: Adversary
    lm: Any
    errors: Any
    bounds_of: Callable[[Any], tuple[NDArray[np.float64], NDArray[np.float64]]]
    worst_cases: bool = True
    laws: int = 0
    completions: int = 0
    deferred: int = 0
    refusals: int = 0
    failures: int = 0
    _truth: Law = field(init=False)
    _structure: Law = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the two laws that do not depend on what was asked for."""
        definition = self.case.definition
        even = Even(self.model.width, self.model.end_tokens)
        self._truth = Law(definition, self.model, exact=False)
        self._structure = Law(definition, even, exact=False)

    @property
    def eps(self) -> float:
        """The tolerance."""
        return float(self.model.eps)

    def truth(self, prefix: bytes) -> NDArray[np.float64] | None:
        """The true law; None where some context gives no mass to anything that may follow."""
        try:
            return self._truth.row(prefix)
        except ZeroDivisionError:
            return None

    def spelled(self, prefix: bytes) -> NDArray[np.bool_]:
        """Which symbols some sequence has after ``prefix``, whatever the model says."""
        return self._structure.row(prefix) > 0

    def check(self, state: Any, prefix: bytes, row: NDArray[np.float64] | None = None) -> None:
        """Query a state, unless its row is given, and check everything."""
        assert state.prefix == prefix
        truth = self.truth(prefix)
        if row is None:
            try:
                row = state.next_byte_logprobs()
            except (self.errors.InvalidInputError, self.errors.UnreachableByteError):
                assert truth is None, f"{self._what(prefix)}: the model's rows are good"
                assert state.prefix == prefix
                self.failures += 1
                return
        what, bound = self._what(prefix), state.bound
        assert row.shape == (257,), what
        assert 0.0 <= bound <= self.eps + SLACK, f"{what}: bound {bound!r}, eps {self.eps}"
        assert not np.isnan(row).any(), what
        found = np.exp(row)
        assert abs(found.sum() - 1.0) <= SLACK, f"{what}: sums to {found.sum()!r}"
        lower, upper = (np.asarray(bounds) for bounds in self.bounds_of(state))
        assert lower.shape == upper.shape == (257,), what
        assert (lower <= upper + SLACK).all(), what
        spelled = self.spelled(prefix)
        assert (row[~spelled] == -np.inf).all(), f"{what}: mass on what nothing spells"
        self.laws += 1
        if truth is not None:
            self._compare(truth, found, (lower, upper), bound, what)
        if self.worst_cases and self._is_deferred(prefix):
            self.deferred += 1
            symbols: list[int | None] = [None, *map(int, np.flatnonzero(spelled))]
            for symbol in symbols:
                self._check_completion(prefix, symbol, found, (lower, upper), bound)

    def _what(self, prefix: bytes) -> str:
        model = self.model
        return f"{self.case.name}/{model.kind}/{model.eps}/{model.seed} after {prefix!r}"

    def _compare(
        self,
        truth: NDArray[np.float64],
        found: NDArray[np.float64],
        bounds: tuple[NDArray[np.float64], NDArray[np.float64]],
        bound: float,
        what: str,
    ) -> None:
        variation = 0.5 * float(np.abs(found - truth).sum())
        assert variation <= bound + SLACK, f"{what}: {variation=!r}, {bound=!r}"
        for symbol in np.flatnonzero(truth):
            assert found[symbol] > 0, f"{what}: symbol {symbol} has {truth[symbol]!r}, not nothing"
        for symbol in np.flatnonzero(
            (bounds[0] > truth + SLACK) | (truth > bounds[1] + SLACK)
        ).tolist():
            interval = (float(bounds[0][symbol]), float(bounds[1][symbol]))
            message = f"{what}: symbol {symbol} has {float(truth[symbol])!r}, bounds {interval}"
            raise AssertionError(message)

    def _is_deferred(self, prefix: bytes) -> bool:
        """Whether some context along the prefix was never asked for."""
        start = self.model.start
        return any(
            (*start, *sequence) not in self.model.seen
            for sequence, _, _ in self._structure.contexts(prefix)
        )

    def _check_completion(
        self,
        prefix: bytes,
        symbol: int | None,
        found: NDArray[np.float64],
        bounds: tuple[NDArray[np.float64], NDArray[np.float64]],
        bound: float,
    ) -> None:
        seen = frozenset(self.model.seen)
        law = Law(self.case.definition, Completion(self.model, seen, prefix, symbol), exact=False)
        try:
            truth = law.row(prefix)
        except ZeroDivisionError:  # a row without mass that was asked for
            return
        self.completions += 1
        self._compare(truth, found, bounds, bound, f"{self._what(prefix)}, unseen to {symbol}")

    def check_refusals(self, state: Any, prefix: bytes) -> None:
        """Every byte that nothing spells is refused by its position; the state stays."""
        spelled = self.spelled(prefix)
        own = {byte for character in self.case.alphabet for byte in character.encode()}
        for byte in sorted(own.union(STRANGE_BYTES)):
            if not spelled[byte]:
                assert self.refusal(state, bytes([byte])) == (len(prefix), byte), self._what(prefix)
                assert state.prefix == prefix
                self.refusals += 1

    def refusal(self, state: Any, data: bytes) -> tuple[int, int] | None:
        """Push; return position and byte of the refusal, if it is one."""
        try:
            state.push(data)
        except self.errors.UnreachableByteError as error:
            return (error.position, error.byte)
        return None

    def choose(self, source: random.Random, prefix: bytes, longest: int) -> bytes:
        """Choose bytes that can follow: often the least likely one, often the last one again."""
        longer = prefix
        for _ in range(source.choice((1, 1, 2, 3))):
            row = self.truth(longer)
            possible = [] if row is None else [b for b in np.flatnonzero(row) if b != END_OF_TEXT]
            if row is None or not possible or len(longer) == longest:
                break
            way = source.random()
            if way < 0.3 and longer and longer[-1] in possible:
                byte = longer[-1]
            elif way < 0.6:
                byte = min(possible, key=lambda b: row[b])
            else:
                byte = source.choice(possible)
            longer += bytes([byte])
        return longer[len(prefix) :]

    def walk(self, start: Callable[[bytes], Any], *, count: int, longest: int) -> None:
        """Do random operations; a query comes after most of them."""
        source = random.Random(f"{self.case.name} {self.model.kind} {self.model.seed}")
        states = [(start(b""), b"")]
        for _ in range(count):
            place = source.randrange(len(states))
            state, prefix = states[place]
            operation = source.choice(("push",) * 5 + ("fork", "rollback", "batch", "start", "no"))
            if operation == "push":
                data = self.choose(source, prefix, longest)
                assert self.refusal(state, data) is None, f"{self._what(prefix)}: {data!r} refused"
                states[place] = (state, prefix + data)
            elif operation == "fork":
                states.append((state.fork(), prefix))
            elif operation == "rollback":
                back = source.randrange(len(prefix) + 1)
                state.rollback(back)
                states[place] = (state, prefix[: len(prefix) - back])
            elif operation == "start":
                states[place] = (start(prefix), prefix)
            elif operation == "batch" and all(self.truth(p) is not None for _, p in states):
                rows = self.lm.next_byte_logprobs([one for one, _ in states])
                for row, (one, its_prefix) in zip(rows, states, strict=True):
                    self.check(one, its_prefix, row)
            elif operation == "no":
                self.check_refusals(state, prefix)
            if source.random() < 0.7:
                self.check(*states[place])
            if len(states) > 4:
                del states[source.randrange(len(states))]
