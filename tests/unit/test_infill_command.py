"""`nextbyte infill`, and the gap that the demo fills, on a tiny model."""

from __future__ import annotations

import json

import pytest

import nextbyte as nb
from nextbyte import commands
from nextbyte.cli import main
from unit.fim_models import coder, sayer


@pytest.fixture
def lm(tmp_path, monkeypatch):
    model = sayer(coder(tmp_path, "starcoder"), "ab world\n    ab\nab")
    monkeypatch.setattr(commands, "load_model", lambda *_, **__: model)
    return model


@pytest.fixture
def gap(tmp_path):
    (tmp_path / "a").write_bytes(b"    x = ")
    (tmp_path / "b").write_bytes(b"\n")
    return ["infill", "--prefix-file", str(tmp_path / "a"), "--suffix-file", str(tmp_path / "b")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], (b"ab world\n    ab\nab", "end_of_text")),
        (["--single-line"], (b"ab world", "stop")),
        (["--keep-indent"], (b"ab world\n    ab", "indentation")),
        (["--min-indent", "5"], (b"ab world", "indentation")),
        (["--max-bytes", "2"], (b"ab", "length")),
        (["--stop", r"\x64", "-e"], (b"ab worl", "stop")),
        (["--time-budget-ms", "0"], (b"", "time")),
    ],
)
def test_the_middle_is_printed(lm, gap, capfdbinary, options, expected):
    wanted, reason = expected
    assert main([*gap, "--temperature", "0", *options]) == 0
    out, err = capfdbinary.readouterr()
    assert out == wanted
    assert f"finish: {reason} |".encode() in err
    assert main([*gap, "--temperature", "0", *options, "--json"]) == 0
    answer = json.loads(capfdbinary.readouterr().out)
    assert (bytes(answer["bytes"]), answer["finish_reason"]) == (wanted, reason)
    assert (answer["format"], answer["prefix_bytes"], answer["suffix_bytes"]) == ("starcoder", 8, 1)


def test_middles_are_weighed(lm, gap, capfdbinary):
    options = ["--format", "none", "--candidates", "2", "--max-bytes", "3", "--json", "--seed", "1"]
    assert main([*gap, *options]) == 0
    answer = json.loads(capfdbinary.readouterr().out)
    params = nb.SamplingParams(seed=1, max_bytes=3)
    found = nb.infill(lm, "    x = ", "\n", params, format="none", candidates=2)
    assert bytes(answer["bytes"]) == found.bytes
    assert len(answer["candidates"]) == len(found.candidates)


def test_errors_are_one_line(lm, gap, capfdbinary):
    assert main([*gap, "--format", "qwen"]) == 2
    assert b"nextbyte: error: the tokenizer has no" in capfdbinary.readouterr().err
    assert main(["infill", "--prefix-file", "no/such", "--suffix-file", "-"]) == 2


def test_the_demo_fills_a_gap(lm):
    before, after = commands.DEMO_GAP
    line = commands._filled_gap(lm, 4)[1]
    assert line.startswith(before.decode() + "[")
    assert line.endswith("]" + after.decode())
