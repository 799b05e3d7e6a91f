"""The common-vocabulary ensemble a second way, as a byte model, right or with one fault.

Covers instead of texts: Q(texts that begin with y) is the sum of Q(ctx) Q(c | ctx) over contexts
whose text is a beginning of y and tokens c that take it to the end of y or beyond. N of a context
with text y is what its text has, A(y), less what the texts have in which one of the tokens would
have been longer: A(y z) for every shortest z that completes a longer token of C. So nothing need be
finite: members are given by A and E.
"""

from __future__ import annotations

import decimal
import functools
import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from oracle.common_vocabulary import DIGITS, END, Context, combine
from oracle.distribution import END_OF_TEXT
from oracle.stand_in import UnreachableByteError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

FAULTS = (
    "growth_ignored",
    "growth_of_the_last_token_only",
    "growth_but_only_at_the_next_byte",
    "end_from_all_texts_with_that_beginning",
    "end_left_out_of_the_sum",
    "weights_follow_the_evidence",
    "product_of_numbers",
    "lost_member_keeps_its_share",
    "rollback_one_too_few",
    "fork_shares_the_prefix",
    "refused_push_is_kept",
)


class Masses:
    """A and E of one member."""

    def __init__(self, begins: Mapping[bytes, Fraction], ends: Mapping[bytes, Fraction]) -> None:
        """Keep both; what is not in them is zero."""
        self.begins, self.ends = begins, ends

    @classmethod
    def of_texts(cls, law: Mapping[bytes, Fraction]) -> Masses:
        """Add up a finite text law."""
        begins: dict[bytes, Fraction] = {}
        for text, chance in law.items():
            for end in range(len(text) + 1):
                begins[text[:end]] = begins.get(text[:end], Fraction(0)) + chance
        return cls(begins, law)


class StandIn:
    """A byte model."""

    def __init__(
        self,
        members: Sequence[Masses],
        tokens: frozenset[bytes],
        weights: Sequence[float],
        rule: str,
        fault: str = "",
    ) -> None:
        """Keep everything; single bytes that no member writes change nothing and are left out."""
        self.members, self.weights, self.rule, self.fault = members, weights, rule, fault
        spelled = {byte for member in members for text in member.begins for byte in text}
        self.spelled = [token for token in tokens if spelled.issuperset(token)]
        self.tokens = sorted(tokens)
        self.number = functools.cache(self._number)
        self.law = functools.cache(self._law)
        self.symbols = functools.cache(self._symbols)

    def start(self, prompt: bytes = b"") -> StandInState:
        """Begin a text."""
        state = StandInState(self)
        state.push(prompt)
        return state

    def next_byte_logprobs(self, states: Sequence[StandInState]) -> NDArray[np.float64]:
        """One by one."""
        return np.array([state.next_byte_logprobs() for state in states]).reshape(-1, 257)

    def _number(self, member: int, context: Context) -> Fraction:
        """N_i(context)."""
        text, begins = b"".join(context), self.members[member].begins
        rests = self._growths(context)
        if b"" in rests:
            return Fraction(0)
        shortest = [z for z in rests if not any(z != o and z.startswith(o) for o in rests)]
        return begins.get(text, Fraction(0)) - sum(
            (begins.get(text + z, Fraction(0)) for z in shortest), Fraction(0)
        )

    def _growths(self, context: Context) -> set[bytes]:
        """Every z with which one token of the context would have been longer; b"" if it is now."""
        if self.fault == "growth_ignored":
            return set()
        found, rest = set(), b"".join(context)
        for place, token in enumerate(context):
            last = place + 1 == len(context)
            for longer in self.spelled:
                if len(longer) <= len(token):
                    continue
                if rest.startswith(longer):
                    found.add(b"")
                elif longer.startswith(rest):
                    z = longer[len(rest) :]
                    if self.fault == "growth_of_the_last_token_only" and not last:
                        continue
                    if self.fault == "growth_but_only_at_the_next_byte" and len(z) > 1:
                        continue
                    found.add(z)
            rest = rest[len(token) :]
        return found

    def member_law(self, member: int, context: Context) -> dict[bytes, Fraction] | None:
        """P_i(. | context)."""
        whole = self.number(member, context)
        if whole <= 0:
            return None
        text = b"".join(context)
        law = {token: self.number(member, (*context, token)) / whole for token in self.spelled}
        end = self.members[member].ends.get(text, Fraction(0))
        if self.fault == "end_from_all_texts_with_that_beginning":
            law[END] = end / self.members[member].begins[text]
        elif self.fault != "end_left_out_of_the_sum":
            law[END] = end / whole
        return {symbol: chance for symbol, chance in law.items() if chance > 0}

    def _law(self, context: Context) -> dict[bytes, Decimal]:
        members = range(len(self.members))
        laws = [self.member_law(member, context) for member in members]
        weights = list(self.weights)
        if self.fault == "weights_follow_the_evidence":
            weights = [w * float(self.number(m, context)) for m, w in enumerate(weights)]
        if self.fault == "lost_member_keeps_its_share" and None in laws and any(laws):
            kept = sum(w for w, law in zip(weights, laws, strict=True) if law) / sum(weights)
            combined = combine(laws, weights, self.rule)
            return {c: p * Decimal(kept) for c, p in combined.items()}
        combined = combine(laws, weights, self.rule)
        if self.fault == "product_of_numbers" and self.rule == "product":
            return {
                c: Decimal(
                    math.prod(float(law[c]) ** w for law, w in zip(laws, weights, strict=True))
                )
                for c in combined
            }
        return combined

    def _symbols(self, prefix: bytes) -> dict[int, Decimal]:
        """What the texts that begin with the prefix and each byte have, and the text itself."""
        found: dict[int, Decimal] = {}
        waiting: list[tuple[Context, bytes, Decimal]] = [((), b"", Decimal(1))]
        with decimal.localcontext() as settings:
            settings.prec = DIGITS
            while waiting:
                context, text, share = waiting.pop()
                for token, chance in self.law(context).items():
                    longer = text + token
                    if token != END and len(longer) > len(prefix) and longer.startswith(prefix):
                        symbol = longer[len(prefix)]
                    elif token == END and text == prefix:
                        symbol = END_OF_TEXT
                    else:
                        if token != END and prefix.startswith(longer):
                            waiting.append(((*context, token), longer, share * chance))
                        continue
                    found[symbol] = found.get(symbol, Decimal(0)) + share * chance
        return found


