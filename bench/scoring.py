"""Question: what does scoring a text in one pass cost, beside a query a byte and genlm-bytes?

Run: python bench/scoring.py [--part passes|batches|memory|genlm] [--bytes N] [--only NAME]

SmolLM2 on one thread, in CPU seconds of the process. The texts are the first bytes of the standard
library's argparse.py, an English and a Chinese one. Passes: `score`, and a push and a query for
every byte: times, largest difference, contexts a byte against the tokenizer's own tokens, and where
the time goes ("model" is all of the backend, "layer" the rest). Batches: the same text, so many
states at once. Memory: what the process holds while 30 KB go by, and a job that is stopped
half-way. Genlm: in the peers' environment (see `make bench-peers`), beam of 5 and threshold 0.05 as
its README has it; its law is another one, so its bits are another number.
"""

from __future__ import annotations

import argparse as python_text
import asyncio
import math
import time
import warnings
from pathlib import Path

import numpy as np
from harness import Session, arguments
from texts import LONG_TEXTS
from timed_backend import TimedBackend

import nextbyte as nb
from nextbyte import models

MODEL = "smollm2-135m"
BATCHES = (16, 32, 64, 128, 256, 384)


class InBatchesOf:
    """A byte model that is asked for so many states at once."""

    def __init__(self, lm, count):
        self.start, self.next_byte_logprobs = lm.start, lm.next_byte_logprobs
        self.states_at_once = count


def texts(options):
    python = Path(python_text.__file__).read_bytes()
    every = {"Python": python, **{k: v.encode() for k, v in LONG_TEXTS.items() if k != "Python"}}
    return {k: v for k, v in every.items() if not options.only or k in options.only}


def timed_model(dtype="float32"):
    plain = nb.ByteLM.from_pretrained(MODEL, dtype=dtype)
    backend = TimedBackend(plain.backend, clock=time.process_time)
    return nb.ByteLM(plain.tokenizer, backend), backend


def timed(backend, job):
    """Return what a job gives, and its seconds, those of the model and its rows."""
    backend.seconds, backend.rows = 0.0, 0
    begin = time.process_time()
    found = job()
    return found, time.process_time() - begin, backend.seconds, backend.rows


def step_by_step(lm, data):
    state = lm.start()
    logprobs = []
    for byte in data:
        logprobs.append(state.next_byte_logprobs()[byte])
        state.push(bytes([byte]))
    return np.array(logprobs)


def compare_passes(session, options):
    lm, backend = timed_model(options.dtype)
    nb.score(lm, b"warm up")
    for name, text in texts(options).items():
        data = text[: options.bytes]
        data = data.decode("utf-8", "ignore").encode()
        ours, seconds, model, rows = timed(backend, lambda data=data: nb.score(lm, data))
        steps, slow, slow_model, _ = timed(backend, lambda data=data: step_by_step(lm, data))
        facts = {
            "seconds": seconds,
            "model_seconds": model,
            "step_seconds": slow,
            "step_model_seconds": slow_model,
            "speed_up": slow / seconds,
            "largest_difference": float(np.abs(ours - steps).max()),
            "median_difference": float(np.median(np.abs(ours - steps))),
            "bits_per_byte": -math.fsum(ours) / len(data) / math.log(2),
            "step_bits_per_byte": -math.fsum(steps) / len(data) / math.log(2),
            "contexts_per_byte": rows / len(data),
            "tokens_per_byte": len(lm.tokenizer.encode(data)) / len(data),
            "layer_us_per_byte": (seconds - model) / len(data) * 1e6,
        }
        session.note(
            {
                "model": MODEL,
                "dtype": options.dtype,
                "text": name,
                "bytes": len(data),
                "part": "passes",
            },
            facts,
            said=f"one pass {seconds:.2f} s (model {model:.2f}), step by step {slow:.1f} s: "
            f"{slow / seconds:.1f} times; largest difference {facts['largest_difference']:.1e}, "
            f"median {facts['median_difference']:.1e}; "
            f"{facts['bits_per_byte']:.4f} bits a byte; {facts['contexts_per_byte']:.3f} contexts "
            f"and {facts['tokens_per_byte']:.3f} tokens a byte; "
            f"layer {facts['layer_us_per_byte']:.0f} us a byte",
        )


def compare_batches(session, options):
    lm, backend = timed_model()
    data = texts(options)["Python"][: options.bytes]
    nb.score(lm, b"warm up")
    best = dict.fromkeys(BATCHES, math.inf)
    for _ in range(options.rounds):
        for count in BATCHES:
            _, seconds, _, _ = timed(
                backend, lambda count=count: nb.score(InBatchesOf(lm, count), data)
            )
            best[count] = min(best[count], seconds)
    facts = {str(count): seconds / len(data) for count, seconds in best.items()}
    said = "; ".join(f"{count}: {seconds / len(data) * 1e3:.2f}" for count, seconds in best.items())
    session.note(
        {"model": MODEL, "bytes": len(data), "part": "batches"},
        {"seconds_per_byte": facts},
        said=f"ms a byte by states at once, best of {options.rounds}: {said}",
    )


