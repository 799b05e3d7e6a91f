"""Where the members of an ensemble stand in one text: started, advanced and taken back together.

A member that finds a byte impossible is *lost* there: its state stays just before that byte, and a
rollback to there brings it back. Whatever is done is done by all members or by none.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from nextbyte.byte_model import ALPHABET_SIZE
from nextbyte.ensemble.rules import intervals_from_total_variation
from nextbyte.errors import (
    BackendError,
    InvalidInputError,
    MemberLostWarning,
    NextByteError,
    UnreachableByteError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from nextbyte.byte_model import ByteModel, ByteState

    Array: TypeAlias = NDArray[np.float64]

__all__ = [
    "Member",
    "Roster",
    "least_max_text_bytes",
    "lose_behind",
    "lose_refusing",
    "member_failed",
    "push_members",
    "rollback_members",
    "start_members",
]

_SAYS_NOTHING = 1.0
"""The bound of a state that vouches for nothing, its refusals included."""


class Roster(Protocol):
    """What is the same for all texts of an ensemble."""

    @property
    def models(self) -> tuple[ByteModel, ...]:
        """The members."""

    @property
    def may_lose(self) -> bool:
        """Whether the rule goes on without a member."""


def least_max_text_bytes(models: Sequence[ByteModel]) -> int | None:
    """Return the length up to which no text is too long for any member, None without a limit."""
    limits = (getattr(model, "max_text_bytes", None) for model in models)
    return min((limit for limit in limits if limit is not None), default=None)


def member_failed(roster: Roster, index: int, error: Exception, doing: str) -> BackendError:
    """Return the error that names a member; raise it from its cause."""
    return BackendError(
        f"ensemble member {index} ({roster.models[index]!r:.120}) failed {doing}: "
        f"{type(error).__name__}: {error}"
    )


class Member:
    """One member's place in one text."""

    __slots__ = (
        "_own_start",
        "at_prompt",
        "bounds",
        "certain",
        "logprob",
        "lost_at",
        "refused",
        "row",
        "state",
        "taken",
    )

    def __init__(self, state: ByteState) -> None:
        self.state = state
        self.taken = 0  # bytes pushed since its start
        self._own_start = len(state.prefix)  # it may have normalized the prompt
        self.lost_at: int | None = None  # length of the text that it could still follow
        self.certain = True  # that the byte behind that is impossible
        self.at_prompt: float | None = None  # log P of the prompt
        self.forget()

    def forget(self) -> None:
        """Drop what is known about one position only."""
        self.row: Array | None = None  # the law here
        self.bounds: tuple[Array, Array] | None = None  # of a law that is not exact
        self.logprob: float | None = None  # of the text so far
        self.refused: NextByteError | None = None  # why there is no law here

    def fork(self) -> Member:
        """Return an independent copy."""
        other = Member.__new__(Member)
        for name in Member.__slots__:
            setattr(other, name, getattr(self, name))
        other.state = self.state.fork()
        return other

    def take_law(self, row: Array) -> None:
        """Take a law in, with its intervals where it is not exact."""
        bound = self.state.bound
        if bound > 0.0:
            own = getattr(self.state, "next_byte_bounds", None)
            self.bounds = intervals_from_total_variation(row, bound) if own is None else own()
        self.row = row
        self.refused = None

    def read_law(self) -> None:
        """Ask the state itself for its law; a text of probability zero may have none."""
        try:
            self.take_law(self.state.next_byte_logprobs())
        except (InvalidInputError, UnreachableByteError) as error:
            self.refused = error

    def intervals(self) -> tuple[Array, Array]:
        """Return the lower and upper probabilities of the law; they are equal if it is exact."""
        if self.bounds is not None:
            return self.bounds
        exact = np.exp(np.full(ALPHABET_SIZE, np.nan) if self.row is None else self.row)
        return exact, exact

    def follows(self, text: bytes | bytearray) -> bool:
        """Say whether its own prefix is the text, so that it can go back into the prompt."""
        place = len(text) if self.lost_at is None else self.lost_at
        return self.state.prefix == text[:place]

    def weigh_prompt(self, length: int, start: int) -> None:
        """Find the log-probability of the prompt, `start` of the text's `length` bytes."""
        place = length if self.lost_at is None else self.lost_at
        if place == start:
            self.at_prompt = self.logprob = self.state.logprob
            return
        if place < start:
            self.at_prompt = -np.inf
            return
        other = self.state.fork()
        other.rollback(place - start)
        self.at_prompt = other.logprob

    def advance(self, data: bytes) -> UnreachableByteError | None:
        """Push bytes up to the first impossible one, and return its error."""
        if self.row is not None and self.row[data[0]] == -np.inf:
            return UnreachableByteError(len(self.state.prefix), data[0])
        try:
            self.state.push(data)
        except UnreachableByteError as error:
            if len(data) == 1:
                return error
        else:
            self.taken += len(data)
            return None
        for byte in data:
            try:
                self.state.push(bytes([byte]))
            except UnreachableByteError as error:
                return error
            self.taken += 1
        return None

    def recount(self) -> None:
        """Find out how far a state is that failed in a push: it may have taken some bytes."""
        self.taken = len(self.state.prefix) - self._own_start

    def retreat(self, taken: int) -> None:
        """Go back to where `taken` bytes had been pushed."""
        if self.taken > taken:
            self.state.rollback(self.taken - taken)
            self.taken = taken


