"""Masses of byte prefixes by definition: sums in long double over tokens sorted by their bytes.

No tries, ranks or kernels: a prefix is the run of sorted spellings that start with it.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import numpy as np
import pytest

EXACT = 1e-12  # to a double's precision, relative
LEAST = 1e-300  # below, doubles grow coarse: differences so small do not count


@dataclass(frozen=True, slots=True)
class Node:
    """A prefix: its run of sorted spellings, and where in it each next byte starts."""

    prefix: bytes
    first: int
    last: int
    is_token: bool
    next_bytes: np.ndarray
    starts: np.ndarray  # counted from `first`


class Spellings:
    """The tokens that texts consist of, in the order of their bytes."""

    def __init__(self, token_bytes):
        pairs = sorted((data, token) for token, data in token_bytes.items())
        self.spellings = [data for data, _ in pairs]
        self.tokens = np.array([token for _, token in pairs])

    def run(self, prefix):
        """Return where the spellings that start with `prefix` begin and end."""
        behind = prefix.rstrip(b"\xff")
        following = behind[:-1] + bytes([behind[-1] + 1]) if behind else None
        end = bisect.bisect_left(self.spellings, following) if following else len(self.spellings)
        return bisect.bisect_left(self.spellings, prefix), end

    def node(self, prefix):
        first, last = self.run(prefix)
        is_token = first < last and self.spellings[first] == prefix
        places, next_bytes = [], []
        at = first + is_token
        while at < last:
            byte = self.spellings[at][len(prefix)]
            places.append(at - first)
            next_bytes.append(byte)
            at = self.run(prefix + bytes([byte]))[1]
        return Node(prefix, first, last, is_token, np.array(next_bytes, int), np.array(places, int))

    def beginnings(self, source, count):
        """Draw spellings; return what they begin with, themselves included."""
        drawn = source.sample(self.spellings, min(count, len(self.spellings)))
        return sorted({data[:end] for data in drawn for end in range(1, len(data) + 1)})


class Expected:
    """The probabilities of one row, in long double."""

    def __init__(self, spellings, logits):
        logits = np.asarray(logits, np.longdouble)[spellings.tokens]
        weights = np.exp(logits - logits.max())
        self.log_normalizer = logits.max() + np.log(weights.sum())
        self.weights = weights / weights.sum()

    def own(self, node):
        return self.weights[node.first] if node.is_token else np.longdouble(0)

    def mass(self, node):
        return self.weights[node.first : node.last].sum()

    def children(self, node):
        masses = np.zeros(256, np.longdouble)
        if node.next_bytes.size:
            run = self.weights[node.first : node.last]
            masses[node.next_bytes] = np.add.reduceat(run, node.starts)
        return masses


def in_double(values):
    """Round; what is above zero stays so."""
    values = np.array(values)
    rounded = values.astype(float)
    rounded[(rounded == 0) & (values > 0)] = 5e-324
    return rounded


def require_close(got, expected, bound, nodes, what):
    """Compare one value, or one row of values, for each node."""
    wrong = ~(np.abs(got - expected) <= bound * np.abs(expected) + LEAST)  # NaN is wrong, too
    wrong |= (got <= 0) & (expected > LEAST) | (got != 0) & (expected == 0)
    if wrong.any():
        place = tuple(int(axis[0]) for axis in np.nonzero(wrong))
        node = nodes[place[0]]
        pytest.fail(
            f"{what}: {int(wrong.sum())} of {wrong.size} wrong, first of {node.prefix!r}, ranks "
            f"[{node.first}, {node.last}), at {place[1:]}: {got[place]!r} for {expected[place]!r}"
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a row must answer for some nodes."""

    nodes: list[Node]
    masses: np.ndarray
    children: np.ndarray
    own: np.ndarray
    log_normalizer: float

    @classmethod
    def of(cls, spellings, logits, nodes):
        expected = Expected(spellings, logits)
        return cls(
            nodes,
            in_double([expected.mass(node) for node in nodes]),
            in_double([expected.children(node) for node in nodes]),
            in_double([expected.own(node) for node in nodes]),
            float(expected.log_normalizer),
        )

    def check(self, row, bound, what):
        """Check a row; the first node is the root."""
        masses = np.array([row.mass(node.prefix) for node in self.nodes])
        children = np.array([row.children(node.prefix) for node in self.nodes])
        require_close(masses, self.masses, bound, self.nodes, f"{what}, mass")
        require_close(children, self.children, bound, self.nodes, f"{what}, children")
        # Sums are made in double, whatever the masses are.
        slack = EXACT * masses + bound * self.own + LEAST
        apart = np.abs(masses - children.sum(axis=1) - self.own)
        worst = int(np.argmax(apart - slack))
        assert (apart <= slack).all(), (
            f"{what}: the children of {self.nodes[worst].prefix!r} add up to {apart[worst]:.3g} "
            f"less or more than {masses[worst]!r}"
        )
        roots = row.roots()
        alone = np.zeros(256)
        for byte in self.nodes[0].next_bytes.tolist():
            alone[byte] = row.mass(bytes([byte]))
        for other in (alone, children[0]):
            assert (np.abs(roots - other) <= EXACT * roots + LEAST).all(), (what, "roots differ")
        assert abs(roots.sum() - 1.0) <= EXACT, what
        slack = bound + 4e-16 * abs(self.log_normalizer)
        assert abs(row.log_normalizer - self.log_normalizer) <= slack, what