def resident(what="VmRSS"):
    """Return MiB of this process (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    return math.nan


def watch_memory(session, options):
    lm = nb.ByteLM.from_pretrained(MODEL)
    data = Path(python_text.__file__).read_bytes()[: options.memory_bytes]
    size = {"window_bytes": options.window_bytes}
    windows, peaks, tokens = [], [], []
    extend = lm.backend.extend

    def counting(requests):
        branches = extend(requests)
        tokens.append(lm.backend.kv_tokens)
        return branches

    lm.backend.extend = counting
    nb.score(lm, b"warm up")
    before = resident()
    begin = time.process_time()
    for window in nb.score_windows(lm, data, **size):
        Path("/proc/self/clear_refs").write_text("5")  # the mark is of the next window alone
        windows.append(window)
        peaks.append(resident("VmHWM"))
        print(
            f"{window.stop} bytes: resident {resident():.0f} MiB, at most {peaks[-1]:.0f}, "
            f"most tokens held {max(tokens)}, {time.process_time() - begin:.0f} s",
            flush=True,
        )
        tokens.clear()
    seconds = time.process_time() - begin
    total = math.fsum(x for window in windows for x in window.logprobs)
    half = len(windows) // 2
    resumed = [w.logprobs for w in windows[:half]]
    if options.resume:
        rest = nb.score_windows(lm, data, **size, start=windows[half].start)
        resumed += [window.logprobs for window in rest]
        again = math.fsum(x for part in resumed for x in part)
        print(f"total {total!r}, resumed half-way {again!r}", flush=True)
    session.note(
        {"model": MODEL, "bytes": len(data), "part": "memory", "window": options.window_bytes},
        {"seconds": seconds, "before_mib": before, "after_mib": resident(), "total": total}
        | ({"resumed_total": again} if options.resume else {}),
        said=f"{seconds:.0f} s, {-total / len(data) / math.log(2):.4f} bits a byte, "
        f"resident {before:.0f} MiB before and {resident():.0f} after",
    )


def compare_genlm(session, options):
    import torch  # noqa: PLC0415 - the peers' environment
    import transformers  # noqa: PLC0415
    from genlm.backend.llm import AsyncTransformer  # noqa: PLC0415
    from peers import walk_genlm  # noqa: PLC0415

    transformers.logging.disable_progress_bar()
    folder = models.cached(MODEL)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    llm = AsyncTransformer(model, transformers.AutoTokenizer.from_pretrained(folder))
    lm, backend = timed_model()
    for warm in (b"warm", b"up"):
        asyncio.run(walk_genlm(llm, warm))
        nb.score(lm, warm)
    for name, text in texts(options).items():
        data = text[: options.bytes].decode("utf-8", "ignore").encode()
        llm.clear_cache()
        begin = time.process_time()
        chain, zeros = asyncio.run(walk_genlm(llm, data))
        theirs = time.process_time() - begin
        ours, seconds, _, _ = timed(backend, lambda data=data: nb.score(lm, data))
        scale = -1 / len(data) / math.log(2)
        facts = {
            "seconds": seconds,
            "genlm_seconds": theirs,
            "bits_per_byte": math.fsum(ours) * scale,
            "genlm_bits_per_byte": chain * scale,
            "genlm_bytes_of_probability_zero": zeros,
        }
        session.note(
            {"model": MODEL, "text": name, "bytes": len(data), "part": "genlm"},
            facts,
            said=f"one pass {seconds:.2f} s, {facts['bits_per_byte']:.4f} bits a byte; genlm-bytes "
            f"{theirs:.1f} s ({theirs / seconds:.0f} times), {facts['genlm_bits_per_byte']:.4f} "
            f"bits a byte with {zeros} bytes of probability zero left out",
        )


PARTS = {
    "passes": compare_passes,
    "batches": compare_batches,
    "memory": watch_memory,
    "genlm": compare_genlm,
}


def main():
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--part", choices=PARTS, default="passes", help="what is asked")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="of the texts")
    parser.add_argument("--bytes", type=int, default=2000, help="read this much of each text")
    parser.add_argument("--dtype", default="float32", help="of the passes part")
    parser.add_argument("--memory-bytes", type=int, default=30_720, help="of the memory part")
    parser.add_argument("--window-bytes", type=int, help="of the memory part")
    parser.add_argument("--resume", action="store_true", help="memory part: score half of it twice")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers' own
    session = Session(__file__, __doc__, options)
    PARTS[options.part](session, options)


if __name__ == "__main__":
    main()
