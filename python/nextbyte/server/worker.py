"""The thread that has the model: requests take turns on it, in the order in which they came.

The event loop never waits for the model. A job is a generator that the thread steps; what it yields
comes back as it is made. A job that is no longer wanted is cancelled: the model finishes the step
that it is in, the generator is told, and the next job begins. One that was cancelled while it
waited never begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["Job", "ModelWorker"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a job, and what made it end if it was an error."""

    error: BaseException | None = None


@dataclass(slots=True, eq=False)
class Job(Generic[_T]):
    """One piece of work, in the queue, under way or done; it belongs to one event loop."""

    work: Callable[[Callable[[], bool]], Iterator[_T]]
    loop: asyncio.AbstractEventLoop
    cancelled: threading.Event = field(default_factory=threading.Event)
    _events: asyncio.Queue[_T | _End] = field(default_factory=asyncio.Queue)

    def cancel(self) -> None:
        """Say that it is no longer wanted."""
        self.cancelled.set()

    async def events(self) -> AsyncIterator[_T]:
        """Yield what the work yields, and raise what it raises; to be iterated once."""
        while True:
            event = await self._events.get()
            if not isinstance(event, _End):
                yield event
                continue
            if event.error is not None:
                raise event.error
            return

    def run(self) -> None:
        """Do the work; for the thread."""
        end = _End()
        try:
            if not self.cancelled.is_set():
                for event in self.work(self.cancelled.is_set):
                    self._post(event)
        except BaseException as error:  # noqa: BLE001 - it is raised where the job is waited for
            end = _End(error)
        self._post(end)

    def _post(self, event: _T | _End) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self.loop.call_soon_threadsafe(self._events.put_nowait, event)


class ModelWorker:
    """A thread and its queue.

    Examples
    --------
    >>> import asyncio
    >>> async def twice():
    ...     worker = ModelWorker()
    ...     job = worker.submit(lambda is_cancelled: iter("ab"))
    ...     found = [event async for event in job.events()]
    ...     worker.close()
    ...     return found
    >>> asyncio.run(twice())
    ['a', 'b']
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nextbyte-serve")
        self._jobs: set[Job[Any]] = set()
        self.is_closed = False

    def submit(self, work: Callable[[Callable[[], bool]], Iterator[_T]]) -> Job[_T]:
        """Put a job at the queue's end; it is called with what says whether it was cancelled."""
        job: Job[_T] = Job(work, asyncio.get_running_loop())
        self._jobs.add(job)
        if self.is_closed:
            job.cancel()
        self._pool.submit(self._run, job)
        return job

    def cancel_all(self) -> None:
        """Cancel every job, those to come too."""
        self.is_closed = True
        for job in list(self._jobs):
            job.cancel()

    def close(self) -> None:
        """Cancel every job, and end the thread behind the step that it is in."""
        self.cancel_all()
        self._pool.shutdown(wait=True)

    def _run(self, job: Job[Any]) -> None:
        try:
            job.run()
        finally:
            self._jobs.discard(job)
