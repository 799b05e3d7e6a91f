"""The walks of lazy evaluation pass a plain sound evaluator and catch each of its faults."""

from __future__ import annotations

from fractions import Fraction

import pytest

from oracle.adversaries import ATTACKS, CASE_NAMES, Adversary, case_of
from oracle.laws import Law
from oracle.lazy_stand_in import FAULTS, Errors, LazyStandIn
from oracle.lazy_walks import Even, Walker


def walker_of(name: str, kind: str, eps: Fraction, *, fault: str = "", seed: int = 0) -> Walker:
    model = Adversary.of(case_of(name), kind, eps, seed=seed)
    lm = LazyStandIn(model, fault)
    return Walker(case_of(name), model, lm, Errors, lambda state: state.next_byte_bounds())


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [("many_contexts", b"abcde", 5), ("long_blanks", b"a      ", 3), ("long_lines", b"aa a  ", 2)],
)
def test_own_cases_have_contexts_that_live_together(name: str, text: bytes, count: int) -> None:
    definition = case_of(name).definition
    even = Even(definition.vocabulary_size, ())
    covers = Law(definition, even, exact=False).covers(text)
    assert len({cover[:-1] for cover in covers}) >= count


@pytest.mark.parametrize("name", ["long_blanks", "long_lines"])
def test_candidate_witnesses_suffice(name: str) -> None:
    assert not case_of(name).definition.compare_with_exhaustive(9)[2]


@pytest.mark.parametrize("eps", [Fraction(1, 10), Fraction(1, 1000)])
@pytest.mark.parametrize("name", CASE_NAMES)
def test_a_sound_evaluator_passes(name: str, eps: Fraction) -> None:
    for kind in ATTACKS:
        walker = walker_of(name, kind, eps)
        walker.walk(walker.lm.start, count=12, longest=7)
        assert walker.laws


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_caught(fault: str) -> None:
    caught = []
    for kind in ATTACKS:
        for name in CASE_NAMES[:5]:
            walker = walker_of(name, kind, Fraction(1, 10), fault=fault)
            try:
                walker.walk(walker.lm.start, count=30, longest=8)
            except (AssertionError, ZeroDivisionError):
                caught.append((name, kind))
        if len(caught) > 3:
            break
    assert caught
