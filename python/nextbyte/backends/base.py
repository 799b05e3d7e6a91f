"""The protocols between nextbyte and a language model: `Backend` and `Branch`.

A *branch* is a token context that the model has read. It holds the row of logits for the token
that would come next, and whatever the model needs to read on from there. Branches are values:
extending one leaves it as it was, so two streams may share a prefix without knowing of each
other. Dropping the last reference to a branch frees what it alone holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Backend", "Branch", "Request"]


@runtime_checkable
class Branch(Protocol):
    """A token context that a backend has evaluated."""

    @property
    def logits(self) -> NDArray[np.floating[Any]]:
        """The row for the next token, shape (vocab_size,), of any floating type.

        Unnormalised log-probabilities; read in place and never written. Valid as long as the
        branch lives and its logits are not released.
        """
        ...

    def release_logits(self) -> None:
        """Free the row and keep the context, so that a long text keeps no row per token."""
        ...


Request: TypeAlias = tuple[Branch | None, Sequence[int]]
"""A context to evaluate: the branch to read on from (None for the empty context) and tokens."""


@runtime_checkable
class Backend(Protocol):
    """A language model over tokens.

    Three optional attributes are read where they exist: ``start_token`` (int or None), the token a
    text starts with, ``end_tokens`` (tuple of int), the tokens that end a text, and
    ``max_context_tokens`` (int or None), the length of the longest context that can be evaluated.
    """

    @property
    def vocab_size(self) -> int:
        """Width of a row of logits; it may exceed the tokenizer's number of tokens."""
        ...

    def extend(self, requests: Sequence[Request]) -> list[Branch]:
        """Evaluate contexts in one batch.

        Requests of one call may share prefixes, as in ``(b, [5]), (b, [5, 7]), (b, [5, 8])``; a
        backend that keeps state computes every distinct context once.

        Parameters
        ----------
        requests : sequence of (Branch or None, sequence of int)
            The tokens are not empty, except in ``(None, [])``, the empty context itself, which a
            backend may refuse.

        Returns
        -------
        list of Branch
            One for each request, in their order.

        Raises
        ------
        InvalidInputError
            If a token or a branch is not one of this backend's.
        BackendError
            If the model cannot evaluate a context, or returns something that is not a row.
        """
        ...
