"""Question: which share of a decode step is the byte layer? SmolLM2-135M inside `generate`.

Run: python bench/decode_share.py [--bytes N] [--rounds N]. The model is float32 in transformers on
one thread, whose CPU time is counted. Time in the backend's `extend` is the model's; time in calls
into the compiled core is the byte layer; the rest of `generate` is Python: the loop, the sampler,
the bookkeeping.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter

import numpy as np
from harness import Session, arguments
from timed_backend import TimedBackend

import nextbyte as nb
from nextbyte import _core, byte_lm, byte_lm_state

CORE_CALLS = sorted(
    name
    for name in dir(_core.ByteStream)
    if not name.startswith("_") and name != "fork" and callable(getattr(_core.ByteStream, name))
)
PROMPT = "The lighthouse keeper's daughter had counted"


def timed_stream(seconds):
    """A ByteStream that adds up the time of each call into the core."""

    class TimedStream(_core.ByteStream):
        def fork(self):
            raise NotImplementedError("not needed here")

    def timed(name):
        inner = getattr(_core.ByteStream, name)

        def call(self, *arguments, **options):
            begin = time.thread_time()
            try:
                return inner(self, *arguments, **options)
            finally:
                seconds[name] += time.thread_time() - begin

        return call

    for name in CORE_CALLS:
        setattr(TimedStream, name, timed(name))
    return TimedStream


class TimedCore:
    """The compiled module with its streams and functions timed."""

    def __init__(self, seconds):
        self.ByteStream = timed_stream(seconds)
        self.seconds = seconds

    def __getattr__(self, name):
        found = getattr(_core, name)
        if isinstance(found, type) or not callable(found):
            return found

        def call(*arguments, **options):
            begin = time.thread_time()
            try:
                return found(*arguments, **options)
            finally:
                self.seconds[name] += time.thread_time() - begin

        return call


def main():
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--bytes", type=int, default=200, help="generate this many")
    options = parser.parse_args()
    session = Session(__file__, __doc__, options)
    plain = nb.ByteLM.from_pretrained("smollm2-135m")
    backend = TimedBackend(plain.backend, clock=time.thread_time)
    lm = nb.ByteLM(plain.tokenizer, backend)
    core = Counter()
    byte_lm._core = byte_lm_state._core = TimedCore(core)  # noqa: SLF001 - inside `generate`
    rounds = []
    for turn in range(options.rounds + 1):  # the first warms up
        backend.seconds, backend.rows = 0.0, 0
        core.clear()
        begin = time.thread_time()
        params = nb.SamplingParams(max_bytes=options.bytes, seed=turn, unit="byte")
        made = nb.generate(lm, PROMPT, params)
        whole = time.thread_time() - begin
        steps = max(1, len(made.bytes))
        rounds.append(
            {
                "bytes": steps,
                "rows": backend.rows,
                "whole": whole,
                "model": backend.seconds,
                "core": sum(core.values()),
                "calls": dict(core),
            }
        )
    rounds = rounds[1:]

    def median(function):
        return float(statistics.median(function(r) for r in rounds))

    facts = {
        "model_seconds_per_row": median(lambda r: r["model"] / r["rows"]),
        "rows_per_byte": median(lambda r: r["rows"] / r["bytes"]),
        "core_seconds_per_row": median(lambda r: r["core"] / r["rows"]),
        "core_seconds_per_byte": median(lambda r: r["core"] / r["bytes"]),
        "python_seconds_per_byte": median(
            lambda r: (r["whole"] - r["model"] - r["core"]) / r["bytes"]
        ),
        "core_share": median(lambda r: r["core"] / r["whole"]),
        "outside_model_share": median(lambda r: 1.0 - r["model"] / r["whole"]),
        "calls_seconds_per_byte": {
            name: median(lambda r, n=name: r["calls"].get(n, 0.0) / r["bytes"])
            for name in rounds[0]["calls"]
        },
    }
    said = (
        f"model {facts['model_seconds_per_row'] * 1e3:.2f} ms a row, "
        f"{facts['rows_per_byte']:.2f} rows a byte; byte layer (core) "
        f"{facts['core_seconds_per_byte'] * 1e6:.0f} us a byte, **{facts['core_share']:.2%}** of "
        f"the time; core and Python together {facts['outside_model_share']:.2%}"
    )
    assert np.isfinite(facts["core_share"])
    session.note(
        {"model": "SmolLM2-135M float32", "bytes": options.bytes, "rounds": options.rounds},
        facts,
        said=said,
    )


if __name__ == "__main__":
    main()
