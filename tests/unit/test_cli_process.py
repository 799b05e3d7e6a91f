"""The command line as a process of its own: its pipes and its module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

BROKEN_PIPE = """
import sys
sys.path.insert(0, {tests!r})
from nextbyte import commands
from nextbyte.cli import main
from unit.fake_byte_models import order2_model
commands.load_model = lambda name, feedback, tolerance: order2_model(1, b"abc", end=False)
sys.exit(main(["complete", "ab", "--max-bytes", "100000"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_a_reader_that_goes_away_is_no_error():
    script = BROKEN_PIPE.format(tests=str(TESTS))
    # Buffered, as for users: what is left in the buffer must not complain at the end either.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert len(process.stdout.read(10)) == 10
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 141


def test_python_dash_m():
    done = subprocess.run(
        [sys.executable, "-m", "nextbyte", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("nextbyte ")
