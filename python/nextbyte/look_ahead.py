"""Contexts that are read before the text has reached them, in a batch that is needed anyway.

Where one token has most of the mass, the text will probably follow it, and then its context is
needed. Read together with what is needed now, it costs a row of the batch and saves a pass. It is
only ever a matter of cost: the rows are those that would have been read later.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from nextbyte.errors import InvalidInputError

if TYPE_CHECKING:
    from nextbyte import _core

KEPT_AHEAD: Final = 4
"""Contexts that are kept for a lineage; the oldest goes first. One batch reads no more for it."""

_LEAST: Final = 0.5
"""At most one token can have more of the mass."""

E = TypeVar("E")


class AheadContexts(Generic[E]):
    """What was read ahead, by the context and the token that leads on from it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], E] = OrderedDict()

    def __contains__(self, key: tuple[int, int]) -> bool:
        return key in self._kept

    def add(self, key: tuple[int, int], evaluated: E) -> None:
        """Keep one more, and let go of the oldest."""
        self._kept[key] = evaluated
        with contextlib.suppress(KeyError):  # a fork in another thread may let go of all meanwhile
            while len(self._kept) > KEPT_AHEAD:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Let go of all."""
        self._kept.clear()

    def take(self, context: _core.Context) -> E | None:
        """Return what was read for a context, once."""
        if not self._kept or context.parent is None:
            return None
        return self._kept.pop((context.parent.id, context.token), None)


def checked_share(look_ahead: float | None) -> float | None:
    """Return the share of the mass from which a token is read ahead; None for never."""
    if look_ahead is None:
        return None
    if isinstance(look_ahead, bool) or not isinstance(look_ahead, (int, float)):
        raise InvalidInputError(f"look_ahead must be a number or None, not {look_ahead!r:.80}")
    if not _LEAST < look_ahead <= 1.0:
        raise InvalidInputError(
            f"look_ahead must be a share over 1/2 and at most 1, or None, not {look_ahead!r}: at "
            "most one token can have that much of the mass"
        )
    return float(look_ahead)
