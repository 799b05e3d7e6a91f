"""Cuts the new runs of a token tree into forward passes of bounded size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nextbyte.backends._slot_tree import NewTokens

__all__ = ["NewToken", "passes"]

_CHUNK_TOKENS: Final = 512  # of one forward pass: bounds the mask and the activations
_CHUNK_LOGITS: Final = 1 << 25  # of one forward pass: 128 MiB in float32


class NewToken(NamedTuple):
    """One token of a forward pass."""

    token: int
    slot: int
    position: int
    ancestors: int
    """Bit set of the slots it attends to, its own included."""
    run: NewTokens
    ends_run: bool

    @property
    def wanted(self) -> bool:
        """Whether its logits are asked for."""
        return self.ends_run and self.run.wanted


def passes(order: list[NewTokens], vocab_size: int) -> Iterator[list[NewToken]]:
    """Yield the tokens of each pass, every one after its parent; a run's tokens are neighbours."""
    rows_at_once = max(1, _CHUNK_LOGITS // vocab_size)
    part: list[NewToken] = []
    rows = 0
    for run in order:
        segment = run.segment
        before = segment.parent
        ancestors = 0 if before is None else before.ancestors
        position = 0 if before is None else before.length
        last = len(run.tokens) - 1
        for place, (token, slot) in enumerate(zip(run.tokens, segment.slots, strict=True)):
            ancestors |= 1 << slot
            new = NewToken(token, slot, position + place, ancestors, run, place == last)
            part.append(new)
            rows += new.wanted
            if len(part) == _CHUNK_TOKENS or rows == rows_at_once:
                yield part
                part, rows = [], 0
    if part:
        yield part
