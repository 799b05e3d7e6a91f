"""Question: bits per byte of real models alone and under every rule of an ensemble?

Run: python bench/ensemble/rules.py [--gemma FOLDER] [--laws FOLDER] [--bytes N] [--no-record], or
with --code [--problems N].

English, Python and Chinese, windows of 600 bytes that know at least 300 of what came before. With
`--code` the two small code models of `fim/train.py`, one corpus and two vocabularies, and SmolLM2
as the larger single model, on the prompts and solutions of HumanEval: many texts, none of them in
the code models' training. Each model reads each text once; every rule and weight is arithmetic on
its laws, which is checked against the library's functions and, with `--compare`, against `nb.score`
of a `ByteEnsemble`. Weights are chosen on other texts of the same kind. Intervals are 95 %
bootstrap intervals, over chunks of 20 bytes or over problems, of the difference to the best single
model (below zero: better), and to the best member.

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
from arithmetic import RULES, SHARES, bits, check, interval
from harness import append, machine, record
from harness.report import rows as table
from laws import Reader
from members import short_name
from readings import Reading, code, parts, prose, twice

import nextbyte as nb

CHECKED = 60
SHORT = 200


def groups(names):
    """Pairs and the whole, by index."""
    every = range(len(names))
    return [group for size in (2, 3) for group in itertools.combinations(every, size)]


def question(readers, kind, doubled):
    """Return what is said of one kind of text: lines, sweeps, and the error of the arithmetic.

    A line is what, members, weights, chains.
    """
    own = Reading(readers, kind.own, kind.window)
    other = Reading(readers, kind.other, kind.window)
    names = [reader.name for reader in readers]
    lines = [(name, (i,), None, own.single(i)) for i, name in enumerate(names)]
    for i, name in enumerate(names):
        weights = other.choose("product", [i])
        chains = own.chains("product", [i], weights)
        lines.append((f"control: a power of {short_name([name])}", (i,), weights, chains))
        if name in doubled:
            both, both_other = twice(readers[i], kind, SHORT)
            weights = both_other.choose("product", [0, 1])
            chains = both.chains("product", [0, 1], weights)
            lines.append((f"control: {short_name([name])} twice", (i,), weights, chains))
    for group, rule in itertools.product(groups(names), RULES):
        label = f"{rule} of {short_name([names[i] for i in group])}"
        ways = {"equal": np.full(len(group), 1 / len(group))}
        if rule != "posterior":
            ways["chosen"] = other.choose(rule, group)
        for way, weights in ways.items():
            lines.append((f"{label}, {way}", group, weights, own.chains(rule, group, weights)))
    swept = {
        short_name([names[i] for i in pair]): {
            rule: [own.bits(rule, pair, [1 - share, share]) for share in SHARES]
            for rule in ("mixture", "product")
        }
        for pair in itertools.combinations(range(len(names)), 2)
    }
    weights = np.linspace(0.9, 0.4, len(readers))
    error = check(own.rows[0][:, :CHECKED], own.data[0][:CHECKED], weights)
    return lines, swept, error


def against_the_library(readers, kind):
    """Return the largest difference between the arithmetic and `nb.score` of an ensemble."""
    text = kind.own[0][0]
    data = text.encode()[:CHECKED].decode(errors="ignore").encode()
    every = [reader.text(text, window=kind.window) for reader in readers]
    rows = np.stack(every)[:, : len(data)]
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
    name = "ensemble_code" if options.code else "ensemble_rules"
    line = record(
        name,
        title=__doc__.splitlines()[0],
        setup={"text": text, "models": [reader.name for reader in readers]},
        machine=machine.describe(),
        facts=facts,
    )
    append(members.BENCH / "results" / f"{name}.jsonl", line)


def difference(chains, base):
    """Return the interval of bits per byte less those of other chains, part by part."""
    (sums, sizes), (others, _) = parts(chains), parts(base)
    return interval(sums - others, sizes)


def say(options, kind, readers, body):
    """Ask about one kind of text, add to the table and to the records; return the errors."""
    names = [reader.name for reader in readers]
    doubled = options.doubled or list(members.CODE if options.code else names[:1])
    lines, swept, error = question(readers, kind, doubled)
    singles = [chains for _, _, _, chains in lines[: len(readers)]]
    alone = [bits(np.concatenate(chains)) for chains in singles]
    best = int(np.argmin(alone))
    compared = against_the_library(readers, kind) if options.compare else None
    for what, group, weights, chains in lines:
        found = bits(np.concatenate(chains))
        beside = difference(chains, singles[best])
        member = min(group, key=lambda i: alone[i])
        facts = {
            "what": what,
            "weights": None if weights is None else np.round(weights, 3).tolist(),
            "bits": found,
            "difference": beside,
            "best_single": names[best],
            "member_difference": difference(chains, singles[member]),
            "best_member": names[member],
            "bytes": sum(map(len, chains)),
            "texts": len(chains),
            "arithmetic_error": error,
            "library_difference": compared,
        }
        said = "" if weights is None else " ".join(f"{w:g}" for w in facts["weights"])
        row = [kind.name, what, said, f"{found:.3f}"]
        for low, high in (beside, facts["member_difference"]):
            row.append(f"{low:+.3f} to {high:+.3f}" if low != high else "")
        body.append(row)
        keep(options, kind.name, readers, facts)
    facts = {"what": "sweep", "shares": SHARES.tolist(), "bits": swept, "best": alone[best]}
    keep(options, kind.name, readers, facts)
    return error, compared


def main():
    """Read, print the table and record it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gemma", type=Path, help="a transformers folder of Gemma-3-270M")
    parser.add_argument("--laws", type=Path, default=Path(".laws"), help="keep the laws here")
    parser.add_argument("--bytes", type=int, default=1100)
    parser.add_argument("--code", action="store_true", help="ask the two small code models")
    parser.add_argument("--problems", type=int, default=30, help="of HumanEval, with --code")
    parser.add_argument("--doubled", action="append", help="models for the control 'twice'")
    parser.add_argument("--compare", action="store_true", help="check against nb.score too")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    machine.one_thread()
    names = members.code_names() if options.code else members.names(options.gemma)
    readers = [Reader(name, options.laws, options.gemma) for name in names]
    if len(readers) < 2:
        raise SystemExit("an ensemble needs two models; see bench/whisper_decoder.py")
    body, worst = [], 0.0
    for kind in code(options.problems) if options.code else prose(options.bytes):
        error, compared = say(options, kind, readers, body)
        worst = max(worst, error)
        if compared is not None:
            print(f"{kind.name}: largest difference to nb.score {compared:.1e}", flush=True)
    header = ["text", "law", "weights", "bits per byte"]
    print(table([*header, "minus best single, 95 %", "minus best member, 95 %"], body))
    print(f"\nlargest difference to the library's arithmetic {worst:.1e}")
    for reader in readers:
        if reader.bytes:
            each = reader.seconds / reader.bytes * 1e3
            print(f"{reader.name}: read {reader.bytes} bytes, {each:.1f} ms of CPU time each")


if __name__ == "__main__":
    main()
