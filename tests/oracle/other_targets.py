"""The other two laws over bytes, in ``Fraction`` arithmetic: raw covers, and all segmentations."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from oracle.distribution import Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from oracle.definition import Sequence
    from oracle.language_models import LanguageModel

Steps = dict[int, Fraction]


def raw_reference(model: LanguageModel, depth: int) -> tuple[Reference, dict[bytes, Fraction]]:
    """Covers in PC under the model's own softmax over the whole row.

    Returns
    -------
    tuple
        ``A`` and ``E``, and for each prefix x the sum of ``P(s) (1 - Z(s))`` over the s in PC that
        spell x.

    """
    lost: dict[bytes, Fraction] = {}

    def steps(sequence: Sequence, data: bytes, weight: Fraction) -> tuple[Steps, Fraction]:
        weights = model.weights((*model.start, *sequence))
        total = sum(weights)
        tokens = {t: Fraction(weights[t], total) for t in model.definition.successors(sequence)}
        end = Fraction(0)
        if model.definition.is_canonical(sequence):
            end = Fraction(sum(weights[t] for t in model.end_tokens), total)
        lost[data] = lost.get(data, Fraction(0)) + weight * (1 - sum(tokens.values()) - end)
        return tokens, end

    return _walk(model, depth, steps), lost


def full_reference(model: LanguageModel, depth: int, *, along: bytes | None = None) -> Reference:
    """All token sequences, renormalized over ordinary and end tokens.

    With ``along``, complete for its prefixes and each of them with one more byte.
    """

    def steps(sequence: Sequence, _data: bytes, _weight: Fraction) -> tuple[Steps, Fraction]:
        weights = model.weights((*model.start, *sequence))
        ordinary = [t for t, data in model.definition.token_bytes.items() if data]
        end = sum(weights[t] for t in model.end_tokens)
        total = sum(weights[t] for t in ordinary) + end
        return {t: Fraction(weights[t], total) for t in ordinary}, Fraction(end, total)

    return _walk(model, depth, steps, along)


def _walk(
    model: LanguageModel,
    depth: int,
    steps: Callable[[Sequence, bytes, Fraction], tuple[Steps, Fraction]],
    along: bytes | None = None,
) -> Reference:
    """Sum over every sequence: what it adds to each prefix that its last token reaches over."""
    token_bytes = model.definition.token_bytes
    mass: dict[bytes, Fraction] = {b"": Fraction(1)}
    end: dict[bytes, Fraction] = {}

    def visit(sequence: Sequence, data: bytes, weight: Fraction) -> None:
        tokens, ending = steps(sequence, data, weight)
        if ending:
            end[data] = end.get(data, Fraction(0)) + weight * ending
        for token, chance in tokens.items():
            if not chance:
                continue
            longer = data + token_bytes[token]
            for stop in range(len(data) + 1, min(len(longer), depth + 1) + 1):
                prefix = longer[:stop]
                if along is not None and not along.startswith(prefix[:-1]):
                    break
                mass[prefix] = mass.get(prefix, Fraction(0)) + weight * chance
            if len(longer) <= depth and (along is None or along.startswith(longer)):
                visit((*sequence, token), longer, weight * chance)

    visit((), b"", Fraction(1))
    return Reference(depth, mass, end, along)
