"""The hot calls take no more instructions than recorded: seconds are noise, counts are not."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("NEXTBYTE_HOT_CALLS", "")
TOLERANCE = 0.05
RERECORD = "make instruction-counts"


def load_count():
    spec = importlib.util.spec_from_file_location(
        "instruction_count", ROOT / "bench" / "instructions" / "count.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


count = load_count()


def complaints(recorded, found):
    """Calls that changed by more than the tolerance, upwards; and calls without a record."""
    problems = [
        f"{name}: {found[name]:,.0f} instructions, recorded {value:,.0f} "
        f"({found[name] / value - 1:+.1%})"
        for name, value in recorded.items()
        if name in found and found[name] > value * (1 + TOLERANCE)
    ]
    unknown = sorted(set(recorded) ^ set(found))
    return problems + [f"{name}: recorded or counted only" for name in unknown]


@pytest.mark.instructions
def test_hot_calls_take_no_more_instructions_than_recorded():
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    if not PROGRAM:
        pytest.skip("no program to count: NEXTBYTE_HOT_CALLS names it, `make test` builds it")
    recorded = json.loads(count.RECORDED.read_text("utf-8"))
    conditions, found = count.count(Path(PROGRAM))
    if conditions != recorded["conditions"]:
        pytest.skip(f"recorded under {recorded['conditions']}, here are {conditions}")
    problems = complaints(recorded["calls"], found)
    if problems:
        pytest.fail("\n".join([*problems, f"if that is meant: {RERECORD}"]), pytrace=False)


def test_the_record_names_the_hot_calls():
    recorded = json.loads(count.RECORDED.read_text("utf-8"))
    source = (ROOT / "bench" / "instructions" / "hot_calls.cc").read_text("utf-8")
    assert recorded["calls"]
    assert [name for name in recorded["calls"] if f" {name}(" not in source] == []


@pytest.mark.parametrize(
    ("found", "number"),
    [
        ({"a": 100.0, "b": 10.0}, 0),
        ({"a": 104.9, "b": 1.0}, 0),
        ({"a": 105.2, "b": 10.0}, 1),
        ({"a": 200.0, "b": 20.0}, 2),
        ({"a": 100.0}, 1),
        ({"a": 100.0, "b": 10.0, "c": 1.0}, 1),
    ],
)
def test_the_comparison_can_fail(found, number):
    assert len(complaints({"a": 100.0, "b": 10.0}, found)) == number


def test_reading_what_callgrind_says():
    printed = "compiler GNU 12.2.0\nlevel v3\ncalls hot_push 4\ncalls hot_query 2\n"
    annotated = (
        "Ir\n9,000 (100.0%)  PROGRAM TOTALS\n"
        "6,000 (60.00%)  ???:hot_push [program]\n"
        " 3,001 ( 8.69%)  ???:hot_query [program]\n"
        "5,000 (50.00%)  ???:hot_push_inside [program]\n"
    )
    conditions, found = count.parsed(printed, annotated)
    assert found == {"hot_push": 1500.0, "hot_query": 1500.5}
    assert (conditions["compiler"], conditions["level"]) == ("GNU 12", "v3")
    with pytest.raises(ValueError, match="hot_query"):
        count.parsed(printed, annotated.replace("hot_query", "other"))
