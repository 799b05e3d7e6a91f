"""Question: what does healing gain at a random cut, by where the cut lies, and what does it cost?

Run: python bench/fim/run.py [--model smollm2-135m|4096|8192] [--order prefix|weigh|psm|spm]
[--tasks N | --per-depth N] [--longest-middle N]. The gaps are in HumanEval's solutions
(`tasks.py`), the methods those of `methods.py`; a task is passed if its tests pass in the sandbox
(`sandbox.py`). `--per-depth` draws cuts until there are N on a boundary of this model's tokens, N
one token deep and N deeper, and says how often each was drawn; "all" weighs them by that.
A model that was not trained to infill goes on from the prefix alone, and is told how long the
middle is: the answer is cut there. With `--order weigh` it infills by weighing middles, told
nothing (slow without an accelerator; draw at a temperature above 0). The two small models that
`train.py` makes are asked in both orders, and end the middle by themselves ("told": the same
answers, cut at its length); the orders are compared on the same tasks. Intervals: `summary.py`. All
methods share one memo of rows, so a run reads each context once; `--latency` tasks are timed
without it.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections import Counter
from functools import lru_cache
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCH))

import sandbox  # noqa: E402
from harness import Session, arguments  # noqa: E402
from memo_backend import MemoBackend  # noqa: E402
from methods import (  # noqa: E402
    FRESH_LAWS,
    LAWS,
    METHODS,
    TokenSide,
    TransformersHealing,
    make_prompt,
    meet_suffix,
    weighed,
)
from summary import (  # noqa: E402
    REFERENCE,
    compare_orders,
    interval,
    orders_table,
    shown,
    summarize,
    table,
)
from tasks import depth, depth_name, draw_tasks, make_strata, make_tasks  # noqa: E402
from train import VOCABULARIES, folder_of  # noqa: E402

import nextbyte as nb  # noqa: E402
from nextbyte.models.resolve import resolve_model  # noqa: E402

LONGEST_LINE = 48
"""Bytes that are drawn for the first line where the middle is shorter."""
ORDERS = ("prefix", "weigh", "psm", "spm")


def first_line(text):
    return text.split(b"\n", 1)[0]


@lru_cache(maxsize=256)
def passes(program):
    """Return whether a program passes; methods often give the same one."""
    return sandbox.run(program).passed


def judge(task, answer, order):
    """Return whether an answer is the middle, passes the tests, and begins with its first line.

    And whether it is and passes if it is cut where the middle ends: who told it the length needs no
    model that knows when to stop.
    """
    middle, suffix = task.middle.encode(), task.suffix.encode()
    told = own = answer[: len(middle)]
    if order == "prefix":  # told how long the middle is
        line = first_line(answer)
        line_is_right = line == first_line(middle + suffix)[: max(LONGEST_LINE, len(middle))]
    else:
        own = meet_suffix(answer, suffix)
        line_is_right = first_line(own + suffix) == first_line(middle + suffix)
    judged = {"first_line": float(line_is_right)}
    for name, text in (("", own), ("told_", told)):
        exact = text == middle
        program = task.program(text.decode("utf-8", "replace"))
        judged |= {
            f"{name}exact": float(exact),
            f"{name}passed": float(exact or passes(program)),
        }
    return judged


def depth_of(tokenizer, task, order):
    """Return how many tokens deep a cut is in the text that the model would have read there."""
    following = task.middle if order in ("psm", "spm") else task.middle + task.suffix
    return depth(tokenizer.encode, task.prefix, following)


def chosen_tasks(tokenizer, order, options):
    """Return the tasks, and what is to be recorded of how they were chosen."""
    how = {
        "seed": options.seed,
        "longest_middle": options.longest_middle,
        "longest_prefix": options.longest_prefix,
    }
    if not options.per_depth:
        return make_tasks(options.tasks, **how), {}
    strata = make_strata(
        options.per_depth,
        lambda task: depth_of(tokenizer, task, order),
        draw_tasks(**how),
        longest_search=options.longest_search,
    )
    return strata.tasks, {"per_depth": options.per_depth, "drawn": strata.drawn}


def drawn(task, order, number, options):
    """Return how a task's answer is drawn: enough bytes for the middle, or for its first line."""
    middle, suffix = task.middle.encode(), task.suffix.encode()
    longest = len(middle) + options.spare
    if order == "prefix":
        line = len(first_line(middle + suffix)) + 1
        longest = max(len(middle), min(LONGEST_LINE, line))
    return nb.SamplingParams(
        temperature=options.temperature, seed=options.seed + number, max_bytes=longest
    )


