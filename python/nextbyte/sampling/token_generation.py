"""Generation at token speed: heal the prompt's end once, exactly, then draw whole tokens.

A cover of the prompt is drawn from its posterior (`token_walk.py`, which has the theory), what its
last token spells past the prompt is emitted, and plain tokens follow: each from the model's law
over the tokens that may follow and the end of the text, one LM evaluation a token. At temperature 1
without filters the bytes have the law that drawing byte by byte has, exactly. Otherwise the
temperature and the filters act on covers as one law, whose symbols are covers, then on each law
over tokens: as they act on tokens elsewhere.

One uniform number a draw; greedy draws none. Equal probabilities: the smaller token id goes first,
the end of the text last.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from nextbyte.audits.targets import require_canonical
from nextbyte.byte_lm import ByteLM
from nextbyte.errors import InvalidInputError
from nextbyte.sampling.generation import read_only
from nextbyte.sampling.stream_sampler import StreamSampler
from nextbyte.sampling.warping import warp_law
from nextbyte.token_walk import END, TokenWalk, read_rows, weigh_covers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from nextbyte.byte_lm_state import ByteLMState
    from nextbyte.byte_model import ByteModel, ByteState
    from nextbyte.cover import Cover
    from nextbyte.sampling.generation import FinishReason, TextErrors
    from nextbyte.sampling.interruption import Interruption
    from nextbyte.sampling.warping import SamplingParams
    from nextbyte.token_walk import CoverWeights

__all__ = ["TokenSampler", "make_sampler", "read_ahead"]


def make_sampler(
    model: ByteModel,
    start: Callable[[], ByteState],
    prompt: bytes,
    params: SamplingParams,
    errors: TextErrors,
    *,
    suffix: bytes = b"",
    interruption: Interruption | None = None,
) -> StreamSampler:
    """Return what samples one stream by the unit that the parameters ask for.

    Raises
    ------
    InvalidInputError
        Tokens are asked of a model that is no `ByteLM`: it may have none, or several kinds; or of
        one with another target, whose law is not that of drawn tokens. Or `max_tokens` is given
        where bytes are drawn.
    """
    unit = params.unit
    if unit is None:
        has_tokens = isinstance(model, ByteLM) and model.target == "canonical"
        unit = "token" if has_tokens else "byte"
    if unit == "byte":
        if params.max_tokens is not None:
            raise InvalidInputError(
                "max_tokens counts drawn tokens, and bytes are drawn here: give max_bytes"
            )
        return StreamSampler(
            start, prompt, params, errors, suffix=suffix, interruption=interruption
        )
    if not isinstance(model, ByteLM):
        raise InvalidInputError(
            f'unit="token" needs a single ByteLM, not {type(model).__name__}: its tokens are drawn'
        )
    require_canonical(model.target, 'unit="token"')
    return TokenSampler(
        model, start, prompt, params, errors, suffix=suffix, interruption=interruption
    )


class TokenSampler(StreamSampler):
    """Samples one stream of a `ByteLM` by tokens; `StreamSampler` says what the arguments are."""

    def __init__(
        self,
        lm: ByteLM,
        start: Callable[[], ByteState],
        prompt: bytes,
        params: SamplingParams,
        errors: TextErrors,
        *,
        suffix: bytes = b"",
        interruption: Interruption | None = None,
    ) -> None:
        self._lm = lm
        self.walk: TokenWalk | None = None
        self._cover: Cover | None = None
        self._tokens: list[int] = []
        self._token_logprobs: list[float] = []
        super().__init__(start, prompt, params, errors, suffix=suffix, interruption=interruption)

    def advance(self) -> bytes:
        """Draw the cover or a token; return the bytes that may be shown now."""
        walk = self.walk
        if walk is None:
            walk = self._begin()
            ready = self._take_whole(self._cover.overhang if self._cover else b"")
            # A cover that ends with the prompt gives no byte, but its row has been read with it.
            if self._bytes or self.result is not None or not walk.has_row:
                return ready
        read_rows([walk])
        token = self._draw_token(walk)
        logprob = walk.logprob(token)
        if token == END:
            return self._finish("end_of_text", final_logprob=logprob)
        data = walk.advance(token)
        self._tokens.append(token)
        self._token_logprobs.append(logprob)
        return self._take_whole(data)

    def _begin(self) -> TokenWalk:
        """Draw one of the covers of the prompt, and walk to its end."""
        state = self._byte_lm_state
        (covers,) = weigh_covers([state], current=True)
        index = self._draw_cover(covers)
        token_bytes = self._lm.tokenizer.token_bytes
        walk = TokenWalk(state, covers.contexts[covers.owners[index]], token_bytes)
        token = int(covers.tokens[index])
        if token != END:
            walk.advance(token)
        self._cover = covers.cover(index, state, token_bytes)
        self._bound = state.bound
        self.walk = walk
        return walk

    @property
    def _byte_lm_state(self) -> ByteLMState:
        return cast("ByteLMState", self.state)  # a ByteLM makes no other

    def _draw_cover(self, covers: CoverWeights) -> int:
        if self._params.temperature == 0.0:
            return int(np.argmax(covers.log_weights))
        return self._draw_from(warp_law(covers.log_weights, self._params))

    def _draw_token(self, walk: TokenWalk) -> int:
        params = self._params
        if params.is_plain:
            return walk.draw(self._random.random())
        probabilities = walk.probabilities()
        if params.temperature == 0.0:
            token = int(np.argmax(probabilities))
        else:
            with np.errstate(divide="ignore"):  # log 0: may not follow
                token = self._draw_from(warp_law(np.log(probabilities), params))
        return END if token == len(probabilities) - 1 else token

    def _draw_from(self, probabilities: NDArray[np.float64]) -> int:
        cumulative = np.cumsum(probabilities)
        uniform = self._random.random() * cumulative[-1]
        return int(np.searchsorted(cumulative, uniform, side="right"))

    def _take_whole(self, data: bytes) -> bytes:
        """Record what was drawn, which may have been the last token that was asked for."""
        ready = self._accept_all(data)
        if self.result is None and self._params.max_tokens is not None:
            healed = self._cover is not None and bool(self._cover.overhang)
            if healed + len(self._tokens) >= self._params.max_tokens:
                ready += self._finish("length")
        return ready

    def _accept_all(self, data: bytes) -> bytes:
        """Record the bytes of a token, up to the one that ends the generation."""
        ready = b""
        for byte in data:
            ready += self._accept(byte)
            if self.result is not None:
                break
        return ready

    def _end(
        self,
        reason: FinishReason,
        *,
        logprob: float,
        lm_evaluations: int,
        stop: bytes | None = None,
    ) -> None:
        """Set the result; `logprob` is that of the end alone, there are none of bytes."""
        if self._cover is not None:
            logprob += self._cover.log_weight + float(np.sum(self._token_logprobs))
        if self.walk is not None:
            lm_evaluations += self.walk.lm_evaluations
        super()._end(reason, logprob=logprob, lm_evaluations=lm_evaluations, stop=stop)
        if self.result is not None:
            self.result = replace(
                self.result,
                cover=self._cover,
                token_ids=tuple(self._tokens),
                token_logprobs=read_only(self._token_logprobs),
            )


def read_ahead(samplers: Sequence[StreamSampler]) -> None:
    """Have the model read what the next steps of many streams of one `ByteLM` need, in a batch."""
    walks = [s.walk for s in samplers if isinstance(s, TokenSampler) and s.walk is not None]
    read_rows(walks)
    fresh = [s for s in samplers if isinstance(s, TokenSampler) and s.walk is None]
    if fresh:
        weigh_covers([s._byte_lm_state for s in fresh], current=True)  # noqa: SLF001
