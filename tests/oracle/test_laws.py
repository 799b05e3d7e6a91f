"""The laws against ``distribution.reference``, against lists of sequences, and their identities."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from oracle.comparison import model_for
from oracle.distribution import END_OF_TEXT, reference
from oracle.laws import Law
from oracle.zoo import by_name

if TYPE_CHECKING:
    from oracle.definition import Sequence

SMALL = ["ahead_gpt2", "dead_lead_byte", "dead_blank", "plain_accents", "added_runs", "no_merges"]
DEPTH = 3


def prefixes(law: Law, depth: int = DEPTH) -> list[bytes]:
    """All prefixes of up to ``depth`` bytes with mass."""
    found = [b""]
    for prefix in found:
        if len(prefix) < depth:
            found += [prefix + bytes([byte]) for byte in law.possible(prefix)]
    return found


@pytest.mark.parametrize("kind", ["even", "zeros"])
@pytest.mark.parametrize("name", SMALL)
def test_canonical_law_is_the_reference(name: str, kind: str) -> None:
    case = by_name(name)
    law = Law(case.definition, model_for(case, kind))
    expected = reference(law.model, DEPTH)
    assert sorted(prefixes(law)) == expected.live()
    for prefix in expected.live():
        assert law.mass(prefix) == expected.mass[prefix]
        assert law.symbols(prefix).get(END_OF_TEXT, 0) == expected.end.get(prefix, 0)
        assert law.conditional(prefix) == expected.conditional(prefix)
        assert law.defect(prefix) == 0


@pytest.mark.parametrize("name", SMALL)
def test_covers_are_those_of_the_definition(name: str) -> None:
    case = by_name(name)
    law = Law(case.definition, model_for(case, "even"))
    listed = case.definition.covers(DEPTH)
    for prefix in prefixes(law)[1:]:
        found = {
            (cover, len(case.definition.decode(cover)) - len(prefix))
            for cover in law.covers(prefix)
        }
        assert found == listed[prefix]


@pytest.mark.parametrize("target", ["canonical", "raw", "full"])
@pytest.mark.parametrize("name", ["ahead_gpt2", "dead_lead_byte"])
def test_mass_is_the_sum_over_listed_sequences(name: str, target: Any) -> None:
    """A second way: all sequences of a few tokens, one by one, by nothing but their definition."""
    case = by_name(name)
    definition, model = case.definition, model_for(case, "even")
    law = Law(definition, model, target)

    def probability(sequence: Sequence) -> Fraction:
        product = Fraction(1)
        for end in range(len(sequence)):
            context, token = sequence[:end], sequence[end]
            weights = model.weights((*model.start, *context))
            canonical = definition.is_prefix_canonical(sequence[: end + 1])
            if target == "full":
                total = sum(weights[t] for t in (*definition.token_bytes, *model.end_tokens))
            elif not canonical:
                return Fraction(0)
            else:
                total = sum(weights)
                if target == "canonical":
                    total = sum(weights[t] for t in model.allowed(context))
            product *= Fraction(weights[token], total)
        return product

    found: dict[bytes, Fraction] = {}
    tokens = sorted(definition.token_bytes)
    for count in range(1, DEPTH + 1):
        for sequence in itertools.product(tokens, repeat=count):
            data, before = definition.decode(sequence), len(definition.decode(sequence[:-1]))
            share = probability(sequence) if before < DEPTH else Fraction(0)
            for end in range(before + 1, min(len(data), DEPTH) + 1) if share else ():
                found[data[:end]] = found.get(data[:end], Fraction(0)) + share
    assert set(found) == set(prefixes(law)[1:])
    assert all(law.mass(prefix) == mass for prefix, mass in found.items())


@pytest.mark.parametrize("name", SMALL)
def test_raw_law_lacks_the_forbidden_mass(name: str) -> None:
    case = by_name(name)
    model = model_for(case, "even")
    raw = Law(case.definition, model, "raw")
    defects = 0
    for prefix in prefixes(raw):
        lost = Fraction(0)
        for sequence, data, mass in raw.contexts(prefix):
            if data == prefix:
                tokens, end = raw.step(sequence)
                lost += mass * (1 - sum(tokens.values()) - end)
        assert raw.defect(prefix) == lost
        defects += lost > 0
    assert defects or name == "no_merges"  # without merges every sequence is canonical


@pytest.mark.parametrize("name", SMALL)
def test_full_law_sums_to_one_and_exceeds_the_raw_law(name: str) -> None:
    case = by_name(name)
    model = model_for(case, "even")
    full, raw = Law(case.definition, model, "full"), Law(case.definition, model, "raw")
    longer = 0
    for prefix in prefixes(full):
        assert full.defect(prefix) == 0
        assert sum(full.conditional(prefix).values()) == 1
        assert full.mass(prefix) >= raw.mass(prefix)
        longer += len(full.covers(prefix)) > len(raw.covers(prefix))
    assert longer or name == "no_merges"


@dataclass
class Confined:
    """A model with all its mass on what may follow: then all three laws are one."""

    inner: Any

    def __post_init__(self) -> None:
        self.start, self.end_tokens = self.inner.start, self.inner.end_tokens

    def weights(self, context: Sequence) -> list[int]:
        sequence = context[len(self.start) :]
        if not self.inner.definition.is_prefix_canonical(sequence):
            return [1] * self.inner.width
        allowed = self.inner.allowed(sequence)
        return [w if t in allowed else 0 for t, w in enumerate(self.inner.weights(context))]


@pytest.mark.parametrize("name", SMALL)
def test_laws_agree_on_a_model_without_other_mass(name: str) -> None:
    case = by_name(name)
    model = Confined(model_for(case, "even"))
    canonical = Law(case.definition, model)
    others = [Law(case.definition, model, "raw"), Law(case.definition, model, "full")]
    for prefix in prefixes(canonical):
        for other in others:
            assert other.mass(prefix) == canonical.mass(prefix)
            assert other.symbols(prefix) == canonical.symbols(prefix)


@pytest.mark.parametrize("name", SMALL)
def test_posterior_of_covers_carries_the_law(name: str) -> None:
    """A cover drawn from the posterior, then the next token: the same next byte."""
    case = by_name(name)
    law = Law(case.definition, model_for(case, "zeros"))
    for prefix in prefixes(law):
        posterior = law.posterior(prefix)
        assert sum(posterior.values()) == 1
        found: dict[int, Fraction] = {}
        for cover, probability in posterior.items():
            overhang = case.definition.decode(cover)[len(prefix) :]
            if overhang:
                found[overhang[0]] = found.get(overhang[0], Fraction(0)) + probability
                continue
            tokens, end = law.step(cover)
            if end:
                found[END_OF_TEXT] = found.get(END_OF_TEXT, Fraction(0)) + probability * end
            for token, share in tokens.items():
                first = case.definition.token_bytes[token][0]
                found[first] = found.get(first, Fraction(0)) + probability * share
        assert found == law.conditional(prefix)


@pytest.mark.parametrize("target", ["canonical", "raw", "full"])
@pytest.mark.parametrize("name", SMALL)
def test_floats_are_close_to_fractions(name: str, target: Any) -> None:
    case = by_name(name)
    model = model_for(case, "steep")
    exact, quick = (Law(case.definition, model, target, exact=flag) for flag in (True, False))
    for prefix in prefixes(exact):
        assert float(exact.mass(prefix)) == pytest.approx(quick.mass(prefix), rel=1e-13)
        np.testing.assert_allclose(quick.row(prefix), exact.row(prefix), rtol=1e-13, atol=0)
