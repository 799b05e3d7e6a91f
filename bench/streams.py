"""Question: how fast are many streams at once? SmolLM2-135M, batched `generate` against one by one.

Run: python bench/streams.py [--bytes N] [--sizes 1 4 16 64] [--alone N] [--unit byte|token].
Every stream has its own prompt of 50 to 100 bytes and generates the same number of bytes from its
own seed. One by one, the first `--alone` prompts are generated, each with a call of its own; the
figure is per byte. Rounds are interleaved; CPU time of one thread; float32. "Equal" counts the
results of the largest batch that have the bytes of those made one by one.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

from harness import Session, arguments
from texts import ENGLISH, PYTHON

import nextbyte as nb


def prompts_of(count):
    """Different beginnings, of different lengths, inside words too."""
    text = ENGLISH + "\n\n" + PYTHON
    places = [37 * number % (len(text) - 100) for number in range(count)]
    return [text[place : place + 50 + 7 * place % 51] for place in places]


def main():
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--bytes", type=int, default=32, help="generate this many each")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16, 64], help="of batches")
    parser.add_argument("--alone", type=int, default=8, help="prompts that are made one by one")
    parser.add_argument("--unit", choices=["byte", "token"], default="byte", help="what is drawn")
    options = parser.parse_args()
    session = Session(__file__, __doc__, options)
    lm = nb.ByteLM.from_pretrained("smollm2-135m")
    params = nb.SamplingParams(max_bytes=options.bytes, seed=0, unit=options.unit)
    prompts = prompts_of(max(options.sizes))
    alone = prompts[: options.alone]
    nb.generate(lm, prompts[:2], replace(params, max_bytes=2))  # warms up
    rates = {name: [] for name in ("one by one", *options.sizes)}
    equal = 0
    for _ in range(options.rounds):
        begin = time.thread_time()
        singles = [
            nb.generate(lm, prompt, replace(params, seed=place))
            for place, prompt in enumerate(alone)
        ]
        seconds = time.thread_time() - begin
        rates["one by one"].append(sum(len(made.bytes) for made in singles) / seconds)
        for size in options.sizes:
            begin = time.thread_time()
            batch = nb.generate(lm, prompts[:size], params)
            seconds = time.thread_time() - begin
            rates[size].append(sum(len(made.bytes) for made in batch) / seconds)
            if size == max(options.sizes):
                equal = sum(a.bytes == b.bytes for a, b in zip(singles, batch, strict=False))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    base = medians["one by one"]
    print("| streams | bytes/s | times one by one |\n|---|---|---|")
    for name, rate in medians.items():
        print(f"| {name} | {rate:.1f} | {rate / base:.2f} |")
    session.note(
        {
            "model": "SmolLM2-135M float32",
            "unit": options.unit,
            "bytes": options.bytes,
            "rounds": options.rounds,
        },
        {
            "bytes_per_second": {str(name): rate for name, rate in medians.items()},
            "samples": {str(name): found for name, found in rates.items()},
            "equal": [equal, min(len(alone), max(options.sizes))],
        },
        said=f"{equal} of {min(len(alone), max(options.sizes))} results have equal bytes",
    )


if __name__ == "__main__":
    main()
