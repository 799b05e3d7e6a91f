"""Filling a gap with any model: draw middles behind the prefix, weigh them by the suffix.

*Ends.* A drawn text has an end behind each of its tokens (each of its bytes, where bytes were
drawn), before the first, and where it was cut or ended, for whatever reason; and inside a token
from where the rest of it is what the suffix begins with, which may start in the middle of a word.
Let p(m) be the probability that a draw has an end behind the bytes m.

*Wanted law.* w(m) = p(m) P(suffix | prefix m) / Z over all m: a draw that may end anywhere, given
that the suffix's beginning follows. How a draw came to its end does not enter: middles cut short by
a stop string or by the end of the text are weighed like any other.

*Sample.* With n draws, c(m) of which have an end at m, c(m) / n is p(m) on average, so a middle
drawn by c(m) P(suffix | prefix m) has the law w as n grows: sampling-importance-resampling (Rubin
1987). Of more than 64 different middles, 64 are weighed, chosen at random with chances pi(m) in
proportion to c(m), larger where a draw ended (systematic sampling, Madow 1949), and c(m) / pi(m)
stands for c(m), which keeps all sums right on average (Horvitz and Thompson 1952).

*Best.* The weighed middle of the largest c(m) P(suffix | prefix m).

Where a time budget or the caller ends the weighing, those weighed by then are all there are; the
result says so, and its law is not w.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nextbyte.infilling.results import InfillCandidate

if TYPE_CHECKING:
    from nextbyte.sampling.generation import FinishReason, Generation
    from nextbyte.sampling.interruption import Interruption

__all__ = ["WEIGHED_BYTES", "Choice", "SuffixLogprobs", "Weighed", "ends_of", "weigh"]

Choice: TypeAlias = Literal["best", "sample"]
"""Which of the weighed middles is the answer."""

SuffixLogprobs: TypeAlias = Callable[[Sequence[bytes]], tuple[NDArray[np.float64], int]]
"""From middles to log P(suffix | prefix, middle) of each, and the rows of logits asked for."""

WEIGHED_BYTES: Final = 64
"""Of the suffix, where middles are weighed and nothing else was asked for."""

_WEIGHED: Final = 64
"""Middles that are weighed at most."""

_WHOLE: Final = 8
"""How much likelier a middle is weighed at which a draw ended: the draw itself chose that place."""

_AT_ONCE: Final = 16
"""Middles weighed between two looks at the clock, at most."""


class Weighed(NamedTuple):
    """The answer, what else was weighed, and the cost."""

    middle: bytes
    generation: Generation
    finish_reason: FinishReason
    candidates: tuple[InfillCandidate, ...]
    rows: int


def weigh(
    logprobs: SuffixLogprobs,
    drawn: Sequence[Generation],
    suffix: bytes,
    *,
    choose: Choice,
    random: np.random.Generator,
    interruption: Interruption,
    token_bytes: Callable[[int], bytes] | None = None,
    at_once: int = _AT_ONCE,
) -> Weighed:
    """Weigh the ends of draws.

    Parameters
    ----------
    logprobs
        Gives the probability of the suffix behind middles.
    drawn
        Middles drawn behind the prefix.
    suffix
        What is to follow.
    choose, random
        Which one is the answer.
    interruption
        What may end the weighing early.
    token_bytes
        What a token spells, where tokens were drawn.
    at_once
        Middles weighed between two looks at the clock, 16 at most.
    """
    counts: Counter[bytes] = Counter()
    for generation in drawn:
        counts.update(generation.bytes[:end] for end in ends_of(generation, suffix, token_bytes))
    whole = {generation.bytes for generation in drawn}
    middles = sorted(counts, key=lambda m: (-counts[m] * (_WHOLE if m in whole else 1), len(m), m))
    sizes = np.array([counts[m] * (_WHOLE if m in whole else 1) for m in middles], dtype=np.float64)
    places, chances = _chosen(sizes, random)
    middles = [middles[place] for place in places]
    reason: FinishReason | None = next(
        (g.finish_reason for g in drawn if g.finish_reason in ("time", "cancelled")), None
    )
    found: list[float] = []
    rows = 0
    step = min(at_once, _AT_ONCE) if interruption.is_possible else len(middles)
    for first in range(0, len(middles), step):
        stopped = interruption.reason()
        if stopped is not None:
            reason = stopped
            break
        part = middles[first : first + step]
        weights, asked = logprobs(part)
        found += weights.tolist()
        rows += asked
    if not found:  # there was no time to weigh any
        generation = min(drawn, key=lambda g: -counts[g.bytes])
        return Weighed(generation.bytes, generation, reason or generation.finish_reason, (), rows)
    middles = middles[: len(found)]
    scores = np.array(found) + np.log([counts[m] for m in middles])
    logs = _normalized(scores - np.log(chances[: len(found)]))
    place = int(np.argmax(scores))
    if choose == "sample":
        cumulative = np.cumsum(np.exp(logs))
        place = int(np.searchsorted(cumulative, random.random() * cumulative[-1], side="right"))
    middle = middles[place]
    ended = next((g for g in drawn if g.bytes == middle), None)
    generation = ended or next(g for g in drawn if g.bytes.startswith(middle))
    return Weighed(
        middle,
        generation,
        reason or ("suffix" if ended is None else ended.finish_reason),
        tuple(
            InfillCandidate(m, counts[m], logprob, float(weight))
            for m, logprob, weight in zip(middles, found, logs, strict=True)
        ),
        rows,
    )


def ends_of(
    generation: Generation, suffix: bytes, token_bytes: Callable[[int], bytes] | None
) -> list[int]:
    """Return the ends of a drawn middle, as numbers of bytes."""
    drawn = generation.bytes
    size = len(drawn)
    if generation.cover is None or token_bytes is None:
        return list(range(size + 1))
    lengths = [len(token_bytes(token)) for token in generation.token_ids]
    behind = np.cumsum([len(generation.cover.overhang), *lengths]).tolist()
    ends = {0, size}
    start = 0
    for end in behind:
        if end <= size:
            ends.add(end)
        stop = min(end, size)
        ends.update(k for k in range(start + 1, stop) if suffix.startswith(drawn[k:stop]))
        start = end
    return sorted(ends)


def _chosen(
    sizes: NDArray[np.float64], random: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return which are weighed, in their order, and the chances that they had of it."""
    count = len(sizes)
    chances = np.ones(count)
    if count <= _WEIGHED:
        return np.arange(count), chances
    certain = np.zeros(count, dtype=bool)
    while True:  # at most once for each that is certain
        rest = sizes[~certain]
        chances[~certain] = (_WEIGHED - certain.sum()) * rest / rest.sum()
        over = ~certain & (chances >= 1.0)
        if not over.any():
            break
        certain |= over
        chances[over] = 1.0
        if certain.sum() >= _WEIGHED:
            break
    edges = np.cumsum(chances)
    marks = random.random() + np.arange(_WEIGHED)
    places = np.unique(np.searchsorted(edges, marks, side="right"))
    places = places[places < count]
    return places, chances[places]


def _normalized(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log weights that sum to one; all alike where there is none above zero."""
    if np.max(logs) == -np.inf:  # the suffix fits behind none of them
        logs = np.zeros(len(logs))
    logs = logs - np.max(logs)
    return np.asarray(logs - np.log(np.sum(np.exp(logs))), dtype=np.float64)
