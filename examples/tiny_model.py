"""A whole byte model without any download: a tokenizer of eight tokens and a table of bigrams."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import nextbyte as nb
from nextbyte.backends import TableBackend

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOKENS = ["a", "b", "n", "an", "ana", "ban", "na", "<end>"]
END = TOKENS.index("<end>")
MERGES = [("a", "n"), ("n", "a"), ("an", "a"), ("b", "an")]


def write_tokenizer(folder: Path) -> Path:
    """Write a byte-level BPE `tokenizer.json` of the tokens above."""
    document = {
        "added_tokens": [{"id": END, "content": "<end>", "special": True}],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(TOKENS)},
            "merges": [list(merge) for merge in MERGES],
        },
    }
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(document))
    return path


def make_model() -> nb.ByteLM:
    """Return the model: the law of a token depends on the token before it alone."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = nb.Tokenizer.from_file(write_tokenizer(Path(folder)))
    rng = np.random.default_rng(0)
    table: dict[tuple[int, ...], NDArray[np.float64]] = {(): np.full(len(TOKENS), 1 / len(TOKENS))}
    table |= {(token,): rng.dirichlet(np.ones(len(TOKENS))) for token in range(len(TOKENS))}
    return nb.ByteLM(tokenizer, TableBackend(table, end_tokens=[END]))


def main() -> None:
    """Show the cover encodings of a prefix, its next-byte law, and a sample."""
    lm = make_model()
    for cover, overhang in lm.tokenizer.cover_encodings("ba"):
        print([TOKENS[token] for token in cover], "reaches", overhang, "byte(s) past 'ba'")
    law = np.exp(lm.start("ba").next_byte_logprobs())
    for symbol in np.flatnonzero(law):
        print("end" if symbol == nb.END_OF_TEXT else repr(chr(symbol)), round(law[symbol], 4))
    print(nb.generate(lm, "ba", nb.SamplingParams(max_bytes=20, seed=1)))


if __name__ == "__main__":
    main()
