"""One product state against the reference, and the figures of what was compared.

Nothing here knows how the product works. It uses ``Tokenizer.from_file``, ``ByteLM.from_function``
and the byte states, as a user would. ``walks`` decides which states are met, and in what order.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from oracle.distribution import Reference, reference
from oracle.language_models import LanguageModel

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from numpy.typing import NDArray

    from oracle.cases import Case
    from oracle.definition import Definition

TOLERANCE = 1e-12
STRANGE_BYTES = (0x00, 0x7E, 0x80, 0xA9, 0xC0, 0xE4, 0xFF)


@dataclass
class Tally:
    """What has been compared so far, over the whole process."""

    tokenizers: set[str] = field(default_factory=set)
    models: set[tuple[str, str]] = field(default_factory=set)
    prefixes: set[tuple[str, str, bytes]] = field(default_factory=set)
    random_tokenizers: int = 0
    rows: int = 0
    probabilities: int = 0
    encodings: int = 0
    cover_sets: int = 0
    refusals: int = 0
    declined: set[str] = field(default_factory=set)
    worst_probability: float = 0.0
    worst_logprob: float = 0.0
    worst_sum: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    def summary(self) -> dict[str, object]:
        """Return the figures by name."""
        return {
            "tokenizers": len(self.tokenizers),
            "random_tokenizers": self.random_tokenizers,
            "tokenizer_model_pairs": len(self.models),
            "distinct_prefixes": len(self.prefixes),
            "distributions_compared": self.rows,
            "probabilities_compared": self.probabilities,
            "encodings_compared": self.encodings,
            "cover_sets_compared": self.cover_sets,
            "impossible_bytes_refused": self.refusals,
            "declined_optional_cases": sorted(self.declined),
            "largest_relative_error": self.worst_probability,
            "largest_relative_error_of_prefix": self.worst_logprob,
            "largest_deviation_of_sum": self.worst_sum,
            "seconds": round(time.perf_counter() - self.started, 1),
        }


TALLY = Tally()


def log_of(value: Fraction) -> float:
    """Natural logarithm of a positive fraction of any size."""
    return math.log(value.numerator) - math.log(value.denominator)


@dataclass
class Subject:
    """One tokenizer with one model: the product's ``ByteLM`` beside the reference."""

    case: Case
    kind: str
    lm: Any
    model: LanguageModel
    errors: Any
    _references: dict[bytes | None, Reference] = field(default_factory=dict)
    _rows: dict[tuple[bytes | None, bytes], NDArray[np.float64]] = field(default_factory=dict)

    @property
    def definition(self) -> Definition:
        """The definition for the tokenizer."""
        return self.case.definition

    def reference(self, along: bytes | None = None) -> Reference:
        """All prefixes of up to ``case.depth`` bytes, or those of one longer text."""
        if along not in self._references:
            depth = self.case.depth if along is None else len(along)
            self._references[along] = reference(self.model, depth, along=along)
        return self._references[along]

    def expected(self, expected: Reference, prefix: bytes) -> NDArray[np.float64]:
        """The reference distribution, correctly rounded."""
        key = (expected.along, prefix)
        if key not in self._rows:
            row = np.zeros(257)
            for symbol, probability in expected.conditional(prefix).items():
                row[symbol] = float(probability)
            self._rows[key] = row
        return self._rows[key]

    def check_row(self, row: NDArray[np.float64], expected: Reference, prefix: bytes) -> None:
        """Compare one distribution: support, every probability, the sum."""
        what = f"{self.case.name}/{self.kind} after {prefix!r}"
        assert row.shape == (257,), what
        assert row.dtype == np.float64, what
        wanted = self.expected(expected, prefix)
        with np.errstate(under="ignore"):
            found = np.exp(row)
        wrong = np.flatnonzero((row == -np.inf) != (wanted == 0))
        differing = [(int(b), float(found[b]), float(wanted[b])) for b in wrong]
        assert not differing, f"{what}: support differs (symbol, found, wanted): {differing}"
        alive = np.flatnonzero(wanted)
        error = np.abs(found[alive] / wanted[alive] - 1.0)
        worst = int(np.argmax(error))
        symbol = int(alive[worst])
        assert error[worst] <= TOLERANCE, (
            f"{what}: P({symbol}) = {float(found[symbol])}, by definition {float(wanted[symbol])}"
            f" = {expected.conditional(prefix)[symbol]}"
        )
        deviation = abs(math.fsum(found) - 1.0)
        assert deviation <= TOLERANCE, f"{what}: sums to {math.fsum(found)!r}"
        TALLY.prefixes.add((self.case.name, self.kind, prefix))
        TALLY.rows += 1
        TALLY.probabilities += len(row)
        TALLY.worst_probability = max(TALLY.worst_probability, float(error[worst]))
        TALLY.worst_sum = max(TALLY.worst_sum, deviation)

    def check_state(
        self, state: Any, expected: Reference, prefix: bytes, *, query: bool = True
    ) -> None:
        """Compare everything a state tells."""
        what = f"{self.case.name}/{self.kind} after {prefix!r}"
        assert state.prefix == prefix, what
        wanted = log_of(expected.mass[prefix])
        error = abs(math.expm1(state.logprob - wanted))
        assert error <= TOLERANCE, f"{what}: logprob {state.logprob!r}, by definition {wanted!r}"
        TALLY.worst_logprob = max(TALLY.worst_logprob, error)
        if query:
            self.check_row(state.next_byte_logprobs(), expected, prefix)
            assert state.bound == 0.0, what

    def impossible(self, expected: Reference, prefix: bytes) -> list[int]:
        """Bytes that cannot follow: of the alphabet's own, and some that never fit."""
        own = {byte for character in self.case.alphabet for byte in character.encode()}
        possible = expected.conditional(prefix)
        return sorted(byte for byte in own.union(STRANGE_BYTES) if byte not in possible)

    def check_refusals(self, state: Any, expected: Reference, prefix: bytes) -> None:
        """Every impossible byte is refused by name and leaves the state as it was."""
        before = (state.prefix, state.logprob, state.next_byte_logprobs().tolist())
        for byte in self.impossible(expected, prefix):
            what = f"{self.case.name}/{self.kind}: byte {byte:#x} after {prefix!r}"
            try:
                state.push(bytes([byte]))
            except self.errors.UnreachableByteError as error:
                refused = (error.position, error.byte)
            else:
                refused = None
            assert refused == (len(prefix), byte), f"{what}: {refused}"
            assert (state.prefix, state.logprob) == before[:2], what
            TALLY.refusals += 1
        assert state.next_byte_logprobs().tolist() == before[2]


