"""What the answers to all tasks come to: means and intervals by depth, and tables of them.

Intervals are 95 % bootstrap intervals. Whole problems are resampled, because cuts in one solution
are not independent of each other. Differences are of the same tasks. Each task has a weight: where
so many of each depth were chosen, "all" is the mean over cuts as they are drawn all the same.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
from harness.report import rows
from tasks import DEPTHS

RESAMPLES = 2000
REFERENCE = "plain tokens"
MEASURES = ("exact", "passed", "first_line", "told_exact", "told_passed")


def resamples(groups, seed):
    """Return how often each task is in each resample of the groups, `[resample, task]`."""
    names, own = np.unique(groups, return_inverse=True)
    shares = np.full(len(names), 1 / len(names))
    return np.random.default_rng(seed).multinomial(len(names), shares, size=RESAMPLES)[:, own]


def interval(values, groups=None, weights=None, seed=0):
    """Return the mean of values over tasks, and its interval; NaN is left out.

    Without groups each task is one of its own; without weights all weigh the same.
    """
    groups = range(len(values)) if groups is None else groups
    weights = [1.0] * len(values) if weights is None else weights
    known = [case for case in zip(values, groups, weights, strict=True) if not math.isnan(case[0])]
    if not known:
        return [math.nan] * 3
    parts = [value * weight for value, _, weight in known]
    return pooled(parts, [weight for *_, weight in known], [group for _, group, _ in known], seed)


def pooled(parts, sizes, groups, seed=0):
    """Return the sum of parts over the sum of sizes, and its interval."""
    parts, sizes = np.array(parts, dtype=np.float64), np.array(sizes, dtype=np.float64)
    drawn = resamples(groups, seed)
    low, high = np.percentile((drawn @ parts) / (drawn @ sizes), [2.5, 97.5])
    return [float(parts.sum() / sizes.sum()), float(low), float(high)]


def by_depth(found):
    """Yield the name of a place and the rows there, all first."""
    for place in ("all", *DEPTHS):
        yield place, [row for row in found if place in ("all", row["depth"])]


def mean_of(values, rows_):
    """Return the mean of values, one for each row, and its interval."""
    weights = [row["weight"] for row in rows_]
    return interval(values, [row["problem"] for row in rows_], weights)


def per_byte(bits, rows_):
    """Return the bits per byte of all middles together, one number for each row, or None."""
    if any(math.isnan(number) for number in bits):
        return None
    return pooled(
        [number * row["weight"] for number, row in zip(bits, rows_, strict=True)],
        [row["size"] * row["weight"] for row in rows_],
        [row["problem"] for row in rows_],
    )


def differences(own, others):
    """Return how rows differ from those of another method or order on the same tasks."""
    facts = {
        f"{measure}_beside": mean_of(
            [row[measure] - others[row["task"]][measure] for row in own], own
        )
        for measure in MEASURES
    }
    more = [row["fresh_bits"] - others[row["task"]]["fresh_bits"] for row in own]
    return {**facts, "right_edge_exact_bits_beside": per_byte(more, own)}


def summarize(found, methods):
    """Return the figures of every depth and method: mean, low, high of each measure.

    The keys that end in `_beside` are differences to plain tokens.
    """
    summary = {}
    for place, chosen in by_depth(found):
        plain = {row["task"]: row for row in chosen if row["method"] == REFERENCE}
        for name in methods:
            own = [row for row in chosen if row["method"] == name]
            if not own:
                continue
            summary[place, name] = {
                "tasks": len(own),
                "problems": len({row["problem"] for row in own}),
                **{measure: mean_of([row[measure] for row in own], own) for measure in MEASURES},
                **(differences(own, plain) if plain and name != REFERENCE else {}),
                "bits_per_byte": per_byte([row["bits"] for row in own], own),
                "bits_are_exact": name.startswith("nextbyte"),
                "right_edge_exact_bits_per_byte": per_byte([row["fresh_bits"] for row in own], own),
                "errors": sum(bool(row["error"]) for row in own),
                "evaluations": statistics.mean(row["evaluations"] for row in own),
            }
    return summary


def compare_orders(psm, spm, methods):
    """Return how every method in the order SPM differs from plain tokens in PSM, by depth.

    In PSM there is nothing to heal, so plain tokens stand for all methods there.
    """
    summary = {}
    others = {row["task"]: row for row in psm if row["method"] == REFERENCE}
    for place, chosen in by_depth(spm):
        for name in methods:
            own = [row for row in chosen if row["method"] == name and row["task"] in others]
            if own:
                summary[place, name] = {"tasks": len(own), **differences(own, others)}
    return summary


def shown(figure, *, share=True):
    """Return "mean (low to high)"; shares in per cent."""
    if figure is None:
        return ""
    mean, low, high = (100 * x if share else x for x in figure)
    digits = 0 if share else 2
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def table(summary):
    """Return the side-by-side table."""
    header = ["cut", "tasks", "method", "exact, %", "pass@1, %", "first line, %", "bits per byte"]
    header += ["the same, right edge exact", "pass@1 beside plain, points", "bits beside plain"]
    header += ["told: exact, %", "told: pass@1, %", "told: pass@1 beside plain, points"]
    body = []
    for (place, name), facts in summary.items():
        bits = facts.get("bits_per_byte")
        bound = "" if bits is None or facts["bits_are_exact"] else "at most "
        body.append(
            [
                place,
                str(facts["tasks"]),
                name,
                shown(facts["exact"]),
                shown(facts["passed"]),
                shown(facts["first_line"]),
                bound + shown(bits, share=False),
                shown(facts.get("right_edge_exact_bits_per_byte"), share=False),
                shown(facts.get("passed_beside")),
                shown(facts.get("right_edge_exact_bits_beside"), share=False),
                shown(facts["told_exact"]),
                shown(facts["told_passed"]),
                shown(facts.get("told_passed_beside")),
            ]
        )
    return rows(header, body)


def orders_table(summary):
    """Return the table of SPM beside PSM."""
    header = ["cut", "tasks", "method in SPM", "exact, points", "pass@1, points"]
    header += ["told: pass@1, points", "bits per byte"]
    body = [
        [
            place,
            str(facts["tasks"]),
            name,
            shown(facts["exact_beside"]),
            shown(facts["passed_beside"]),
            shown(facts["told_passed_beside"]),
            shown(facts.get("right_edge_exact_bits_beside"), share=False),
        ]
        for (place, name), facts in summary.items()
    ]
    return rows(header, body)
