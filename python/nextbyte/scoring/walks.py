"""Laws along texts that are known beforehand: batches of states in place of one query a byte.

The states before all bytes of a stretch are forks of one another and are asked in one batch. Their
contexts form one tree, which a backend reads in one forward pass (docs/adr/0027). The last state of
a batch is asked and then goes on itself, so that its rows are at hand for the next one; all others
end with their batch, and with them the keys and values of contexts that the text has left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nextbyte.byte_model import ALPHABET_SIZE, STATES_AT_ONCE
from nextbyte.errors import BackendError, InvalidInputError, UnreachableByteError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from nextbyte.byte_model import ByteModel, ByteState

__all__ = ["Block", "laws_along"]


@dataclass(frozen=True, slots=True)
class Block:
    """A run of one walk's laws, in order; only the last of a walk can have probability zero."""

    walk: int
    logprobs: NDArray[np.float64]
    rows: NDArray[np.float64]
    bound: float


class _Batch:
    """States of one or several walks, asked together."""

    def __init__(self, model: ByteModel, *, goes_on: bool = False) -> None:
        self._model = model
        self._goes_on = goes_on  # its first state is behind others of its walk
        self.states: list[ByteState] = []
        self._symbols: list[int] = []
        self._walks: list[int] = []
        self._refused: set[int] = set()

    def add(self, walk: int, state: ByteState, symbol: int) -> None:
        self.states.append(state)
        self._symbols.append(symbol)
        self._walks.append(walk)

    def refuse_last(self) -> None:
        """Note that the last state does not take its symbol; its walk ends there."""
        self._refused.add(len(self.states) - 1)

    def ask(self) -> list[Block]:
        """Return a block for each walk, in their order."""
        if not self.states:
            return []
        first = [i for i, walk in enumerate(self._walks) if i == 0 or walk != self._walks[i - 1]]
        pieces = list(zip(first, [*first[1:], len(self.states)], strict=True))
        try:
            rows = self._model.next_byte_logprobs(self.states)
        except (BackendError, InvalidInputError, UnreachableByteError):
            # Perhaps behind a byte of probability zero, where nobody would have asked.
            return [self._block(begin, self._one_by_one(begin, end)) for begin, end in pieces]
        return [self._block(begin, rows[begin:end]) for begin, end in pieces]

    def _one_by_one(self, begin: int, end: int) -> NDArray[np.float64]:
        """Return the laws of a walk up to the first byte of probability zero."""
        rows: list[NDArray[np.float64]] = []
        for i in range(begin, end):
            try:
                # Beside the one before: an ensemble knows by it which members are lost here.
                pair = self.states[max(begin, i - 1) : i + 1]
                rows.append(self._model.next_byte_logprobs(pair)[-1])
            except UnreachableByteError:
                # A law with a bound may have allowed the byte before, which the rows now rule out.
                if rows:
                    self._refused.add(i - 1)
                elif begin == 0 and self._goes_on:
                    rows.append(np.full(ALPHABET_SIZE, -math.inf))
                else:
                    raise
                break
            if rows[-1][self._symbols[i]] == -math.inf:
                break
        return np.stack(rows)

    def _block(self, begin: int, rows: NDArray[np.float64]) -> Block:
        end = begin + len(rows)
        logprobs = rows[np.arange(len(rows)), self._symbols[begin:end]]
        if end - 1 in self._refused:
            logprobs[-1] = -math.inf
        (impossible,) = np.nonzero(logprobs == -math.inf)
        if len(impossible):
            end = begin + int(impossible[0]) + 1
        return Block(
            walk=self._walks[begin],
            logprobs=logprobs[: end - begin],
            rows=rows[: end - begin],
            bound=max(state.bound for state in self.states[begin:end]),
        )


def laws_along(
    model: ByteModel, walks: Sequence[tuple[ByteState, Sequence[int]]]
) -> Iterator[Block]:
    """Yield the laws along walks, each from a state of its own, a batch at a time.

    Invariants: the last state of a batch is asked and then goes on itself, so that its rows are at
    hand for the next one; all others are forks that end with their batch, and with them the keys
    and values of contexts that the text has left.
    """
    at_once: int = getattr(model, "states_at_once", STATES_AT_ONCE)
    batch = _Batch(model)
    for walk, (state, symbols) in enumerate(walks):
        for place, symbol in enumerate(symbols):
            if len(batch.states) == at_once:
                blocks = batch.ask()
                batch = _Batch(model, goes_on=place > 0)
                yield from blocks
                if place and blocks[-1].logprobs[-1] == -math.inf:
                    break
            if place:
                if batch.states:  # else the state has just been asked, and nobody has it
                    state = state.fork()  # noqa: PLW2901
                try:
                    state.push(bytes([symbols[place - 1]]))
                except UnreachableByteError:
                    if not batch.states:  # the law just read says otherwise
                        raise
                    batch.refuse_last()
                    break
            batch.add(walk, state, symbol)
    yield from batch.ask()
