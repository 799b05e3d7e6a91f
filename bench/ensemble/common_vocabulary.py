"""Question: bytes or common tokens: bits per byte where the same two models meet, and the cost?

Run: python bench/ensemble/common_vocabulary.py [--what text|tokens] [--bytes N] [--text English]
[--rule mixture|product] [--tolerance T] [--gemma FOLDER].

`text`: SmolLM2-135M and the Whisper decoder (or Gemma) at equal weights along the beginning of a
text, a byte at a time. A law over common tokens is known within bounds, so its bits per byte are
between two certain numbers. Beside them: byte laws and rows of logits that the members were asked
for, and CPU time, all a byte.

`tokens`: what the law of one next token takes, for SmolLM2 alone over its own tokens and for both
over the common ones, at contexts that are spread over the text: asked until no more than the
tolerance of the mass is undecided between tokens, and what is then certain of the likeliest one.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import members
import numpy as np
from harness import Session, arguments
from harness.report import rows as table
from texts import LONG_TEXTS
from timed_backend import TimedBackend

import nextbyte as nb


def counted(name, folder):
    """Return a model, and the backend that counts its rows."""
    lm = members.load(name, folder)
    backend = TimedBackend(lm.backend)
    model = nb.ByteLM(
        lm.tokenizer, backend, start_token=lm.start_token, end_tokens=list(lm.end_tokens)
    )
    return model, backend


def along(model, data, backends, limit):
    """Read the law before each byte, for `limit` seconds at the most."""
    state = model.start()
    before = sum(backend.rows for backend in backends)
    bits, least, most, bounds = [], [], [], []
    begin = time.thread_time()
    for byte in data:
        if time.thread_time() - begin > limit:
            break
        law = state.next_byte_logprobs()
        lower, upper = state.next_byte_bounds()
        with np.errstate(divide="ignore"):
            least.append(-float(np.log2(upper[byte])))
            most.append(-float(np.log2(lower[byte])))
        bits.append(-float(law[byte]) / math.log(2))
        bounds.append(state.bound)
        state.push(bytes([byte]))
    count = len(bits)
    cost = {
        "byte_laws_per_byte": getattr(state, "byte_laws", 0) / count,
        "rows_per_byte": (sum(backend.rows for backend in backends) - before) / count,
        "seconds_per_byte": (time.thread_time() - begin) / count,
    }
    return {"bits": bits, "at_least": least, "at_most": most, "bound": bounds}, cost


def one_token(model, context, tolerance, backends):
    """Return what the law of one token takes."""
    before = sum(backend.rows for backend in backends)
    begin = time.thread_time()
    state = model.start(context)
    lower, upper = state.token_bounds(tolerance)
    likeliest = int(lower.argmax())
    return {
        "byte_laws": state.byte_laws,
        "rows": sum(backend.rows for backend in backends) - before,
        "seconds": time.thread_time() - begin,
        "likeliest": model.trie.tokens[likeliest].decode(errors="replace"),
        "lower": float(lower[likeliest]),
        "upper": float(upper[likeliest]),
        "known": float(lower.sum()),
    }


def ask_texts(session, options, data, names, loaded):
    """Print and record the bits per byte of both meeting points."""
    models, backends = [model for model, _ in loaded], [backend for _, backend in loaded]
    candidates = dict(zip(names, models, strict=True))
    for rule in options.rule or ["mixture", "product"]:
        candidates[f"{rule} over bytes"] = nb.ByteEnsemble(models, rule=rule, concurrent=False)
        candidates[f"{rule} over tokens"] = nb.CommonVocabularyEnsemble(
            models, rule=rule, tolerance=options.tolerance, concurrent=False
        )
    read = {
        what: along(model, data, backends, options.seconds) for what, model in candidates.items()
    }
    count = min(len(found["bits"]) for found, _ in read.values())  # bytes that all have read
    body = []
    for what, (found, cost) in read.items():
        facts = {name: sum(values[:count]) / count for name, values in found.items()}
        setup = {
            "what": what,
            "text": options.text,
            "models": names,
            "tolerance": options.tolerance,
        }
        session.note(setup, {"bytes": count, **facts, **cost, "bytes_read": len(found["bits"])})
        bits = f"{facts['bits']:.3f}"
        if facts["at_most"] - facts["at_least"] > 5e-4:
            bits += f" ({facts['at_least']:.3f} to {facts['at_most']:.3f})"
        numbers = [cost["byte_laws_per_byte"], cost["rows_per_byte"]]
        seconds = f"{cost['seconds_per_byte'] * 1e3:.0f}"
        body.append(
            [what, str(count), bits, f"{facts['bound']:.4f}"]
            + [f"{number:.1f}" for number in numbers]
            + [seconds]
        )
    header = ["law", "bytes", "bits a byte", "mean bound", "byte laws", "rows", "ms"]
    print(table(header, body))


def ask_tokens(session, options, data, names, loaded):
    """Print and record what laws of single tokens take."""
    models, backends = [model for model, _ in loaded], [backend for _, backend in loaded]
    rules = options.rule or ["mixture", "product"]
    candidates = {names[0]: nb.CommonVocabularyEnsemble(models[:1], concurrent=False)}
    for rule in rules:
        candidates[f"{rule} of both"] = nb.CommonVocabularyEnsemble(
            models, rule=rule, tolerance=0.01, concurrent=False
        )
    places = [len(data) * k // options.contexts for k in range(1, options.contexts + 1)]
    body = []
    for what, model in candidates.items():
        for tolerance in options.token_tolerance or [0.1, 0.01]:
            found = []
            for place in places:
                found.append(one_token(model, data[:place], tolerance, backends))
                if sum(each["seconds"] for each in found) > options.seconds:
                    break
            setup = {"what": what, "text": options.text, "models": names, "tolerance": tolerance}
            session.note({**setup, "tokens": len(model.tokens)}, {"contexts": found})
            columns = []
            for name, shape in (("byte_laws", "{:.0f}"), ("rows", "{:.0f}"), ("seconds", "{:.2f}")):
                values = [each[name] for each in found]
                middle = shape.format(float(np.median(values)))
                columns.append(
                    f"{middle} ({' to '.join(map(shape.format, (min(values), max(values))))})"
                )
            body.append([what, str(tolerance), str(len(found)), *columns])
    header = ["law", "tolerance", "contexts", "byte laws", "rows", "s"]
    print(table(header, body))


def main():
    """Measure, print and record."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--what", choices=["text", "tokens"], default="text")
    parser.add_argument("--gemma", type=Path, help="Gemma-3-270M instead of Whisper: its folder")
    parser.add_argument("--text", choices=sorted(LONG_TEXTS), default="English")
    parser.add_argument("--bytes", type=int, default=200)
    parser.add_argument("--rule", action="append", choices=["mixture", "product"])
    parser.add_argument("--tolerance", type=float, default=0.01)
    parser.add_argument("--token-tolerance", type=float, action="append")
    parser.add_argument("--contexts", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=600.0, help="stop a law's reading then")
    options = parser.parse_args()
    session = Session(__file__, __doc__, options)
    session.question = "ensemble_common_vocabulary"
    names = members.names(options.gemma)
    if len(names) < 2:
        raise SystemExit("an ensemble needs two models; see bench/whisper_decoder.py")
    names = [names[0], names[-1]]
    loaded = [counted(name, options.gemma) for name in names]
    data = LONG_TEXTS[options.text].encode()[: options.bytes]
    ask = ask_texts if options.what == "text" else ask_tokens
    ask(session, options, data, names, loaded)


if __name__ == "__main__":
    main()
