"""Progress bars on standard error: shown on a terminal, silent elsewhere. Needs the extra `cli`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from nextbyte.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress

__all__ = ["progress_bar", "stage_bars"]


def _ignore(*_step: object) -> None:
    """Show nothing."""


@contextmanager
def progress_bar(
    description: str, *, total: int | None = None, enabled: bool = True, force: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs; the block calls the given function to advance it.

    Parameters
    ----------
    description : str
        What is being done, in a few words.
    total : int, optional
        Steps in all; None when nobody knows, which shows a bar that pulses.
    enabled : bool, default True
        False shows nothing and needs no dependency.
    force : bool, default False
        Show the bar even where standard error is not a terminal.

    Raises
    ------
    MissingDependencyError
        Enabled without `rich`.

    Examples
    --------
    >>> with progress_bar("counting", total=2, enabled=False) as advance:
    ...     for _ in range(2):
    ...         advance(1)
    """
    if not enabled:
        yield _ignore
        return
    with _bars(force=force, share=total is not None) as bars:
        task = bars.add_task(description, total=total)
        yield lambda amount: bars.advance(task, amount)


@contextmanager
def stage_bars(
    *, enabled: bool = True, force: bool = False
) -> Iterator[Callable[[str, float], None]]:
    """Show a bar for each stage of a job; the block reports (stage, fraction done).

    A stage that has reported nothing but 0.0 shows a bar that pulses. Parameters and errors are
    those of `progress_bar`.

    Examples
    --------
    >>> with stage_bars(enabled=False) as report:
    ...     report("download", 0.5)
    """
    if not enabled:
        yield _ignore
        return
    with _bars(force=force, share=True) as bars:
        tasks = {}

        def report(stage: str, part: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=None)
            if part > 0.0:
                bars.update(tasks[stage], total=1.0, completed=part)

        yield report


def _bars(*, force: bool, share: bool) -> Progress:
    """Return the bars of one job; `share` also writes how much is done."""
    try:
        from rich import console, progress  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise MissingDependencyError(
            "progress bars need the package rich: pip install 'nextbyte[cli]'"
        ) from error
    terminal = console.Console(stderr=True, force_terminal=True if force else None)
    columns = [progress.TextColumn("{task.description}"), progress.BarColumn()]
    if share:
        columns.append(progress.TaskProgressColumn())
    return progress.Progress(
        *columns,
        progress.TimeElapsedColumn(),
        console=terminal,
        transient=True,
        redirect_stdout=False,  # standard output is for results
        disable=not terminal.is_terminal,
    )
