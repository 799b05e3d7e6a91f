"""Times candidates in turns, round by round, so that what disturbs one disturbs all.

Each round takes one sample of every candidate, and the next round begins with the next candidate.
A sample is the mean of `repeats` calls, so many that the clock and the loop do not count. The ratio
of a candidate is the median over the rounds of its sample divided by the reference's sample of the
same round: load that lasts longer than a round cancels.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Call: TypeAlias = Callable[[], object]
Candidate: TypeAlias = Call | Sequence[Call]
"""A call, or calls over different buffers that are taken in rotation."""

SAMPLE_NANOSECONDS = 2_000_000
MOST_REPEATS = 1_000_000


@dataclass(frozen=True, slots=True)
class Figures:
    """What the rounds say of one candidate, in seconds for each unit of work."""

    name: str
    min: float
    median: float
    p10: float
    p90: float
    ratio: float
    ratio_of_mins: float
    repeats: int


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which `share` of the values lie, interpolated."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _rotation(candidate: Candidate) -> list[Call]:
    calls = list(candidate) if isinstance(candidate, Sequence) else [candidate]
    if not calls:
        raise ValueError("a candidate needs at least one call")
    return calls


def _sample(calls: list[Call], repeats: int, clock: Callable[[], int]) -> float:
    """Nanoseconds of one call, the mean of `repeats` rounds through the rotation."""
    if len(calls) == 1:
        (call,) = calls
        begin = clock()
        for _ in range(repeats):
            call()
        return (clock() - begin) / repeats
    begin = clock()
    for _ in range(repeats):
        for call in calls:
            call()
    return (clock() - begin) / (repeats * len(calls))


def _repeats(calls: list[Call], clock: Callable[[], int], enough: int) -> int:
    """Return how many repeats make a sample last `enough` nanoseconds."""
    repeats = 1
    while repeats < MOST_REPEATS:
        took = _sample(calls, repeats, clock) * repeats * len(calls)
        if took >= enough:
            break
        grown = repeats * 10 if took * 10 < enough else int(repeats * enough / took) + 1
        repeats = min(MOST_REPEATS, max(repeats + 1, grown))
        if took * 2 >= enough:
            break
    return repeats


def measure(
    candidates: Mapping[str, Candidate],
    *,
    reference: str,
    rounds: int,
    units: int = 1,
    clock: Callable[[], int] = time.perf_counter_ns,
    sample_nanoseconds: int = SAMPLE_NANOSECONDS,
    on_round: Callable[[], object] = lambda: None,
) -> list[Figures]:
    """Measure every candidate in turns; one call is `units` units of work.

    Parameters
    ----------
    candidates
        Name to call, or to calls over different buffers.
    reference
        The candidate that the ratios are to.
    rounds
        Samples of each candidate.
    units
        What the figures are divided by, bytes of a text for example.
    clock
        Nanoseconds that only go forward.
    sample_nanoseconds
        How long a sample should last at least.
    on_round
        Called after each round.

    Raises
    ------
    ValueError
        The reference is no candidate, or there are no rounds.
    """
    if reference not in candidates:
        raise ValueError(f"the reference {reference!r} is none of {sorted(candidates)}")
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    rotations = {name: _rotation(candidate) for name, candidate in candidates.items()}
    repeats = {}
    for name, calls in rotations.items():
        for call in calls:  # warms up every buffer
            call()
        repeats[name] = _repeats(calls, clock, sample_nanoseconds)
    samples: dict[str, list[float]] = {name: [] for name in rotations}
    names = list(rotations)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                samples[name].append(_sample(rotations[name], repeats[name], clock))
            on_round()
    finally:
        if collecting:
            gc.enable()
    return [_figures(name, samples, reference, repeats[name], units) for name in names]


def _figures(
    name: str, samples: Mapping[str, list[float]], reference: str, repeats: int, units: int
) -> Figures:
    own, base = samples[name], samples[reference]
    scale = 1e-9 / units
    return Figures(
        name=name,
        min=min(own) * scale,
        median=statistics.median(own) * scale,
        p10=percentile(own, 0.1) * scale,
        p90=percentile(own, 0.9) * scale,
        ratio=statistics.median(a / b for a, b in zip(own, base, strict=True)),
        ratio_of_mins=min(own) / min(base),
        repeats=repeats,
    )
