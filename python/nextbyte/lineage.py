"""`Lineage`: the contexts that a language model has read for a state and its forks."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary, ref

from nextbyte.look_ahead import AheadContexts

if TYPE_CHECKING:
    from nextbyte import _core
    from nextbyte.backends import Branch

__all__ = ["Evaluated", "Lineage"]

_LONG_RUN: Final = 8
"""Tokens read at once from which on the row after them is kept."""

_KEPT_ROWS: Final = 4
"""Rows that a lineage keeps so; the oldest goes first."""


class Evaluated:
    """A context that the backend has read. Keeps its evaluated ancestor, for rollback.

    Its row is given back, except that of a long run of tokens (a prompt): there is nothing to read
    on from in the middle of the run, so getting the row again would mean to read it all again.
    """

    __slots__ = ("__weakref__", "ancestor", "branch", "keeps_row")

    def __init__(self, branch: Branch, ancestor: Evaluated | None, *, run: int) -> None:
        self.branch = branch
        self.ancestor = ancestor
        self.keeps_row = run >= _LONG_RUN

    def release(self, *, kept: bool = False) -> None:
        """Give the row back; one that is kept, only if `kept` says so."""
        if kept or not self.keeps_row:
            self.keeps_row = False
            self.branch.release_logits()


class Lineage:
    """What a state and its forks share: the contexts that any of them has had evaluated."""

    def __init__(self) -> None:
        # A context stays evaluated while some state holds it, or one below it.
        self.evaluated: WeakValueDictionary[int, Evaluated] = WeakValueDictionary()
        self.ahead: AheadContexts[Evaluated] = AheadContexts()
        self._long_runs: deque[ref[Evaluated]] = deque()

    def add(self, context: _core.Context, evaluated: Evaluated) -> None:
        """Let forks find a context, while one of them holds it."""
        self.evaluated[context.id] = evaluated
        if evaluated.keeps_row:
            self._long_runs.append(ref(evaluated))

    def trim(self) -> None:
        """Give the oldest kept rows back. Only once the rows of a batch have been taken in."""
        while len(self._long_runs) > _KEPT_ROWS:
            oldest = self._long_runs.popleft()()
            if oldest is not None:
                oldest.release(kept=True)
