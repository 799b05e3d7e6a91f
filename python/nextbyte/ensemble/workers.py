"""Runs the members of an ensemble at the same time: one task a member, one thread pool an ensemble.

Members that share something which may not be used by two threads (the same model twice, one backend
under two models, a member that is also inside a nested ensemble) are one *group* and take turns.
Every task has ended when `run` returns or raises, so no thread still works on a state then.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

__all__ = ["MemberWorkers", "Outcome"]

T = TypeVar("T")


class Outcome(Generic[T]):
    """What a member's task returned, or how it failed."""

    __slots__ = ("error", "value")

    def __init__(self, value: T | None = None, error: Exception | None = None) -> None:
        self.value = value
        self.error = error

    @classmethod
    def of(cls, task: Callable[[], T]) -> Outcome[T]:
        """Run a task. Only what is no `Exception` (an interruption) passes through."""
        try:
            return cls(task())
        except Exception as error:  # noqa: BLE001 - raised again with the member's name
            return cls(error=error)


class MemberWorkers:
    """The threads of one ensemble; none is started before the first batch that needs one.

    The pool ends with the object that owns it, or with `close`; a process that was forked makes its
    own.
    """

    def __init__(self, models: Sequence[object], *, concurrent: bool) -> None:
        self._groups = _groups(models) if concurrent else [list(range(len(models)))]
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The members, by index, that take turns."""
        return tuple(map(tuple, self._groups))

    def run(self, tasks: Mapping[int, Callable[[], T]]) -> dict[int, Outcome[T]]:
        """Run one task for each of some members; return what became of each."""
        batches = [
            [(i, tasks[i]) for i in group if i in tasks]
            for group in self._groups
            if any(i in tasks for i in group)
        ]
        if not batches:
            return {}
        outcomes: dict[int, Outcome[T]] = {}
        futures: list[Future[list[tuple[int, Outcome[T]]]]] = []
        try:
            futures.extend(self._executor().submit(_take_turns, batch) for batch in batches[1:])
            outcomes.update(_take_turns(batches[0]))  # this thread works too
        finally:  # also when interrupted: the states are free again once nobody works on them
            wait(futures)
        for future in futures:
            outcomes.update(future.result())
        return outcomes

    def close(self) -> None:
        """End the threads; a later batch starts new ones."""
        pool, self._pool = self._pool, None
        if pool is not None and self._process == os.getpid():
            pool.shutdown()

    def _executor(self) -> ThreadPoolExecutor:
        if self._pool is None or self._process != os.getpid():
            self._pool = ThreadPoolExecutor(
                max_workers=max(len(self._groups) - 1, 1), thread_name_prefix="nextbyte-ensemble"
            )
            self._process = os.getpid()
        return self._pool


def _take_turns(batch: list[tuple[int, Callable[[], T]]]) -> list[tuple[int, Outcome[T]]]:
    return [(i, Outcome.of(task)) for i, task in batch]


def _groups(models: Sequence[object]) -> list[list[int]]:
    """Return indices of models, those that share a resource (over any chain) together."""
    groups: list[tuple[set[int], list[int]]] = []
    for i, model in enumerate(models):
        resources, members = _resources(model), [i]
        apart = []
        for others, indices in groups:
            if others & resources:
                resources |= others
                members = indices + members
            else:
                apart.append((others, indices))
        groups = [*apart, (resources, members)]
    return sorted(sorted(members) for _, members in groups)


def _resources(model: Any) -> set[int]:  # noqa: ANN401
    """Return the identities of a model, its backend, and what an ensemble is made of."""
    found = {id(model)}
    backend = getattr(model, "backend", None)
    if backend is not None:
        found.add(id(backend))
    inner = getattr(model, "models", ())
    if isinstance(inner, tuple):
        found = found.union(*map(_resources, inner))
    return found
