"""A common-vocabulary ensemble, as a byte model, beside its definition."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oracle.distribution import END_OF_TEXT

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from oracle.common_vocabulary import CommonVocabulary

TOLERANCE = 1e-12
SLACK = 1e-12
STRANGE_BYTES = (0x00, 0x7E, 0x80, 0xC0, 0xFF)


@dataclass
class Comparison:
    """One model, what it must equal, and how closely.

    With ``exact`` every law is that of the definition; without, it is within what the state
    certifies. ``refusal`` is the type of the error for bytes that cannot follow.
    """

    model: Any
    oracle: CommonVocabulary
    refusal: type[Exception]
    exact: bool = True
    laws: int = 0
    refusals: int = 0
    largest_bound: float = 0.0
    largest_variation: float = 0.0

    def check(self, state: Any, prefix: bytes, row: NDArray[np.float64] | None = None) -> None:
        """Query a state, unless its row is given, and compare everything it tells."""
        what = f"after {prefix!r}"
        assert bytes(state.prefix) == prefix, what
        row = state.next_byte_logprobs() if row is None else row
        wanted = self.oracle.row(prefix)
        assert row.shape == (257,), what
        assert not np.isnan(row).any(), what
        found = np.exp(row)
        assert abs(math.fsum(found) - 1.0) <= TOLERANCE, f"{what}: sums to {math.fsum(found)!r}"
        self.laws += 1
        if self.exact:
            self._check_exact(state, row, wanted, what)
        else:
            self._check_certified(state, found, wanted, what)
        lower, upper = map(np.asarray, state.next_byte_bounds())
        assert lower.shape == upper.shape == (257,), what
        assert (lower <= upper + SLACK).all(), what
        outside = np.flatnonzero((lower > wanted + SLACK) | (wanted > upper + SLACK)).tolist()
        said = [(s, float(lower[s]), float(wanted[s]), float(upper[s])) for s in outside]
        assert not said, f"{what}: bounds that do not hold (symbol, lower, law, upper): {said}"

    def _check_exact(
        self, state: Any, row: NDArray[np.float64], wanted: NDArray[np.float64], what: str
    ) -> None:
        found = np.exp(row)
        for symbol in np.flatnonzero((row == -np.inf) != (wanted == 0)).tolist():
            message = f"{what}: P({symbol}) = {float(found[symbol])}, not {float(wanted[symbol])}"
            raise AssertionError(message)
        alive = np.flatnonzero(wanted)
        errors = np.abs(found[alive] / wanted[alive] - 1.0)
        symbol = int(alive[np.argmax(errors)])
        assert errors.max() <= TOLERANCE, (
            f"{what}: P({symbol}) = {float(found[symbol])}, not {float(wanted[symbol])}"
        )
        assert state.bound == 0.0, what
        self.check_logprob(state, bytes(state.prefix))

    def _check_certified(
        self, state: Any, found: NDArray[np.float64], wanted: NDArray[np.float64], what: str
    ) -> None:
        variation = 0.5 * float(np.abs(found - wanted).sum())
        assert 0.0 <= state.bound <= 1.0 + SLACK, f"{what}: {state.bound!r}"
        assert variation <= state.bound + SLACK, f"{what}: {variation=!r}, {state.bound=!r}"
        self.largest_bound = max(self.largest_bound, float(state.bound))
        self.largest_variation = max(self.largest_variation, variation)

    def check_logprob(self, state: Any, prefix: bytes) -> None:
        """Compare P(a text begins with the prefix)."""
        wanted = self.oracle.logprob(prefix)
        error = abs(state.logprob - wanted)
        assert error <= 1e-11, f"after {prefix!r}: logprob {state.logprob!r}, not {wanted!r}"

    def every_prefix(self, *, longest: int | None = None) -> dict[bytes, float]:
        """Go to every possible prefix, by forks; return log P(text) of all whole texts found."""
        texts = {}
        for state, prefix in self._tree(longest):
            row = state.next_byte_logprobs()
            self.check(state, prefix, row)
            if row[END_OF_TEXT] > -math.inf and self.exact:
                texts[prefix] = float(state.logprob + row[END_OF_TEXT])
        return texts

    def _tree(self, longest: int | None) -> Iterator[tuple[Any, bytes]]:
        waiting = [(self.model.start(), b"")]
        while waiting:
            state, prefix = waiting.pop()
            yield state, prefix
            if len(prefix) == longest:
                continue
            for byte in self._following(prefix):
                child = state.fork()
                child.push(bytes([byte]))
                waiting.append((child, prefix + bytes([byte])))

    def _following(self, prefix: bytes) -> list[int]:
        return [b for b in range(256) if prefix + bytes([b]) in self.oracle.masses]

    def from_prompts(self, *, longest: int) -> None:
        """Begin at every possible prompt, and ask the first thing there."""
        for prefix in self.oracle.prefixes():
            if len(prefix) <= longest:
                self.check(self.model.start(prefix), prefix)
                if self.exact:
                    self.check_logprob(self.model.start(prefix), prefix)

    def refuse(self, state: Any, prefix: bytes) -> None:
        """Push what cannot follow, alone and behind what can; the state stays where it is.

        The law is read first: until then a byte that only the numbers rule out may be taken.
        """
        self.check(state, prefix)
        following = self._following(prefix)
        spelled = {byte for text in self.oracle.masses for byte in text}
        for byte in sorted(spelled.union(STRANGE_BYTES).difference(following)):
            self._refused(state, prefix, bytes([byte]), 0)
        if following:
            self._refused(state, prefix, bytes([following[0], STRANGE_BYTES[-1]]), 1)

    def _refused(self, state: Any, prefix: bytes, data: bytes, offset: int) -> None:
        what = f"{data!r} after {prefix!r}"
        try:
            state.push(data)
        except self.refusal as error:
            found = (error.position, error.byte)  # type: ignore[attr-defined]
        else:
            found = None
        assert found == (len(prefix) + offset, data[offset]), f"{what}: {found}"
        assert bytes(state.prefix) == prefix, what
        self.refusals += 1

    def at_random(self, source: random.Random, *, count: int) -> None:
        """Do random operations; a query comes after most of them."""
        states = [(self.model.start(), b"")]
        for _ in range(count):
            place = source.randrange(len(states))
            state, prefix = states[place]
            operation = source.choice(("push",) * 5 + ("fork", "rollback", "batch", "start", "no"))
            if operation == "push":
                data = self._choose(source, prefix)
                state.push(data)
                states[place] = (state, prefix + data)
            elif operation == "fork":
                states.append((state.fork(), prefix))
            elif operation == "rollback":
                back = source.randrange(len(prefix) + 1)
                state.rollback(back)
                states[place] = (state, prefix[: len(prefix) - back])
            elif operation == "start":
                states[place] = (self.model.start(prefix), prefix)
            elif operation == "batch":
                rows = self.model.next_byte_logprobs([one for one, _ in states])
                assert rows.shape == (len(states), 257)
                for row, (one, its_prefix) in zip(rows, states, strict=True):
                    self.check(one, its_prefix, row)
            elif self.exact:
                self.refuse(state, prefix)
            if source.random() < 0.7:
                self.check(*states[place])
            if len(states) > 4:
                del states[source.randrange(len(states))]

    def _choose(self, source: random.Random, prefix: bytes) -> bytes:
        longer = prefix
        for _ in range(source.choice((1, 1, 2, 3))):
            following = self._following(longer)
            if not following:
                break
            longer += bytes([source.choice(following)])
        return longer[len(prefix) :]
