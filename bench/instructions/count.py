"""Question: how many instructions does each hot call take? (callgrind; seconds are noise)

Run: python bench/instructions/count.py PROGRAM [--record], PROGRAM being the `hot_calls` that CMake
builds with NEXTBYTE_BUILD_HOT_CALLS; `make instruction-counts` does both. Counts are per call,
callees included. They belong to one compiler and C library: `conditions` says which.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

RECORDED = Path(__file__).resolve().parents[1] / "results" / "instructions.json"


def conditions(compiler: str, level: str) -> dict[str, str]:
    """Return what the counts depend on beside the code."""
    name, _, version = compiler.partition(" ")
    return {
        "compiler": f"{name} {version.split('.')[0]}",
        "libc": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
        "level": level,
    }


def parsed(printed: str, annotated: str) -> tuple[dict[str, str], dict[str, float]]:
    """Return the conditions and the instructions for each call.

    Parameters
    ----------
    printed
        What the program says: its compiler, the level of its kernels, and how often each hot call
        was made.
    annotated
        What callgrind_annotate makes of the counts, callees included.

    Raises
    ------
    ValueError
        A hot call was made, but not counted.
    """
    compiler = re.search(r"^compiler (.+)$", printed, re.MULTILINE)
    level = re.search(r"^level (.+)$", printed, re.MULTILINE)
    found = {}
    for name, calls in re.findall(r"^calls (\w+) (\d+)$", printed, re.MULTILINE):
        count = re.search(rf"^\s*([\d,]+) .*[:\s]{name}(?: \[|$)", annotated, re.MULTILINE)
        if count is None:
            raise ValueError(f"callgrind did not count {name}")
        found[name] = round(int(count[1].replace(",", "")) / max(1, int(calls)), 1)
    if compiler is None or level is None or not found:
        raise ValueError("the program did not say its compiler, its level and its calls")
    return conditions(compiler[1], level[1]), found


def count(program: Path) -> tuple[dict[str, str], dict[str, float]]:
    """Run the program under callgrind; see `parsed`."""
    valgrind, annotate = shutil.which("valgrind"), shutil.which("callgrind_annotate")
    if valgrind is None or annotate is None:
        raise FileNotFoundError("valgrind is not installed")
    with tempfile.TemporaryDirectory() as scratch:
        counts = Path(scratch) / "callgrind.out"
        # `hot_*` are the program's names for the calls; nothing outside them is counted.
        run = subprocess.run(
            [
                valgrind,
                "--quiet",
                "--tool=callgrind",
                f"--callgrind-out-file={counts}",
                "--toggle-collect=hot_*",
                str(program),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        annotated = subprocess.run(
            [annotate, "--inclusive=yes", "--threshold=100", str(counts)],
            capture_output=True,
            text=True,
            check=True,
        )
    return parsed(run.stdout, annotated.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("--record", action="store_true", help=f"write {RECORDED.name}")
    options = parser.parse_args()
    found_conditions, found = count(options.program)
    before = json.loads(RECORDED.read_text("utf-8")) if RECORDED.is_file() else {"calls": {}}
    print(", ".join(found_conditions.values()) + "\n")
    print("| call | instructions | recorded | change |")
    print("|---|---|---|---|")
    for name, value in found.items():
        old = before["calls"].get(name)
        change = f"{value / old - 1:+.1%}" if old else ""
        print(f"| {name} | {value:,.0f} | {f'{old:,.0f}' if old else ''} | {change} |")
    if options.record:
        line = {"conditions": found_conditions, "calls": found}
        RECORDED.write_text(json.dumps(line, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
