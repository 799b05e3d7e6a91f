"""Question: how many bytes a second does generation make, beside plain token decoding?

Run: python bench/generation.py [--bytes N] [--rounds N] [--tolerances 0,1e-3]. SmolLM2-135M float32
on one thread, greedy, the same prompts. Plain decoding is transformers' own `generate` with its
cache (the reference), and the same loop on this library's backend. Beside each measured ratio
stands what the counts predict: forward passes a byte over tokens a byte of plain decoding. Time is
the CPU time of the one thread, the prompt's included.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch
from harness import Session, arguments
from harness.report import rows, shown
from timed_backend import TimedBackend

import nextbyte as nb
from nextbyte.plain import plain_complete

PROMPTS = {
    "English": "The lighthouse keeper's daughter had counted 1,204 ships since the spring, and she",
    "Python": "def wrap(text, width):\n    lines = []\n    for word in text.split():\n        if ",
    "Chinese": "清晨的雾气还没有散去,老人已经坐在河边的石头上等鱼上钩。他每天都来,",
}


@dataclass(frozen=True)
class Run:
    """One generation: seconds, bytes, and how often the model ran."""

    seconds: float
    bytes: int
    passes: int
    rows: int


def transformers_run(lm, prompt, size):
    """Plain decoding as transformers does it, cut once the bytes are there."""
    model = lm.backend.backend._model  # noqa: SLF001 - the very same weights
    tokenizer = lm.tokenizer
    ids = list(tokenizer.encode(prompt.encode()))
    if lm.start_token is not None:
        ids.insert(0, lm.start_token)

    def long_enough(tokens, _scores, **_options):
        made = sum(len(tokenizer.token_bytes(int(t))) for t in tokens[0, len(ids) :])
        return torch.tensor([made >= size])

    begin = time.thread_time()
    with torch.inference_mode():
        out = model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=size,
            do_sample=False,
            pad_token_id=0,
            stopping_criteria=[long_enough],
        )
    seconds = time.thread_time() - begin
    made = [tokenizer.token_bytes(int(token)) for token in out[0, len(ids) :]]
    return Run(seconds, sum(map(len, made)), len(made), len(made))


def counted(lm, call):
    """Run `call`, which returns bytes, and count what the backend did."""
    backend = lm.backend
    backend.calls = backend.rows = 0
    begin = time.thread_time()
    made = call()
    return Run(time.thread_time() - begin, len(made), backend.calls, backend.rows)


def candidates(lm, tolerances, size):
    """Name to a function of the prompt."""
    by_byte = nb.SamplingParams(max_bytes=size, temperature=0.0, unit="byte")
    by_token = nb.SamplingParams(max_bytes=size, temperature=0.0, unit="token")
    found = {
        "transformers generate": lambda prompt: transformers_run(lm, prompt, size),
        "plain tokens, this backend": lambda prompt: counted(
            lm, lambda: plain_complete(lm, prompt, size)
        ),
    }
    for tolerance in tolerances:
        lazy = nb.ByteLM(lm.tokenizer, lm.backend, tolerance=tolerance)
        name = f"bytes, tolerance {tolerance:g}" if tolerance else "bytes, exact"
        found[name] = lambda prompt, lazy=lazy: counted(
            lazy, lambda: nb.generate(lazy, prompt, by_byte).bytes
        )
    found["tokens behind a healed boundary"] = lambda prompt: counted(
        lm, lambda: nb.generate(lm, prompt, by_token).bytes
    )
    return found


def main():
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--bytes", type=int, default=150, help="generate this many")
    parser.add_argument("--tolerances", default="0,1e-4,1e-3,1e-2", help="comma separated")
    options = parser.parse_args()
    session = Session(__file__, __doc__, options)
    plain = nb.ByteLM.from_pretrained("smollm2-135m")
    lm = nb.ByteLM(plain.tokenizer, TimedBackend(plain.backend))
    runners = candidates(lm, [float(t) for t in options.tolerances.split(",")], options.bytes)
    for text, prompt in PROMPTS.items():
        runs = {name: [] for name in runners}
        names = list(runners)
        for turn in range(options.rounds + 1):  # the first warms up
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                runs[name].append(runners[name](prompt))
        report(session, text, {name: found[1:] for name, found in runs.items()}, options)


def report(session, text, runs, options):
    """Print and record one prompt's rounds."""
    reference = next(iter(runs))
    base = runs[reference]
    facts, table = {}, []
    for name, found in runs.items():
        per_byte = [run.seconds / max(1, run.bytes) for run in found]
        ratios = [
            mine / (other.seconds / other.bytes) for mine, other in zip(per_byte, base, strict=True)
        ]
        passes = found[0].passes / max(1, found[0].bytes)
        predicted = passes / (base[0].passes / base[0].bytes)
        facts[name] = {
            "bytes": found[0].bytes,
            "seconds_per_byte": statistics.median(per_byte),
            "spread": [min(per_byte), max(per_byte)],
            "passes_per_byte": passes,
            "rows_per_byte": found[0].rows / max(1, found[0].bytes),
            "time_ratio": statistics.median(ratios),
            "predicted_ratio": predicted,
        }
        fact = facts[name]
        table.append(
            [
                name,
                shown(1.0 / fact["seconds_per_byte"]),
                f"{shown(1.0 / max(per_byte))} to {shown(1.0 / min(per_byte))}",
                shown(fact["rows_per_byte"]),
                shown(passes),
                shown(fact["time_ratio"]),
                shown(predicted),
            ]
        )
    header = ["decoding", "bytes a second", "min to max", "rows a byte", "passes a byte"]
    print(rows([*header, "time ratio", "ratio of passes"], table) + "\n", flush=True)
    session.note(
        {
            "model": "SmolLM2-135M float32",
            "text": text,
            "bytes": options.bytes,
            "rounds": options.rounds,
        },
        facts,
        said="time a byte over transformers' generate; what the passes predict",
    )


if __name__ == "__main__":
    main()
