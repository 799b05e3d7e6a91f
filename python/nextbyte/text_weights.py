"""Probabilities of many continuations of one text, from few batches of the language model.

log P(b | x a) = log P(x a b) - log P(x a), and both are sums over the contexts from the base of x
on (docs/theory.md 2): what is above that base cancels, so nothing of a long x is read again. All
contexts of all continuations are asked for together; a backend that keeps state reads each once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from nextbyte import _core
from nextbyte.byte_lm_state import evaluate_states
from nextbyte.errors import UnreachableByteError
from nextbyte.lineage import Evaluated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nextbyte.byte_lm_state import ByteLMState

__all__ = ["continuation_logprobs"]

_AT_ONCE: Final = 128
"""Contexts per batch, which bounds the rows that are held."""


def continuation_logprobs(
    state: ByteLMState, pairs: Sequence[tuple[bytes, bytes]]
) -> tuple[NDArray[np.float64], int]:
    """Return log P(second | the state's bytes, first) for pairs of byte strings.

    Parameters
    ----------
    state
        A state of its own, without a tolerance: its `logprob`, and its forks', are relative to
        some of its bytes afterwards.
    pairs
        What follows, and what follows that.

    Returns
    -------
    logprobs : ndarray, shape (len(pairs),), float64
        Natural logs, -inf where a text cannot go on so.
    rows : int
        Rows of logits asked for.
    """
    _core.anchor(state._stream)  # noqa: SLF001
    logprobs = np.full(len(pairs), -np.inf)
    forks: list[ByteLMState] = []
    places = []
    for place, (first, second) in enumerate(pairs):
        given = state.fork()
        try:
            given.push(first)
            whole = given.fork()
            whole.push(second)
        except UnreachableByteError:
            continue
        forks += [given, whole]
        places.append(place)
    rows = _read(state, forks)
    for number, place in enumerate(places):
        before, after = (
            fork._stream.base_logprob() + fork._stream.relative_logprob()  # noqa: SLF001
            for fork in forks[2 * number : 2 * number + 2]
        )
        if before > -np.inf:
            logprobs[place] = after - before
    return logprobs, rows


def _read(state: ByteLMState, forks: Sequence[ByteLMState]) -> int:
    """Read all rows that the forks' probabilities need; return how many."""
    rows = 0
    for first in range(0, len(forks), _AT_ONCE):
        batch = forks[first : first + _AT_ONCE]
        pending = [c for fork in batch for c in fork._stream.pending(current=False)]  # noqa: SLF001
        rows += len({context.id for context in pending})
        evaluate_states(batch, current=False)
    wanted = {}
    for fork in forks:
        for parent, child in fork._stream.unscored():  # noqa: SLF001
            wanted[child.id] = (fork, parent, child)
    edges = list(wanted.values())
    held: list[Evaluated] = []
    for first in range(0, len(edges), _AT_ONCE):
        part = edges[first : first + _AT_ONCE]
        requests = [fork._request(parent) for fork, parent, _ in part]  # noqa: SLF001
        branches = state._lm.extend(requests)  # noqa: SLF001
        for (fork, parent, child), (ancestor, _), branch in zip(
            part, requests, branches, strict=True
        ):
            fork._stream.provide_edge(child, branch.logits)  # noqa: SLF001
            evaluated = Evaluated(branch, ancestor, run=0)
            evaluated.release()
            held.append(evaluated)  # the next batch reads on from it
            state._lineage.add(parent, evaluated)  # noqa: SLF001
    return rows + len(edges)
