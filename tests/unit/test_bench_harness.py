"""The benches' harness: ratios on a clock that the test turns, JSON lines, the table's text."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
FIELDS = {
    "schema", "question", "title", "when", "setup", "commit", "dirty", "cpu", "system", "cores",
    "load", "simd", "versions", "rounds", "reference", "candidates", "facts",
}  # fmt: skip
CANDIDATE_FIELDS = {
    "name", "min", "median", "p10", "p90", "ratio", "ratio_of_mins", "repeats",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def importable_bench():
    """Let the harness be imported as the questions do, from their folder."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCH))
    yield
    sys.path.remove(str(BENCH))
    for name in set(sys.modules) - before:
        if name.split(".")[0] == "harness":
            del sys.modules[name]


@pytest.fixture
def harness():
    import harness  # noqa: PLC0415 - its folder is on the path only now

    return harness


class Clock:
    """Time that stands still but for what the candidates take."""

    def __init__(self):
        self.now = 0
        self.load = 1

    def __call__(self):
        return self.now

    def work(self, nanoseconds, log=None, name=None):
        def call():
            self.now += nanoseconds * self.load
            if log is not None:
                log.append(name)

        return call


def test_times_and_ratios_are_those_of_the_clock(harness):
    clock = Clock()
    slow, fast = harness.measure(
        {"slow": clock.work(3000), "fast": clock.work(1000)},
        reference="fast",
        rounds=4,
        clock=clock,
        sample_nanoseconds=50_000,
    )
    assert (slow.name, fast.name) == ("slow", "fast")
    assert slow.min == slow.median == slow.p10 == slow.p90 == pytest.approx(3e-6)
    assert fast.median == pytest.approx(1e-6)
    assert (slow.ratio, slow.ratio_of_mins) == (3.0, 3.0)
    assert (fast.ratio, fast.ratio_of_mins) == (1.0, 1.0)


def test_load_that_outlasts_a_round_changes_times_but_not_ratios(harness):
    clock = Clock()
    loads = iter([7, 7, 7, 7, 1, 100, 100, 1, 1])

    def next_load():
        clock.load = next(loads)

    a, b = harness.measure(
        {"a": clock.work(500), "b": clock.work(1000)},
        reference="b",
        rounds=9,
        clock=clock,
        on_round=next_load,
        sample_nanoseconds=1,
    )
    assert a.ratio == 0.5
    assert a.min == pytest.approx(5e-7)
    assert a.p90 > 10 * a.min
    assert b.ratio == 1.0


def test_candidates_take_turns_and_every_one_comes_first(harness):
    clock = Clock()
    log = []
    names = ("a", "b", "c")
    turns = []

    def end_of_round():
        turns.append("".join(log))
        log.clear()

    warmed = []

    def first_call(name):
        work = clock.work(10, log, name)

        def call():
            if name not in warmed:
                warmed.append(name)
                log.clear()
            work()

        return call

    harness.measure(
        {name: first_call(name) for name in names},
        reference="a",
        rounds=4,
        clock=clock,
        sample_nanoseconds=1,
        on_round=end_of_round,
    )
    # Before the first round each was called twice more: to warm up, and to count the repeats.
    assert turns[0].endswith("abc")
    assert turns[1:] == ["bca", "cab", "abc"]


def test_short_calls_are_repeated_until_a_sample_is_long_enough(harness):
    clock = Clock()
    short, long = harness.measure(
        {"short": clock.work(7), "long": clock.work(10**7)},
        reference="long",
        rounds=1,
        clock=clock,
        sample_nanoseconds=100_000,
    )
    assert short.repeats * 7 >= 100_000
    assert short.repeats * 7 < 1_200_000
    assert long.repeats == 1
    assert short.min == pytest.approx(7e-9)


def test_a_rotation_is_the_mean_of_its_calls(harness):
    clock = Clock()
    (rotating,) = harness.measure(
        {"r": [clock.work(100), clock.work(300)]},
        reference="r",
        rounds=2,
        clock=clock,
        sample_nanoseconds=1000,
    )
    assert rotating.min == rotating.p90 == pytest.approx(2e-7)


def test_units_divide(harness):
    clock = Clock()
    (figure,) = harness.measure(
        {"a": clock.work(1000)}, reference="a", rounds=1, units=10, clock=clock
    )
    assert figure.median == pytest.approx(1e-7)


@pytest.mark.parametrize(
    ("candidates", "rounds"), [({"a": int}, 1), ({"ref": int}, 0), ({"ref": []}, 1)]
)
def test_nonsense_is_refused(harness, candidates, rounds):
    with pytest.raises(ValueError, match=r"reference|rounds|at least one call"):
        harness.measure(candidates, reference="ref", rounds=rounds)
    assert gc.isenabled()


def test_percentiles_interpolate(harness):
    assert harness.percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert harness.percentile([0.0, 10.0], 0.1) == 1.0
    assert harness.percentile([5.0], 0.9) == 5.0


def figures(harness):
    clock = Clock()
    return harness.measure(
        {"ours": clock.work(1500), "theirs": clock.work(300_000)},
        reference="theirs",
        rounds=3,
        clock=clock,
        sample_nanoseconds=1,
    )


def test_table_text(harness):
    assert harness.table(figures(harness), reference="theirs").splitlines() == [
        "| candidate | min us | median | p10 to p90 | ratio | ratio of mins |",
        "| --- | --- | --- | --- | --- | --- |",
        "| ours | 1.50 | 1.50 | 1.50 to 1.50 | 0.005 | 0.005 |",
        "| **theirs** | 300 | 300 | 300 to 300 | 1.00 | 1.00 |",
    ]


def test_a_session_prints_and_appends_one_line_for_each_measurement(harness, tmp_path, capsys):
    options = harness.arguments("Question: why?", rounds=2).parse_args(
        ["--results", str(tmp_path / "results")]
    )
    affinity = harness.pinned_cores()
    try:
        session = harness.Session("/somewhere/why.py", "Question: why?\n\nMore.", options)
        session.compare(
            {"a": int, "b": str},
            reference="a",
            setup={"vocabulary": "none"},
            sample_nanoseconds=1,
        )
        session.note({"vocabulary": "some"}, {"share": 0.5}, said="half")
    finally:
        harness.pin_to(affinity)
    path = tmp_path / "results" / "why.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines == harness.read(path) == session.records
    first, second = lines
    assert set(first) == set(second) == FIELDS | {"pinned", "clock"}
    assert {tuple(sorted(c)) for c in first["candidates"]} == {tuple(sorted(CANDIDATE_FIELDS))}
    assert [c["name"] for c in first["candidates"]] == ["a", "b"]
    assert (first["question"], first["title"]) == ("why", "Question: why?")
    assert (first["reference"], first["rounds"]) == ("a", 2)
    assert second["facts"] == {"share": 0.5}
    assert second["candidates"] == []
    assert isinstance(first["dirty"], bool)
    printed = capsys.readouterr().out
    assert printed.startswith("## Question: why?\n")
    assert "half" in printed
    assert "| **a** |" in printed


def test_no_record_leaves_no_file(harness, tmp_path):
    options = argparse.Namespace(
        rounds=1, core=None, clock="wall", results=tmp_path, no_record=True
    )
    affinity = harness.pinned_cores()
    try:
        session = harness.Session("/somewhere/why.py", "Question: why?", options)
        session.note({}, {}, said="")
    finally:
        harness.pin_to(affinity)
    assert len(session.records) == 1
    assert list(tmp_path.iterdir()) == []
    assert harness.read(tmp_path / "why.jsonl") == []
