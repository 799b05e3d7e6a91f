"""Question: how often is the next word guessed, greedily by bytes and greedily by tokens?

Run: python bench/ensemble/next_words.py [--gemma FOLDER] [--laws FOLDER] [--no-record].

Every word of the English text behind a blank is to be guessed from what `rules.py` lets a model
know before that blank: blank and word, and then something that is no letter. Greedy by bytes takes
the most probable byte each time, on the laws that rules.py keeps (as long as all was right, the
bytes so far are the text's own). Greedy by tokens takes the most probable token each time (behind a
healed prompt): another decoder, for single models only, as an ensemble across vocabularies has no
tokens. Weights are those chosen in rules.py on another text. 95 % bootstrap intervals over words.

The second table is of words that are drawn, not chosen greedily: one draw of each law, and for the
best single model the better of two draws, which costs what one draw of two models costs
(`word_draws.py`).
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from pathlib import Path

import members
import numpy as np
from arithmetic import RULES, choose, interval, whole_laws
from harness import append, machine, record
from harness.report import rows as table
from laws import WINDOW, Reader, keep
from members import short_name
from readings import reported
from rules import groups
from texts import CHOICE_TEXTS
from word_draws import LETTERS, above, better_of_two, chances

import nextbyte as nb

WORD = re.compile(rb" [A-Za-z]+(?=[^A-Za-z])")


def by_bytes(law, words):
    """Say of each word whether the most probable bytes are its own, and then no letter."""
    best = law.argmax(axis=1)
    return np.array(
        [
            bool((best[word.start() : word.end()] == list(word.group())).all())
            and int(best[word.end()]) not in LETTERS
            for word in words
        ]
    )


def known(place, size):
    """Return where the window begins that `nb.score` reads this place of so many bytes in."""
    step = WINDOW // 2
    stop = WINDOW if place < WINDOW else min(size, (place // step + 1) * step)
    return max(0, stop - WINDOW)


def by_tokens(reader, data, words):
    """Say of each word whether the most probable tokens spell it, and then no letter."""
    path = reader.folder / f"tokens-{reader.name}-{len(data)}.json".replace(" ", "_")
    if path.exists():
        return np.array(json.loads(path.read_text()))
    model, found, alive = reader.model, [], {}
    for word in words:
        begin = known(word.start(), len(data))
        # A living state along the text: prompts share its keys and values.
        if begin not in alive:
            alive = {begin: model.start(data[begin : begin + WINDOW])}
            model.next_byte_logprobs([alive[begin]])
        guess = word.group()
        params = nb.SamplingParams(temperature=0.0, unit="token", max_bytes=len(guess) + 1)
        text = nb.generate(model, data[begin : word.start()], params).bytes
        behind = text[len(guess) :]  # empty where the text ends
        found.append(text[: len(guess)] == guess and (not behind or behind[0] not in LETTERS))
    keep(path, lambda file: file.write(json.dumps(found).encode()))
    return np.array(found)


def ensembles(readers, rows, data):
    """Yield the name and the laws of every ensemble along a text."""
    names, other = [reader.name for reader in readers], CHOICE_TEXTS["English"]
    choice = np.stack([reader.text(other) for reader in readers])
    for group, rule in itertools.product(groups(names), RULES):
        index = list(group)
        label = f"{rule} of {short_name([names[i] for i in index])}"
        ways = {"equal": np.full(len(index), 1 / len(index))}
        if rule != "posterior":
            ways["chosen"] = choose(rule, choice[index], other.encode())
        for way, weights in ways.items():
            used = [i for i, weight in zip(index, weights, strict=True) if weight]
            law = whole_laws(rule, rows[used], data, weights[np.flatnonzero(weights)])
            yield f"{label}, {way}", law


def controls(readers, rows, data, words, draws):
    """Return what is drawn of the single models: one draw, and of the best the better of two."""
    found = {
        f"{reader.name}, one draw": chances(law, data, words)
        for reader, law in zip(readers, rows, strict=True)
    }
    place = int(np.argmax([right.mean() for right in found.values()]))
    begins = [known(word.start(), len(data)) for word in words]
    over = above(readers[place], rows[place], data, words, begins, count=draws)
    right = better_of_two(list(found.values())[place], over)
    label = f"{readers[place].name}, the better of two draws"
    return {label: right, **found}


def say(found, best, setup, *, recorded):
    """Print a table of what is right, beside the best, and record it."""
    body, count = [], len(found[best])
    for what, hits in found.items():
        share, beside = interval(hits), interval(hits * 1.0 - found[best])
        said = f"{hits.mean():.3f} ({share[0]:.2f} to {share[1]:.2f})"
        body.append([what, said, "" if what == best else f"{beside[0]:+.3f} to {beside[1]:+.3f}"])
        facts = {
            "what": what,
            "words": count,
            "right": float(hits.mean()),
            "interval": share,
            "difference": beside,
            "best_single": best,
        }
        if recorded:
            line = record(
                "ensemble_words",
                title=__doc__.splitlines()[0],
                setup=setup,
                machine=machine.describe(),
                facts=facts,
            )
            append(members.BENCH / "results" / "ensemble_words.jsonl", line)
    print(table([f"{count} words", "right, 95 %", f"minus {best}, 95 %"], body) + "\n")


def main():
    """Read, print the tables and record them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gemma", type=Path, help="a transformers folder of Gemma-3-270M")
    parser.add_argument("--laws", type=Path, default=Path(".laws"), help="keep the laws here")
    parser.add_argument("--bytes", type=int, default=1100)
    parser.add_argument("--draws", type=int, default=4, help="at each word, of the best model")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    machine.one_thread()
    readers = [Reader(n, options.laws, options.gemma) for n in members.names(options.gemma)]
    text = reported("English", options.bytes)
    rows, data = np.stack([reader.text(text) for reader in readers]), text.encode()
    words = [word for word in WORD.finditer(data) if word.end() < len(data)]
    greedy = {
        f"{reader.name}, by bytes": by_bytes(law, words)
        for reader, law in zip(readers, rows, strict=True)
    }
    best = max(greedy, key=lambda what: greedy[what].mean())
    for reader in readers:
        greedy[f"{reader.name}, by tokens"] = by_tokens(reader, data, words)
    drawn = controls(readers, rows, data, words, options.draws)
    control = next(iter(drawn))
    for label, law in ensembles(readers, rows, data):
        greedy[label] = by_bytes(law, words)
        drawn[f"{label}, one draw"] = chances(law, data, words)
    setup = {"text": "English", "bytes": len(data), "models": [r.name for r in readers]}
    say(greedy, best, setup, recorded=not options.no_record)
    say(drawn, control, {**setup, "draws": options.draws}, recorded=not options.no_record)


if __name__ == "__main__":
    main()
