"""Reference probabilities in ``Fraction`` arithmetic: prefix mass, end mass, next byte."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oracle.language_models import LanguageModel

END_OF_TEXT = 256


@dataclass(frozen=True)
class Reference:
    """``mass[x] = A(x)`` up to ``depth + 1`` bytes, ``end[x] = E(x)`` up to ``depth``; no zeros."""

    depth: int
    mass: dict[bytes, Fraction]
    end: dict[bytes, Fraction]
    along: bytes | None = None

    def live(self) -> list[bytes]:
        """All prefixes with mass and a known distribution, each after its own prefixes."""
        return sorted(
            x
            for x in self.mass
            if len(x) <= self.depth and (self.along is None or self.along.startswith(x))
        )

    def conditional(self, prefix: bytes) -> dict[int, Fraction]:
        """Symbols that may follow ``prefix`` (bytes, END_OF_TEXT) with their probabilities."""
        whole = self.mass[prefix]
        result = {
            byte: self.mass[longer] / whole
            for byte in range(256)
            if (longer := prefix + bytes([byte])) in self.mass
        }
        if self.end.get(prefix):
            result[END_OF_TEXT] = self.end[prefix] / whole
        return result


def reference(model: LanguageModel, depth: int, *, along: bytes | None = None) -> Reference:
    """Sum over all covers, by the definition.

    ``q(t|s) = p(t|s) / Z(s)`` over the tokens with ``s·t`` in PC and, if ``s`` is in C, the end of
    text. A cover ``s·t`` gives ``Q(s) q(t|s)`` to every prefix ``x`` with ``dec(s) < x <=
    dec(s·t)``. All contexts of at most ``depth`` bytes are expanded, hence ``A`` is complete up to
    ``depth + 1`` bytes.

    With ``along``, only contexts that decode to a prefix of it are expanded: the result is complete
    for these prefixes and for each of them with one more byte, which is enough for ``conditional``.
    """
    definition = model.definition
    mass: dict[bytes, Fraction] = {b"": Fraction(1)}
    end: dict[bytes, Fraction] = {}
    waiting: list[tuple[tuple[int, ...], bytes, Fraction]] = [((), b"", Fraction(1))]
    while waiting:
        sequence, data, weight_of_sequence = waiting.pop()
        if along is not None and not along.startswith(data):
            continue
        weights = model.weights((*model.start, *sequence))
        successors = definition.successors(sequence)
        end_weight = (
            sum(weights[t] for t in model.end_tokens) if definition.is_canonical(sequence) else 0
        )
        normalizer = sum(weights[t] for t in successors) + end_weight
        if not normalizer:
            message = f"the model gives no mass to anything that may follow {sequence}"
            raise ZeroDivisionError(message)
        if end_weight:
            end[data] = end.get(data, Fraction(0)) + weight_of_sequence * Fraction(
                end_weight, normalizer
            )
        shares: dict[bytes, int] = {}
        for token in successors:
            if not weights[token]:
                continue
            longer = data + definition.token_bytes[token]
            for stop in range(len(data) + 1, min(len(longer), depth + 1) + 1):
                if along is not None and not along.startswith(longer[: stop - 1]):
                    break
                shares[longer[:stop]] = shares.get(longer[:stop], 0) + weights[token]
            if len(longer) <= depth:
                share = weight_of_sequence * Fraction(weights[token], normalizer)
                waiting.append(((*sequence, token), longer, share))
        for prefix, share in shares.items():
            mass[prefix] = mass.get(prefix, Fraction(0)) + weight_of_sequence * Fraction(
                share, normalizer
            )
    return Reference(depth, mass, end, along)
