"""`Cover`: one of the token sequences that some bytes may be the beginning of."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cover"]


@dataclass(frozen=True, slots=True)
class Cover:
    """A cover encoding of some bytes: tokens of which the last one reaches their end.

    Attributes
    ----------
    tokens : tuple of int
        From where the covers of the bytes part; the tokens before are common to all of them.
    overhang : bytes
        What the last token spells past the end. Empty where it ends with the bytes.
    log_weight : float
        Natural log of P(these tokens | the bytes).
    """

    tokens: tuple[int, ...]
    overhang: bytes
    log_weight: float
