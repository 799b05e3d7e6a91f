"""Question: bits per byte of real models alone and under every rule of an ensemble?

Run: python bench/ensemble/rules.py [--gemma FOLDER] [--laws FOLDER] [--bytes N] [--no-record].

English, Python and Chinese, windows of 600 bytes that know at least 300 of what came before. Each
model reads each text once; every rule and weight is arithmetic on its laws, which is checked
against the library's functions and, with `--compare`, against `nb.score` of a `ByteEnsemble`.
Weights are chosen on another text of the same kind. Intervals are 95 % bootstrap intervals over
chunks of 20 bytes, of the difference to the best single model chunk by chunk (below zero: better).

Controls: a larger single model; *a power of one*, a single model sharpened or flattened (what a
product may do to one member); *one twice*, the product of a model with itself at 200-byte windows,
which costs two readings as an ensemble of two does.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import members
import numpy as np
from arithmetic import RULES, SHARES, bits, check, choose, chunks, interval
from harness import append, machine, record
from harness.report import rows as table
from laws import Reader
from texts import CHOICE_TEXTS, LONG_TEXTS

import nextbyte as nb

CHECKED = 60
SHORT = 200


def reported(text, size):
    """The first bytes of a text, whole characters."""
    return LONG_TEXTS[text].encode()[:size].decode(errors="ignore")


def groups(names):
    """Pairs and the whole, by index."""
    every = range(len(names))
    return [group for size in (2, 3) for group in itertools.combinations(every, size)]


def short_name(names):
    return " + ".join(name.split()[0].split("-")[0] for name in names)


def question(readers, text, size, doubled):
    """Return what is said of one text: (what, weights, chain) a line; sweeps; and the error."""
    own, other = reported(text, size), CHOICE_TEXTS[text]
    rows, choice = (np.stack([r.text(piece) for r in readers]) for piece in (own, other))
    data, chosen_on = own.encode(), other.encode()
    names = [reader.name for reader in readers]
    lines = [
        (name, None, row[np.arange(len(data)), list(data)])
        for name, row in zip(names, rows, strict=True)
    ]
    for i, name in enumerate(names):
        weights = choose("product", choice[[i]], chosen_on)
        chain = RULES["product"](rows[[i]], data, weights)
        lines.append((f"control: a power of {short_name([name])}", weights, chain))
        if name in doubled:
            twice, twice_choice = (
                np.stack([laws[i], readers[i].text(piece, window=SHORT)])
                for laws, piece in ((rows, own), (choice, other))
            )
            weights = choose("product", twice_choice, chosen_on)
            chain = RULES["product"](twice, data, weights)
            lines.append((f"control: {short_name([name])} twice", weights, chain))
    for group, rule in itertools.product(groups(names), RULES):
        index = list(group)
        label = f"{rule} of {short_name([names[i] for i in index])}"
        equal = np.full(len(index), 1 / len(index))
        lines.append((f"{label}, equal", equal, RULES[rule](rows[index], data, equal)))
        if rule != "posterior":
            weights = choose(rule, choice[index], chosen_on)
            lines.append((f"{label}, chosen", weights, RULES[rule](rows[index], data, weights)))
    weights = np.linspace(0.9, 0.4, len(readers))
    swept = {
        short_name([names[i] for i in pair]): sweep(rows, data, pair)
        for pair in itertools.combinations(range(len(names)), 2)
    }
    return lines, swept, check(rows[:, :CHECKED], data[:CHECKED], weights)


def sweep(rows, data, pair):
    """Return the bits per byte of a pair by the share of its second model, under two rules."""
    index = list(pair)
    laws = {rule: RULES[rule] for rule in ("mixture", "product")}
    return {
        rule: [bits(law(rows[index], data, [1 - share, share])) for share in SHARES]
        for rule, law in laws.items()
    }


def against_the_library(readers, text, size):
    """Return the largest difference between the arithmetic and `nb.score` of an ensemble."""
    data = reported(text, size).encode()[:CHECKED].decode(errors="ignore").encode()
    rows = np.stack([reader.text(reported(text, size)) for reader in readers])[:, : len(data)]
    weights = np.linspace(0.9, 0.4, len(readers))
    worst = 0.0
    for rule, law in RULES.items():
        with nb.ByteEnsemble([r.model for r in readers], weights.tolist(), rule) as ensemble:
            found = nb.score(ensemble, data)
        worst = max(worst, float(np.abs(found - law(rows, data, weights)).max()))
    return worst


def keep(options, text, readers, facts):
    """Add a line to the records."""
    if options.no_record:
        return
    line = record(
        "ensemble_rules",
        title=__doc__.splitlines()[0],
        setup={"text": text, "models": [reader.name for reader in readers]},
        machine=machine.describe(),
        facts=facts,
    )
    append(members.BENCH / "results" / "ensemble_rules.jsonl", line)


def main():
    """Read, print the table and record it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gemma", type=Path, help="a transformers folder of Gemma-3-270M")
    parser.add_argument("--laws", type=Path, default=Path(".laws"), help="keep the laws here")
    parser.add_argument("--bytes", type=int, default=1100)
    parser.add_argument("--doubled", action="append", help="models for the control 'twice'")
    parser.add_argument("--compare", action="store_true", help="check against nb.score too")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    machine.one_thread()
    readers = [Reader(n, options.laws, options.gemma) for n in members.names(options.gemma)]
    if len(readers) < 2:
        raise SystemExit("an ensemble needs two models; see bench/whisper_decoder.py")
    doubled = options.doubled or [readers[0].name]
    body, worst, compared = [], 0.0, {}
    for text in LONG_TEXTS:
        lines, swept, error = question(readers, text, options.bytes, doubled)
        worst = max(worst, error)
        singles = {what: chain for what, _, chain in lines[: len(readers)]}
        best_name = min(singles, key=lambda name: bits(singles[name]))
        best = chunks(singles[best_name])
        if options.compare:
            compared[text] = against_the_library(readers, text, options.bytes)
            print(f"{text}: largest difference to nb.score {compared[text]:.1e}", flush=True)
        for what, weights, chain in lines:
            low, high = interval(chunks(chain) - best)
            facts = {
                "what": what,
                "weights": None if weights is None else np.round(weights, 3).tolist(),
                "bits": bits(chain),
                "difference": [low, high],
                "best_single": best_name,
                "bytes": len(chain),
                "arithmetic_error": error,
                "library_difference": compared.get(text),
            }
            said = "" if weights is None else " ".join(f"{w:g}" for w in facts["weights"])
            beside = "" if what == best_name else f"{low:+.3f} to {high:+.3f}"
            body.append([text, what, said, f"{bits(chain):.3f}", beside])
            keep(options, text, readers, facts)
        facts = {
            "what": "sweep",
            "shares": SHARES.tolist(),
            "bits": swept,
            "best": bits(singles[best_name]),
        }
        keep(options, text, readers, facts)
    print(table(["text", "law", "weights", "bits per byte", "minus best single, 95 %"], body))
    print(f"\nlargest difference to the library's arithmetic {worst:.1e}")
    for reader in readers:
        if reader.bytes:
            each = reader.seconds / reader.bytes * 1e3
            print(f"{reader.name}: read {reader.bytes} bytes, {each:.1f} ms of CPU time each")


if __name__ == "__main__":
    main()
