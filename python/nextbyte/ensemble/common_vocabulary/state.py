"""`CommonVocabularyState`: a text under a `CommonVocabularyEnsemble`, its laws and their bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from nextbyte.ensemble.common_vocabulary.byte_law import combined
from nextbyte.ensemble.common_vocabulary.token_trie import Place
from nextbyte.ensemble.members import (
    Member,
    lose_refusing,
    member_failed,
    push_members,
    rollback_members,
    start_members,
)
from nextbyte.errors import BackendError, InvalidInputError, UnreachableByteError
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nextbyte.byte_model import ByteState
    from nextbyte.ensemble.common_vocabulary.byte_law import ByteLaw
    from nextbyte.ensemble.common_vocabulary.text import Owner, Text
    from nextbyte.ensemble.common_vocabulary.token_law import TokenLaw
    from nextbyte.ensemble.common_vocabulary.token_trie import Context

__all__ = ["CommonVocabularyState"]

_MOST_ROUNDS: Final = (32, 6)
"""Of asking for ever more laws; fewer where members have bounds of their own: that may not help."""


class CommonVocabularyState:
    """A position in a text under a `CommonVocabularyEnsemble`; see `nextbyte.ByteState`."""

    def __init__(
        self, text: Text, prefix: bytes, members: dict[int, Member], places: list[tuple[Place, ...]]
    ) -> None:
        self._text = text
        self._prefix = bytearray(prefix)
        self._members = members
        self._places = places  # before every byte, and behind the last
        self._chain: list[float | None] = [0.0, *([None] * len(prefix))]  # log P by then
        self._law: ByteLaw | None = None
        self._inexact_chain = False

    @classmethod
    def begin(cls, text: Text, prompt: bytes) -> CommonVocabularyState:
        """Return the state after a prompt; if all members normalize it to one text, after that."""
        members = _started(text, prompt, text.used)
        normalized = {member.state.prefix for member in members.values()}
        if len(normalized) == 1 and all(member.lost_at is None for member in members.values()):
            (prompt,) = normalized
        state = cls(text, b"", members, [text.owner.trie.starting_places()])
        state._take(prompt)
        return state

    def belongs_to(self, owner: Owner) -> bool:
        """Say whether this state was made by `owner`."""
        return self._text.owner is owner

    @property
    def prefix(self) -> bytes:
        """Every byte so far: the prompt, as the members have it if they agree, and what came."""
        return bytes(self._prefix)

    @property
    def lost_members(self) -> tuple[int, ...]:
        """Indices of the members that find the text so far impossible."""
        return tuple(i for i, member in self._members.items() if member.lost_at is not None)

    @property
    def bound(self) -> float:
        """Certified bound on the total variation error of the last law; 0.0 = it is exact.

        No more than the ensemble's tolerance if the members are exact.
        """
        return 0.0 if self._law is None else self._law.bound

    @property
    def lm_evaluations(self) -> int:
        """Rows of logits that members were asked for by this state and all its forks.

        A row that several laws of one batch need may count for each.
        """
        return self._text.lm_evaluations

    @property
    def byte_laws(self) -> int:
        """Laws that members were asked for by this state and all its forks."""
        return self._text.byte_laws

    @property
    def logprob(self) -> float:
        """Natural log of P(a text starts with `prefix`): the chain of the laws.

        Laws at bytes that were pushed unread, the prompt's above all, are read now.
        """
        if self._chain[-1] is None:
            self._walk()
        return self._chain[-1] or 0.0

    @property
    def logprob_is_exact(self) -> bool:
        """Whether the `logprob` that was read last is exact."""
        return not self._inexact_chain

    def next_byte_logprobs(self) -> NDArray[np.float64]:
        """Return the law of the next byte, shape (257,), float64; see `ByteState`."""
        return self._read_law().logprobs.copy()

    def next_byte_bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return certified (lower, upper) probabilities of the next byte, each of shape (257,)."""
        law = self._read_law()
        return law.lower.copy(), law.upper.copy()

    def token_bounds(self, tolerance: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return bounds on the law of the next token, by number, if all so far is whole tokens."""
        trie = self._text.owner.trie
        (context,) = (place.context for place in self._places[-1] if place.node is trie.root)
        with self._text.lock:
            law = self._law_after(context)
            law.refine(trie.root, tolerance, by_token=True)
            self._text.trim()
            return law.token_bounds(len(trie.tokens))

    def push(self, data: bytes) -> None:
        """Append bytes, all or none.

        Raises
        ------
        UnreachableByteError
            A byte is impossible for every member, or for one of a product; `position` counts from
            the start of the text.
        BackendError
            A member failed; it is named, and all are where they were.
        """
        data = as_bytes(data, name="data")
        if not data:
            return
        text, length, law = self._text, len(self._prefix), self._law
        known = None
        if law is not None and self._chain[-1] is not None:
            known = self._chain[-1] + float(law.logprobs[data[0]])
        push_members(text.owner, self._members, data, length, text.warned)
        if law is not None and law.upper[data[0]] <= 0.0:
            rollback_members(self._members, length + len(data), length)
            raise UnreachableByteError(
                length,
                data[0],
                f"byte 0x{data[0]:02x} at position {length} cannot follow: no common token that "
                "the members have together leads there",
            )
        self._take(data)
        self._chain[length + 1] = known

    def fork(self) -> CommonVocabularyState:
        """Return an independent state at the same position."""
        members = {i: member.fork() for i, member in self._members.items()}
        other = CommonVocabularyState(self._text, b"", members, list(self._places))
        other._prefix = bytearray(self._prefix)
        other._chain, other._law = list(self._chain), self._law
        other._inexact_chain = self._inexact_chain
        return other

    def rollback(self, n: int) -> None:
        """Take back the last `n` bytes; members lost in them are there again."""
        length = len(self._prefix)
        if not 0 <= n <= length:
            raise InvalidInputError(f"n must be 0 to {length}, the length of the prefix, got {n}")
        if n == 0:
            return
        target = length - n
        # A member that normalized the prompt cannot go back into it.
        stale = [
            i
            for i, member in self._members.items()
            if self._back(member, target) > member.taken and not member.follows(self._prefix)
        ]
        new = _started(self._text, bytes(self._prefix[:target]), stale) if stale else {}
        for i in stale:
            del self._members[i]
        rollback_members(self._members, length, target)
        self._members = dict(sorted({**self._members, **new}.items()))
        del self._prefix[target:], self._places[target + 1 :], self._chain[target + 1 :]
        self._law = None

    def __repr__(self) -> str:
        return f"CommonVocabularyState(prefix={self.prefix[-32:]!r}, bytes={len(self._prefix)})"

    def _take(self, data: bytes) -> None:
        """Note bytes that the members have taken."""
        trie = self._text.owner.trie
        places = self._places[-1]
        for byte in data:
            places = Place.after(places, byte, trie)
            self._places.append(places)
        self._prefix += data
        self._chain += [None] * len(data)
        self._law = None

    # --- Members -------------------------------------------------------------------------------

    def _back(self, member: Member, length: int) -> int:
        """Return how many bytes behind a place a member is."""
        return (len(self._prefix) if member.lost_at is None else member.lost_at) - length

    def _roots(self, context: Context) -> dict[int, ByteState]:
        """Return the members' states at the end of a context; not of those that it is too much."""
        found = {}
        for i, member in self._members.items():
            back = self._back(member, context.length)
            if back < 0:
                continue
            if back <= member.taken or member.follows(self._prefix):
                found[i] = member.state.fork()
                if back:
                    found[i].rollback(back)
                continue
            try:
                found[i] = self._text.owner.models[i].start(bytes(self._prefix[: context.length]))
            except UnreachableByteError:
                continue
            except Exception as error:
                raise member_failed(self._text.owner, i, error, "to start") from error
        return found

    # --- Laws ----------------------------------------------------------------------------------

    def _read_law(self) -> ByteLaw:
        """Return the law here; it is read once."""
        if self._law is None:
            with self._text.lock:
                try:
                    self._law = self._find_law()
                finally:
                    self._text.trim()
            self._inexact_chain |= self._law.bound > 0.0
        return self._law

    def _find_law(self) -> ByteLaw:
        """Ask for laws of members until the bound is within the tolerance."""
        owner, places = self._text.owner, self._places[-1]
        tolerance = owner.tolerance
        wanted = tolerance
        parts = [1.0] * len(places)
        if tolerance > 0.0 and len(places) > 1:
            # What is on the way first: it says which places matter.
            _, parts = combined(owner, places, self._law_after, parts)
        rounds = 0
        while True:
            allowed = [wanted / part for part in parts]
            law, _ = combined(owner, places, self._law_after, allowed)
            self._lose_refusing()
            if law is None:
                raise BackendError(
                    f"no symbol after {self.prefix[-32:]!r} is possible for every member together; "
                    "a mixture needs one member only"
                )
            rounds += 1
            doubtful = any(self._law_after(place.context).walk.doubtful for place in places)
            if law.bound <= tolerance or rounds >= _MOST_ROUNDS[doubtful]:
                return law
            wanted /= 2.0

    def _law_after(self, context: Context) -> TokenLaw:
        return self._text.law(context, self._roots)

    def _lose_refusing(self) -> None:
        """Lose members that took the last byte and then found that the text has no law."""
        length = len(self._prefix)
        if not length:
            return
        lost = set()
        for context in {place.context for place in self._places[-1]}:
            behind = self._prefix[context.length :]
            refused = self._law_after(context).walk.refused
            lost |= {i for i, path in refused if behind.startswith(path)}
        lost = {i for i in lost if self._members[i].lost_at is None}
        for i in lost:
            self._members[i].refused = UnreachableByteError(length - 1, self._prefix[-1])
        if lost:
            lose_refusing(self._text.owner, self._members, length, self._text.warned)
        for i in lost:
            self._members[i].forget()

    # --- The chain -----------------------------------------------------------------------------

    def _walk(self) -> None:
        """Read the laws after the last position whose chain is known."""
        known = max(k for k, value in enumerate(self._chain) if value is not None)
        total = self._chain[known] or 0.0
        other = self.fork()
        other.rollback(len(self._prefix) - known)
        for k in range(known, len(self._prefix)):
            if total > -np.inf:
                try:
                    total += float(other.next_byte_logprobs()[self._prefix[k]])
                    other.push(bytes([self._prefix[k]]))
                except UnreachableByteError:
                    total = -np.inf
            self._chain[k + 1] = total
        self._inexact_chain |= other._inexact_chain  # noqa: SLF001 - it is the same text


def _started(text: Text, prompt: bytes, indices: Sequence[int]) -> dict[int, Member]:
    """Start members; those that find the prompt impossible stand before the byte that is."""
    found, absent = start_members(text.owner, prompt, indices, text.warned)
    for i in absent:
        try:
            member = Member(text.owner.models[i].start(b""))
            member.advance(prompt)
        except Exception as error:
            raise member_failed(text.owner, i, error, "to start") from error
        if member.taken < len(prompt):
            member.lost_at = member.taken
        found[i] = member
    return dict(sorted(found.items()))
