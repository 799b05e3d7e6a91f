"""Question: what does the whole byte layer cost for each byte of a real text?

Run: python bench/byte_layer.py [--only NAME ...] [--bytes N] [--rounds N]. The model costs nothing:
every context gets the same prepared float32 row, lifted so that the text's own tokens are likely,
as they are under a model. Each step is timed by itself: push, pending, provide, next_byte_logprobs;
and pushes alone, of a stream that is asked for nothing else, whose caches no row has emptied.
Last, a stream of 50,000 bytes: are its last 1,000 as fast as its first, and does memory stay?
"""

from __future__ import annotations

import resource
import statistics
import time
from pathlib import Path

import numpy as np
from harness import Session, arguments, percentile
from texts import TEXTS
from vocabularies import logit_rows, real_tokenizers

from nextbyte import _core

STEPS = ("push", "pending", "provide", "query")
ALONE = "push alone"


def prepared_row(tokenizer, text):
    """A model-like row in which the tokens of the text have the peaks."""
    (row,) = logit_rows(tokenizer.compiled.row_size, 1)
    row[sorted(set(tokenizer.encode(text)))] += 8.0
    return row


def walk(tokenizer, data, row):
    """Nanoseconds of each step at each byte, and how many rows were asked for."""
    clock = time.perf_counter_ns
    stream = _core.ByteStream(tokenizer.compiled, [])
    out = np.empty(257)
    times = np.zeros((len(data), len(STEPS)), np.int64)
    rows = 0
    for position, byte in enumerate(data):
        piece = bytes([byte])
        begin = clock()
        contexts = stream.pending()
        pended = clock()
        for context in contexts:
            stream.provide(context, row)
        provided = clock()
        stream.next_byte_logprobs(out)
        asked = clock()
        stream.push(piece)
        pushed = clock()
        rows += len(contexts)
        times[position] = (pushed - asked, pended - begin, provided - pended, asked - provided)
    return times, rows


def pushes(tokenizer, data):
    """Nanoseconds of each push with nothing in between, the clock's own (some 50) included."""
    clock = time.perf_counter_ns
    stream = _core.ByteStream(tokenizer.compiled, [])
    times = np.zeros(len(data), np.int64)
    for position, piece in enumerate([bytes([byte]) for byte in data]):
        begin = clock()
        stream.push(piece)
        times[position] = clock() - begin
    return times


def summary(times, alone, rows, data):
    """Facts of the rounds: at each byte the median of the rounds, then over the bytes."""
    at_byte = np.median(times, axis=0)  # (bytes, steps)
    named = dict(zip(STEPS, at_byte.T, strict=True))
    named |= {"whole": at_byte.sum(axis=1), ALONE: np.median(alone, axis=0)}
    facts = {"rows_per_byte": rows / len(data), "seconds": {}}
    for name, values in named.items():
        facts["seconds"][name] = {
            "median": statistics.median(values) * 1e-9,
            "mean": float(np.mean(values)) * 1e-9,
            "min": float(np.min(values)) * 1e-9,
            "p90": percentile(values, 0.9) * 1e-9,
            "max": float(np.max(values)) * 1e-9,
        }
    return facts


def resident_mib():
    """Memory of this process that is in use, in MiB; 0 where the system does not say."""
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        return 0.0
    return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20


def long_stream(session, name, tokenizer, length):
    """Print and record time and memory at the beginning and at the end of a long stream."""
    text = TEXTS["English"] + "\n\n"
    row = prepared_row(tokenizer, text)
    unit = text.encode()
    data = (unit * (length // len(unit) + 1))[:length]
    walk(tokenizer, data[:1000], row)
    clock = time.perf_counter_ns
    stream = _core.ByteStream(tokenizer.compiled, [])
    out = np.empty(257)
    times = np.zeros(length, np.int64)
    memory = {}
    for position, byte in enumerate(data):
        begin = clock()
        for context in stream.pending():
            stream.provide(context, row)
        stream.next_byte_logprobs(out)
        stream.push(bytes([byte]))
        times[position] = clock() - begin
        if position + 1 in {1000, length}:
            memory[position + 1] = resident_mib()
    first, last = (statistics.median(part) * 1e-9 for part in (times[:1000], times[-1000:]))
    grown = (memory[length] - memory[1000]) * 2**20 / (length - 1000)
    facts = {"first": first, "last": last, "ratio": last / first, "bytes_of_memory_per_byte": grown}
    session.note(
        {"vocabulary": name, "text": "English, repeated", "bytes": length},
        facts,
        said=(
            f"median of the first 1,000 bytes {first * 1e6:.1f} us, of the last 1,000 "
            f"{last * 1e6:.1f} us, ratio {last / first:.2f}; resident memory grew by "
            f"{grown:.0f} bytes a byte"
        ),
    )


def main():
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--file", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--bytes", type=int, default=400, help="read this much of each text")
    parser.add_argument("--long", type=int, default=50_000, help="bytes of the long stream, or 0")
    options = parser.parse_args()
    only = options.only or ["SmolLM2", "o200k", *[o.partition("=")[0] for o in options.file]]
    session = Session(__file__, __doc__, options)
    print("Microseconds: the median of the rounds at each byte, then over the bytes the median ")
    print("(and mean). The first round, which warms up, is left out.\n")
    for name, tokenizer in real_tokenizers(options.file, only):
        for script, text in TEXTS.items():
            data = text.encode()[: options.bytes]
            row = prepared_row(tokenizer, text)
            kept = [walk(tokenizer, data, row) for _ in range(options.rounds + 1)][1:]
            alone = np.stack([pushes(tokenizer, data) for _ in range(options.rounds + 1)])[1:]
            facts = summary(np.stack([times for times, _ in kept]), alone, kept[0][1], data)
            steps = facts["seconds"]
            said = "; ".join(
                f"{step} {steps[step]['median'] * 1e6:.2f} ({steps[step]['mean'] * 1e6:.2f})"
                for step in (*STEPS, "whole", ALONE)
            )
            setup = {"vocabulary": name, "text": script, "bytes": len(data)}
            session.note(setup, facts, said=f"{said}; {facts['rows_per_byte']:.2f} rows per byte")
        if options.long:
            long_stream(session, name, tokenizer, options.long)


if __name__ == "__main__":
    main()
