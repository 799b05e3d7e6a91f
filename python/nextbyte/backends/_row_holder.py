"""What every branch has: its row of logits, which can be given back before the branch goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nextbyte.errors import BackendError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RowHolder"]


class RowHolder:
    """Holds the row for the next token until it is released."""

    __slots__ = ("_row",)

    def __init__(self, row: NDArray[np.floating[Any]]) -> None:
        self._row: NDArray[np.floating[Any]] | None = row

    @property
    def logits(self) -> NDArray[np.floating[Any]]:
        """The row for the next token, shape (vocab_size,); see `Branch.logits`."""
        if self._row is None:
            raise BackendError("the logits of this branch were released; extend its parent again")
        return self._row

    def release_logits(self) -> None:
        """Free the row; see `Branch.release_logits`."""
        self._row = None
