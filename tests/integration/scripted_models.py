"""A code model that says what a script tells it, and tells in hex what it was given to fill in.

Every token is one byte, so that tokens and bytes count alike and a text has one encoding; special
tokens are those of Qwen's coders. Behind the middle's sentinel the model says ``~PREFIX|SUFFIX~``
and ends, where what was typed behind the sentinel counts as prefix. Elsewhere it goes on behind the
last key of its script. Whatever it does not say has a probability of 1e-9.
"""

from __future__ import annotations

import threading
import time

import numpy as np

import nextbyte as nb
from unit import tiny_tokenizers as tiny

END = "<|endoftext|>"
PREFIX, SUFFIX, MIDDLE = "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"
FILE, REPOSITORY, PAD = "<|file_sep|>", "<|repo_name|>", "<|fim_pad|>"
SPECIALS = (END, PREFIX, SUFFIX, MIDDLE, PAD, REPOSITORY, FILE)
CHARACTERS = "\U0001f600é漢\U0001f9d1\u200d\U0001f4bb!"
LINES = "one\ntwo STOP three\nfour"
SCRIPT = {
    b"characters:": CHARACTERS.encode(),
    b"lines:": LINES.encode(),
    b"forever:": b"tick " * 4000,
    b"quotes:": b'"\\\x00\x1f</script>\xe2\x80\xa8',
}
UNLIKELY = 1e-9


def hexadecimal(prefix, suffix):
    """What the model says between the two."""
    return f"~{prefix.encode().hex()}|{suffix.encode().hex()}~"


class Scripted:
    """The model's rows; `contexts` are those that were asked for, `delay` seconds what each takes.

    While the event `gate` is clear, every row waits.
    """

    def __init__(self, folder):
        document = tiny.document(
            tiny.single_bytes(bytes(range(256))), [], specials=SPECIALS, pre_tokenizer=tiny.WHOLE
        )
        self.tokenizer = nb.Tokenizer.from_file(tiny.write(folder, document))
        self.ids = self.tokenizer.special_tokens
        self.names = {token: name for name, token in self.ids.items()}
        self.contexts: list[tuple[int, ...]] = []
        self.delay = 0.0
        self.gate = threading.Event()
        self.gate.set()
        self.lm = nb.ByteLM.from_function(self.tokenizer, self.rows, end_tokens=(self.ids[END],))

    def rows(self, contexts):
        """Return log-probabilities after each context."""
        made = np.empty((len(contexts), self.tokenizer.vocab_size))
        for row, context in zip(made, contexts, strict=True):
            assert self.gate.wait(60)
            if self.delay:
                time.sleep(self.delay)
            self.contexts.append(tuple(context))
            chances = np.full(len(row), UNLIKELY)
            chances[self._next(self.parts(context))] = 1.0
            row[:] = np.log(chances / chances.sum())
        return made

    def parts(self, context):
        """Split a context into (name of the special token before it, bytes)."""
        tokens = np.asarray(context, dtype=np.int64)  # ordinary ones are the bytes themselves
        found, start = [("", b"")], 0
        for place in [*np.flatnonzero(tokens > 255).tolist(), len(tokens)]:
            found[-1] = (found[-1][0], bytes(tokens[start:place].tolist()))
            if place < len(tokens):
                found.append((self.names[int(tokens[place])], b""))
            start = place + 1
        return found

    def _next(self, parts):
        said = parts[-1][1]
        if parts[-1][0] == MIDDLE:
            known = dict(parts)
            typed, began, said = said.partition(b"~")
            if not began:
                return ord("~")
            text = (known.get(PREFIX, b"") + typed).hex() + "|" + known.get(SUFFIX, b"").hex() + "~"
            text = text.encode()
        else:
            key = max(SCRIPT, key=said.rfind)
            if key not in said:
                return self.ids[END]
            text, said = SCRIPT[key], said[said.rfind(key) + len(key) :]
        if not text.startswith(said) or text == said:
            return self.ids[END]
        return text[len(said)]
