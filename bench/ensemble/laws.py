"""Laws of real models along known texts, read in one pass each and kept in a folder.

A rule of an ensemble is arithmetic on its members' laws, so one reading a model and text is enough
for every rule and weight. The laws are kept as float64, 2 kB a byte; a run that was cut off goes on
where it stopped.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import time

import members
import numpy as np

import nextbyte as nb
from nextbyte.scoring.walks import laws_along

WINDOW = 600
"""Bytes of a window: so many that Whisper, the shortest, has room for its tokens in any script."""


class Reader:
    """Reads laws with one model, and loads it only when something is not kept yet."""

    def __init__(self, name, folder, gemma=None):
        self.name, self.folder, self.gemma = name, folder, gemma
        self.seconds, self.bytes = 0.0, 0  # CPU time of what was read and not kept

    @functools.cached_property
    def model(self):
        print(f"loading {self.name}", file=sys.stderr, flush=True)
        model = members.load(self.name, self.gemma)
        nb.score(model, b"warm up")
        return model

    def text(self, text, *, window=WINDOW):
        """Return the laws before every byte of a text, (n, 257); as `nb.score` reads it."""

        def read():
            sizes = {"window_bytes": window, "overlap_bytes": window // 2}
            return [nb.score(self.model, text, full=True, **sizes)]

        return self._kept(("text", "", text, window), read)[0]

    def continuations(self, context, texts):
        """Return the laws along several texts behind one context, a list of (n, 257)."""

        def read():
            state = self.model.start(context)
            self.model.next_byte_logprobs([state])  # so that the forks share its rows
            walks = [(state.fork(), text.encode()) for text in texts]
            found = [[] for _ in texts]
            for block in laws_along(self.model, walks):
                found[block.walk].append(block.rows)
            return [np.concatenate(parts) for parts in found]

        return self._kept(("continuations", context, texts), read)

    def _kept(self, question, read):
        named = repr((members.identity(self.name), question))
        key = hashlib.sha256(named.encode()).hexdigest()[:24]
        path = self.folder / f"{key}.npz"
        if path.exists():
            with np.load(path) as kept:
                return [kept[f"arr_{i}"] for i in range(len(kept.files))]
        self.model  # noqa: B018 - loading is not reading
        begin = time.process_time()
        rows = read()
        self.seconds += time.process_time() - begin
        self.bytes += sum(map(len, rows))
        keep(path, lambda file: np.savez(file, *rows))
        return rows


def keep(path, write):
    """Write a file that is whole or not there, however this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".part{os.getpid()}")
    with part.open("wb") as file:
        write(file)
    part.replace(path)
