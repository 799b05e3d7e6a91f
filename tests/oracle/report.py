"""Runs every comparison and prints the figures, with one JSON line of totals at the end.

``PYTHONPATH=tests python -m oracle.report [--deeper N] [--random N] [--seed N] [NAME...]``.
``--deeper`` makes prefixes N bytes and the exhaustive enumeration N characters longer. ``--random``
adds N tokenizers of random merges under random patterns; ``--seed`` moves on to other ones.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
import tempfile
from pathlib import Path

import nextbyte as nb
from oracle import comparison, walks
from oracle.cases import PRE_TOKENIZERS, random_case
from oracle.language_models import KINDS
from oracle.zoo import ASCII_POOL, CASES, WIDE_POOL


def run(case, kinds, folder) -> list[str]:
    """Compare one tokenizer; return what went wrong."""
    problems = []
    if case.definition.compare_with_exhaustive(case.exhaustive)[2]:
        problems.append("the oracle's candidate witnesses do not suffice: ignore what follows")
    jobs = [
        (check.__name__, lambda check=check: check(nb, case, folder))
        for check in walks.TOKENIZER_CHECKS
    ]
    for kind in kinds:
        try:
            subject = comparison.make_subject(nb, case, kind, folder)
        except comparison.DeclinedError as reason:
            return [f"declined: {reason}"]
        jobs += [
            (f"{kind} {walk.__name__}", lambda walk=walk, subject=subject: walk(subject))
            for walk in walks.WALKS
        ]
    for name, job in jobs:
        try:
            job()
        except Exception as error:  # noqa: BLE001 - the report goes on and names it
            problems.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0][:300]}")
    return problems


def draw_case(number: int, source: random.Random):
    """A random tokenizer."""
    letters = "".join(sorted(source.sample(ASCII_POOL, source.randrange(1, 4))))
    wide = source.choice(WIDE_POOL) if len(letters) < 3 else ""
    choices = [(source.randrange(64), source.randrange(64)) for _ in range(source.randrange(14))]
    return random_case(
        f"random_{number}", source.choice(sorted(PRE_TOKENIZERS)), letters, wide, choices
    )


def main() -> int:
    """Run, print, and fail when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--deeper", type=int, default=0)
    options = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in CASES:
            if options.names and case.name not in options.names:
                continue
            longer = {
                "depth": case.depth + options.deeper,
                "exhaustive": case.exhaustive + options.deeper,
            }
            problems = run(dataclasses.replace(case, **longer), case.kinds, folder)
            failures += sum(not problem.startswith("declined") for problem in problems)
            sys.stdout.write(f"{case.name:32} {'; '.join(problems) or 'ok'}\n")
            sys.stdout.flush()
        source = random.Random(options.seed)
        for number in range(options.random):
            case = draw_case(number, source)
            problems = run(case, [KINDS[number % 4]], folder)
            failures += len(problems)
            comparison.TALLY.random_tokenizers += 1
            comparison.TALLY.tokenizers.discard(case.name)
            if problems:
                sys.stdout.write(f"{case}: {'; '.join(problems)}\n")
                sys.stdout.flush()
    sys.stdout.write(json.dumps(comparison.TALLY.summary()) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
