"""What infilling gives: the middle, what was weighed for it, and the same as a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nextbyte.errors import NextByteError

if TYPE_CHECKING:
    import builtins
    from collections.abc import Generator

    from nextbyte.fim_formats import FimOrder
    from nextbyte.sampling import Chunk
    from nextbyte.sampling.generation import FinishReason, Generation

__all__ = ["Infill", "InfillCandidate", "InfillStream"]


@dataclass(frozen=True, slots=True)
class InfillCandidate:
    """A middle that was weighed; `weighing.py` has the definitions.

    Attributes
    ----------
    bytes : bytes
    draws : int
        How many draws have an end there.
    suffix_logprob : float
        Natural log P(the suffix's beginning | prefix, middle).
    log_weight : float
        Natural log of its share in the law that "sample" draws from; they sum to one.
    """

    bytes: builtins.bytes
    draws: int
    suffix_logprob: float
    log_weight: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Infill:
    """What was put into the gap.

    Attributes
    ----------
    bytes : bytes
        What comes behind what was typed.
    typed : bytes
        What the middle began with.
    finish_reason : {"stop", "length", "end_of_text", "indentation", "suffix", "time", "cancelled"}
        "end_of_text": the model ended the middle. "suffix": it was cut to meet the suffix. "time"
        and "cancelled": this is the best by then.
    format : str or None
        The family of the layout; None where middles were weighed.
    order : {"psm", "spm"} or None
    candidates : tuple of InfillCandidate
        What was weighed, the most often drawn first; empty for trained models.
    generation : Generation
        How it was drawn; `bytes` may be a beginning of what that has.
    lm_evaluations : int
        Rows of logits in all.
    prefix_bytes, suffix_bytes : int
        How much of the prefix's end and of the suffix's beginning the model has read, or weighed.
    """

    bytes: builtins.bytes
    typed: builtins.bytes
    finish_reason: FinishReason
    format: str | None
    order: FimOrder | None
    candidates: tuple[InfillCandidate, ...]
    generation: Generation
    lm_evaluations: int
    prefix_bytes: int
    suffix_bytes: int

    @property
    def middle(self) -> builtins.bytes:
        """All of the middle: what was typed, and what follows."""
        return self.typed + self.bytes

    @property
    def text(self) -> str:
        """The bytes as text, ill-formed ones replaced."""
        return self.bytes.decode("utf-8", "replace")


class InfillStream:
    """Iterator over the chunks of one middle; `infill_stream` makes it."""

    def __init__(self, steps: Generator[Chunk, None, Infill]) -> None:
        self._steps = steps
        self._result: Infill | None = None

    def __iter__(self) -> InfillStream:
        return self

    def __next__(self) -> Chunk:
        try:
            return next(self._steps)
        except StopIteration as end:
            if end.value is not None:
                self._result = end.value
            raise StopIteration from None

    @property
    def result(self) -> Infill:
        """The whole, once the iterator has ended.

        Raises
        ------
        NextByteError
            The stream has not ended yet.
        """
        if self._result is None:
            raise NextByteError("the stream has no result before its end: iterate it to the end")
        return self._result
