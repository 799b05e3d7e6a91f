"""How a request wants its text drawn: the fields of sampling, alike in all endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from nextbyte.errors import InvalidInputError
from nextbyte.sampling import SamplingParams
from nextbyte.server.refusals import RefusalError
from nextbyte.server.served import BYTES_PER_TOKEN, NO_LIMIT

if TYPE_CHECKING:
    from nextbyte.server.fields import Fields

__all__ = ["MOST_CHOICES", "Drawing", "read_choices", "read_drawing"]

MOST_CHOICES: Final = 64
"""Texts that one request may ask for."""

_T = TypeVar("_T")

_SEEDS: Final = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Options of sampling, before it is known what they apply to.

    Attributes
    ----------
    max_tokens, max_bytes : int or None
        Limits; None for none.
    temperature : float or None
        None: as the endpoint sees fit.
    top_k, top_p, min_p, seed, stop, min_indent
        As for `SamplingParams`.
    """

    max_tokens: int | None
    max_bytes: int | None
    temperature: float | None
    top_k: int
    top_p: float
    min_p: float
    seed: int | None
    stop: tuple[str, ...]
    min_indent: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether no text is asked for."""
        return 0 in (self.max_tokens, self.max_bytes)

    def params(
        self,
        *,
        by_tokens: bool,
        index: int = 0,
        room: int = NO_LIMIT,
        temperature: float = 1.0,
        time_budget_ms: float | None = None,
    ) -> SamplingParams:
        """Return the parameters of one text.

        Parameters
        ----------
        by_tokens
            Whether tokens are drawn, and count.
        index
            Which of the request's texts; their seeds follow one another.
        room
            Tokens that the model can go on for; bytes, where bytes are drawn.
        temperature
            Where the request says nothing.
        time_budget_ms
            As for `SamplingParams`.
        """
        limits = [NO_LIMIT if self.max_bytes is None else self.max_bytes]
        tokens: int | None = room if self.max_tokens is None else min(self.max_tokens, room)
        if not by_tokens:
            limits.append(room)
            if self.max_tokens is not None:
                limits.append(self.max_tokens * BYTES_PER_TOKEN)
            tokens = None
        return SamplingParams(
            temperature=temperature if self.temperature is None else self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            seed=None if self.seed is None else self.seed + index,
            stop=self.stop,
            max_bytes=min(limits),
            max_tokens=tokens,
            min_indent=self.min_indent,
            time_budget_ms=time_budget_ms,
        )


def read_drawing(
    fields: Fields,
    *,
    tokens_field: str,
    default_tokens: int,
    most_tokens: int,
    seed_field: str = "seed",
) -> Drawing:
    """Read the options of sampling from a request.

    Parameters
    ----------
    fields
        The request.
    tokens_field
        What the endpoint calls the limit in tokens; -1 there stands for `most_tokens`.
    default_tokens
        The limit where the request has none, not in bytes either.
    most_tokens
        What goes for no limit.
    seed_field
        What the endpoint calls the seed.
    """
    max_bytes = fields.integer("max_bytes", minimum=0)
    max_tokens = fields.integer(tokens_field, minimum=-1)
    if max_tokens is None and max_bytes is None:
        max_tokens = default_tokens
    elif max_tokens == -1:
        max_tokens = most_tokens
    seed = fields.integer(seed_field)
    drawing = Drawing(
        max_tokens=max_tokens,
        max_bytes=max_bytes,
        temperature=fields.number("temperature"),
        top_k=_or(fields.integer("top_k"), 0),
        top_p=_or(fields.number("top_p"), 1.0),
        min_p=_or(fields.number("min_p"), 0.0),
        # Clients write -1 for any, and have signed numbers of 64 bits.
        seed=None if seed in (None, -1) else seed % _SEEDS,
        stop=tuple(stop for stop in fields.texts("stop") if stop),
        min_indent=_or(fields.integer("n_indent", minimum=0), 0),
    )
    try:
        drawing.params(by_tokens=True)
    except InvalidInputError as error:
        raise RefusalError(str(error), field=str(error).split()[0]) from None
    return drawing


def read_choices(fields: Fields, *names: str) -> int:
    """Return how many texts are asked for, by the first of some fields that is there."""
    for name in names:
        count = fields.integer(name, minimum=1)
        if count is not None:
            if count > MOST_CHOICES:
                raise RefusalError(
                    f"{name} must be at most {MOST_CHOICES}, not {count}", field=name
                )
            return count
    return 1


def _or(value: _T | None, default: _T) -> _T:
    return default if value is None else value
