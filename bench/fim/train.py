"""Trains two small code models of different vocabularies to fill in the middle, on a CPU.

Run: python bench/fim/train.py [--minutes 54] [--vocabulary 4096|8192] [--steps N]. The texts are
Python's standard library, half of the sequences PSM and half SPM (`corpus.py`); the models are
transformers' Llama with 4 layers of width 192, in float32, on one thread. The two vocabularies are
trained one after the other; start the script twice, with `--vocabulary`, to use two cores: 54
minutes each, plus the tokenizer's, stay within an hour. Everything random is seeded. With `--steps`
the weights depend on the machine's arithmetic alone; `--minutes` ends where the time does, and the
learning rate falls with it. Weights and a log of the loss go to fim/ in the cache folder
(NEXTBYTE_CACHE), outside of the repository. Such a model is no good coder: it has learned where
tokens and middles end, which is what the comparison of orders needs.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time

from corpus import END, Excerpts, description, standard_library, train_tokenizer
from muon import Muon

import nextbyte as nb
from nextbyte.models.cache import cache_directory

VOCABULARIES = {4096: False, 8192: True}
"""Size, and whether each digit is a token of its own."""

SHAPE = {
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
BLOCK, BATCH = 512, 4
RATE, WARM_UP = 6e-3, 0.03
SEED = 6


def folder_of(vocabulary):
    """Return where the model of this vocabulary is kept."""
    return cache_directory() / "fim" / f"stdlib-{vocabulary}"


def make_model(tokenizer):
    """Return a fresh model for this tokenizer."""
    import torch  # noqa: PLC0415 - slow to import
    from transformers import LlamaConfig, LlamaForCausalLM  # noqa: PLC0415

    end = tokenizer.token_to_id(END)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), bos_token_id=end, eos_token_id=end, **SHAPE
    )
    torch.manual_seed(SEED)
    return LlamaForCausalLM(config)


def fit(model, excerpts, *, minutes, steps, on_step):
    """Train until the steps or the minutes are over; return the mean losses, one every 10 steps."""
    import torch  # noqa: PLC0415

    inner = [p for name, p in model.named_parameters() if p.dim() == 2 and "layers" in name]
    known = {id(p) for p in inner}
    others = [p for p in model.parameters() if id(p) not in known]  # embeddings and norms
    optimizers = [
        Muon(inner, lr=RATE, weight_decay=0.1),
        torch.optim.AdamW(others, lr=RATE, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    blocks = excerpts.blocks(BLOCK)
    begin, step, losses, log = time.monotonic(), 0, [], []
    model.train()
    while True:
        spent = (time.monotonic() - begin) / 60
        done = step / steps if steps else spent / minutes
        if done >= 1:
            break
        rate = min(done / WARM_UP + 0.01, 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, rate)
        batch = torch.tensor([next(blocks) for _ in range(BATCH)])
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        step += 1
        if step % 10 == 0:
            log.append(
                {
                    "step": step,
                    "minutes": round(spent, 3),
                    "loss": sum(losses[-10:]) / len(losses[-10:]),
                }
            )
        on_step(done, losses)
    model.eval()
    return step, log


class Bar:
    """A line that says how far it is; on a terminal it stays in place."""

    def __init__(self, name):
        self.name, self.shown = name, -1

    def __call__(self, done, losses):
        share = min(100, int(100 * done))
        if share == self.shown:
            return
        self.shown = share
        recent = losses[-20:]
        loss = sum(recent) / len(recent)
        line = f"{self.name} [{'#' * (share // 4):<25}] {share:3} % loss {loss:.3f}"
        if sys.stderr.isatty():
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
        elif share % 10 == 0:
            print(line, file=sys.stderr, flush=True)


def train(vocabulary, *, minutes, steps, folder=None):
    """Train, save and check one model; return the folder."""
    import torch  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    torch.set_num_threads(1)
    texts = standard_library()
    tokenizer = train_tokenizer(texts, vocabulary, single_digits=VOCABULARIES[vocabulary])
    excerpts = Excerpts(texts, tokenizer, SEED)
    model = make_model(tokenizer)
    parameters = sum(p.numel() for p in model.parameters())
    begin = time.monotonic()
    step, log = fit(
        model, excerpts, minutes=minutes, steps=steps, on_step=Bar(f"stdlib-{vocabulary}")
    )
    folder = folder or folder_of(vocabulary)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END
    ).save_pretrained(folder)
    notes = {
        "corpus": description(),
        "files": len(texts),
        "characters": sum(map(len, texts)),
        "vocabulary": tokenizer.get_vocab_size(),
        "parameters": parameters,
        "minutes": (time.monotonic() - begin) / 60,
        "steps": step,
        "tokens": step * BLOCK * BATCH,
        "seed": SEED,
        "log": log,
    }
    (folder / "training.json").write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")
    last = log[-1]["loss"] if log else math.nan
    print(
        f"{folder}: {parameters / 1e6:.2f} million parameters, {step} steps, "
        f"{notes['tokens']} tokens, loss {last:.3f}",
        flush=True,
    )
    check(folder)
    return folder


def check(folder):
    """Fail unless the loader reads the folder, and infilling finds the format and both orders."""
    lm = nb.ByteLM.from_pretrained(folder)
    for order in ("psm", "spm"):
        params = nb.SamplingParams(temperature=0.0, max_bytes=8)
        found = nb.infill(
            lm, "def add(first, sec", "):\n    return first + second\n", params, order=order
        )
        assert (found.format, found.order) == ("starcoder", order), found
        print(f"  {found.order}: def add(first, sec -> {found.middle!r} ({found.finish_reason})")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=54.0, help="of training, each model")
    parser.add_argument("--steps", type=int, default=0, help="train so long instead")
    parser.add_argument(
        "--vocabulary", type=int, choices=VOCABULARIES, action="append", help="only this one"
    )
    options = parser.parse_args()
    for vocabulary in options.vocabulary or VOCABULARIES:
        train(vocabulary, minutes=options.minutes, steps=options.steps)


if __name__ == "__main__":
    main()