class Endless:
    """What ``common_vocabulary_walks`` asks of a definition, from covers: for texts of any length.

    ``masses`` holds the beginnings of up to ``depth`` bytes that every member can write; members
    must be known to ``depth`` and, behind it, twice the longest token of C less two bytes.
    """

    def __init__(self, model: StandIn, depth: int) -> None:
        """Find all beginnings."""
        self.model = model
        self.masses = {
            text
            for text in model.members[0].begins
            if len(text) <= depth and all(text in member.begins for member in model.members)
        }

    def row(self, prefix: bytes) -> NDArray[np.float64]:
        """Q(symbol | prefix)."""
        symbols = self.model.symbols(prefix)
        row = np.zeros(257)
        for symbol, chance in symbols.items():
            row[symbol] = chance / sum(symbols.values())
        return row

    def logprob(self, prefix: bytes) -> float:
        """Log Q(a text begins with prefix)."""
        return float(sum(self.model.symbols(prefix).values()).ln())

    def prefixes(self) -> list[bytes]:
        """All of them, in order."""
        return sorted(self.masses)


class StandInState:
    """A byte state."""

    bound, lm_evaluations = 0.0, 0

    def __init__(self, model: StandIn) -> None:
        """Begin with nothing."""
        self.model, self.bytes = model, bytearray()

    @property
    def prefix(self) -> bytes:
        """All bytes so far."""
        return bytes(self.bytes)

    @property
    def logprob(self) -> float:
        """What all symbols have together."""
        return Endless(self.model, 0).logprob(self.prefix)

    def next_byte_logprobs(self) -> NDArray[np.float64]:
        """Ratios."""
        row = Endless(self.model, 0).row(self.prefix)
        with np.errstate(divide="ignore"):
            logs: NDArray[np.float64] = np.log(row)
        return logs

    def next_byte_bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Certain but for rounding."""
        row = np.exp(self.next_byte_logprobs())
        return row * (1 - 1e-14), row * (1 + 1e-14)

    def push(self, data: bytes) -> None:
        """Append bytes that can follow."""
        before = len(self.bytes)
        for offset, byte in enumerate(data):
            if not self.model.symbols(self.prefix).get(byte):
                if self.model.fault != "refused_push_is_kept":
                    del self.bytes[before:]
                raise UnreachableByteError(before + offset, byte)
            self.bytes.append(byte)

    def fork(self) -> StandInState:
        """Copy."""
        other = StandInState(self.model)
        shares = self.model.fault == "fork_shares_the_prefix"
        other.bytes = self.bytes if shares else bytearray(self.bytes)
        return other

    def rollback(self, count: int) -> None:
        """Take back."""
        del self.bytes[len(self.bytes) - count + (self.model.fault == "rollback_one_too_few") :]
