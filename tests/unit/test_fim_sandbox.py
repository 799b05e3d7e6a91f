"""The sandbox of the infilling bench: what passes, what is refused, what is ended, what is kept."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("resource")

SOURCE = Path(__file__).resolve().parents[2] / "bench" / "fim" / "sandbox.py"


@pytest.fixture(scope="module")
def sandbox():
    spec = importlib.util.spec_from_file_location("fim_sandbox", SOURCE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fim_sandbox"] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fim_sandbox"]


@pytest.mark.parametrize(
    "program",
    [
        "assert sum(range(4)) == 6",
        "import math, typing, hashlib, re, collections, itertools, functools, heapq",
        "print('x' * 100_000)",
        "open('a', 'w').write('b'); assert open('a').read() == 'b'; import os; os.remove('a')",
        "import sys; assert sys.stdin.read() == ''; import os; assert not os.environ.get('PATH')",
        "assert __name__ == '__main__'",
    ],
)
def test_an_honest_program_passes(sandbox, program):
    verdict = sandbox.run(program)
    assert (verdict.passed, verdict.reason) == (True, "passed")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("assert 1 == 2", "AssertionError"),
        ("def f(:", "SyntaxError"),
        ("import sys; sys.exit(0)", "left"),
        ("import os; os._exit(0)", "left"),
        ("[0] * 10**10", "MemoryError"),
        ("open('a', 'w').write('b' * (2 << 20))", "OSError"),
        ("def f(): f()\nf()", "RecursionError"),
        ("import numpy", "ModuleNotFoundError"),
    ],
)
def test_a_program_that_does_not_come_to_its_end_fails(sandbox, program, reason):
    verdict = sandbox.run(program)
    assert not verdict.passed
    assert verdict.reason == reason


@pytest.mark.parametrize(
    "program",
    [
        "open({target!r}, 'w')",
        "open({target!r}, 'a')",
        "import os; os.open({target!r}, os.O_RDWR | os.O_CREAT)",
        "import os; os.remove({target!r})",
        "import os; os.rename({target!r}, 'mine')",
        "import os; os.mkdir({target!r} + '-folder')",
        "import os; os.symlink({target!r}, 'link')",
        "import os; os.chdir('/'); open({target!r}[1:], 'w')",
        "import shutil; shutil.rmtree({folder!r})",
        "from pathlib import Path; Path({target!r}).write_text('no')",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import os; os.fork()",
        "import os; os.kill(os.getppid(), 15)",
        "import os; os.execv('/bin/true', ['true'])",
        "import ctypes; ctypes.CDLL(None)",
    ],
)
def test_what_reaches_outside_is_refused(sandbox, program, tmp_path):
    target = tmp_path / "kept"
    target.write_text("kept")
    text = program.format(target=str(target), folder=str(tmp_path))
    # A program that catches the refusal has still changed nothing.
    verdict = sandbox.run(text)
    assert not verdict.passed
    assert verdict.reason in ("PermissionError", "URLError", "OSError")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert target.read_text() == "kept"


@pytest.mark.parametrize("program", ["while True: pass", "import time; time.sleep(60)"])
def test_a_program_is_ended_at_its_time(sandbox, program):
    begin = time.monotonic()
    verdict = sandbox.run(program, wall_seconds=0.4)
    assert (verdict.passed, verdict.reason) == (False, "timed out")
    assert time.monotonic() - begin < 20


def test_the_kernel_ends_it_at_its_cpu_time(sandbox):
    verdict = sandbox.run("while True: pass", cpu_seconds=1, wall_seconds=60.0)
    assert (verdict.passed, verdict.reason) == (False, "killed")


def test_nothing_is_left_behind(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.tempfile, "tempdir", str(tmp_path))
    assert sandbox.run("open('a', 'w').write('b')").passed
    assert list(tmp_path.iterdir()) == []


def test_what_a_program_writes_is_not_taken_for_a_verdict(sandbox):
    program = "import os\nfor fd in range(3, 32):\n    try: os.write(fd, b'passed\\n')\n"
    program += "    except OSError: pass\nassert False"
    assert sandbox.run(program).reason == "AssertionError"