def ask_one(side, methods, task, order, params):
    """Yield the name, the answer, and the bits of the true middle (twice) of every method."""
    prefix, middle, suffix = (x.encode() for x in (task.prefix, task.middle, task.suffix))
    if order == "weigh":
        for name, method in methods.items():
            yield name, method(side, prefix, suffix, params), math.nan, math.nan
        return
    prompt = make_prompt(side.lm, prefix, suffix, order)
    for name, method in methods.items():
        bits = fresh_bits = math.nan
        if name in LAWS:
            bits = -LAWS[name](side, prompt, middle) / math.log(2)
            fresh_bits = -FRESH_LAWS[name](side, prompt, middle) / math.log(2)
        yield name, method(side, prompt, params), bits, fresh_bits


def ask(lm, methods, tasks, order, *, options, drawn_of=None):
    """Return what every method makes of every task, one dict for each pair.

    Where so many tasks of each depth were kept, `drawn_of` says how many were drawn.
    """
    side, found = TokenSide(lm), []  # the backend of `lm` is a memo
    names = [depth_name(depth_of(lm.tokenizer, task, order)) for task in tasks]
    weights = {name: (drawn_of or {}).get(name, n) / n for name, n in Counter(names).items()}
    for number, task in enumerate(tasks):
        place = names[number]
        params = drawn(task, order, number, options)
        for name, answer, bits, fresh_bits in ask_one(side, methods, task, order, params):
            found.append(
                {
                    "task": task.name,
                    "problem": task.name.partition("#")[0],
                    "method": name,
                    "depth": place,
                    "weight": weights[place],
                    "size": len(task.middle.encode()),
                    "bits": bits,
                    "fresh_bits": fresh_bits,
                    "evaluations": answer.evaluations,
                    "error": answer.error,
                    **judge(task, answer.bytes, order),
                }
            )
            if options.show:
                print(f"{task.name} {place:9} {name:28} {task.middle!r}: {answer.bytes!r}")
        lm.backend.forget()
        if sys.stderr.isatty() or number % 10 == 9:
            print(f"{number + 1} of {len(tasks)} tasks", file=sys.stderr, flush=True)
    return found


class Counted:
    """A backend that counts the rows it is asked for."""

    def __init__(self, backend):
        self.backend, self.vocab_size, self.rows = backend, backend.vocab_size, 0
        self.start_token, self.end_tokens = backend.start_token, backend.end_tokens

    def extend(self, requests):
        self.rows += len(requests)
        return self.backend.extend(requests)


def latency(lm, tasks, order, rounds):
    """Return what healing adds before the first byte: rows of the model, and milliseconds.

    Both read the whole prompt afresh: plain practice draws a token behind the prompt's own, healing
    a cover, and a token if the cover ends with the prompt; both greedily. In turns; the figure of a
    task is the median of the differences.
    """
    backend = Counted(lm.backend)
    lm = nb.ByteLM(lm.tokenizer, backend)
    side = TokenSide(lm)
    params = nb.SamplingParams(temperature=0.0, max_bytes=1)
    added_rows, added, plain = [], [], []
    for task in tasks:
        prompt = make_prompt(lm, task.prefix.encode(), task.suffix.encode(), order)
        calls = [METHODS[name] for name in (REFERENCE, "nextbyte, tokens")]
        rows_of, differences, own = [], [], []
        for turn in range(rounds + 1):  # the first round warms up
            times = {}
            for call in calls[:: 1 if turn % 2 else -1]:
                before, begin = backend.rows, time.thread_time_ns()
                call(side, prompt, params)
                times[call] = (time.thread_time_ns() - begin) * 1e-6, backend.rows - before
            (plain_ms, plain_rows), (healed_ms, healed_rows) = (times[call] for call in calls)
            if turn:
                differences.append(healed_ms - plain_ms)
                own.append(plain_ms)
            rows_of.append(healed_rows - plain_rows)
        added_rows.append(statistics.median(rows_of))
        added.append(statistics.median(differences))
        plain.append(statistics.median(own))
    return {
        "tasks": len(added),
        "rounds": rounds,
        "added_rows": interval(added_rows),
        "added_ms": interval(added),
        "plain_ms": interval(plain),
    }


