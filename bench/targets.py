"""Question: how much probability does a model put off the canonical encodings of real texts?

Run: python bench/targets.py [--bytes N] [--tolerance T] [--limits L ...] [--no-record].
SmolLM2-135M in float32. For each text: bits per byte under the canonical law, under raw covers with
their defect, and between what bounds under all segmentations. The bounds are printed for the whole
text and for its first bytes: they cannot but widen, see docs/theory.md 13.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
from harness import append, describe
from harness.session import RESULTS
from texts import TEXTS

import nextbyte as nb

SHOWN_AT = (25, 50, 100)


def walk(lm, data):
    """Return the state at the end and what was seen at every position."""
    state, seen = lm.start(), []
    begin = time.perf_counter()
    for byte in data:
        row = state.next_byte_logprobs()
        seen.append({"bound": state.bound, "logprob": float(row[byte])})
        state.push(bytes([byte]))
        if lm.target == "segmentations":
            seen[-1]["bounds"] = state.logprob_bounds
    return state, seen, time.perf_counter() - begin


def bits(logprob, count):
    return -logprob / count / math.log(2)


def certified(seen, limit):
    """Return how many leading positions have a bound of at most `limit`."""
    return next((i for i, step in enumerate(seen) if step["bound"] > limit), len(seen))


def ask(lm, name, data, options):
    count = len(data)
    record = {"text": name, "bytes": count, "tolerance": options.tolerance}

    def model(target, **more):
        return nb.ByteLM(lm.tokenizer, lm.backend, target=target, **more)

    state, _, _ = walk(lm, data)
    record["canonical"] = bits(state.logprob, count)
    cells = [name, str(count), f"{record['canonical']:.4f}"]
    state, seen, _ = walk(model("raw"), data)
    defects = [step["bound"] for step in seen]
    record["raw"] = bits(state.logprob, count)
    record["defect_mean"], record["defect_max"] = float(np.mean(defects)), max(defects)
    cells += [f"{record['raw']:.4f}", f"{np.mean(defects):.2%} ({max(defects):.1%})"]
    record["segmentations"] = []
    for limit in options.limits:
        full = model("segmentations", tolerance=options.tolerance, max_evaluations_per_byte=limit)
        state, seen, seconds = walk(full, data)
        at = {
            n: [bits(bound, n) for bound in reversed(seen[n - 1]["bounds"])]
            for n in (*SHOWN_AT, count)
            if n <= count
        }
        record["segmentations"].append({
            "limit": limit,
            "bits_lower_upper": at,
            "evaluations_per_byte": state.lm_evaluations / count,
            "seconds_per_byte": seconds / count,
            "positions_within_1_percent": certified(seen, 0.01),
        })  # fmt: skip
        shown = ", ".join(f"{low:.4f} to {high:.4f} ({n})" for n, (low, high) in at.items())
        print(
            "| "
            + " | ".join([
                *cells, str(limit), shown, str(certified(seen, 0.01)),
                f"{state.lm_evaluations / count:.1f}", f"{seconds / count:.2f}",
            ])
            + " |",
            flush=True,
        )  # fmt: skip
        cells = [""] * len(cells)
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=200, help="read this much of each text")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--limits", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--no-record", action="store_true", help="only print")
    options = parser.parse_args()
    lm = nb.ByteLM.from_pretrained("smollm2-135m")
    print(
        "| text | bytes | canonical, bits per byte | raw | defect, mean (max) | limit "
        "| segmentations, bits per byte (of the first n bytes) | positions with bound <= 1 % "
        "| evaluations per byte "
        "| seconds per byte |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    records = [
        {
            "question": "targets",
            "setup": describe(),
            **ask(lm, name, text.encode()[: options.bytes], options),
        }
        for name, text in TEXTS.items()
    ]
    if not options.no_record:
        for record in records:
            append(RESULTS / "targets.jsonl", record)


if __name__ == "__main__":
    main()
