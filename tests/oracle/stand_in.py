"""A slow stand-in for the product: proves that the comparison can pass and that it can fail.

Each fault is a mistake that real implementations make.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from oracle.definition import Definition

FAULTS = (
    "canonical_instead_of_prefix_canonical",
    "no_co_liveness",
    "end_after_any_whole_text",
    "special_tokens_keep_mass",
    "no_renormalization",
    "one_minus_forbidden",
    "refused_push_is_kept",
    "rollback_one_too_few",
    "fork_shares_the_prefix",
)


class UnreachableByteError(ValueError):
    """A byte that cannot follow."""

    def __init__(self, position: int, byte: int) -> None:
        """Remember where and what."""
        super().__init__(f"byte {byte:#x} cannot follow at {position}")
        self.position, self.byte = position, byte


class UnsupportedTokenizerError(ValueError):
    """Never raised here."""


@dataclass
class Errors:
    """Stands for ``nextbyte.errors``."""

    UnreachableByteError = UnreachableByteError
    UnsupportedTokenizerError = UnsupportedTokenizerError


@dataclass
class StandInTokenizer:
    """Stands for ``nextbyte.Tokenizer``: the definition itself."""

    definition: Definition
    exactness: str = "exact"

    def encode(self, data: bytes) -> list[int]:
        """Ask the black box."""
        return list(self.definition.encode(data.decode()) or ())

    def decode(self, ids: list[int]) -> bytes:
        """Concatenate."""
        return self.definition.decode(tuple(ids))

    def cover_encodings(self, prefix: bytes) -> list[tuple[tuple[int, ...], int]]:
        """Enumerate."""
        return sorted(self.definition.covers(len(prefix)).get(prefix, ()))


class StandInModel:
    """Stands for ``nextbyte.ByteLM``, in floating point, with at most one fault."""

    def __init__(
        self,
        tokenizer: StandInTokenizer,
        function: Callable[[list[list[int]]], NDArray[np.float64]],
        start_token: int | None,
        end_tokens: Sequence[int],
        fault: str,
    ) -> None:
        """Keep everything."""
        self.definition, self.function, self.fault = tokenizer.definition, function, fault
        self.start_tokens = [] if start_token is None else [start_token]
        self.end_tokens = tuple(end_tokens)
        self._steps: dict[tuple[int, ...], tuple[dict[int, float], float]] = {}

    def start(self, prompt: bytes = b"") -> StandInState:
        """Begin a text."""
        state = StandInState(self)
        state.push(prompt)
        return state

    def next_byte_logprobs(self, states: Sequence[StandInState]) -> NDArray[np.float64]:
        """One by one."""
        return np.array([state.next_byte_logprobs() for state in states]).reshape(len(states), 257)

    def successors(self, sequence: tuple[int, ...]) -> tuple[int, ...]:
        """Tokens that may follow, by the definition or by the fault."""
        definition = self.definition
        candidates = [(*sequence, token) for token in definition.token_bytes]
        if self.fault == "canonical_instead_of_prefix_canonical":
            return tuple(
                c[-1]
                for c in candidates
                if definition.is_prefix_canonical(c) and self._text_or_pending(c)
            )
        if self.fault == "no_co_liveness":
            return tuple(c[-1] for c in candidates if definition.is_locally_consistent(c))
        return definition.successors(sequence)

    def _text_or_pending(self, sequence: tuple[int, ...]) -> bool:
        try:
            text = self.definition.decode(sequence).decode()
        except UnicodeDecodeError:
            return True
        return self.definition.encode(text) == sequence

    def step(self, sequence: tuple[int, ...]) -> tuple[dict[int, float], float]:
        """Probabilities of the next token and of the end."""
        if sequence not in self._steps:
            self._steps[sequence] = self._step(sequence)
        return self._steps[sequence]

    def _step(self, sequence: tuple[int, ...]) -> tuple[dict[int, float], float]:
        row = np.exp(self.function([[*self.start_tokens, *sequence]])[0])
        row /= row.sum()
        ends = self.definition.is_canonical(sequence)
        if self.fault == "end_after_any_whole_text":
            try:
                ends = self.definition.decode(sequence).decode() is not None
            except UnicodeDecodeError:
                ends = False
        allowed = self.successors(sequence)
        end = sum(float(row[t]) for t in self.end_tokens) if ends else 0.0
        total = math.fsum(float(row[t]) for t in allowed) + end
        if self.fault == "special_tokens_keep_mass":
            total += sum(
                float(row[t])
                for t in self.definition.special
                if t not in self.end_tokens or not ends
            )
        if self.fault == "no_renormalization":
            total = 1.0
        if self.fault == "one_minus_forbidden":
            kept = {*allowed, *(self.end_tokens if ends else ())}
            total = 1.0 - math.fsum(float(p) for t, p in enumerate(row) if t not in kept)
        total = total or math.nan
        return {t: float(row[t]) / total for t in allowed}, end / total

    def masses(self, prefix: bytes) -> NDArray[np.float64]:
        """A(xb) for every byte and E(x)."""
        result = np.zeros(257)
        waiting: list[tuple[tuple[int, ...], bytes, float]] = [((), b"", 1.0)]
        while waiting:
            sequence, data, weight = waiting.pop()
            tokens, end = self.step(sequence)
            if data == prefix:
                result[256] += weight * end
            for token, probability in tokens.items():
                longer = data + self.definition.token_bytes[token]
                if len(longer) > len(prefix) and longer.startswith(prefix):
                    result[longer[len(prefix)]] += weight * probability
                elif prefix.startswith(longer) and probability:
                    waiting.append(((*sequence, token), longer, weight * probability))
        return result


class StandInState:
    """Stands for a byte state."""

    bound = 0.0

    def __init__(self, model: StandInModel) -> None:
        """Begin with nothing."""
        self.model, self.bytes = model, bytearray()

    @property
    def prefix(self) -> bytes:
        """All bytes so far."""
        return bytes(self.bytes)

    @property
    def logprob(self) -> float:
        """Return log A, as a chain of conditionals."""
        total = 0.0
        for end in range(len(self.bytes)):
            masses = self.model.masses(bytes(self.bytes[:end]))
            total += math.log(masses[self.bytes[end]] / masses.sum())
        return total

    def next_byte_logprobs(self) -> NDArray[np.float64]:
        """Conditionals."""
        masses = self.model.masses(self.prefix)
        with np.errstate(divide="ignore"):
            result: NDArray[np.float64] = np.log(
                masses / (masses.sum() if self.model.fault != "no_renormalization" else 1.0)
            )
        return result

    def push(self, data: bytes) -> None:
        """Add bytes that can follow."""
        before = len(self.bytes)
        for offset, byte in enumerate(data):
            if not self.model.masses(self.prefix)[byte] > 0:
                if self.model.fault != "refused_push_is_kept":
                    del self.bytes[before:]
                raise UnreachableByteError(before + offset, byte)
            self.bytes.append(byte)

    def fork(self) -> StandInState:
        """Copy."""
        other = StandInState(self.model)
        other.bytes = (
            self.bytes if self.model.fault == "fork_shares_the_prefix" else bytearray(self.bytes)
        )
        return other

    def rollback(self, count: int) -> None:
        """Take back the last bytes."""
        keep = len(self.bytes) - count + (self.model.fault == "rollback_one_too_few")
        del self.bytes[keep:]


class StandIn:
    """Stands for the module ``nextbyte``, for one case."""

    errors = Errors

    def __init__(self, definition: Definition, fault: str = "") -> None:
        """Choose the tokenizer and the fault."""
        tokenizer = StandInTokenizer(definition)
        self.Tokenizer: Any = type(
            "Tokenizer", (), {"from_file": staticmethod(lambda _path: tokenizer)}
        )

        def from_function(
            tokenizer: StandInTokenizer,
            function: Any,
            *,
            start_token: int | None = None,
            end_tokens: Sequence[int] = (),
        ) -> StandInModel:
            return StandInModel(tokenizer, function, start_token, end_tokens, fault)

        self.ByteLM: Any = type("ByteLM", (), {"from_function": staticmethod(from_function)})
