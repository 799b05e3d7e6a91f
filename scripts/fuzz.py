"""Runs every fuzz target for a number of CPU seconds, and says what it found: `make fuzz`.

    python scripts/fuzz.py BUILD_DIR --seconds 600 [TARGET...]

BUILD_DIR is what scripts/build_fuzz.sh made. What the runs keep (inputs that reach new code, and
findings) goes to BUILD_DIR/corpus and BUILD_DIR/findings. The exit code is 1 if there is a finding.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
CPP_TARGETS = ("pretokenizer", "tokenizer")
FORMAT_TARGETS = ("tokenizer_json", "tiktoken", "tekken", "rwkv", "sentencepiece", "gguf")
LIMITS = ("-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1")
LONGEST = {"pretokenizer": 400, "tokenizer": 400, "sentencepiece": 12_000}


@dataclass
class Figures:
    """What the runs of one target add up to."""

    executions: int = 0
    seconds: float = 0.0
    coverage: int = 0
    corpus: int = 0
    findings: int = 0


def main() -> int:
    """Run the targets, print a line for each, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--seconds", type=float, default=600, help="CPU seconds of each target")
    parser.add_argument("targets", nargs="*", default=[*CPP_TARGETS, *FORMAT_TARGETS])
    options = parser.parse_intermixed_args()
    build = options.build.resolve()
    print("| target | executions | CPU seconds | coverage | corpus | findings |")
    print("|---|---|---|---|---|---|", flush=True)
    findings = 0
    for target in options.targets:
        total = run(target, build, options.seconds)
        findings += total.findings
        print(
            f"| {target} | {total.executions:,} | {total.seconds:.0f} | {total.coverage} | "
            f"{total.corpus} | {total.findings} |",
            flush=True,
        )
    return 1 if findings else 0


def run(target: str, build: Path, seconds: float) -> Figures:
    """Run one target, again and again, until it has had its time or has found something."""
    corpus, findings = build / "corpus" / target, build / "findings" / target
    seeds = build / "seeds" / target
    for folder in (corpus, findings, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    write_seeds(target, seeds)
    total = Figures()
    while total.seconds < seconds and not total.findings:
        # A run is given wall-clock seconds: on a busy machine they bring fewer CPU seconds.
        left = int(seconds - total.seconds) + 1
        command, environment = command_of(target, build)
        before = cpu_seconds()
        done = subprocess.run(  # noqa: S603 - our own programs
            [
                *command,
                *LIMITS,
                f"-max_total_time={left}",
                f"-max_len={LONGEST.get(target, 8_000)}",
                f"-artifact_prefix={findings}/",
                corpus,
                seeds,
            ],
            env=os.environ | environment,
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        total.seconds += cpu_seconds() - before
        read_statistics(done.stdout, total)
        if done.returncode:
            total.findings += 1
            print(done.stdout[-6000:], file=sys.stderr)
    return total


def write_seeds(target: str, folder: Path) -> None:
    """Write the seeds, which the tests' own modules make, in a process that finds those."""
    code = (
        "import sys; from pathlib import Path; from fuzz import seeds\n"
        "made = getattr(seeds, sys.argv[1], list)()\n"
        "for i, data in enumerate(made): (Path(sys.argv[2]) / f'seed{i}').write_bytes(data)"
    )
    environment = os.environ | {"PYTHONPATH": f"{TESTS}:{os.environ.get('PYTHONPATH', '')}"}
    subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code, target, folder], env=environment, check=True
    )


def command_of(target: str, build: Path) -> tuple[list[str | Path], dict[str, str]]:
    """Return what runs a target, and the environment that it needs."""
    if target in CPP_TARGETS:
        command: list[str | Path] = [build / f"fuzz_{target}"]
        if target == "pretokenizer":
            command.append(f"-dict={TESTS / 'fuzz' / 'patterns.dict'}")
        return command, {"ASAN_OPTIONS": "detect_leaks=1"}
    found = importlib.util.find_spec("atheris")
    if found is None or found.origin is None:
        raise SystemExit("the targets of formats need atheris: pip install atheris")
    atheris = Path(found.origin).parent
    # The runtime must be there before Python is, and the mutator when libFuzzer is loaded.
    preloaded = [atheris.parent / "asan_with_fuzzer.so", *atheris.glob("custom_mutator.*.so")]
    environment = {
        # Python keeps what it likes at its end; names of places need a process of their own.
        "ASAN_OPTIONS": "detect_leaks=0:symbolize=0:allocator_may_return_null=1",
        "PYTHONPATH": f"{build / 'package'}:{os.environ.get('PYTHONPATH', '')}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    preload = "LD_PRELOAD=" + " ".join(map(str, preloaded))
    return ["env", preload, sys.executable, TESTS / "fuzz" / "fuzz_format.py", target], environment


def cpu_seconds() -> float:
    """Return what the processes that have ended used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def read_statistics(output: str, total: Figures) -> None:
    """Add what libFuzzer printed at its end."""
    executed = re.search(r"number_of_executed_units: (\d+)", output)
    total.executions += int(executed[1]) if executed else 0
    lines = re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)", output)
    if lines:
        total.coverage, total.corpus = (int(figure) for figure in lines[-1])


if __name__ == "__main__":
    sys.exit(main())
