"""The library's own calls in the benches: one row of logits to byte masses, inner nodes, levels.

The face of the kernels is looked up here alone, so that a bench asks its question of whatever
commit it is run on.
"""

from __future__ import annotations

import contextlib
from itertools import pairwise

import numpy as np
from vocabularies import in_byte_order

import nextbyte as nb
from nextbyte import _core

STREAM = "nextbyte, a whole new stream"
BY_ID = "nextbyte, id order"
PRESORTED = "nextbyte, pre-sorted"
ROOT = "root call"
INNER = "all inner nodes of a token"

MASS_ROW = getattr(_core, "MassRow", None)
simd = getattr(nb, "simd", None)


def levels():
    """SIMD levels of this processor, least first; empty for a library without levels."""
    return () if simd is None else simd.targets()


@contextlib.contextmanager
def at_level(level):
    """Compute at one level; None for the one in use."""
    if level is None:
        yield
        return
    before = simd.active()
    simd.use(level)
    try:
        yield
    finally:
        simd.use(before)


def fresh_stream(tokenizer, row, out):
    """A call: from nothing to the 257 log-masses after the empty text, as a stream does it."""
    compiled = tokenizer.compiled

    def call():
        stream = _core.ByteStream(compiled, [])
        stream.provide(stream.pending()[0], row)
        stream.next_byte_logprobs(out)

    return call


def root_call(tokenizer, row, out, *, presorted=False):
    """A call: a row of logits in, the masses of the first bytes out, deeper nodes ready."""
    compiled = tokenizer.compiled

    def call():
        return MASS_ROW(compiled, row, presorted=presorted).roots(out=out)

    return call


def presorted(tokenizer, rows):
    """The rows as a model with a permuted head gives them: ranked tokens, then the others."""
    order, _ = in_byte_order(tokenizer)
    others = np.setdiff1d(np.arange(len(rows[0])), order)
    places = np.concatenate([order, others])
    return [np.ascontiguousarray(row[places]) for row in rows]


def root_candidates(tokenizer, rows):
    """Name to calls, one for each row."""
    log_masses = np.empty(257)
    found = {STREAM: [fresh_stream(tokenizer, row, log_masses) for row in rows]}
    if MASS_ROW is not None:
        out = np.empty(256)
        in_order = presorted(tokenizer, rows)
        found[BY_ID] = [root_call(tokenizer, row, out) for row in rows]
        found[PRESORTED] = [root_call(tokenizer, row, out, presorted=True) for row in in_order]
    return found


def level_candidates(tokenizer, row):
    """Level to a root call at it, in id order; the level is set in the call (under 0.1 us)."""
    out = np.empty(256)
    root = root_call(tokenizer, row, out) if MASS_ROW is not None else None

    def at(level):
        def call():
            _core.simd_use(level)
            root()

        return call

    return {level: at(level) for level in (levels() if root is not None else ())}


def root_laws(tokenizer, row):
    """Name to the 256 masses that each way gives."""
    if MASS_ROW is None:
        return {}
    found = {}
    for level in levels():
        with at_level(level):
            found[f"{BY_ID}, {level}"] = MASS_ROW(tokenizer.compiled, row).roots()
            (in_order,) = presorted(tokenizer, [row])
            made = MASS_ROW(tokenizer.compiled, in_order, presorted=True)
            found[f"{PRESORTED}, {level}"] = made.roots()
    return found


def inner_candidates(tokenizer, spelled, row, *, tokens=2000):
    """`ROOT` and `INNER`: a root call, and the queries of the inner nodes of a drawn token.

    Tokens are drawn with weight 1 / (id + 100); the inner nodes of a token are the nodes below the
    root on its way at which two or more tokens part. The calls of `INNER` are one for each token.
    """
    if MASS_ROW is None:
        return {}
    compiled = tokenizer.compiled
    known = [t for t in range(compiled.vocabulary_size) if compiled.is_reachable(t)]
    weights = 1.0 / (np.array(known) + 100.0)
    drawn = np.random.default_rng(0).choice(known, tokens, p=weights / weights.sum())
    out = np.empty(256)
    made = MASS_ROW(compiled, row)
    shared = shared_prefixes(spelled)
    ways = []
    for token in drawn:
        data = compiled.token_bytes(int(token))
        ways.append([data[:k] for k in range(1, len(data)) if data[:k] in shared])

    def queries(way):
        def call():
            for prefix in way:
                made.children(prefix, out=out)

        return call

    return {ROOT: root_call(tokenizer, row, out), INNER: [queries(way) for way in ways]}


def shared_prefixes(spelled):
    """Byte prefixes that two or more tokens share, out of the sorted tokens."""
    shared = set()
    for a, b in pairwise(spelled):
        k = 1
        while k <= len(a) and a[:k] == b[:k]:
            shared.add(a[:k])
            k += 1
    return shared
