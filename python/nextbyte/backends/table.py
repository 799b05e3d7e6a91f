"""An exact language model held in memory: probabilities from a table or a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nextbyte.backends._token_chain import ChainBranch, TokenChain, checked_tokens
from nextbyte.errors import BackendError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from nextbyte.backends.base import Branch, Request

__all__ = ["TableBackend"]

Context: TypeAlias = tuple[int, ...]

_SUM_TOLERANCE = 1e-9


class TableBackend:
    """A language model whose probabilities are written down.

    Rows are log-probabilities in float64, the logarithm of exactly the numbers given; a
    probability of zero is minus infinity. Good for examples, for tests, and as a model whose
    next-byte distribution can be worked out by hand.

    Parameters
    ----------
    table : mapping or callable
        Either a mapping from contexts to probabilities of the next token, where a context uses
        the entry of its longest suffix that has one (an n-gram model with backing off; the empty
        context ``()`` must have an entry, since every context ends with it); or a function of the
        whole context, a tuple of token numbers, that returns the probabilities. Probabilities
        are one number for each token, not negative, summing to one.
    start_token : int, optional
        The token a text starts with.
    end_tokens : sequence of int, default ()
        The tokens that end a text.

    Raises
    ------
    InvalidInputError
        If the table has no entry for ``()``, or an entry is not a distribution.

    Examples
    --------
    >>> import numpy as np
    >>> backend = TableBackend({(): [0.5, 0.25, 0.25], (1,): [0.0, 0.0, 1.0]}, end_tokens=[2])
    >>> other, one = backend.extend([(None, [0]), (None, [0, 1])])
    >>> np.exp(other.logits)
    array([0.5 , 0.25, 0.25])
    >>> np.exp(one.logits)
    array([0., 0., 1.])
    >>> fair = TableBackend(lambda context: [0.5, 0.5])
    >>> np.exp(fair.extend([(None, [])])[0].logits)
    array([0.5, 0.5])
    """

    def __init__(
        self,
        table: Mapping[Context, ArrayLike] | Callable[[Context], ArrayLike],
        *,
        start_token: int | None = None,
        end_tokens: Sequence[int] = (),
    ) -> None:
        self._rows: dict[Context, NDArray[np.float64]] = {}
        self._function: Callable[[Context], ArrayLike] | None = None
        if isinstance(table, Mapping):
            if () not in table:
                raise InvalidInputError(
                    "the table has no entry for the empty context (); every context ends with it, "
                    "so it is the row where nothing longer matches"
                )
            for context, values in table.items():
                self._rows[context] = _log_row(values, context, InvalidInputError)
            row = self._rows[()]
        elif callable(table):
            self._function = table
            first = () if start_token is None else (start_token,)
            row = _log_row(table(first), first, BackendError)
        else:
            raise InvalidInputError(
                f"table must be a mapping or a function of contexts, got {table!r:.80}"
            )
        self._vocab_size = len(row)
        self._longest = max(map(len, self._rows), default=0)
        for context, other in self._rows.items():
            self._check_width(other, context, InvalidInputError)
            checked_tokens(context, self._vocab_size, 0)
        checked_tokens(end_tokens, self._vocab_size, 0)
        checked_tokens(() if start_token is None else (start_token,), self._vocab_size, 0)
        self.start_token: int | None = start_token
        self.end_tokens: tuple[int, ...] = tuple(end_tokens)

    @property
    def vocab_size(self) -> int:
        """Number of tokens, the width of a row."""
        return self._vocab_size

    def extend(self, requests: Sequence[Request]) -> list[Branch]:
        """Look up the rows of contexts; see `Backend.extend`. The empty context is one."""
        branches: list[Branch] = []
        for index, (parent, tokens) in enumerate(requests):
            own = checked_tokens(tokens, self._vocab_size, index)
            chain = ChainBranch.chain_below(parent, own, owner=self, index=index)
            branches.append(ChainBranch(self, chain, self._row(chain)))
        return branches

    def _row(self, chain: TokenChain) -> NDArray[np.float64]:
        if self._function is not None:
            context = tuple(chain.tokens())
            row = _log_row(self._function(context), context, BackendError)
            self._check_width(row, context, BackendError)
            return row
        tail = chain.tail(self._longest)
        while tail not in self._rows:  # ends at the latest with (), which is there
            tail = tail[1:]
        return self._rows[tail]

    def _check_width(
        self,
        row: NDArray[np.float64],
        context: Context,
        kind: type[InvalidInputError | BackendError],
    ) -> None:
        if len(row) != self._vocab_size:
            raise kind(
                f"the probabilities after {context} are {len(row)}; "
                f"there are {self._vocab_size} after the first context"
            )


def _log_row(
    values: ArrayLike, context: Context, kind: type[InvalidInputError | BackendError]
) -> NDArray[np.float64]:
    """Return the logarithm of a distribution as a read-only row."""
    try:
        # Always a copy, which also turns fractions and lists into floats.
        probabilities: NDArray[Any] = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise kind(f"the probabilities after {context} are not numbers: {error}") from error
    if probabilities.ndim != 1 or not len(probabilities):
        raise kind(
            f"the probabilities after {context} have shape {probabilities.shape}; "
            "they must be one number for each token"
        )
    total = float(probabilities.sum())
    if not (probabilities >= 0).all() or abs(total - 1.0) > _SUM_TOLERANCE:
        raise kind(
            f"the probabilities after {context} are not a distribution: smallest "
            f"{probabilities.min()}, sum {total}; they must not be negative and must sum to one"
        )
    with np.errstate(divide="ignore"):  # log 0 is meant to be minus infinity
        row: NDArray[np.float64] = np.log(probabilities)
    row.flags.writeable = False
    return row
