"""The bench of infilling: means, intervals and differences over tasks, with their weights."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def summary():
    before, path = set(sys.modules), list(sys.path)
    sys.path[:0] = [str(BENCH / "fim"), str(BENCH)]
    yield importlib.import_module("summary")
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.split(".")[0] in {"harness", "summary", "tasks"}:
            del sys.modules[name]


def answers(method, *figures):
    """Rows of one method: (task, depth, weight, passed, bits) each, of 2 bytes."""
    return [
        {"task": task, "problem": task.partition("#")[0], "method": method, "depth": depth,
         "weight": weight, "size": 2, "bits": bits, "fresh_bits": bits, "evaluations": 3,
         "error": "", "told_exact": 0.0, "told_passed": 0.0,
         "exact": passed, "passed": passed, "first_line": 0.0}
        for task, depth, weight, passed, bits in figures
    ]  # fmt: skip


def test_intervals_hold_the_mean(summary):
    mean, low, high = summary.interval([0.0, 1.0] * 20)
    assert (mean, low < 0.5 < high) == (0.5, True)
    assert summary.interval([1.0, math.nan] * 5) == [1.0, 1.0, 1.0]
    assert math.isnan(summary.interval([math.nan])[0])
    assert summary.pooled([8.0, 2.0], [2, 8], ["a", "a"]) == [1.0, 1.0, 1.0]  # one problem
    values = [0.0, 1.0] * 50
    _, low, high = summary.interval(values, ["a"] * 50 + ["b"] * 50)
    assert (low, high) == (0.5, 0.5)  # both problems have the same mean
    _, low, high = summary.interval(values, [*"ab"] * 50)
    assert (low, high) == (0.0, 1.0)
    assert summary.interval([1.0, 0.0], weights=[3.0, 1.0])[0] == 0.75


def test_an_interval_is_as_wide_as_chance_makes_it(summary):
    values = np.random.default_rng(0).random(400)
    mean, low, high = summary.interval(list(values))
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(mean - half, abs=0.15 * half)
    assert high == pytest.approx(mean + half, abs=0.15 * half)


def test_figures_are_of_each_depth_and_differences_of_the_same_tasks(summary):
    names = ["plain tokens", "nextbyte, tokens"]
    found = answers(names[0], ("p#1", "deeper", 1.0, 0.0, 4.0), ("q#2", "one token", 3.0, 0.0, 2.0))
    found += answers(
        names[1], ("q#2", "one token", 3.0, 0.0, 2.0), ("p#1", "deeper", 1.0, 1.0, 1.0)
    )
    figures = summary.summarize(found, names)
    assert ("boundary", "plain tokens") not in figures
    facts = figures["deeper", "nextbyte, tokens"]
    assert facts["passed_beside"] == [1.0, 1.0, 1.0]
    assert facts["bits_per_byte"] == [0.5, 0.5, 0.5]
    assert facts["right_edge_exact_bits_beside"] == [-1.5, -1.5, -1.5]
    facts = figures["all", "nextbyte, tokens"]  # one deeper cut to three of one token
    assert facts["passed"][0] == facts["passed_beside"][0] == 0.25
    assert facts["bits_per_byte"][0] == (1.0 + 3 * 2.0) / (2 + 3 * 2)
    assert (facts["tasks"], facts["problems"]) == (2, 2)
    assert "100 (100 to 100)" in summary.table(figures)


def test_orders_are_compared_on_the_same_tasks(summary):
    psm = answers(
        "plain tokens", ("p#1", "deeper", 1.0, 1.0, 2.0), ("q#2", "deeper", 1.0, 0.0, 2.0)
    )
    psm += answers("one-token healing", ("p#1", "deeper", 1.0, 0.0, 9.0))
    spm = answers(
        "plain tokens", ("q#2", "deeper", 1.0, 0.0, 3.0), ("p#1", "deeper", 1.0, 0.0, 5.0)
    )
    facts = summary.compare_orders(psm, spm, ["plain tokens"])["deeper", "plain tokens"]
    assert facts["tasks"] == 2
    assert facts["passed_beside"] == [-0.5, -1.0, 0.0]
    assert facts["right_edge_exact_bits_beside"] == [1.0, 0.5, 1.5]
    figures = summary.compare_orders(psm, spm, ["plain tokens"])
    assert "-50 (-100 to 0)" in summary.orders_table(figures)
