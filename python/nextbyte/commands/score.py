"""The command `score`: log-probabilities of files, window by window, with a state to resume from.

The state is a JSON file with the total of every finished window, under a key made of the text and
all that its numbers depend on. It is replaced after each window, so a job that is killed loses one.
Totals are added in the same order and from the same numbers whether a job was stopped or not.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from nextbyte import commands
from nextbyte.commands import Feedback
from nextbyte.errors import InvalidInputError
from nextbyte.progress import progress_bar
from nextbyte.scoring.windows import WindowedText

if TYPE_CHECKING:
    import argparse

__all__ = ["run_score"]

_VERSION: Final = 1

Done: TypeAlias = list[list[float]]
"""Finished windows: start, stop, sum of log-probabilities, bound."""


def run_score(arguments: argparse.Namespace) -> None:
    """Print a line for each file: its log-probability, or with --bits its bits a byte."""
    feedback = Feedback.asked_by(arguments)
    texts = [(name, _read(name)) for name in arguments.files]
    state = _State(None if arguments.resume is None else Path(arguments.resume))
    lm = commands.load_model(arguments.model, feedback)
    for name, data in texts:
        task = WindowedText(
            lm,
            data,
            context=b"",
            end_of_text=arguments.end_of_text,
            window_bytes=arguments.window_bytes,
            overlap_bytes=arguments.overlap_bytes,
        )
        done = state.of(arguments, data)
        start = int(done[-1][1]) if done else 0
        total = len(data) + arguments.end_of_text
        with progress_bar(
            f"scoring {name}", total=total, enabled=feedback.bars, force=feedback.force_bars
        ) as advance:
            advance(start)
            for window in task.windows(start=start, full=False, advance=advance):
                done.append([window.start, window.stop, math.fsum(window.logprobs), window.bound])
                state.save()
        _print(name, data, done, arguments)


def _print(name: str, data: bytes, done: Done, arguments: argparse.Namespace) -> None:
    logprob = math.fsum(window[2] for window in done)
    bits = -logprob / math.log(2) / len(data) if data else math.nan
    if arguments.json:
        answer = {
            "file": name,
            "model": arguments.model,
            "bytes": len(data),
            "logprob": logprob,
            "bits_per_byte": bits if data else None,
            "end_of_text": arguments.end_of_text,
            "windows": [[int(start), int(stop)] for start, stop, _, _ in done],
            "bound": max((window[3] for window in done), default=0.0),
        }
        sys.stdout.write(json.dumps(answer) + "\n")
    else:
        value = f"{bits:.6f}" if arguments.bits else f"{logprob:.4f}"
        sys.stdout.write(f"{value}\t{name}\n")
    sys.stdout.flush()


def _read(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


class _State:
    """What is finished, by the digest of the job; kept in a file where one is given."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._jobs: dict[str, Done] = {}
        if path is None or not path.exists():
            return
        try:
            self._jobs = _jobs(path.read_bytes())
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(
                f"{path} is not a state that this version's `nextbyte score --resume` wrote "
                f"({error!r:.80}); delete it, or name another file"
            ) from error

    def of(self, arguments: argparse.Namespace, data: bytes) -> Done:
        """Return the windows of a job that are finished; what is appended to them is saved."""
        job = [
            arguments.model,
            arguments.window_bytes,
            arguments.overlap_bytes,
            arguments.end_of_text,
            hashlib.sha256(data).hexdigest(),
        ]
        key = hashlib.sha256(json.dumps(job).encode()).hexdigest()
        return self._jobs.setdefault(key, [])

    def save(self) -> None:
        """Replace the file; whoever reads it sees all of the old one or all of the new one."""
        if self._path is None:
            return
        temporary = self._path.with_name(self._path.name + ".new")
        content = {"version": _VERSION, "jobs": self._jobs}
        temporary.write_text(json.dumps(content), encoding="utf-8")
        os.replace(temporary, self._path)  # noqa: PTH105 - says what it does


def _jobs(content: bytes) -> dict[str, Done]:
    """Read a state; whatever is wrong with it is some ordinary error."""
    found = json.loads(content)
    if found["version"] != _VERSION:
        raise ValueError(f"version {found['version']!r:.20}")
    jobs = {}
    for key, windows in found["jobs"].items():
        done = [(float(a), float(b), float(c), float(d)) for a, b, c, d in windows]
        jobs[str(key)] = [list(window) for window in done]
    return jobs
