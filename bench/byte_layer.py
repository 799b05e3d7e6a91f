"""Question: what does the whole byte layer cost for each byte of a real text?

Run: python bench/byte_layer.py [--only NAME ...] [--bytes N] [--rounds N]. The model costs nothing:
every context gets the same prepared float32 row, lifted so that the text's own tokens are likely,
as they are under a model. Each step is timed by itself: push, pending, provide, next_byte_logprobs.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from harness import Session, arguments, percentile
from texts import TEXTS
from vocabularies import logit_rows, real_tokenizers

from nextbyte import _core

STEPS = ("push", "pending", "provide", "query")


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


def summary(times, rows, data):
    """Facts of the rounds: at each byte the median of the rounds, then over the bytes."""
    at_byte = np.median(times, axis=0)  # (bytes, steps)
    whole = at_byte.sum(axis=1)
    facts = {"rows_per_byte": rows / len(data), "seconds": {}}
    for name, values in [*zip(STEPS, at_byte.T, strict=True), ("whole", whole)]:
        facts["seconds"][name] = {
            "median": statistics.median(values) * 1e-9,
            "mean": float(np.mean(values)) * 1e-9,
            "min": float(np.min(values)) * 1e-9,
            "p90": percentile(values, 0.9) * 1e-9,
            "max": float(np.max(values)) * 1e-9,
        }
    return facts


def main():
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--file", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--bytes", type=int, default=400, help="read this much of each text")
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
            facts = summary(np.stack([times for times, _ in kept]), kept[0][1], data)
            steps = facts["seconds"]
            said = "; ".join(
                f"{step} {steps[step]['median'] * 1e6:.2f} ({steps[step]['mean'] * 1e6:.2f})"
                for step in (*STEPS, "whole")
            )
            setup = {"vocabulary": name, "text": script, "bytes": len(data)}
            session.note(setup, facts, said=f"{said}; {facts['rows_per_byte']:.2f} rows per byte")


if __name__ == "__main__":
    main()
