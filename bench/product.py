"""The library's own calls in the benches: one row of logits to 257 masses, and pushes.

The face of the kernels is looked up here alone, so that a bench asks its question of whatever
commit it is run on.
"""

from __future__ import annotations

import numpy as np

from nextbyte import _core


def fresh_query(tokenizer, row, out):
    """A call: from nothing to the 257 log-masses after the empty text, as a stream does it."""
    compiled = tokenizer.compiled

    def call():
        stream = _core.ByteStream(compiled, [])
        stream.provide(stream.pending()[0], row)
        stream.next_byte_logprobs(out)

    return call


def root_candidates(tokenizer, order, rows):
    """Name to calls, one for each row: logits in, 257 masses out, deeper nodes ready."""
    del order
    out = np.empty(257)
    return {"nextbyte, a whole new stream": [fresh_query(tokenizer, row, out) for row in rows]}


def root_laws(tokenizer, order, row):
    """Name to the masses that each of the kernel's ways gives."""
    del tokenizer, order, row
    return {}


def inner_candidates(tokenizer, order, row):
    """`ROOT` and `INNER`: a root call, and all queries of inner nodes on a token's way."""
    del tokenizer, order, row
    return {}


ROOT = "root call"
INNER = "all inner nodes of a token"
