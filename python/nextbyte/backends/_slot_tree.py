"""The token tree of a backend: which tokens of a call are new, and which slots they get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nextbyte.backends._segments import Segment, SlotPool
from nextbyte.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["NewTokens", "NoRoomError", "Segment", "SlotPool", "grow", "settle"]


class NoRoomError(BackendError):
    """What one call needs at once is more than the limit on slots."""


class NewTokens:
    """A run of tokens that has to be computed, ending in the segment that will stand for it.

    Attributes
    ----------
    tokens : tuple of int
        The run.
    wanted : bool
        Whether a request ends here, so that the last token's logits are needed.
    segment : Segment
        Set once slots are given.
    """

    __slots__ = ("children", "segment", "tokens", "wanted")

    segment: Segment

    def __init__(self, tokens: tuple[int, ...]) -> None:
        self.tokens = tokens
        self.children: dict[int, NewTokens] = {}
        self.wanted = False


def grow(
    pool: SlotPool, requests: Sequence[tuple[Segment | None, tuple[int, ...]]]
) -> tuple[list[NewTokens], list[NewTokens]]:
    """Give slots to the tokens of requests, once for every distinct context.

    Where a living context begins as a request goes on, its slots are shared; the last token of a
    request is always new, since its logits are wanted. Requests under the same context are merged
    into a radix tree: runs are cut where requests part or end, and nowhere else. Slots that were
    given up and are needed again are taken again; if there is no room, the contexts that no request
    goes on from give up theirs, those first that were not used for longest.

    Parameters
    ----------
    pool : SlotPool
        Where slots come from.
    requests : sequence of (Segment or None, tuple of int)
        The context to read on from, and at least one token.

    Returns
    -------
    order : list of NewTokens
        All runs to compute, every one after its parent.
    ends : list of NewTokens
        For each request, the run that ends it.

    Raises
    ------
    NoRoomError
        If what this call needs does not fit by itself; nothing is taken or given up then.
    """
    roots: dict[int, tuple[Segment | None, dict[int, NewTokens]]] = {}
    ends = []
    for parent, tokens in requests:
        known, rest = _descend(pool, parent, tokens)
        _, children = roots.setdefault(id(known), (known, {}))
        ends.append(_insert(children, rest))
    order = _make_room(pool, [known for known, _ in roots.values()], _size(roots.values()))
    waiting = [(known, run) for known, children in roots.values() for run in children.values()]
    waiting.reverse()
    while waiting:
        before, run = waiting.pop()
        run.segment = Segment(pool, before, run.tokens)
        run.segment.used = pool.clock
        run.segment.take()
        order.append(run)
        waiting.extend((run.segment, child) for child in reversed(run.children.values()))
    return order, ends


def settle(order: list[NewTokens], *, filled: bool) -> None:
    """Say whether the slots of all runs that `grow` returned were filled; else they are freed."""
    for run in order:
        if filled:
            run.segment.link()
        else:
            run.segment.give_up()


def _descend(
    pool: SlotPool, parent: Segment | None, tokens: tuple[int, ...]
) -> tuple[Segment | None, tuple[int, ...]]:
    """Follow living contexts below `parent`; return how far that goes, and the tokens after it."""
    known, rest = parent, tokens
    while len(rest) > 1:
        child = pool.roots.get(rest[0]) if known is None else known.find(rest[0])
        if child is None or not child.is_held:
            break
        shared = _common(child.tokens, rest[:-1])
        known = child if shared == len(child.tokens) else child.split(shared)
        rest = rest[shared:]
    return known, rest


def _size(roots: Iterable[tuple[Segment | None, dict[int, NewTokens]]]) -> int:
    """Return the number of new tokens of radix trees."""
    waiting = [run for _, children in roots for run in children.values()]
    size = 0
    while waiting:
        run = waiting.pop()
        size += len(run.tokens)
        waiting.extend(run.children.values())
    return size


def _make_room(pool: SlotPool, needed: list[Segment | None], size: int) -> list[NewTokens]:
    """Make room for `size` tokens below some contexts; return runs of theirs to compute again."""
    if pool.limit is None:  # then nobody ever gave up a slot
        return []
    paths: dict[int, Segment] = {}
    for segment in needed:
        node = segment
        while node is not None and id(node) not in paths:
            paths[id(node)] = node
            node = node.parent
    pool.clock += 1
    held = 0
    for node in paths.values():
        node.used = pool.clock
        held += len(node.slots)
    again = sorted((n for n in paths.values() if not n.is_held), key=lambda node: node.length)
    size += sum(len(node.tokens) for node in again)
    if held + size > pool.limit:
        raise NoRoomError(
            f"{size} more tokens do not fit: max_slots={pool.limit}, and this call goes on from "
            f"{held} that it needs; shorten the text or raise max_slots"
        )
    excess = pool.in_use + size - pool.limit
    if excess > 0:
        # Nobody was used later than a parent of theirs, so descendants come before.
        others = [n for n in list(pool.segments) if n.is_held and id(n) not in paths]
        others.sort(key=lambda node: (node.used, -node.length))
        for node in others:
            excess -= len(node.slots)
            node.give_up()
            if excess <= 0:
                break
    runs = []
    for node in again:
        node.take()
        runs.append(NewTokens(node.tokens))
        runs[-1].segment = node
    return runs


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Return the length of the longest common prefix."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))


def _insert(children: dict[int, NewTokens], tokens: tuple[int, ...]) -> NewTokens:
    """Add a path to a radix tree and return its last run."""
    rest = tokens
    while True:
        run = children.get(rest[0])
        if run is None:
            run = children[rest[0]] = NewTokens(rest)
            run.wanted = True
            return run
        shared = _common(run.tokens, rest)
        if shared < len(run.tokens):
            # Cut the run in two. Its end stays the same object: other requests point to it.
            upper = NewTokens(run.tokens[:shared])
            run.tokens = run.tokens[shared:]
            upper.children[run.tokens[0]] = run
            run = children[rest[0]] = upper
        if shared == len(rest):
            run.wanted = True
            return run
        children = run.children
        rest = rest[shared:]
