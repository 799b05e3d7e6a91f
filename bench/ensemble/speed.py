"""Question: how fast is an ensemble, beside its slowest member and beside the sum of its members?

Run: python bench/ensemble/speed.py [--gemma FOLDER] [--bytes N] [--rounds N] [--cores N], or with
--code, or with --twin.

The same English bytes are followed a law and a push at a time, by each member alone and by mixtures
of two and three, with one thread of torch; a round takes all of them in turns. Wall time.
Concurrent ensembles use as many cores as they have members; `--cores 1` shows what the sum is.
Members of equal cost have the most to gain: the two small code models (`--code`), on Python, whose
passes are mostly Python's own work, which threads cannot share; and SmolLM2 beside a second copy of
itself (`--twin`), with weights of its own. `--wait` begins when the cores have been idle for 5 s.
Outside models: the members' byte layers, and the ensemble's own arithmetic and book-keeping. The
goal: at most 1.15 times the slowest member, where cores allow.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

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


def wait(minutes):
    """Wait until others leave the cores alone for a while, so long at most."""
    until = time.monotonic() + 60 * minutes

    def idle():
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        return int(fields[3]) + int(fields[4]), sum(map(int, fields[:8]))

    while time.monotonic() < until:
        before = np.array(idle())
        time.sleep(5)
        free, passed = np.array(idle()) - before
        if free > 0.97 * passed:
            return
    print("others are using the cores", file=sys.stderr)


def asked(options):
    """Return names, and the teams of them by index."""
    if options.twin:
        return [members.SMOLLM, f"{members.SMOLLM} again"], [(0, 1)]
    if options.code:
        return members.code_names(), [(0, 1), (0, 2), (0, 1, 2)]
    names = members.names(options.gemma)
    return names, [(0, 1)] if len(names) == 2 else [(0, 1), (0, 2), (0, 1, 2)]


def main():
    """Measure and print."""
    cores = pinned_cores()
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--gemma", type=Path, help="a transformers folder of Gemma-3-270M")
    parser.add_argument("--code", action="store_true", help="the code models and SmolLM2")
    parser.add_argument("--twin", action="store_true", help="SmolLM2 and a copy of it")
    parser.add_argument("--wait", type=float, default=0.0, help="minutes, for idle cores")
    parser.add_argument("--bytes", type=int, default=40)
    parser.add_argument("--cores", type=int, default=len(cores) or os.cpu_count())
    options = parser.parse_args()
    options.clock = "wall"
    session = Session(__file__, __doc__, options)
    session.question = "ensemble_speed"
    pin_to(set(sorted(cores)[-options.cores :]))  # several, if there are
    names, teams = asked(options)
    loaded = [timed(name.removesuffix(" again"), options.gemma) for name in names]
    candidates = {name: model for name, (model, _) in zip(names, loaded, strict=True)}
    of = {}
    for team in teams:
        label = members.short_name([names[i] for i in team])
        for concurrent in (False, True):
            what = f"{label}, {'concurrent' if concurrent else 'in turn'}"
            candidates[what] = nb.ByteEnsemble([loaded[i][0] for i in team], concurrent=concurrent)
            of[what] = [names[i] for i in team]
    data = LONG_TEXTS["Python" if options.code else "English"].encode()
    prompt, text = data[:100], data[100 : 100 + options.bytes]
    wait(options.wait)
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
