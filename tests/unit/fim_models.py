"""Tiny models trained to infill, as far as anyone can see: their tokenizers have the sentinels."""

from __future__ import annotations

import numpy as np

import nextbyte as nb
from nextbyte.backends import TableBackend
from nextbyte.fim_formats import FIM_FORMATS
from unit import tiny_tokenizers as tiny
from unit.known_models import CountingBackend, noise

TOKENS = [bytes([byte]) for byte in range(256)]
MERGES = [
    (b"a", b"b"),
    (b" ", b" "),
    (b"  ", b"  "),
    (b"\n", b"    "),
    (b"\r", b"\n"),
    (b"w", b"o"),
    (b"r", b"l"),
    (b"wo", b"rl"),
    (b"worl", b"d"),
    (b" ", b"world"),
    (b"f", b"im"),
    (b"<", b"fim"),
    (b"i", b"m"),
]
FAMILIES = tuple(spelling.name for spelling in FIM_FORMATS)
END = "<|endoftext|>"


def coder(folder, family, *, words=()):
    """Return a tokenizer with a family's sentinels; those of `words` are called words, not special.

    Every byte has a token.
    """
    spelling = next(spelling for spelling in FIM_FORMATS if spelling.name == family)
    specials = tuple(dict.fromkeys((END, *spelling.needed, *spelling.ends)))
    merges = sorted(MERGES, key=lambda pair: len(b"".join(pair)))
    file = tiny.document(TOKENS, merges, specials=specials)
    for token in file["added_tokens"]:
        token["special"] = token["content"] not in words
    path = tiny.write(folder, file, f"{family}{len(words)}.json")
    return nb.Tokenizer.from_file(path)


def fim_model(tokenizer, row=None, **options):
    """Return a model over it, of noise or of given rows, and the backend that counts."""
    width = tokenizer.vocab_size
    ends = (tokenizer.special_tokens[END],)
    backend = CountingBackend(row or noise(width), width, end_tokens=ends)
    return nb.ByteLM(tokenizer, backend, **options), backend


def sayer(tokenizer, text, *, end=None):
    """Return a model that says one text behind the last sentinel, whatever the prompt: a table."""
    ids = tokenizer.encode(text)
    width = tokenizer.vocab_size
    specials = set(tokenizer.special_tokens.values())
    stop = tokenizer.special_tokens[end or END]

    def row(context):
        said = 0
        for token in reversed(context):
            if token in specials:
                break
            said += 1
        chances = np.full(width, 1e-12)
        chances[ids[said] if said < len(ids) else stop] = 1.0
        return chances / chances.sum()

    backend = TableBackend(row, end_tokens=(tokenizer.special_tokens[END],))
    return nb.ByteLM(tokenizer, backend)
