"""Tokenizers and models built to break an evaluator that puts contexts off (tolerance > 0).

Such an evaluator knows the weight of a context before it asks for its row, and puts the context off
while the weight is small beside the mass that is alive. It is wrong when small weights add up, when
what was small is all that is left a byte later, when it forgets contexts below one that was put
off, when the row it never saw makes a byte possible that nothing else does, or the end of text. The
models here bring each of these about wherever they can; ``Completion`` is the worst case itself: a
model that agrees with another one on all rows that were ever asked for, and nowhere else.
"""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from oracle.cases import Case, pairs
from oracle.distribution import END_OF_TEXT
from oracle.zoo import by_name

if TYPE_CHECKING:
    from collections.abc import Sequence as Rows
    from fractions import Fraction

    from numpy.typing import NDArray

    from oracle.definition import Definition, Sequence

ATTACKS = (
    "ambush",
    "legion",
    "late_end",
    "all_or_nothing",
    "alternating",
    "erosion",
)
SCALE = 10**12

OWN_CASES = [
    # a, ab, abc, abcd and the whole are tokens, so all are contexts after the start; behind each of
    # them one token fits the same text: after "abcde" as many contexts are alive as it has bytes.
    Case(
        "many_contexts",
        "none",
        "abcde1234",
        6,
        0,
        merges=pairs(
            *("e|1", "d|e1", "c|de1", "b|cde1", "e|2", "d|e2", "c|de2", "e|3", "d|e3", "e|4"),
            *("a|b", "ab|c", "abc|d", "abcd|e"),
        ),
        witness=1,
    ),
    # A run of blanks before a letter: tokens of 2, 3, 4 and 8 of them, so that the hypothesis "the
    # last blank belongs to the word" lives beside the others along the whole run.
    Case(
        "long_blanks",
        "gpt2",
        "a ",
        12,
        0,
        merges=pairs(" |a", " | ", "  |  ", "    |    ", "  | "),
    ),
    # `\s*[\r\n]+`: "there will be another line feed" stays open without end.
    Case(
        "long_lines",
        "cl100k",
        "a \n",
        10,
        0,
        merges=pairs(" | ", "  |  ", "    |\n", "  |\n", " |\n", "\n|\n", " |a"),
    ),
]
CASE_NAMES = (
    "many_contexts",
    "long_blanks",
    "long_lines",
    "ahead_gpt2",
    "ahead_cl100k",
    "dead_blank",
    "plain_two",
    "runs_of_one_letter",
    "plain_accents",
    "added_runs",
)


@functools.cache
def case_of(name: str) -> Case:
    """Find a case, of the zoo or of this file."""
    return next((case for case in OWN_CASES if case.name == name), None) or by_name(name)


