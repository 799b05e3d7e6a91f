"""The common-vocabulary ensemble by its definition: sums over whole texts, nothing clever.

C is what an ordinary token of every member's tokenizer spells, and all single bytes. gamma encodes
a text into C from left to right, by the longest match. With X a text drawn from member i:

* ``N_i(c_1..c_n)`` = P(gamma(X) begins with c_1..c_n);
* ``P_i(c | ctx)`` = N_i(ctx c) / N_i(ctx) and ``P_i(END | ctx)`` = P(X is the text of ctx) /
  N_i(ctx);
* mixture: ``Q(c | ctx)`` = sum of w_i P_i(c | ctx) over the members with N_i(ctx) > 0, whose
  weights are scaled to the sum of all;
* product: ``Q(c | ctx)`` proportional to the product of P_i(c | ctx) ** w_i over the symbols,
  END among them, that every member finds possible; a weight of zero leaves a member out;
* Q(text) is the chain of Q along gamma(text), with END, and Q(symbol | y) of a byte prefix y
  the ratio of what the texts that begin so have together.

N_i and P_i are fractions; Q has 40 decimal digits.
"""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from oracle.distribution import END_OF_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from oracle.ending_models import TextLaw

Context = tuple[bytes, ...]
END = b""
"""Stands for the end of the text among tokens of C, none of which is empty."""

DIGITS = 40
SINGLE_BYTES = frozenset(bytes([byte]) for byte in range(256))


def common_tokens(vocabularies: Iterable[set[bytes]]) -> frozenset[bytes]:
    """Return C of tokenizers, each given as what its ordinary tokens spell."""
    return frozenset(set.intersection(*map(set, vocabularies))) | SINGLE_BYTES


def greedy(text: bytes, tokens: frozenset[bytes]) -> Context:
    """gamma: the longest token that fits, again and again."""
    longest, found, place = max(map(len, tokens)), [], 0
    while place < len(text):
        fits = (text[place : place + count] for count in range(longest, 0, -1))
        found.append(next(piece for piece in fits if piece in tokens))
        place += len(found[-1])
    return tuple(found)


def to_decimal(number: Fraction) -> Decimal:
    """Divide to all digits."""
    return Decimal(number.numerator) / Decimal(number.denominator)


def combine(
    laws: Sequence[Mapping[bytes, Fraction] | None], weights: Sequence[float], rule: str
) -> dict[bytes, Decimal]:
    """Combine the members' laws of one symbol; None for a member whose N of the context is zero.

    Symbols without probability are left out; the result is empty where the rule has no law.
    """
    with decimal.localcontext() as context:
        context.prec = DIGITS
        if rule == "product":
            counted = [(law, w) for law, w in zip(laws, weights, strict=True) if w]
            if any(law is None for law, _ in counted):
                return {}
            common = set.intersection(*({c for c, p in law.items() if p} for law, _ in counted))
            powers = {
                c: math.prod(
                    (to_decimal(law[c]) ** Decimal(w) for law, w in counted), start=Decimal(1)
                )
                for c in common
            }
        else:
            powers = {}
            for law, weight in zip(laws, weights, strict=True):
                for c, p in (law or {}).items():
                    if p and weight:
                        powers[c] = powers.get(c, Decimal(0)) + Decimal(weight) * to_decimal(p)
        total = sum(powers.values())
        return {c: p / total for c, p in powers.items()}


class CommonVocabulary:
    """The ensemble of finite text laws over one C.

    Parameters
    ----------
    laws
        P_i(text) of every text that member i can write.
    tokens
        C.
    weights, rule
        How to combine.

    """

    def __init__(
        self,
        laws: Sequence[TextLaw],
        tokens: frozenset[bytes],
        weights: Sequence[float],
        rule: str,
    ) -> None:
        """Sum up N_i of every context."""
        self.laws, self.tokens, self.weights, self.rule = laws, tokens, weights, rule
        self.encodings = {text: greedy(text, tokens) for law in laws for text in law}
        self.numbers: list[dict[Context, Fraction]] = []
        self.following: dict[Context, set[bytes]] = {}
        for law in laws:
            numbers: dict[Context, Fraction] = {}
            for text, chance in law.items():
                encoding = self.encodings[text]
                for end in range(len(encoding) + 1):
                    numbers[encoding[:end]] = numbers.get(encoding[:end], Fraction(0)) + chance
                    following = self.following.setdefault(encoding[:end], set())
                    following.add(encoding[end] if end < len(encoding) else END)
            self.numbers.append(numbers)
        self._laws: dict[Context, dict[bytes, Decimal]] = {}
        with decimal.localcontext() as context:
            context.prec = DIGITS
            self.texts = self._text_probabilities()
            self.masses: dict[bytes, Decimal] = {}
            for text, chance in self.texts.items():
                for end in range(len(text) + 1):
                    self.masses[text[:end]] = self.masses.get(text[:end], Decimal(0)) + chance

    def member_law(self, member: int, context: Context) -> dict[bytes, Fraction] | None:
        """P_i(. | context), or None where N_i(context) is zero."""
        numbers = self.numbers[member]
        whole = numbers.get(context, Fraction(0))
        if not whole:
            return None
        law = {}
        for symbol in self.following[context]:
            if symbol == END:
                found = self.laws[member].get(b"".join(context), Fraction(0))
            else:
                found = numbers.get((*context, symbol), Fraction(0))
            law[symbol] = found / whole
        return law

    def law(self, context: Context) -> dict[bytes, Decimal]:
        """Q(. | context)."""
        if context not in self._laws:
            laws = [self.member_law(member, context) for member in range(len(self.laws))]
            self._laws[context] = combine(laws, self.weights, self.rule)
        return self._laws[context]

    def _text_probabilities(self) -> dict[bytes, Decimal]:
        """Q(text) of every text with a positive one."""
        texts = {}
        for text, encoding in self.encodings.items():
            chance = Decimal(1)
            for end in range(len(encoding) + 1):
                symbol = encoding[end] if end < len(encoding) else END
                chance *= self.law(encoding[:end]).get(symbol, Decimal(0))
                if not chance:
                    break
            if chance:
                texts[text] = chance
        return texts

    def prefixes(self) -> list[bytes]:
        """All beginnings of texts that are possible, each after its own."""
        return sorted(self.masses)

    def row(self, prefix: bytes) -> NDArray[np.float64]:
        """Q(symbol | prefix), shape (257,)."""
        row = np.zeros(257)
        whole = self.masses[prefix]
        for byte in range(256):
            row[byte] = float(self.masses.get(prefix + bytes([byte]), 0) / whole)
        row[END_OF_TEXT] = float(self.texts.get(prefix, 0) / whole)
        return row

    def logprob(self, prefix: bytes) -> float:
        """Log Q(a text begins with prefix)."""
        return float(self.masses[prefix].ln())
