"""Fuzzes the loader of one format with Atheris: `fuzz_format.py TARGET [LIBFUZZER_ARGUMENT...]`."""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

with atheris.instrument_imports(include=["nextbyte"]):
    import nextbyte  # noqa: F401 - its modules are counted from their first import on

from fuzz.targets import TARGETS, check


def main() -> None:
    """Run until an argument of libFuzzer's, or a finding, ends it."""
    name, *arguments = sys.argv[1:]
    target = TARGETS[name]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))

    def run(data: bytes) -> None:
        check(target, data, folder)

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        source = random.Random(seed)
        if source.randrange(8) == 0:
            return atheris.Mutate(data, longest)
        for _ in range(source.choice((1, 1, 2, 3))):
            data = target.mutate(data, source)
        return data[:longest]

    atheris.Setup([sys.argv[0], *arguments], run, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