def start_members(
    roster: Roster, prefix: bytes, indices: Sequence[int], warned: set[int], *, others: int = 0
) -> tuple[dict[int, Member], dict[int, bool]]:
    """Start some members, each by its own `start`; `others` is how many go on beside them.

    Returns
    -------
    dict, dict
        The members by index; and those for which the text is impossible, with whether that is
        certain.

    Raises
    ------
    UnreachableByteError
        No member, or not every one where the rule needs all, finds the text possible.
    BackendError
        A member failed.
    """
    found: dict[int, Member] = {}
    absent: dict[int, bool] = {}
    lost: dict[int, UnreachableByteError] = {}
    for i in indices:
        model = roster.models[i]
        try:
            try:
                found[i] = Member(model.start(prefix))
            except UnreachableByteError as error:
                lost[i] = error
                absent[i] = model.start(b"").bound < _SAYS_NOTHING
        except Exception as error:
            raise member_failed(roster, i, error, "to start") from error
    places = {i: error.position for i, error in lost.items()}
    _refuse(roster, lost, places, of=len(indices) + others)
    _report(roster, lost, places, warned)
    return found, absent


def push_members(
    roster: Roster, members: Mapping[int, Member], data: bytes, length: int, warned: set[int]
) -> None:
    """Push bytes onto every member that is not lost; `length` is that of the text before.

    Raises
    ------
    UnreachableByteError
        As for `start_members`. No member has moved.
    BackendError
        A member failed; no other has moved, nor it if its state can still be rolled back.
    """
    before = {i: member.taken for i, member in members.items() if member.lost_at is None}
    lost: dict[int, UnreachableByteError] = {}
    try:
        for i in before:
            try:
                error = members[i].advance(data)
            except Exception as cause:
                members[i].recount()
                raise member_failed(roster, i, cause, "to push bytes") from cause
            if error is not None:
                lost[i] = error
        places = {i: length + members[i].taken - before[i] for i in lost}
        _refuse(roster, lost, places, of=len(before))
        _report(roster, lost, places, warned)
    except BaseException:
        for i, taken in before.items():
            members[i].retreat(taken)
        raise
    for i, place in places.items():
        members[i].lost_at = place
        members[i].certain = members[i].state.bound < _SAYS_NOTHING
    for member in members.values():
        member.forget()


