"""A clock for tests of time budgets."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

from nextbyte.sampling import interruption


def tick_at_each_look(monkeypatch):
    """Let a second pass each time that a generation looks at its clock.

    Only there: an event loop that runs in this process, whose clock is turned back, would wait for
    as long as the machine has been up.
    """
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: float(next(ticks)))
    monkeypatch.setattr(interruption, "time", clock)
