"""Makes the states of a `ByteLM` that audits another law; see `targets`."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from nextbyte.audits.raw_state import RawState
from nextbyte.audits.segmentations_state import SegmentationsState
from nextbyte.audits.token_byte_arrays import TokenByteArrays
from nextbyte.byte_lm_state import Reader

if TYPE_CHECKING:
    from nextbyte import _core
    from nextbyte.audits.targets import TargetOptions
    from nextbyte.backends import Backend

__all__ = ["AuditStates"]


class _Model(Reader, Protocol):
    """What is needed of a `ByteLM`."""

    @property
    def backend(self) -> Backend:
        """The language model."""


class AuditStates:
    """Makes audit states of one model; what they share is made when the first one is."""

    def __init__(self, lm: _Model) -> None:
        self._lm = lm

    @cached_property
    def _token_bytes(self) -> TokenByteArrays:
        tokenizer = self._lm.tokenizer
        known = min(tokenizer.vocab_size, self._lm.backend.vocab_size)
        return TokenByteArrays([tokenizer.token_bytes(token) for token in range(known)])

    def make(
        self,
        stream: _core.ByteStream,
        start_tokens: tuple[int, ...],
        end_tokens: tuple[int, ...],
        options: TargetOptions,
    ) -> RawState | SegmentationsState:
        """Return a state of target "raw" or "segmentations" at the start of a text."""
        if options.target == "raw":
            return RawState(
                self._lm,
                stream,
                start_tokens,
                backend=self._lm.backend,
                end_tokens=end_tokens,
                token_bytes=self._token_bytes,
            )
        return SegmentationsState(
            self._lm,
            stream,
            start_tokens,
            backend=self._lm.backend,
            end_tokens=end_tokens,
            token_bytes=self._token_bytes,
            options=options,
        )
