"""Contexts of backends that keep tokens only: persistent sequences, and branches over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nextbyte.backends._row_holder import RowHolder
from nextbyte.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from nextbyte.backends.base import Branch

__all__ = ["ChainBranch", "TokenChain", "checked_tokens"]


class TokenChain:
    """An immutable token sequence that shares its beginning with others.

    Extending costs the new tokens only, in time and memory; `tokens` costs the whole length.
    """

    __slots__ = ("length", "own", "parent")

    def __init__(self, parent: TokenChain | None, own: tuple[int, ...]) -> None:
        self.parent = parent
        self.own = own
        self.length: int = len(own) + (0 if parent is None else parent.length)

    def tokens(self) -> list[int]:
        """Return all tokens from the start, as a new list."""
        parts: list[tuple[int, ...]] = []
        node: TokenChain | None = self
        while node is not None:
            parts.append(node.own)
            node = node.parent
        return [token for part in reversed(parts) for token in part]

    def tail(self, count: int) -> tuple[int, ...]:
        """Return the last `count` tokens, or all where there are fewer."""
        found: tuple[int, ...] = ()
        node: TokenChain | None = self
        while node is not None and len(found) < count:
            found = node.own + found
            node = node.parent
        return found[max(len(found) - count, 0) :]


class ChainBranch(RowHolder):
    """A context as a persistent chain, and its row (contiguous, read-only)."""

    __slots__ = ("_chain", "_owner")

    def __init__(self, owner: object, chain: TokenChain, row: NDArray[np.floating[Any]]) -> None:
        super().__init__(row)
        self._owner = owner
        self._chain = chain

    @property
    def tokens(self) -> list[int]:
        """The whole context, from its first token."""
        return self._chain.tokens()

    @staticmethod
    def chain_below(
        parent: Branch | None, own: tuple[int, ...], *, owner: object, index: int
    ) -> TokenChain:
        """Return the chain of request number `index`: its tokens below a branch of `owner`'s."""
        if parent is None:
            return TokenChain(None, own)
        if not isinstance(parent, ChainBranch) or parent._owner is not owner:  # noqa: SLF001
            raise InvalidInputError(
                f"request {index}: the branch is not one of this backend's; a branch can only be "
                "extended by the backend that made it"
            )
        if not own:
            raise InvalidInputError(
                f"request {index}: no tokens to add to the branch; it already has its logits"
            )
        return TokenChain(parent._chain, own)  # noqa: SLF001


def checked_tokens(tokens: Iterable[int], limit: int | None, index: int) -> tuple[int, ...]:
    """Return tokens as plain integers, after a check that they are in range.

    Parameters
    ----------
    tokens : iterable of int
        The tokens of a request.
    limit : int or None
        The first integer that is no token; None where any non-negative one may be.
    index : int
        Number of the request, for the message.

    Raises
    ------
    InvalidInputError
        If one is not an integer, negative, or too large.
    """
    try:
        checked = tuple(token.__index__() for token in tokens)
    except (TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"request {index}: tokens must be a sequence of integers, got {tokens!r:.80}"
        ) from error
    for place, token in enumerate(checked):
        if token < 0 or (limit is not None and token >= limit):
            raise InvalidInputError(
                f"request {index}, token {place}: {token} is not a token of this model; "
                f"it has {'unknown many' if limit is None else limit}, numbered from 0"
            )
    return checked
