"""One generation under way: takes the law of each next symbol, draws one, and keeps the result.

Each step takes the model's law P(next symbol | bytes so far), warps it (`warping.py`), draws one
symbol by inverting the distribution function at one uniform number of a PCG64 generator (greedy
draws none), and pushes it. The law itself, not the warped one, gives the log-probabilities. A byte
is shown once it can no longer be cut off (`text_ends.py`) nor belongs to an unfinished character
(`text_stream.py`). Who asks for the law, one stream or a batch, does not enter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nextbyte.byte_model import END_OF_TEXT
from nextbyte.sampling.generation import Generation
from nextbyte.sampling.text_ends import TextEnds
from nextbyte.sampling.warping import SamplingParams, warp
from nextbyte.text_stream import Utf8Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from nextbyte.byte_model import ByteState
    from nextbyte.sampling.generation import FinishReason, TextErrors
    from nextbyte.sampling.interruption import Interruption

__all__ = ["StreamSampler"]


class StreamSampler:
    """Samples one stream.

    Parameters
    ----------
    start
        Returns the state after the prompt; called now, or never if no byte was asked for.
    prompt
        What the state begins with.
    params
        How to choose symbols.
    errors
        What ill-formed UTF-8 becomes in the result's text.
    suffix
        What will follow, if that is known: it is not to be repeated.
    interruption
        What may end it from outside.
    """

    def __init__(
        self,
        start: Callable[[], ByteState],
        prompt: bytes,
        params: SamplingParams,
        errors: TextErrors,
        *,
        suffix: bytes = b"",
        interruption: Interruption | None = None,
    ) -> None:
        self._params = params
        self._errors: TextErrors = errors
        self._prompt = prompt
        self._random = np.random.Generator(np.random.PCG64(params.seed))
        self._ends = TextEnds(params, suffix)
        self._interruption = interruption
        self._utf8 = Utf8Stream()
        self._bytes = bytearray()
        self._logprobs: list[float] = []
        self._released = 0  # bytes handed to the UTF-8 stream: they can no longer be cut off
        self._bound = 0.0
        self.result: Generation | None = None
        if 0 in (params.max_bytes, params.max_tokens):  # then the language model is not asked
            self._end("length", logprob=0.0, lm_evaluations=0)
        else:
            self.state = start()

    @property
    def errors(self) -> TextErrors:
        """What ill-formed UTF-8 becomes."""
        return self._errors

    @property
    def sampled(self) -> int:
        """Number of bytes sampled so far."""
        return len(self._bytes)

    def step(self) -> bytes:
        """Ask for what is needed and sample from it; return the bytes that may be shown now."""
        ready = self.poll()
        return ready if self.result is not None else self.advance()

    def poll(self, share: float = 1.0) -> bytes:
        """End the generation if something outside does; return the bytes that were held back."""
        reason = None if self._interruption is None else self._interruption.reason(share)
        return b"" if reason is None else self._finish(reason)

    def advance(self) -> bytes:
        """As `step`, whatever happens outside."""
        return self.take(self.state.next_byte_logprobs())

    def take(self, row: NDArray[np.float64]) -> bytes:
        """Sample one symbol from the law of `state`; return the bytes that may be shown now."""
        self._bound = max(self._bound, self.state.bound)
        symbol = self._draw(row)
        logprob = float(row[symbol])
        if symbol == END_OF_TEXT:
            return self._finish("end_of_text", final_logprob=logprob)
        if len(self._bytes) + 1 < self._params.max_bytes:
            # Before anything is recorded: an interrupted push leaves this object as it is.
            self.state.push(bytes([symbol]))
        self._logprobs.append(logprob)
        return self._accept(symbol)

    def _accept(self, byte: int) -> bytes:
        """Record a byte; return the bytes that may be shown now."""
        self._bytes.append(byte)
        ending = self._ends.push(self._bytes)
        if ending is not None:
            del self._bytes[ending.length :]
            return self._finish(ending.reason, stop=ending.stop)
        if len(self._bytes) == self._params.max_bytes:
            return self._finish("length")
        return self._utf8.push(self._released_to(len(self._bytes) - self._ends.pending))

    def _draw(self, row: NDArray[np.float64]) -> int:
        """Return a symbol drawn from the warped law."""
        probabilities = warp(row, self._params)
        if self._params.temperature == 0.0:
            return int(np.argmax(probabilities))
        # u < 1, so u * total < total in double precision too, and the first index whose cumulative
        # sum exceeds it has positive probability.
        cumulative = probabilities.cumsum()
        uniform = self._random.random() * cumulative[-1]
        return int(cumulative.searchsorted(uniform, side="right"))

    def _released_to(self, end: int) -> bytes:
        """Return the bytes before `end` that were not released before."""
        start, self._released = self._released, end
        return bytes(self._bytes[start:end])

    def _finish(
        self, reason: FinishReason, *, stop: bytes | None = None, final_logprob: float = 0.0
    ) -> bytes:
        """End the generation; return all that was still held back."""
        if reason in ("length", "end_of_text", "time", "cancelled"):
            kept = self._ends.kept(self._bytes)
            if kept < len(self._bytes):
                del self._bytes[kept:]
                if reason == "end_of_text":  # that is not what came behind these bytes
                    reason, final_logprob = "suffix", 0.0
        del self._logprobs[len(self._bytes) :]
        rest = self._utf8.push(self._released_to(len(self._bytes))) + self._utf8.finish()
        self._end(
            reason,
            stop=stop,
            logprob=float(np.sum(self._logprobs)) + final_logprob,
            lm_evaluations=self.state.lm_evaluations,
        )
        return rest

    def _end(
        self,
        reason: FinishReason,
        *,
        logprob: float,
        lm_evaluations: int,
        stop: bytes | None = None,
    ) -> None:
        """Set the result."""
        byte_logprobs = np.array(self._logprobs, dtype=np.float64)
        byte_logprobs.flags.writeable = False
        self.result = Generation(
            prompt=self._prompt,
            bytes=bytes(self._bytes),
            finish_reason=reason,
            stop=stop,
            byte_logprobs=byte_logprobs,
            logprob=logprob,
            lm_evaluations=lm_evaluations,
            bound=self._bound,
            errors=self._errors,
        )
