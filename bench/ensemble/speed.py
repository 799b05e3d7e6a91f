"""Question: how fast is an ensemble, beside its slowest member and beside the sum of its members?

Run: python bench/ensemble/speed.py [--gemma FOLDER] [--bytes N] [--rounds N] [--cores N].

The same English bytes are followed a law and a push at a time, by each member alone and by mixtures
of two and three, with one thread of torch; a round takes all of them in turns. Wall time.
Concurrent ensembles use as many cores as they have members; `--cores 1` shows what the sum is.
Outside models: the members' byte layers, and the ensemble's own arithmetic and book-keeping. The
goal: at most 1.15 times the slowest member, where cores allow.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import members
from harness import Session, arguments, pin_to, pinned_cores
from harness.report import rows as table
from texts import LONG_TEXTS
from timed_backend import TimedBackend

import nextbyte as nb


def walk(model, prompt, data, backends):
    """Return the seconds of a law and a push for every byte, and those inside the backends."""
    state = model.start(prompt)
    state.next_byte_logprobs()
    for backend in backends:
        backend.seconds = 0.0
    begin = time.perf_counter()
    for byte in data:
        state.push(bytes([byte]))
        state.next_byte_logprobs()
    return time.perf_counter() - begin, sum(backend.seconds for backend in backends)


def timed(name, folder):
    """Return a model whose backend notes its time."""
    lm = members.load(name, folder)
    backend = TimedBackend(lm.backend)
    model = nb.ByteLM(
        lm.tokenizer, backend, start_token=lm.start_token, end_tokens=list(lm.end_tokens)
    )
    return model, backend


def main():
    """Measure and print."""
    cores = pinned_cores()
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--gemma", type=Path, help="a transformers folder of Gemma-3-270M")
    parser.add_argument("--bytes", type=int, default=40)
    parser.add_argument("--cores", type=int, default=len(cores) or os.cpu_count())
    options = parser.parse_args()
    options.clock = "wall"
    session = Session(__file__, __doc__, options)
    session.question = "ensemble_speed"
    pin_to(set(sorted(cores)[-options.cores :]))  # several, if there are
    names = members.names(options.gemma)
    loaded = [timed(name, options.gemma) for name in names]
    models = [model for model, _ in loaded]
    teams = [models[:2]] if len(models) == 2 else [models[:2], [models[0], models[2]], models]
    candidates = dict(zip(names, models, strict=True))
    of = {}
    for team in teams:
        label = " + ".join(names[models.index(model)].split()[0] for model in team)
        for concurrent in (False, True):
            what = f"{label}, {'concurrent' if concurrent else 'in turn'}"
            candidates[what] = nb.ByteEnsemble(team, concurrent=concurrent)
            of[what] = [names[models.index(model)] for model in team]
    data = LONG_TEXTS["English"].encode()
    prompt, text = data[:100], data[100 : 100 + options.bytes]
    seconds = {what: [] for what in candidates}
    inside = {what: [] for what in candidates}
    order = list(candidates)
    for turn in range(options.rounds):
        for what in order[turn % len(order) :] + order[: turn % len(order)]:
            found = walk(candidates[what], prompt, text, [backend for _, backend in loaded])
            for kept, value in zip((seconds, inside), found, strict=True):
                kept[what].append(value / len(text))
    middle = {what: statistics.median(every) for what, every in seconds.items()}
    body = []
    for what, each in middle.items():
        facts = {
            "seconds_per_byte": each,
            "every": seconds[what],
            "model_seconds_per_byte": statistics.median(inside[what]),
        }
        row = [what, f"{each * 1e3:.1f}", f"{1 / each:.1f}", "", "", ""]
        alone = [middle[name] for name in of.get(what, [])]
        if alone:
            rounds = zip(seconds[what], *(seconds[name] for name in of[what]), strict=True)
            ratios = [(own / max(rest), own / sum(rest)) for own, *rest in rounds]
            facts["to_slowest"], facts["to_sum"] = map(statistics.median, zip(*ratios, strict=True))
            row[3:5] = f"{facts['to_slowest']:.2f}", f"{facts['to_sum']:.2f}"
        if "concurrent" not in what:
            outside = statistics.median(
                whole - model for whole, model in zip(seconds[what], inside[what], strict=True)
            )
            facts["byte_layer_seconds_per_byte"] = outside
            row[5] = f"{outside * 1e3:.2f} ({outside / each:.1%})"
        body.append(row)
        session.note(
            {"candidate": what, "bytes": len(text), "cores": options.cores},
            facts,
        )
    header = ["model", "ms a byte", "bytes/s", "to the slowest", "to the sum", "outside models, ms"]
    print(table(header, body))


if __name__ == "__main__":
    main()
