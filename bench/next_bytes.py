"""Question: what does an exact next byte cost, and is it exact? SmolLM2-135M in float32.

Run: python bench/next_bytes.py [--bytes N] [--part PART]. Prints one Markdown table row for each
text, then the look-ahead case, then time and memory after short and long prefixes.
"""

from __future__ import annotations

import argparse
import math
import resource
import statistics
import time
from pathlib import Path

import numpy as np
from texts import TEXTS
from timed_backend import TimedBackend

import nextbyte as nb


def resident_mib():
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize() / 2**20


def walk(lm, backend, data):
    """Every next-byte distribution of a text, byte by byte."""
    state = lm.start()
    worst = 0.0
    chain = 0.0
    backend.seconds, layer = 0.0, 0.0
    for byte in data:
        begin = time.perf_counter()
        row = state.next_byte_logprobs()
        layer += time.perf_counter() - begin
        worst = max(worst, abs(math.fsum(np.exp(row)) - 1.0))
        chain += row[byte]
        begin = time.perf_counter()
        state.push(bytes([byte]))
        layer += time.perf_counter() - begin
    layer -= backend.seconds
    return state, worst, chain, layer


def texts_table(lm, backend, limit):
    print(
        "| text | bytes | worst abs(sum - 1) | bits per byte | chain - logprob "
        "| LM evaluations per byte | LM ms per byte | byte layer ms per byte |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, text in TEXTS.items():
        data = text.encode()[:limit]
        state, worst, chain, layer = walk(lm, backend, data)
        evaluations = state.lm_evaluations / len(data)
        bits = -chain / len(data) / math.log(2)
        print(
            f"| {name} | {len(data)} | {worst:.1e} | {bits:.4f} | {abs(chain - state.logprob):.1e} "
            f"| {evaluations:.3f} | {backend.seconds / len(data) * 1e3:.1f} "
            f"| {layer / len(data) * 1e3:.2f} |",
            flush=True,
        )


def look_ahead(lm):
    """P(newline) after a blank: with and without the covers that fail a round trip."""
    prompt = b"he'd seen: "
    row = np.exp(lm.start(prompt).next_byte_logprobs())
    print(f"\nlook-ahead: P('\\n' | {prompt!r}) = {row[10]:.6f} prefix-canonical,", end=" ")
    print(f"{round_trip_newline(lm, prompt, row[10]):.6f} round-trip only")


def round_trip_newline(lm, prompt, exact):
    """The same mass without the covers c of prompt + newline whose decoding encodes differently."""
    tok = lm.tokenizer
    text = prompt + b"\n"
    kept = total = 0.0
    contexts = {}
    for cover, _ in tok.cover_encodings(text):
        contexts.setdefault(cover[:-1], []).append(cover[-1])
    paths = {context[:i] for context in contexts for i in range(len(context) + 1)}
    rows = {}
    start = [] if lm.start_token is None else [lm.start_token]
    for path in paths:
        (branch,) = lm.backend.extend([(None, [*start, *path])])
        rows[path] = branch.logits.astype(np.float64)
    covers_of = {path: allowed_after(tok, path) for path in paths}

    def log_q(path, token):
        allowed = rows[path][covers_of[path]]
        top = allowed.max()
        return rows[path][token] - top - math.log(np.exp(allowed - top).sum())

    for context, tokens in contexts.items():
        weight = sum(log_q(context[:i], context[i]) for i in range(len(context)))
        for token in tokens:
            mass = math.exp(weight + log_q(context, token))
            total += mass
            cover = [*context, token]
            try:
                kept += mass * (tok.encode(tok.decode(cover)) == cover)
            except nb.errors.InvalidInputError:  # ends inside a character: no text to encode
                continue
    return exact * kept / total


def allowed_after(tok, path):
    """The ordinary tokens that may follow a context, from the public cover sets."""
    prefix = tok.decode(path)
    ids = []
    for byte in range(256):
        ids += [c[-1] for c, _ in tok.cover_encodings(prefix + bytes([byte])) if c[:-1] == path]
    return np.array(sorted(set(ids)))


def length_and_memory(lm, backend):
    filler = (TEXTS["English"] + "\n\n").encode()
    print(
        "\n| prompt bytes | generated | ms per byte | of that byte layer, ms | KV tokens "
        "| resident MiB |"
    )
    print("|---|---|---|---|---|---|")
    for prompt_bytes, generated in ((200, 200), (200, 2000), (20_000, 200)):
        prompt = (filler * (prompt_bytes // len(filler) + 1))[:prompt_bytes]
        state = lm.start(prompt)
        state.next_byte_logprobs()
        rng = np.random.default_rng(0)
        times, layers = [], []
        backend.seconds = 0.0
        for count in range(1, generated + 1):
            before, begin = backend.seconds, time.perf_counter()
            row = state.next_byte_logprobs()
            row[nb.END_OF_TEXT] = -np.inf
            probabilities = np.exp(row / 0.8)
            state.push(bytes([rng.choice(257, p=probabilities / probabilities.sum())]))
            times.append(time.perf_counter() - begin)
            layers.append(times[-1] - (backend.seconds - before))
            if count in (200, generated):
                print(
                    f"| {prompt_bytes} | {count} | {statistics.median(times[-200:]) * 1e3:.1f} "
                    f"| {statistics.median(layers[-200:]) * 1e3:.2f} | {backend.backend.kv_tokens} "
                    f"| {resident_mib():.0f} |",
                    flush=True,
                )
        del state


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=600, help="read this much of each text")
    parser.add_argument("--part", choices=["texts", "look-ahead", "length"], help="only this")
    options = parser.parse_args()
    plain = nb.ByteLM.from_pretrained("smollm2-135m")
    backend = TimedBackend(plain.backend)
    lm = nb.ByteLM(plain.tokenizer, backend)
    if options.part in {None, "texts"}:
        texts_table(lm, backend, options.bytes)
    if options.part in {None, "look-ahead"}:
        look_ahead(lm)
    if options.part in {None, "length"}:
        length_and_memory(lm, backend)


if __name__ == "__main__":
    main()
