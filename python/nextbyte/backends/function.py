"""A backend made from a function that maps token contexts to rows of logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nextbyte.backends._token_chain import ChainBranch, TokenChain, checked_tokens
from nextbyte.errors import BackendError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from nextbyte.backends.base import Branch, Request

    RowsFunction: TypeAlias = Callable[[list[list[int]]], Any]

__all__ = ["FunctionBackend"]

_ROW_TYPES = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))


class FunctionBackend:
    """A language model given as ``fn(contexts) -> rows``.

    The function is called once per batch, with every context in full: nothing is cached between
    calls, so it suits remote models, toy models and tests. It is called with contexts in the
    order they were asked for, each distinct one once.

    Parameters
    ----------
    fn : callable
        Takes ``list[list[int]]``, n token contexts, of which one may be empty; returns logits of
        shape (n, vocab) as a numpy array of float16, float32 or float64, or anything with a
        ``numpy()`` method, such as a PyTorch tensor on the CPU. Natural logarithms, normalised or
        not.
    vocab_size : int, optional
        Width of a row. By default it is learnt from the first call, which is made at once with
        the empty context, or with `start_token` where there is one.
    start_token : int, optional
        The token a text starts with.
    end_tokens : sequence of int, default ()
        The tokens that end a text.

    Raises
    ------
    InvalidInputError
        If an option is out of range.
    BackendError
        If the function returns something else than (n, vocab) floating-point numbers.

    Examples
    --------
    >>> import numpy as np
    >>> def after(contexts):  # the last token is likely to come again
    ...     rows = np.zeros((len(contexts), 4), np.float32)
    ...     for row, context in zip(rows, contexts):
    ...         row[context[-1:]] = 2.0
    ...     return rows
    >>> backend = FunctionBackend(after, vocab_size=4)
    >>> one, two = backend.extend([(None, [3]), (None, [3, 1])])
    >>> two.logits
    array([0., 2., 0., 0.], dtype=float32)
    >>> backend.extend([(one, [2])])[0].tokens
    [3, 2]
    """

    def __init__(
        self,
        fn: RowsFunction,
        vocab_size: int | None = None,
        *,
        start_token: int | None = None,
        end_tokens: Sequence[int] = (),
    ) -> None:
        if not callable(fn):
            raise InvalidInputError(f"fn must be a function of token contexts, got {fn!r:.80}")
        self._fn = fn
        if vocab_size is None:
            first = [] if start_token is None else [start_token]
            vocab_size = self._rows([first], None).shape[1]
        if vocab_size < 1:
            raise InvalidInputError(f"vocab_size must be positive, got {vocab_size}")
        self._vocab_size = int(vocab_size)
        for token in (*end_tokens, *(() if start_token is None else (start_token,))):
            if not 0 <= token < self._vocab_size:
                raise InvalidInputError(
                    f"start_token and end_tokens must be below vocab_size {vocab_size}, got {token}"
                )
        self.start_token: int | None = start_token
        self.end_tokens: tuple[int, ...] = tuple(end_tokens)

    @property
    def vocab_size(self) -> int:
        """Width of a row of logits."""
        return self._vocab_size

    def extend(self, requests: Sequence[Request]) -> list[Branch]:
        """Evaluate contexts by one call of the function; see `Backend.extend`."""
        chains: list[TokenChain] = []
        rows_of: dict[tuple[int, ...], int] = {}
        contexts: list[list[int]] = []
        places: list[int] = []
        for index, (parent, tokens) in enumerate(requests):
            own = checked_tokens(tokens, self._vocab_size, index)
            chain = ChainBranch.chain_below(parent, own, owner=self, index=index)
            context = chain.tokens()
            place = rows_of.setdefault(tuple(context), len(contexts))
            if place == len(contexts):
                contexts.append(context)
            chains.append(chain)
            places.append(place)
        if not contexts:
            return []
        # Copies: a view of one row would keep the whole batch alive, and a function is free to use
        # the same buffer again in its next call.
        separate = [row.copy() for row in self._rows(contexts, self._vocab_size)]
        for row in separate:
            row.flags.writeable = False
        return [
            ChainBranch(self, chain, separate[place])
            for chain, place in zip(chains, places, strict=True)
        ]

    def _rows(self, contexts: list[list[int]], width: int | None) -> NDArray[np.floating[Any]]:
        """Call the function and check what comes back."""
        result = self._fn(contexts)
        if not isinstance(result, np.ndarray):
            kind = type(result).__name__
            try:
                if hasattr(result, "detach"):  # a PyTorch tensor that may carry a graph
                    result = result.detach()
                result = result.numpy() if hasattr(result, "numpy") else np.asarray(result)
            except (TypeError, ValueError, RuntimeError) as error:
                raise BackendError(
                    f"fn returned a {kind} that numpy cannot read ({error}); it must return a "
                    "numpy array, or a tensor on the CPU of a type that numpy has"
                ) from error
        want = f"({len(contexts)}, {'vocab' if width is None else width})"
        if (
            result.ndim != 2
            or result.shape[0] != len(contexts)
            or result.shape[1] != (result.shape[1] if width is None else width)
        ):
            raise BackendError(
                f"fn returned shape {result.shape} for {len(contexts)} contexts; "
                f"it must return {want}, one row of logits for each context"
            )
        if result.dtype not in _ROW_TYPES:
            raise BackendError(
                f"fn returned {result.dtype}; it must return float16, float32 or float64 logits"
            )
        rows: NDArray[np.floating[Any]] = result
        return rows
