"""The model that is served, and what requests need to know of it: its tokens, its limit, its name.

A client counts in tokens (`max_tokens`, `usage`). A single `ByteLM` draws tokens, and these are
counted; any other byte model has none, or several kinds, and `BYTES_PER_TOKEN` bytes stand for one.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from nextbyte.byte_lm import ByteLM
from nextbyte.ensemble import ByteEnsemble
from nextbyte.infilling.models import format_of
from nextbyte.infilling.window import token_count
from nextbyte.server.refusals import RefusalError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nextbyte.byte_model import ByteModel
    from nextbyte.fim_formats import FimFormat

__all__ = ["BYTES_PER_TOKEN", "NO_LIMIT", "ServedModel"]

BYTES_PER_TOKEN: Final = 4
"""About what tokens of English and of code have."""

NO_LIMIT: Final = 1 << 31
"""More bytes than are ever drawn; a limit in tokens is what counts."""

_HELD: Final = 4
"""Last texts whose keys and values stay, so that a next request reads only what it changes."""

_EXTRA_TOKENS: Final = 4
"""A text's covers have hardly more tokens than its encoding."""


class ServedModel:
    """A byte model under a name.

    Parameters
    ----------
    model : ByteModel
    name : str
        What clients call it.

    Attributes
    ----------
    lm : ByteLM or None
        The model, where it is one that draws tokens; any other draws bytes.
    fim : FimFormat or None
        What it was trained to fill gaps with.
    created : int
        Seconds since 1970.
    """

    def __init__(self, model: ByteModel, name: str) -> None:
        self.model = model
        self.name = name
        self.created = int(time.time())
        is_lm = isinstance(model, ByteLM) and model.target == "canonical"
        self.lm: ByteLM | None = model if isinstance(model, ByteLM) and is_lm else None
        self.fim: FimFormat | None = None if self.lm is None else format_of(self.lm)
        self._held: deque[object] = deque(maxlen=_HELD)

    @property
    def limit(self) -> int | None:
        """Tokens that a text can have, None where nothing says or no tokens are drawn."""
        return None if self.lm is None else _limit(self.lm)

    def count(self, data: bytes) -> int:
        """Return how many tokens a text has."""
        if self.lm is None:
            return -(-len(data) // BYTES_PER_TOKEN)
        return token_count(self.lm.tokenizer, data)

    def room(self, prompt: bytes) -> int:
        """Return how much may come behind a prompt: tokens; bytes, where bytes are drawn.

        Raises
        ------
        RefusalError
            Nothing may.
        """
        room = NO_LIMIT
        for lm in _language_models(self.model):
            limit = _limit(lm)
            if limit is None:
                continue
            tokens = token_count(lm.tokenizer, prompt)
            room = min(room, limit - tokens - _EXTRA_TOKENS)
            if room <= 0:
                raise RefusalError(
                    f"the prompt has {tokens} tokens, and the model reads {limit} at most, with "
                    "what it generates: shorten the prompt",
                    field="prompt",
                    code="context_length_exceeded",
                )
        return room  # no byte has more than one token

    @property
    def gap_room(self) -> int:
        """Tokens that may be put into a gap, or bytes: windows around it leave as many."""
        limit = self.limit
        if self.lm is None:
            limit = getattr(self.model, "max_text_bytes", None)
        return NO_LIMIT if limit is None else max(limit // 2, 1)

    def hold(self, reading: object) -> None:
        """Keep what read a text, in place of the one that was kept for longest."""
        self._held.append(reading)


def _language_models(model: object) -> Iterator[ByteLM]:
    """Yield the model, or what an ensemble is made of."""
    if isinstance(model, ByteLM):
        yield model
    elif isinstance(model, ByteEnsemble):
        for member in model.models:
            yield from _language_models(member)


def _limit(lm: ByteLM) -> int | None:
    limit: int | None = getattr(lm.backend, "max_context_tokens", None)
    return limit