def lose_refusing(
    roster: Roster, members: Mapping[int, Member], length: int, warned: set[int]
) -> None:
    """Lose members that took a byte and then found that the text has no law.

    Which byte was the first is not known; the last one surely is impossible.

    Raises
    ------
    UnreachableByteError
        As for `start_members`.
    BackendError
        A member refuses for another reason.
    """
    alive = {i: member for i, member in members.items() if member.lost_at is None}
    lost: dict[int, UnreachableByteError] = {}
    for i, member in alive.items():
        if isinstance(member.refused, UnreachableByteError):
            lost[i] = member.refused
        elif member.refused is not None:
            raise member_failed(roster, i, member.refused, "to evaluate") from member.refused
    places = dict.fromkeys(lost, max(length - 1, 0))
    _refuse(roster, lost, places, of=len(alive))
    _report(roster, lost, places, warned)
    for i in lost:
        alive[i].state.rollback(1)
        alive[i].taken -= 1
        alive[i].lost_at = length - 1
        alive[i].certain = alive[i].state.bound < _SAYS_NOTHING


def lose_behind(
    roster: Roster,
    members: Mapping[int, Member],
    before: Mapping[int, Member],
    text: bytes | bytearray,
    warned: set[int],
) -> None:
    """Lose members that took the last byte of a text unread, though it was impossible for them.

    `before` are the members one byte before, after their laws were read: what a push there would
    have found.

    Raises
    ------
    UnreachableByteError
        As for `start_members`.
    """
    alive = {i: member for i, member in members.items() if member.lost_at is None}
    found: dict[int, tuple[int, bool]] = {}
    for i in alive.keys() & before.keys():
        earlier = before[i]
        if earlier.lost_at is not None:
            found[i] = earlier.lost_at, earlier.certain
        elif earlier.row is not None and earlier.row[text[-1]] == -np.inf:
            found[i] = len(text) - 1, earlier.state.bound < _SAYS_NOTHING
    places = {i: place for i, (place, _) in sorted(found.items())}
    lost = {i: UnreachableByteError(place, text[place]) for i, place in places.items()}
    _refuse(roster, lost, places, of=len(alive))
    _report(roster, lost, places, warned)
    for i, (place, certain) in found.items():
        alive[i].retreat(alive[i].taken - (len(text) - place))
        alive[i].forget()
        alive[i].lost_at, alive[i].certain = place, certain


def rollback_members(members: Mapping[int, Member], length: int, target: int) -> None:
    """Take every member back from a text of `length` bytes to its first `target`."""
    for member in members.values():
        member.forget()
        place = length if member.lost_at is None else member.lost_at
        if place > target:
            member.state.rollback(place - target)
            member.taken -= place - target
        if target <= place:
            member.lost_at = None


def _refuse(
    roster: Roster,
    lost: Mapping[int, UnreachableByteError],
    places: Mapping[int, int],
    *,
    of: int,
) -> None:
    """Raise the error of a byte that the ensemble finds impossible, if it does."""
    if not lost or (len(lost) < of and roster.may_lose):
        return
    if roster.may_lose:  # then all are lost, and the last to be says which byte
        last = max(places, key=lambda i: places[i])
        message = (
            f"byte 0x{lost[last].byte:02x} at position {places[last]} cannot follow under any "
            f"member of the ensemble; the last one, member {last}: {lost[last]}"
        )
    else:
        last = min(places, key=lambda i: places[i])
        message = (
            f"byte 0x{lost[last].byte:02x} at position {places[last]} cannot follow under member "
            f"{last} ({roster.models[last]!r:.120}), and a product needs every member: {lost[last]}"
        )
    raise UnreachableByteError(places[last], lost[last].byte, message)


def _report(
    roster: Roster, lost: Mapping[int, object], places: Mapping[int, int], warned: set[int]
) -> None:
    """Warn of lost members, of each once a text."""
    for i in sorted(set(lost) - warned):
        warned.add(i)
        warnings.warn(
            f"ensemble member {i} ({roster.models[i]!r:.120}) finds the text impossible from "
            f"byte {places[i]} on; its weight goes to the others until that byte is taken back",
            MemberLostWarning,
            stacklevel=4,
        )
