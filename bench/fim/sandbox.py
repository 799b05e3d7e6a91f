"""Runs a generated program in a process of its own, with limits, and says whether it passed.

What it protects from, in order of strength:

- *Time and memory*: the kernel ends the process at its limit of CPU time, refuses memory past
  `memory_bytes`, files longer than 1 MiB, core dumps, and more than a few open files. A wall clock
  ends it and all of its process group where it sleeps.
- *Network*: where Linux lets an ordinary user make namespaces, the process is alone in an empty
  network namespace: there is no device, not even a loopback that is up. Elsewhere only the next
  point stands. `Verdict.isolated` says which.
- *Files, processes, network, by an audit hook* (PEP 578, it cannot be removed): opening a file to
  write outside of a fresh temporary folder, removing or renaming anything outside of it, starting a
  process, forking, sending signals, sockets, and ctypes are refused. The environment is empty,
  standard input is empty, and Python runs isolated (`-I -S`): the user's packages are not there.

What it does *not* protect from: reading files that the user may read; a program written to break
out, for example by handing machine code to the interpreter, for which an audit hook is no barrier
(its authors say so), or by `os.open(..., dir_fd=)`, whose folder no hook is told. It is made for a
language model's honest mistakes (endless loops, huge lists, `os.remove`), not for an attacker: run
models that you do not trust in a container or a virtual machine.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

LONGEST_FILE = 1 << 20
_RUNNER = Path(__file__).with_name("sandboxed.py")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a program.

    Attributes
    ----------
    passed : bool
        It ran to its end.
    reason : str
        "passed", "timed out", "killed" (by a limit), "left" (it ended the process itself), or the
        name of the exception.
    seconds : float
        Wall time, the interpreter's start included.
    isolated : bool
        It had no network because the kernel gave it none.
    """

    passed: bool
    reason: str
    seconds: float
    isolated: bool


def run(program, *, cpu_seconds=3, wall_seconds=6.0, memory_bytes=512 << 20):
    """Run a program; it passes if it comes to its end without an exception.

    Parameters
    ----------
    program : str
    cpu_seconds : int
    wall_seconds : float
    memory_bytes : int
        Of address space.

    Returns
    -------
    Verdict
    """
    # What the program prints must not be taken for the runner's word, so that begins with a secret.
    secret = secrets.token_hex(16)
    limits = [str(cpu_seconds), str(memory_bytes), str(LONGEST_FILE)]
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fim-") as folder:
        report, answer = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(_RUNNER), str(answer), folder, *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            pass_fds=[answer],
            start_new_session=True,
        )
        os.close(answer)
        timed_out = False
        try:
            process.communicate(f"{secret}\n{program}".encode(), timeout=wall_seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        with os.fdopen(report, "rb") as pipe:
            said = pipe.read(4096).decode("utf-8", "replace").splitlines()
    isolated = "isolated" in said[:1]
    words = [line.removeprefix(secret + " ") for line in said if line.startswith(secret + " ")]
    if timed_out:
        reason = "timed out"
    elif words:
        reason = words[0]
    else:
        reason = "killed" if process.returncode < 0 else "left"
    passed = reason == "passed" and not timed_out
    return Verdict(passed, reason, time.monotonic() - begin, isolated)
