"""Records of a measurement: one JSON line each, and the Markdown table of one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from harness.measuring import Figures

SCHEMA = 1
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (0.0, "ns"))
SIZES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def record(
    question: str,
    *,
    title: str,
    setup: Mapping[str, Any],
    machine: Mapping[str, Any],
    reference: str | None = None,
    rounds: int = 0,
    figures: Iterable[Figures] = (),
    facts: Mapping[str, Any] | None = None,
    when: datetime | None = None,
) -> dict[str, Any]:
    """Return one measurement as what becomes its JSON line; times are in seconds."""
    when = when or datetime.now(UTC)
    return {
        "schema": SCHEMA,
        "question": question,
        "title": title,
        "when": when.isoformat(timespec="seconds"),
        "setup": dict(setup),
        **machine,
        "rounds": rounds,
        "reference": reference,
        "candidates": [asdict(figure) for figure in figures],
        "facts": dict(facts or {}),
    }


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Add one record to a file of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file, oldest first; none if there is no such file."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def unit_of(figures: Iterable[Figures]) -> str:
    """Return the unit in which the least figure is at least 1."""
    least = min(figure.min for figure in figures)
    return next(name for size, name in UNITS if least >= size)


def shown(value: float) -> str:
    """Return a number as a person reads it: two or three digits, or all before the point."""
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 or value == 0 else f"{value:.2g}"


def rows(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table(figures: Sequence[Figures], *, reference: str, unit: str | None = None) -> str:
    """Return the Markdown table of one measurement, in the order of the figures."""
    unit = unit or unit_of(figures)
    size = SIZES[unit]
    body = [
        [
            f"**{figure.name}**" if figure.name == reference else figure.name,
            *(shown(value / size) for value in (figure.min, figure.median)),
            f"{shown(figure.p10 / size)} to {shown(figure.p90 / size)}",
            shown(figure.ratio),
            shown(figure.ratio_of_mins),
        ]
        for figure in figures
    ]
    header = ["candidate", f"min {unit}", "median", "p10 to p90", "ratio", "ratio of mins"]
    return rows(header, body)