@dataclass
class Adversary:
    """A model whose rows are meant to mislead an evaluator with the tolerance ``eps``.

    Of what may follow a context, the longest tokens are *main*, the others are *rare*:

    ``ambush``: the rare ones share 0.95 eps. ``legion``: each of them has 0.4 eps, as far as there
    is room. ``late_end``: ambush, where only a text with a rare token in it may end, and then it
    mostly does. ``all_or_nothing``: ambush, but behind a rare token a single token, drawn by hash,
    has everything. ``alternating``: all mass but 1e-9 on a drawn token, then an even row, by turns.
    ``erosion``: main tokens have eps times the rest, so that what is likely shrinks with every
    byte beside what was put off. ``desert``: ambush, but behind a rare token that is not the first
    token nothing that may follow has any mass (the row is a distribution all the same).
    """

    definition: Definition
    kind: str
    eps: Fraction
    seed: int = 0
    start_token: int | None = None
    end_tokens: tuple[int, ...] = ()
    seen: set[Sequence] = field(default_factory=set)
    _weights: dict[Sequence, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, case: Case, kind: str, eps: Fraction, *, seed: int = 0) -> Adversary:
        """Make a model for a case, with its special tokens."""
        vocabulary = case.definition.tokenizer.get_vocab(with_added_tokens=True)
        return cls(
            case.definition,
            kind,
            eps,
            seed,
            vocabulary[case.specials[0]] if case.begin else None,
            tuple(vocabulary[token] for token in case.ends),
        )

    @property
    def start(self) -> Sequence:
        """The context of the empty text."""
        return () if self.start_token is None else (self.start_token,)

    @property
    def width(self) -> int:
        """Columns of a row: the last is no token's, so that no row is without any mass."""
        return self.definition.vocabulary_size + 1

    def weights(self, context: Sequence) -> list[int]:
        """Integer weights of every column."""
        if context not in self._weights:
            self._weights[context] = self._make(context)
        return self._weights[context]

    def rows(self, contexts: Rows[Rows[int]]) -> NDArray[np.float64]:
        """The function handed to the product; what it is asked for is *seen*."""
        asked = [tuple(int(token) for token in context) for context in contexts]
        self.seen.update(asked)
        return log_rows([self.weights(context) for context in asked])

    def draw(self, context: Sequence, count: int, what: str = "") -> int:
        """A number below ``count`` that is a function of the context."""
        material = f"{self.kind} {self.seed} {what} {context}".encode()
        return int.from_bytes(hashlib.blake2b(material, digest_size=8).digest()) % count

    def is_rare(self, sequence: Sequence, place: int) -> bool:
        """Whether the token at ``place`` of a sequence is not a longest one there."""
        return sequence[place] not in self.main(sequence[:place])

    def main(self, sequence: Sequence) -> tuple[int, ...]:
        """The longest tokens that may follow."""
        successors = self.definition.successors(sequence)
        lengths = {t: len(self.definition.token_bytes[t]) for t in successors}
        longest = max(lengths.values(), default=0)
        return tuple(t for t in successors if lengths[t] == longest)

    def _make(self, context: Sequence) -> list[int]:
        sequence = context[len(self.start) :]
        weights = [1] * self.width
        if not self.definition.is_prefix_canonical(sequence):
            return weights  # an evaluator may ask ahead; these rows are part of no law
        successors, main = self.definition.successors(sequence), self.main(sequence)
        ends = self.end_tokens if self.definition.is_canonical(sequence) else ()
        rare = [t for t in (*successors, *ends) if t not in main]
        rarity = [place for place in range(len(sequence)) if self.is_rare(sequence, place)]
        if not main:
            rare, main = [], tuple(ends)
        unit = int(SCALE * self.eps)
        if self.kind == "alternating":
            for token in (*main, *rare):
                weights[token] = 1 if len(sequence) % 2 == 0 else 10**9
            weights[self._one_of((*main, *rare), context)] = 10**9
            return weights
        for token in main:
            weights[token] = SCALE // len(main)
        share = min(unit * 4 // 10, SCALE * 9 // (10 * max(len(rare), 1)))
        for token in rare:
            weights[token] = share if self.kind == "legion" else unit * 95 // (100 * len(rare))
        if self.kind == "legion" and rare:
            for token in main:
                weights[token] = (SCALE - share * len(rare)) // len(main)
        if self.kind == "erosion" and rare:
            for token in main:
                weights[token] = unit // len(main)
            for token in rare:
                weights[token] = SCALE // (1 + self.draw(context, 1000, f"{token}")) ** 2
        if self.kind == "late_end":
            for token in ends:
                weights[token] = 5 * SCALE if rarity or not successors else 0
        if self.kind == "all_or_nothing" and rarity and rarity[-1] == len(sequence) - 1:
            keep = self._one_of((*main, *rare), context)
            for token in (*main, *rare):
                weights[token] = SCALE if token == keep else 0
        if self.kind == "desert" and rarity and rarity[-1] == len(sequence) - 1 > 0:
            for token in (*main, *rare):
                weights[token] = 0
        return weights

    def _one_of(self, tokens: tuple[int, ...], context: Sequence) -> int:
        return tokens[self.draw(context, len(tokens))]


@dataclass
class Completion:
    """Another model with the same rows wherever ``seen``; elsewhere all mass on one choice.

    After a prefix, an unseen context goes on to ``symbol`` as directly as it can; with ``symbol``
    None it leaves the prefix, or the alphabet's likeliest way, by the shortest way. Everything else
    keeps 1e-15 of the mass, so that nothing becomes impossible.
    """

    inner: Any
    seen: frozenset[Sequence]
    prefix: bytes
    symbol: int | None
    _weights: dict[Sequence, list[int]] = field(default_factory=dict)

    @property
    def start(self) -> Sequence:
        """The context of the empty text."""
        start: Sequence = self.inner.start
        return start

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """The tokens of the end."""
        ends: tuple[int, ...] = self.inner.end_tokens
        return ends

    def weights(self, context: Sequence) -> list[int]:
        """The known row, or the worst one."""
        if context in self.seen:
            known: list[int] = self.inner.weights(context)
            return known
        if context not in self._weights:
            weights = [1] * self.inner.width
            weights[self._choice(context[len(self.start) :])] = 10**15
            self._weights[context] = weights
        return self._weights[context]

    def _choice(self, sequence: Sequence) -> int:
        definition = self.inner.definition
        data = definition.decode(sequence)
        successors = definition.successors(sequence)
        if self.symbol is None:
            leaving = [
                t
                for t in successors
                if not (longer := data + definition.token_bytes[t]).startswith(self.prefix)
                and not self.prefix.startswith(longer)
            ]
            return (leaving or successors or self.end_tokens)[0]
        if self.symbol == END_OF_TEXT:
            wanted = self.prefix
            if data == wanted and definition.is_canonical(sequence):
                return self.end_tokens[0]
        else:
            wanted = self.prefix + bytes([self.symbol])
        fitting = [
            t
            for t in successors
            if (longer := data + definition.token_bytes[t]).startswith(wanted)
            or wanted.startswith(longer)
        ]
        fitting.sort(key=lambda t: -len(definition.token_bytes[t]))
        return (fitting or successors or self.end_tokens)[0]


def log_rows(weights: list[list[int]]) -> NDArray[np.float64]:
    """Rows of float64 log-probabilities of integer weights."""
    result = np.full((len(weights), len(weights[0]) if weights else 0), -np.inf)
    for row, own in zip(result, weights, strict=True):
        total = math.log(sum(own))
        row[:] = [math.log(weight) - total if weight else -math.inf for weight in own]
    return result
