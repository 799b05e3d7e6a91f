"""Tokens that start and end texts: those that a caller names, or the backend's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nextbyte.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FROM_BACKEND", "FromBackend", "checked_tokens"]


class FromBackend:
    """The type of the default of `start_token` and `end_tokens`: what the backend names."""

    def __repr__(self) -> str:
        return "FROM_BACKEND"


FROM_BACKEND: Final = FromBackend()
"""Take the start token or the end tokens from the backend."""


def checked_tokens(tokens: Iterable[Any], name: str, width: int) -> tuple[int, ...]:
    """Return token ids that are in range of a model's rows.

    Raises
    ------
    InvalidInputError
        One is no integer, or not from 0 to `width` - 1; the message calls it the `name` token.
    """
    checked = []
    for token in tokens:
        if isinstance(token, bool) or not isinstance(token, (int, np.integer)):
            raise InvalidInputError(f"the {name} token must be a token id, not {token!r:.80}")
        if not 0 <= token < width:
            raise InvalidInputError(f"{name} token {token} is outside the model's {width} logits")
        checked.append(int(token))
    return tuple(checked)
