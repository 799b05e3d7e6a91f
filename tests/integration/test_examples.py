"""Runs every script of examples/ in a fresh interpreter, warnings as errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.py"))


def run(script, folder):
    return subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_runs(script, tmp_path):
    result = run(script, tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert not list(tmp_path.iterdir())  # an example leaves nothing behind


def test_tiny_model_shows_covers_and_their_law(tmp_path):
    """'ba' goes on as 'ban', as 'bana' cut before the second letter, or ends here."""
    (script,) = (path for path in EXAMPLES if path.stem == "tiny_model")
    lines = run(script, tmp_path).stdout.splitlines()
    assert "['ban'] reaches 1 byte(s) past 'ba'" in lines
    assert "['b', 'a'] reaches 0 byte(s) past 'ba'" in lines
    law = [float(line.split()[-1]) for line in lines if line.startswith(("'", "end"))]
    assert abs(sum(law) - 1) < 1e-3  # printed with four digits
