"""Question: bits per byte of two or three real models alone and under every rule of an ensemble?

Run: python bench/ensemble/rules.py [--bytes N] [--laws FOLDER] [--gemma FOLDER] [--no-record].

Each model reads each text once, and its laws (one row of 257 a byte) are kept: every rule and
weight is arithmetic on them, as in `ByteEnsemble`, which is checked. Weights are chosen on another
piece of the same kind of text than the one reported. Intervals are 95 % bootstrap intervals over
chunks of 20 bytes, of the difference to the best single model chunk by chunk.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from pathlib import Path

import numpy as np

BENCH = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCH))

import real_weights  # noqa: E402
from harness import machine, report  # noqa: E402
from texts import TEXTS  # noqa: E402

import nextbyte as nb  # noqa: E402
from nextbyte.ensemble.rules import log_sum, mixture_law, product_law  # noqa: E402

CHUNK = 20
RESAMPLES = 2000
CHECKED = 12
MIXTURES = np.linspace(0.0, 1.0, 21)
POWERS = np.linspace(-0.5, 1.25, 8)


def laws(lm, data):
    """Return the law before each byte, (len(data), 257), and log P of each byte, (len(data),)."""
    state = lm.start()
    rows = np.empty((len(data), 257))
    for i, byte in enumerate(data):
        rows[i] = state.next_byte_logprobs()
        state.push(bytes([byte]))
    return rows, rows[np.arange(len(data)), list(data)]


def kept_laws(folder, name, label, lm, data):
    """Return the laws, from the folder if they are there."""
    path = folder / f"{name}-{label}-{len(data)}.npy".replace(" ", "_") if folder else None
    if path is not None and path.exists():
        rows = np.load(path)
        return rows, rows[np.arange(len(data)), list(data)]
    print(f"reading {label} ({len(data)} bytes) with {name}", file=sys.stderr, flush=True)
    rows, chain = laws(lm, data)
    if path is not None:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, rows)
    return rows, chain


# --- The rules on kept laws: rows (members, bytes, 257), data -> log P of each byte --------------


def mixture(rows, data, weights):
    with np.errstate(divide="ignore"):
        log_weights = np.log(np.asarray(weights) / np.sum(weights))
    return np.array([mixture_law(rows[:, i], log_weights)[byte] for i, byte in enumerate(data)])


def product(rows, data, weights):
    used = np.flatnonzero(weights)
    weights = np.asarray(weights)[used]
    return np.array([product_law(rows[used, i], weights)[byte] for i, byte in enumerate(data)])


def posterior(rows, data, weights):
    scores = np.log(np.asarray(weights) / np.sum(weights))
    found = np.empty(len(data))
    for i, byte in enumerate(data):
        after = scores + rows[:, i, byte]
        found[i] = log_sum(after) - log_sum(scores)
        scores = after
    return found


RULES = {"mixture": mixture, "product": product, "posterior": posterior}


def candidates(rule, members):
    """Return the weights that are tried for a rule."""
    if rule == "posterior":
        return [np.ones(members)]
    steps = MIXTURES if rule == "mixture" else POWERS
    if members > 2:
        steps = steps[:: 2 if rule == "mixture" else 1]
    grid = (np.array(w) for w in itertools.product(steps, repeat=members) if np.any(w))
    if rule == "product":
        return list(grid)
    return [w for w in grid if math.isclose(w.sum(), 1.0)]


def bits(chain):
    return -float(np.mean(chain)) / math.log(2)


def interval(chain, best, *, seed=0):
    """Return the 95 % bootstrap interval of the difference in bits per byte, by chunks."""
    count = len(chain) // CHUNK
    differences = (best - chain)[: count * CHUNK].reshape(count, CHUNK).mean(axis=1) / math.log(2)
    drawn = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    return np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5]).tolist()


def check(models, rows, data):
    """Compare the arithmetic on kept laws with `ByteEnsemble` itself."""
    data = data[:CHECKED]
    worst = 0.0
    for rule, weights in (
        ("mixture", [0.6, 0.4]),
        ("product", [1.0, -0.25]),
        ("posterior", [1, 1]),
    ):
        with nb.ByteEnsemble(models[:2], weights, rule) as model:
            _, chain = laws(model, data)
        expected = RULES[rule](rows[:2, : len(data)], data, weights)
        worst = max(worst, float(np.abs(chain - expected).max()))
    assert worst < 1e-6, worst
    return worst


def pieces(text, size):
    """Return a piece to report on and another one to choose weights on, both whole characters."""
    data = text.encode()
    whole = [data[:size], data[size : size + max(size // 2, 100)]]
    return [piece.decode(errors="ignore").encode() for piece in whole]


def question(names, models, text, folder, size):
    """Return the rows of one text."""
    reported, chosen_on = pieces(TEXTS[text], size)
    read = [kept_laws(folder, n, text, m, reported) for n, m in zip(names, models, strict=True)]
    other = [
        kept_laws(folder, n, f"{text} (choice)", m, chosen_on)
        for n, m in zip(names, models, strict=True)
    ]
    rows, choice = (np.stack([laws for laws, _ in found]) for found in (read, other))
    chains = {name: chain for name, (_, chain) in zip(names, read, strict=True)}
    best_name = min(chains, key=lambda name: bits(chains[name]))
    best = chains[best_name]
    answers = [
        {"what": name, "weights": None, "bits": bits(chain), "interval": interval(chain, best)}
        for name, chain in chains.items()
    ]
    groups = (
        [tuple(range(len(models)))] if len(models) == 2 else [(0, 1), tuple(range(len(models)))]
    )
    for group, (rule, law) in itertools.product(groups, RULES.items()):
        index = list(group)
        tried = candidates(rule, len(index))
        weights = min(tried, key=lambda w: bits(law(choice[index], chosen_on, w)))
        equal = np.full(len(index), 1 / len(index))
        for label, used in (("equal", equal), ("chosen", weights)):
            if rule == "posterior" and label == "chosen":
                continue
            chain = law(rows[index], reported, used)
            answers.append(
                {
                    "what": f"{rule} of {len(index)}, {label} weights",
                    "weights": [round(float(w), 3) for w in used],
                    "bits": bits(chain),
                    "interval": interval(chain, best),
                }
            )
    for answer in answers:
        answer.update(text=text, bytes=len(reported), best_single=best_name)
    return answers, check(models, rows, reported)


def main():
    """Read, print the table and record it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=300)
    parser.add_argument("--laws", type=Path, help="keep the laws in this folder")
    parser.add_argument("--gemma", type=Path)
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    machine.one_thread()
    pairs = list(real_weights.models(options.gemma))
    if len(pairs) < 2:
        raise SystemExit("an ensemble needs two models; see bench/whisper_decoder.py")
    names, models = [name for name, _ in pairs], [model for _, model in pairs]
    body = []
    for text in TEXTS:
        answers, worst = question(names, models, text, options.laws, options.bytes)
        for answer in answers:
            low, high = answer["interval"]
            body.append(
                [
                    text,
                    answer["what"],
                    "" if answer["weights"] is None else str(answer["weights"]),
                    f"{answer['bits']:.3f}",
                    f"{low:+.3f} to {high:+.3f}",
                ]
            )
            if not options.no_record:
                path = BENCH / "results" / "ensemble_rules.jsonl"
                report.append(path, {**answer, "arithmetic_error": worst, **machine.describe()})
    header = ["text", "model", "weights", "bits per byte", "minus best single, 95 %"]
    print(report.rows(header, body))


if __name__ == "__main__":
    main()
