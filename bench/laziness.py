"""Question: what does a tolerance save, and do its certificates hold? SmolLM2-135M in float32.

Run: python bench/laziness.py [--bytes N] [--tolerances T ...]. Every next-byte law of three texts,
at each tolerance, against the exact law from the same rows of logits.
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path

import numpy as np
from harness import append, describe, record
from memo_backend import MemoBackend
from texts import LONG_TEXTS

import nextbyte as nb

RESULTS = Path(__file__).resolve().parent / "results"
TOLERANCES = (0.0, 1e-6, 1e-4, 1e-3, 1e-2)
ROUNDING = 1e-12


def walk(lm, data, tolerance, true_laws):
    """Every law of a text, pushed byte by byte; compared with `true_laws` if there are any."""
    state = lm.start(tolerance=tolerance)
    laws, bounds, tightness = [], [], []
    bits, violations = 0.0, 0
    for place, byte in enumerate(data):
        row = state.next_byte_logprobs()
        law = np.exp(row)
        laws.append(law)
        bits -= row[byte] / math.log(2)
        bounds.append(state.bound)
        if true_laws:
            true = true_laws[place]
            distance = 0.5 * np.abs(true - law).sum()
            lower, upper = state.next_byte_bounds()
            violations += not (
                distance <= state.bound + ROUNDING
                and state.bound <= tolerance
                and (lower <= true).all()
                and (true <= upper).all()
            )
            if distance > ROUNDING:
                tightness.append(state.bound / distance)
        state.push(bytes([byte]))
    facts = {
        "tolerance": tolerance,
        "laws": len(laws),
        "evaluations_per_byte": state.lm_evaluations / len(data),
        "passes_per_byte": state.lm_passes / len(data),
        "bits_per_byte": bits / len(data),
        "violations": violations,
        "inexact_laws": sum(bound > 0.0 for bound in bounds),
        "median_bound_over_error": statistics.median(tightness) if tightness else None,
        "mean_bound": statistics.fmean(bounds),
        "largest_bound": max(bounds),
    }
    return laws, facts


def shown(name, facts, exact):
    """One row of the table."""
    tight = facts["median_bound_over_error"]
    difference = facts["bits_per_byte"] - exact["bits_per_byte"]
    return (
        f"| {name} | {facts['tolerance']:g} | {facts['evaluations_per_byte']:.3f} "
        f"| {facts['passes_per_byte']:.3f} | {facts['bits_per_byte']:.5f} | {difference:+.1e} "
        f"| {facts['laws']} | {facts['violations']} | {'' if tight is None else f'{tight:.3g}'} "
        f"| {facts['mean_bound']:.1e} | {facts['largest_bound']:.2e} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=1100, help="of each text, at most")
    parser.add_argument("--texts", nargs="+", choices=list(LONG_TEXTS), default=list(LONG_TEXTS))
    parser.add_argument("--tolerances", type=float, nargs="+", default=TOLERANCES)
    parser.add_argument("--look-ahead", type=float, help="a share over 1/2; default: none")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--no-record", action="store_true", help="only print")
    options = parser.parse_args()
    model = nb.ByteLM.from_pretrained("smollm2-135m")
    backend = MemoBackend(model.backend)
    lm = nb.ByteLM(model.tokenizer, backend, look_ahead=options.look_ahead)
    print(
        "| text | tolerance | evaluations per byte | passes per byte | bits per byte "
        "| beside exact | laws | violations | bound / error, median | mean bound | largest bound |"
    )
    print("|" + "---|" * 11)
    for name in options.texts:
        data = LONG_TEXTS[name].encode()[: options.bytes]
        true_laws, exact = walk(lm, data, 0.0, None)
        for tolerance in options.tolerances:
            facts = walk(lm, data, tolerance, true_laws)[1]
            print(shown(name, facts, exact), flush=True)
            if not options.no_record:
                setup = {"text": name, "bytes": len(data), "model": "SmolLM2-135M, float32"}
                if options.look_ahead is not None:
                    setup["look_ahead"] = options.look_ahead
                title = (__doc__ or "").splitlines()[0]
                line = record("laziness", title=title, setup=setup, machine=describe(), facts=facts)
                append(options.results / "laziness.jsonl", line)
        backend.forget()


if __name__ == "__main__":
    main()
