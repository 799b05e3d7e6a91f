"""The posterior over the covers of a byte prefix, in ``Fraction`` arithmetic, by the definition."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oracle.definition import Sequence
    from oracle.language_models import LanguageModel


def cover_posterior(model: LanguageModel, prefix: bytes) -> dict[Sequence, Fraction]:
    """Every cover of ``prefix`` with its share of ``A(prefix)``; the empty sequence covers b""."""
    if not prefix:
        return {(): Fraction(1)}
    definition = model.definition
    found: dict[Sequence, Fraction] = {}
    waiting: list[tuple[Sequence, bytes, Fraction]] = [((), b"", Fraction(1))]
    while waiting:
        sequence, data, share = waiting.pop()
        weights = model.weights((*model.start, *sequence))
        successors = definition.successors(sequence)
        ends = model.end_tokens if definition.is_canonical(sequence) else ()
        normalizer = sum(weights[t] for t in (*successors, *ends))
        for token in successors:
            if not weights[token]:
                continue
            longer = data + definition.token_bytes[token]
            step = share * Fraction(weights[token], normalizer)
            if longer.startswith(prefix):
                found[*sequence, token] = step
            elif prefix.startswith(longer):
                waiting.append(((*sequence, token), longer, step))
    total = sum(found.values())
    return {cover: weight / total for cover, weight in found.items()}