def time_healing(session, lm, tasks, order, setup):
    """Print and keep what healing adds to the first of the tasks."""
    options = session.options
    timed = latency(lm, tasks[: options.latency], order, options.rounds)
    figures = {name: shown(timed[name], share=False) for name in ("added_rows", "added_ms")}
    session.note(
        {**setup, "part": "latency"},
        timed,
        said=f"healing adds {figures['added_rows']} rows and {figures['added_ms']} ms to "
        f"{shown(timed['plain_ms'], share=False)} ms to the first byte",
    )


def main():
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--model", default="smollm2-135m", help="or 4096, 8192 of train.py")
    parser.add_argument("--order", choices=ORDERS, action="append")
    parser.add_argument("--method", choices=METHODS, action="append", help="only this one")
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--per-depth", type=int, help="tasks of each depth, not --tasks")
    parser.add_argument("--longest-search", type=int, default=50_000, help="cuts drawn at most")
    parser.add_argument("--longest-middle", type=int, help="characters (no limit)")
    parser.add_argument("--longest-prefix", type=int, help="characters (no limit)")
    parser.add_argument("--spare", type=int, default=32, help="bytes more than the middle has")
    parser.add_argument("--candidates", type=int, default=8, help="that --order weigh draws")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--latency", type=int, default=6, help="tasks whose healing is timed")
    parser.add_argument("--only-latency", action="store_true", help="time it, ask nothing else")
    parser.add_argument("--show", action="store_true", help="print every answer")
    options = parser.parse_args()
    session = Session("fim", __doc__, options)
    small = options.model.isdigit() and int(options.model) in VOCABULARIES
    folder = folder_of(int(options.model)) if small else resolve_model(options.model)
    plain = nb.ByteLM.from_pretrained(folder)
    lm = nb.ByteLM(plain.tokenizer, MemoBackend(plain.backend))
    methods = {name: METHODS[name] for name in options.method or METHODS}
    weighing = {"nextbyte, weighed": weighed(options.candidates)}
    if "transformers token_healing" in methods:
        model = plain.backend._model  # noqa: SLF001 - the same weights
        methods["transformers token_healing"] = TransformersHealing(folder, model)
    by_order = {}
    for order in options.order or (["psm", "spm"] if small else ["prefix"]):
        tasks, how = chosen_tasks(lm.tokenizer, order, options)
        setup = {
            "model": folder.name if small else options.model,
            "order": order,
            "tasks": len(tasks),
            "longest_middle": options.longest_middle,
            "longest_prefix": options.longest_prefix,
            "temperature": options.temperature,
            "seed": options.seed,
            **how,
        }
        if how:
            print(f"drawn for the {len(tasks)} tasks: {how['drawn']}\n", flush=True)
        if options.only_latency:
            time_healing(session, plain, tasks, order, setup)
            continue
        chosen = weighing if order == "weigh" else methods
        found = ask(lm, chosen, tasks, order, options=options, drawn_of=how.get("drawn"))
        by_order[order] = found
        summary = summarize(found, chosen)
        print(f"### {setup['model']}, {order}\n\n{table(summary)}\n", flush=True)
        for (place, name), facts in summary.items():
            session.note({**setup, "cut": place, "method": name}, facts)
        if options.latency and order != "weigh":
            time_healing(session, plain, tasks, order, setup)
    if {"psm", "spm"} <= by_order.keys():
        summary = compare_orders(by_order["psm"], by_order["spm"], methods)
        print(f"### {setup['model']}, spm beside psm\n\n{orders_table(summary)}\n", flush=True)
        for (place, name), facts in summary.items():
            session.note({**setup, "order": "spm beside psm", "cut": place, "method": name}, facts)


if __name__ == "__main__":
    main()
