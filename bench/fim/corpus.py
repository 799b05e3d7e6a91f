"""Python's own standard library as texts to fill in: excerpts, cut at characters, as tokens.

An excerpt becomes prefix, middle and suffix at two cuts between characters, without a look at its
tokens (Bavarian et al., arXiv 2207.14255, their random spans), and these one of two sequences:

- PSM: ``PRE prefix SUF suffix MID middle END``, each part tokenized by itself;
- SPM: ``PRE SUF suffix MID prefix-and-middle END``, the prefix and the middle tokenized as one
  text, as for Code Llama (arXiv 2308.12950, section 2.3; StarCoder's are tokenized apart).

So in PSM the model reads prefixes that end anywhere, as their own tokens, and learns to go on from
those; in SPM the tokens of a prefix that ends inside a token are some that it has never read there.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import numpy as np

END, PREFIX, MIDDLE, SUFFIX, PAD = SPECIALS = (
    "<|endoftext|>",
    "<fim_prefix>",
    "<fim_middle>",
    "<fim_suffix>",
    "<fim_pad>",
)
LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "encodings"}
LEFT_OUT |= {"pydoc_data", "lib2to3", "__pycache__"}
EXCERPT = (300, 1200)
"""Characters of an excerpt, the least and the most."""
SHORT = 48
"""Half of the middles have at most so many characters; of the others both cuts are uniform."""
WHOLE = 0.1
"""Share of excerpts that are read as they are."""


def standard_library():
    """Return the sources of this Python's standard library, tests left out, in a fixed order."""
    folder = Path(sysconfig.get_path("stdlib"))
    texts = []
    for path in sorted(folder.rglob("*.py")):
        if LEFT_OUT.isdisjoint(path.relative_to(folder).parts):
            try:
                text = path.read_text("utf-8")
            except UnicodeDecodeError:
                continue
            if len(text) > EXCERPT[0]:
                texts.append(text)
    return texts


def description():
    """Say which library the texts are of."""
    return f"standard library of Python {sys.version.split()[0]}"


class Excerpts:
    """An endless stream of training sequences; the same seed gives the same ones."""

    def __init__(self, texts, tokenizer, seed):
        self.texts = texts
        self.tokenizer = tokenizer
        self.ids = {name: tokenizer.token_to_id(name) for name in SPECIALS}
        self.random = np.random.default_rng(seed)
        sizes = np.array([len(text) for text in texts], dtype=np.float64)
        self.cumulative = np.cumsum(sizes / sizes.sum())

    def excerpt(self):
        """Return some whole lines of a file."""
        file = int(np.searchsorted(self.cumulative, self.random.random() * self.cumulative[-1]))
        text = self.texts[file]
        begin = text.rfind("\n", 0, int(self.random.integers(len(text)))) + 1
        return text[begin : begin + int(self.random.integers(*EXCERPT))]

    def cuts(self, size):
        """Return where the middle begins and ends."""
        first, last = sorted(int(cut) for cut in self.random.integers(size + 1, size=2))
        if self.random.random() < 0.5:
            last = min(size, first + int(self.random.integers(1, SHORT + 1)))
        return first, last

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def sequence(self):
        """Return the tokens of one excerpt, the end token with them."""
        text, ids = self.excerpt(), self.ids
        if self.random.random() < WHOLE:
            return [*self.encode(text), ids[END]]
        first, last = self.cuts(len(text))
        prefix, middle, suffix = text[:first], text[first:last], text[last:]
        if self.random.random() < 0.5:
            before = [ids[PREFIX], *self.encode(prefix), ids[SUFFIX], *self.encode(suffix)]
            return [*before, ids[MIDDLE], *self.encode(middle), ids[END]]
        before = [ids[PREFIX], ids[SUFFIX], *self.encode(suffix), ids[MIDDLE]]
        return [*before, *self.encode(prefix + middle), ids[END]]

    def blocks(self, size):
        """Yield `size` tokens at a time: sequences one after the other, the end token between."""
        tokens = [self.ids[END]]
        while True:
            while len(tokens) < size:
                tokens += self.sequence()
            yield tokens[:size]
            tokens = tokens[size:]


def train_tokenizer(texts, size, *, single_digits):
    """Return a byte-level BPE tokenizer of `size` tokens with the special ones of infilling."""
    from tokenizers import (  # noqa: PLC0415 - optional
        Tokenizer,
        decoders,
        models,
        pre_tokenizers,
        trainers,
    )

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if single_digits:
        split = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), split])
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
