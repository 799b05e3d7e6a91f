"""`ContextReader`: rows of contexts from a backend, for the states that expand them themselves.

A context is read below its nearest ancestor that is still held, so a backend with a key/value cache
reads each token once while something below it is in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from nextbyte.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from nextbyte.backends import Backend, Branch

__all__ = ["READ_AT_ONCE", "ContextReader", "HeldContext", "TokenContext"]

READ_AT_ONCE: Final = 64
"""Contexts of one call of the backend."""


class TokenContext(Protocol):
    """A node of a tree of token sequences; the root is the empty one."""

    @property
    def id(self) -> int:
        """A number that no other context of this process has."""

    @property
    def parent(self) -> Any:  # noqa: ANN401 - the compiled contexts return their own type
        """The sequence without its last token; None for the root."""

    @property
    def token(self) -> int:
        """The last token; of the root, anything."""


ContextT = TypeVar("ContextT", bound=TokenContext)


class HeldContext:
    """A context that the backend has read. Holding it holds those that it was read below."""

    __slots__ = ("__weakref__", "_ancestor", "branch")

    def __init__(self, branch: Branch, ancestor: HeldContext | None) -> None:
        self.branch = branch
        self._ancestor = ancestor


class ContextReader:
    """Reads contexts of one tree for a state and its forks."""

    def __init__(self, backend: Backend, start_tokens: Sequence[int]) -> None:
        self._backend = backend
        self._start = list(start_tokens)
        self._held: WeakValueDictionary[int, HeldContext] = WeakValueDictionary()

    def read(
        self, contexts: Sequence[ContextT]
    ) -> Iterator[tuple[ContextT, HeldContext, NDArray[np.float64]]]:
        """Evaluate contexts, parents before children, in batches.

        Yields
        ------
        tuple
            The context, what holds it, and its logits, shape (vocab_size,), a copy.

        Raises
        ------
        InvalidInputError
            A row has NaN or +inf.
        """
        held = None
        for first in range(0, len(contexts), READ_AT_ONCE):
            batch = contexts[first : first + READ_AT_ONCE]
            branches = self._backend.extend([self._request(context) for context in batch])
            kept = []
            for context, branch in zip(batch, branches, strict=True):
                ancestor = None if context.parent is None else self._nearest(context.parent)[0]
                held = HeldContext(branch, ancestor)
                self._held[context.id] = held
                kept.append((context, held, np.array(branch.logits, dtype=np.float64)))
                branch.release_logits()
            for context, held, row in kept:
                if not row.max() < np.inf:
                    raise InvalidInputError(
                        f"the logits after context {self._tokens(context)[-16:]} (its last tokens) "
                        "have NaN or +inf"
                    )
                yield context, held, row

    def _request(self, context: TokenContext) -> tuple[Branch | None, list[int]]:
        if context.parent is None:
            return None, list(self._start)
        ancestor, tokens = self._nearest(context.parent)
        return None if ancestor is None else ancestor.branch, [*tokens, context.token]

    def _nearest(self, context: TokenContext) -> tuple[HeldContext | None, list[int]]:
        """Return the nearest held context at or above this one, and the tokens after it."""
        tokens: list[int] = []
        node: TokenContext | None = context
        while node is not None:
            held = self._held.get(node.id)
            if held is not None:
                return held, tokens[::-1]
            if node.parent is not None:
                tokens.append(node.token)
            node = node.parent
        return None, [*self._start, *tokens[::-1]]

    def _tokens(self, context: TokenContext) -> list[int]:
        tokens: list[int] = []
        while context.parent is not None:
            tokens.append(context.token)
            context = context.parent
        return [*self._start, *tokens[::-1]]
