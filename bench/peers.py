"""Question: what does the byte layer cost beside genlm-backend's trie and genlm-bytes?

Run: `make bench-peers`, which makes the environment; python bench/peers.py [--part trie|text].
Trie: one row of logits through TokenCharacterTrie.weight_sum (numba; it is given probabilities, the
softmax is not counted) against nextbyte's root masses. Text: SmolLM2-135M in float32 under
genlm-bytes (beam of 5, threshold 0.05, as its README has it) and under nextbyte, the same bytes;
each one's own time is CPU time of the process less that in the model's forwards, so that genlm's
waits for a batch do not count. What genlm-bytes computes is another law, see docs.
"""

from __future__ import annotations

import asyncio
import statistics
import time
import warnings

import numpy as np
import product
import torch
import transformers
from genlm.backend.llm import AsyncTransformer
from genlm.backend.tokenization import Token
from genlm.backend.trie import TokenCharacterTrie
from genlm.bytes import BeamParams, ByteBeamState
from harness import Session, arguments
from texts import TEXTS
from timed_backend import TimedBackend
from vocabularies import in_byte_order, logit_rows, real_tokenizers

import nextbyte as nb
from nextbyte import models

TRIE = "genlm-backend TokenCharacterTrie.weight_sum"


def compare_tries(session, options):
    for name, tokenizer in real_tokenizers(only=options.only or ["SmolLM2", "Llama 3.1"]):
        order, _ = in_byte_order(tokenizer)
        width = tokenizer.compiled.row_size
        begin = time.process_time()
        trie = TokenCharacterTrie(
            [Token(int(token), tokenizer.token_bytes(int(token))) for token in sorted(order)]
        )
        building = time.process_time() - begin
        (row,) = logit_rows(width, 1)
        weights = torch.softmax(torch.from_numpy(row), 0).numpy()[np.sort(order)]
        weights = np.ascontiguousarray(weights)
        ours = product.root_candidates(tokenizer, [row])
        figures = session.compare(
            {TRIE: lambda trie=trie, weights=weights: trie.weight_sum(weights), **ours},
            reference=TRIE,
            setup={"vocabulary": name, "tokens": width, "part": "trie"},
            unit="us",
        )
        for ours_name in ours:
            print(f"{ours_name}: the trie takes {1 / figures[ours_name].ratio:.0f} times as long\n")
        session.note(
            {"vocabulary": name, "tokens": width, "part": "building"},
            {"genlm_seconds": building},
            said=f"building genlm's trie takes {building:.1f} s (CPU)",
        )


class TimedForward:
    """Adds up the CPU time of a model's forwards."""

    def __init__(self, model):
        self.seconds = 0.0
        self.calls = 0
        forward = model.forward

        def timed(*inputs, **options):
            begin = time.process_time()
            try:
                return forward(*inputs, **options)
            finally:
                self.seconds += time.process_time() - begin
                self.calls += 1

        model.forward = timed


async def walk_genlm(llm, data):
    """Every law of a text; log-probability of the bytes at which it is not zero."""
    beam = await ByteBeamState.initial(llm, BeamParams(K=5, prune_threshold=0.05))
    chain, zeros = 0.0, 0
    for byte in data:
        logprob = float((await beam.logp_next())[byte])
        if np.isfinite(logprob):
            chain += logprob
        else:
            zeros += 1
        beam = await (beam.prune() << byte)
    await beam.cleanup()
    return chain, zeros


def walk_nextbyte(lm, data):
    state = lm.start()
    chain = 0.0
    for byte in data:
        chain += state.next_byte_logprobs()[byte]
        state.push(bytes([byte]))
    return chain, 0


def compare_texts(session, options):
    folder = models.cached("smollm2-135m")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    forwards = TimedForward(model)
    llm = AsyncTransformer(model, transformers.AutoTokenizer.from_pretrained(folder))
    plain = nb.ByteLM.from_pretrained("smollm2-135m")
    backend = TimedBackend(plain.backend, clock=time.process_time)
    lm = nb.ByteLM(plain.tokenizer, backend)
    roads = {
        "genlm-bytes": (lambda data: asyncio.run(walk_genlm(llm, data)), forwards),
        "nextbyte": (lambda data: walk_nextbyte(lm, data), backend),
    }
    for script, text in TEXTS.items():
        data = text.encode()[: options.bytes]
        own = {name: [] for name in roads}
        facts = {}
        for turn in range(options.walks + 1):
            for name, (walk, timed) in roads.items():
                llm.clear_cache()
                timed.seconds = 0.0
                begin, clock = time.process_time(), time.perf_counter()
                chain, zeros = walk(data)
                whole = time.process_time() - begin
                if turn:  # the first warms up: numba compiles
                    own[name].append((whole - timed.seconds) / len(data))
                facts[name] = {
                    "model_seconds_per_byte": timed.seconds / len(data),
                    "wall_seconds_per_byte": (time.perf_counter() - clock) / len(data),
                    "bits_per_byte": -chain / len(data) / np.log(2),
                    "bytes_of_probability_zero": zeros,
                }
        for name, values in own.items():
            facts[name]["own_seconds_per_byte"] = statistics.median(values)
        pairs = zip(own["genlm-bytes"], own["nextbyte"], strict=True)
        facts["ratio"] = statistics.median(a / b for a, b in pairs)
        said = "; ".join(
            f"{name} {facts[name]['own_seconds_per_byte'] * 1e6:.0f} us a byte of its own, "
            f"model {facts[name]['model_seconds_per_byte'] * 1e3:.1f} ms"
            for name in roads
        )
        setup = {"model": "SmolLM2-135M", "text": script, "bytes": len(data), "part": "text"}
        session.note(setup, facts, said=f"{said}; ratio {facts['ratio']:.0f}")


def main():
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--part", choices=["trie", "text"], help="only this")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--bytes", type=int, default=200, help="read this much of each text")
    parser.add_argument("--walks", type=int, default=2, help="walks of each text, one more warms")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers' own
    transformers.logging.disable_progress_bar()
    session = Session(__file__, __doc__, options)
    if options.part != "text":
        compare_tries(session, options)
    if options.part != "trie":
        compare_texts(session, options)


if __name__ == "__main__":
    main()
