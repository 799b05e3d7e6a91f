"""Question: what do 257 masses from a row of logits cost, beside memcpy and a log-softmax?

Run: python bench/kernels.py [--only NAME ...] [--file NAME=PATH ...] [--rounds N]. Rows look like a
model's (`vocabularies.logit_rows`). "warm" is one row again and again, "rotating" 24 rows in turn,
which come from the last-level cache. What nextbyte does leaves every deeper node of the trie ready;
of the others, only permute + segment sums does so for one depth, and log-softmax alone for none.
"""

from __future__ import annotations

import numpy as np
import product
import scipy.special
import torch
from harness import Session, arguments
from vocabularies import in_byte_order, logit_rows, real_tokenizers

ROTATION = 24
REFERENCE = "torch.log_softmax alone"


class Compositions:
    """What one would write in numpy and torch for the root masses, over one vocabulary."""

    def __init__(self, tokenizer, width):
        self.order, self.spelled = in_byte_order(tokenizer)
        first = np.array([data[0] for data in self.spelled])
        buckets = np.full(width, 256)
        buckets[self.order] = first
        self.buckets = torch.from_numpy(buckets)
        self.torch_order = torch.from_numpy(self.order)
        self.present, starts = np.unique(first, return_index=True)
        self.starts = starts
        self.lengths = torch.from_numpy(np.diff(np.append(starts, len(first))))

    def index_add(self, row):
        masses = torch.softmax(row, 0)
        return torch.zeros(257).index_add_(0, self.buckets, masses)

    def segments(self, row):
        masses = torch.softmax(row, 0)[self.torch_order]
        return torch.segment_reduce(masses, "sum", lengths=self.lengths, unsafe=True)

    def reduceat(self, row):
        masses = np.exp(row - row.max())
        masses /= masses.sum()
        return np.add.reduceat(masses[self.order], self.starts)

    def bincount(self, row):
        masses = np.exp(row - row.max())
        masses /= masses.sum()
        return np.bincount(self.buckets.numpy(), masses, 257)


def candidates(tokenizer, compositions, rows):
    """Name to calls, one for each row."""
    tensors = [torch.from_numpy(row) for row in rows]
    copies = [np.empty_like(row) for row in rows]

    def each(function, values):
        return [lambda value=value: function(value) for value in values]

    pairs = zip(copies, rows, strict=True)
    found = {
        REFERENCE: each(lambda row: torch.log_softmax(row, 0), tensors),
        "memcpy (numpy.copyto)": [lambda a=a, b=b: np.copyto(a, b) for a, b in pairs],
        "torch.logsumexp alone": each(lambda row: torch.logsumexp(row, 0), tensors),
        "torch softmax + index_add": each(compositions.index_add, tensors),
        "torch softmax + permute + segment_reduce": each(compositions.segments, tensors),
        "numpy softmax + permute + reduceat": each(compositions.reduceat, rows),
        "numpy softmax + bincount": each(compositions.bincount, rows),
        "scipy.special.log_softmax alone": each(scipy.special.log_softmax, rows),
    }
    found |= product.root_candidates(tokenizer, rows)
    return found


def check(tokenizer, compositions, row):
    """A wrong answer must not be timed: all roads give the same root masses."""
    expected = np.zeros(257)
    masses = np.exp(row.astype(np.float64) - row.max())
    masses /= masses.sum()
    np.add.at(expected, compositions.buckets.numpy(), masses)
    tensor = torch.from_numpy(row)
    present = compositions.present
    np.testing.assert_allclose(compositions.index_add(tensor)[present], expected[present], 1e-3)
    np.testing.assert_allclose(compositions.segments(tensor), expected[present], 1e-3)
    np.testing.assert_allclose(compositions.reduceat(row), expected[present], 1e-3)
    np.testing.assert_allclose(compositions.bincount(row)[present], expected[present], 1e-3)
    expected = expected[present] / expected[present].sum()
    for name, masses in product.root_laws(tokenizer, row).items():
        got = masses[present] / masses[present].sum()
        np.testing.assert_allclose(got, expected, 2e-6, err_msg=name)


def main():
    parser = arguments(__doc__, rounds=25)
    parser.add_argument("--file", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    options = parser.parse_args()
    session = Session(__file__, __doc__, options)
    for name, tokenizer in real_tokenizers(options.file, options.only):
        width = tokenizer.compiled.row_size
        rows = list(logit_rows(width, ROTATION))
        compositions = Compositions(tokenizer, width)
        check(tokenizer, compositions, rows[0])
        for buffers, used in (("warm", rows[:1]), ("rotating", rows)):
            session.compare(
                candidates(tokenizer, compositions, used),
                reference=REFERENCE,
                setup={"vocabulary": name, "tokens": width, "buffers": buffers},
                unit="us",
            )
        inner = product.inner_candidates(tokenizer, compositions.spelled, rows[0])
        if inner:
            figures = session.compare(
                inner,
                reference=product.ROOT,
                setup={"vocabulary": name, "tokens": width, "part": "inner nodes of a token"},
                unit="us",
            )
            share = figures[product.INNER].ratio
            print(f"inner-node queries of a token: {share:.1%} of its root call\n")
        by_level = product.level_candidates(tokenizer, rows[0])
        if by_level:
            with product.at_level(product.simd.active()):
                session.compare(
                    by_level,
                    reference=list(by_level)[-1],
                    setup={"vocabulary": name, "tokens": width, "part": "levels, id order"},
                    unit="us",
                )


if __name__ == "__main__":
    main()
