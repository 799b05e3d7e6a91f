"""What ends a generation from outside: a time budget, and a caller who no longer wants it.

Both are asked about once before each step, which is one call of the language model; a step that has
begun is finished. So a budget is overrun by less than a step, the first of which reads the prompt.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from nextbyte.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Cancel", "Interruption"]


@runtime_checkable
class _Event(Protocol):
    """What `threading.Event` and its like have."""

    def is_set(self) -> bool:
        """Say whether it has happened."""


Cancel: TypeAlias = "Callable[[], object] | _Event"
"""A function that is true, or an event that is set, once the generation is no longer wanted."""


class Interruption:
    """Says when to stop; the time runs from now on.

    Parameters
    ----------
    time_budget_ms
        Milliseconds, None for no limit.
    cancel
        Polled once a step; it may be called from any thread that generates.

    Raises
    ------
    InvalidInputError
        `cancel` is neither a function nor an event.

    Examples
    --------
    >>> Interruption(None, None).reason() is None
    True
    >>> Interruption(0.0, None).reason(), Interruption(None, lambda: True).reason()
    ('time', 'cancelled')
    """

    def __init__(self, time_budget_ms: float | None, cancel: Cancel | None) -> None:
        if cancel is None:
            self._is_cancelled: Callable[[], object] | None = None
        elif isinstance(cancel, _Event):
            self._is_cancelled = cancel.is_set
        elif callable(cancel):
            self._is_cancelled = cancel
        else:
            raise InvalidInputError(
                f"cancel must be a function without arguments or an event, not {cancel!r:.80}"
            )
        self._start = time.monotonic()
        self._deadline = None if time_budget_ms is None else self._start + time_budget_ms / 1000.0

    @property
    def is_possible(self) -> bool:
        """Whether it can ever say so."""
        return self._deadline is not None or self._is_cancelled is not None

    def reason(self, share: float = 1.0) -> Literal["time", "cancelled"] | None:
        """Return why to stop now, None to go on; `share` is that of the time that may be used."""
        if self._is_cancelled is not None and self._is_cancelled():
            return "cancelled"
        if self._deadline is not None:
            end = self._start + share * (self._deadline - self._start)
            if time.monotonic() >= end:
                return "time"
        return None
