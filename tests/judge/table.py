"""The table of real tokenizers in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from judge.measure import Row

HEAD = (
    "tokenizer",
    "package",
    "family",
    "vocabulary",
    "covers are",
    "strings (different)",
    "published ids",
    "prefixes",
    "witnesses (missing)",
    "covers (unexplained)",
    "load, then cached",
    "MiB",
)
LONGEST_REASON = 90


def line(row: Row) -> str:
    """Return one line; of a refused or absent tokenizer, the first words of the reason."""
    cells = [row.name, row.package, row.family]
    if row.parity is None or row.covers is None:
        reason = " ".join(row.reason.split()).replace("|", "\\|")
        cells += ["", f"{row.status}: {reason[:LONGEST_REASON]}"]
        cells += [""] * (len(HEAD) - len(cells))
        return "| " + " | ".join(cells) + " |"
    texts, covers = row.parity, row.covers
    cells += [
        f"{row.vocabulary:,}",
        row.exactness + (", added words ignored" if row.plain_words else ""),
        f"{texts.strings:,} ({texts.wrong:,})",
        f"{row.published_equal} of {row.published}" if row.published else "",
        f"{covers.prefixes:,}",
        f"{covers.witnesses:,} ({covers.missing:,})",
        f"{covers.covers:,} ({covers.unexplained + covers.malformed:,})",
        f"{row.cold_seconds:.2f} s, {row.cached_seconds:.2f} s",
        f"{row.mebibytes:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def markdown(rows: Iterable[Row]) -> str:
    """Return the whole table and a line of totals."""
    rows = list(rows)
    checked = [row for row in rows if row.status == "checked"]
    totals = (
        f"{len(rows)} tokenizers: {len(checked)} checked, "
        f"{sum(row.status == 'refused' for row in rows)} refused, "
        f"{sum(row.status == 'absent' for row in rows)} absent, "
        f"{sum(row.wrong for row in rows)} with differences or failed; "
        f"{sum(row.parity.strings for row in checked):,} strings, "
        f"{sum(row.covers.witnesses for row in checked):,} witnesses, "
        f"{sum(row.covers.covers for row in checked):,} covers explained."
    )
    head = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    return "\n".join([*head, *map(line, rows), "", totals])


def complaints(rows: Iterable[Row]) -> str:
    """Return the examples of what differs, one a line."""
    found = []
    for row in rows:
        if row.status == "failed":
            found.append(f"{row.name}: {row.reason}")
        for part in (row.parity, row.covers):
            found += [f"{row.name}: {example}" for example in (part.examples if part else ())]
    return "\n".join(found)
