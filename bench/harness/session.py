"""One run of a question: pins the process, measures, prints each table, appends each record."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import machine, report
from harness.measuring import SAMPLE_NANOSECONDS, Candidate, Figures, measure

# The candidates run in this thread alone. Its CPU time leaves out what others had of the core,
# which is most of what differs between two runs on a shared machine.
CLOCKS = {"cpu": time.thread_time_ns, "wall": time.perf_counter_ns}
RESULTS = machine.ROOT / "bench" / "results"


def arguments(documentation: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Return the options that all questions have."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=rounds, help="samples of each candidate")
    parser.add_argument("--core", type=int, help="the core to run on (the last one)")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="cpu", help="what is read")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON lines")
    parser.add_argument("--no-record", action="store_true", help="only print")
    return parser


@contextlib.contextmanager
def progress(title: str, rounds: int) -> Iterator[Callable[[], object]]:
    """Show the rounds go by on a terminal that has rich."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    try:
        from rich.console import Console  # noqa: PLC0415 - optional
        from rich.progress import Progress  # noqa: PLC0415 - optional
    except ImportError:
        yield lambda: None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=rounds)
        yield lambda: bar.advance(task)


class Session:
    """A question being asked: its name and first line, its options, and what was measured."""

    def __init__(self, file: str, documentation: str | None, options: argparse.Namespace) -> None:
        self.question = Path(file).stem
        self.title = (documentation or "").strip().splitlines()[0]
        self.options = options
        self.core = machine.pin(options.core)
        machine.one_thread()
        self.records: list[dict[str, Any]] = []
        print(f"## {self.title}\n")

    def compare(
        self,
        candidates: Mapping[str, Candidate],
        *,
        reference: str,
        setup: Mapping[str, Any],
        units: int = 1,
        unit: str | None = None,
        sample_nanoseconds: int = SAMPLE_NANOSECONDS,
    ) -> dict[str, Figures]:
        """Measure candidates in turns; print and record them. Returns the figures by name."""
        machine.one_thread()
        described = machine.describe()  # the load before, not the one this makes
        rounds = self.options.rounds
        label = ", ".join(str(value) for value in setup.values())
        with progress(label, rounds) as step:
            figures = measure(
                candidates,
                reference=reference,
                rounds=rounds,
                units=units,
                clock=CLOCKS[self.options.clock],
                sample_nanoseconds=sample_nanoseconds,
                on_round=step,
            )
        print(f"{label} (load {described['load'][0]})\n")
        print(report.table(figures, reference=reference, unit=unit) + "\n", flush=True)
        self._keep(
            setup=setup, machine=described, reference=reference, rounds=rounds, figures=figures
        )
        return {figure.name: figure for figure in figures}

    def note(
        self, setup: Mapping[str, Any], facts: Mapping[str, Any], *, said: str | None = None
    ) -> None:
        """Record facts that are no comparison of calls, and print what is `said` of them."""
        described = machine.describe()
        if said is not None:
            label = ", ".join(str(value) for value in setup.values())
            print(f"{label} (load {described['load'][0]}): {said}\n", flush=True)
        self._keep(setup=setup, machine=described, facts=facts)

    def _keep(self, **measured: Any) -> None:
        measured["machine"] = {
            **measured["machine"],
            "pinned": self.core,
            "clock": self.options.clock,
        }
        line = report.record(self.question, title=self.title, **measured)
        self.records.append(line)
        if not self.options.no_record:
            report.append(self.options.results / f"{self.question}.jsonl", line)