def model_for(case: Case, kind: str, *, seed: int = 0) -> LanguageModel:
    """Make a model for the tokenizer, with the special tokens that the case names."""
    vocabulary = case.definition.tokenizer.get_vocab(with_added_tokens=True)
    return LanguageModel(
        case.definition,
        kind,
        seed,
        start_token=vocabulary[case.specials[0]] if case.begin else None,
        end_tokens=tuple(vocabulary[token] for token in case.ends),
        padding=3 if kind == "elsewhere" else 0,
        shifted=kind == "steep",
    )


def make_subject(nb: Any, case: Case, kind: str, folder: Path, *, seed: int = 0) -> Subject:
    """Load the tokenizer and give it a model."""
    tokenizer = load(nb, case, folder)
    model = model_for(case, kind, seed=seed)
    lm = nb.ByteLM.from_function(
        tokenizer, model.rows, start_token=model.start_token, end_tokens=model.end_tokens
    )
    TALLY.tokenizers.add(case.name)
    TALLY.models.add((case.name, kind))
    return Subject(case, kind, lm, model, nb.errors)


class DeclinedError(Exception):
    """The product does not claim to be exact on an optional case."""


def load(nb: Any, case: Case, folder: Path) -> Any:
    """Save the tokenizer as a file and let the product read it."""
    try:
        tokenizer = nb.Tokenizer.from_file(case.save(folder))
    except nb.errors.UnsupportedTokenizerError as error:
        if not case.optional:
            raise
        TALLY.declined.add(case.name)
        raise DeclinedError(str(error)) from error
    if case.optional and tokenizer.exactness != "exact":
        TALLY.declined.add(case.name)
        raise DeclinedError(tokenizer.exactness)
    assert tokenizer.exactness == "exact", f"{case.name}: {tokenizer.exactness}"
    return tokenizer
