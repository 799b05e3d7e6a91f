"""A gap filled by any byte model: an ensemble, or a class of yours.

There are no tokens here, so middles are drawn by bytes and weighed by the laws of the suffix's
bytes behind each (`weighing.py`): all of them go on from the one state behind the prefix, and are
asked for in batches (`scoring/walks.py`). A law within a bound, of a lazy ensemble or member, gives
weights within what that bound allows.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nextbyte.byte_model import STATES_AT_ONCE
from nextbyte.errors import InvalidInputError, UnreachableByteError
from nextbyte.infilling.arguments import checked_limits, require_sizes
from nextbyte.infilling.results import Infill, InfillStream
from nextbyte.infilling.weighing import WEIGHED_BYTES, weigh
from nextbyte.infilling.window import fit, prefix_window
from nextbyte.sampling.batch_sampler import sample_batch
from nextbyte.sampling.generation import Chunk
from nextbyte.sampling.interruption import Interruption
from nextbyte.sampling.token_generation import make_sampler
from nextbyte.sampling.warping import SamplingParams
from nextbyte.scoring.walks import laws_along
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from nextbyte.byte_model import ByteModel, ByteState
    from nextbyte.infilling.weighing import Choice
    from nextbyte.sampling.interruption import Cancel

__all__ = ["ByteGap"]


class ByteGap:
    """A gap between two texts, what was typed into it, and a byte model to fill it.

    Parameters
    ----------
    model : ByteModel
    prefix, suffix, typed : str or bytes
        As for `infill`.
    format : str, optional
        None or "none": there are no tokens that could be a layout.
    prefix_bytes, suffix_bytes : int, optional
        As for `infill`. By default the prefix is as long as the model's `max_text_bytes` allows;
        where that is given, it is read whatever the model says.
    room_bytes : int, default 512
        As for `InfillSession`.

    Attributes
    ----------
    prefix, suffix, typed : bytes
        What is read of them.
    format : None
        Middles are weighed.

    Raises
    ------
    InvalidInputError
        An argument is out of range, or the model is no byte model.
    UnreachableByteError
        A byte before the gap has probability zero.
    """

    format: None = None

    def __init__(
        self,
        model: ByteModel,
        prefix: str | bytes,
        suffix: str | bytes,
        *,
        typed: str | bytes = b"",
        format: str | None = None,  # noqa: A002 - the field's word
        prefix_bytes: int | None = None,
        suffix_bytes: int | None = None,
        room_bytes: int = 512,
    ) -> None:
        kind = type(model).__name__
        if not all(callable(getattr(model, n, None)) for n in ("start", "next_byte_logprobs")):
            raise InvalidInputError(f"infill needs a byte model, not {kind}")
        if format not in (None, "none"):
            raise InvalidInputError(
                f"format={format!r:.80} needs a single ByteLM whose tokenizer has tokens for "
                f'infilling, and {kind} draws bytes: leave it out, or give "none"'
            )
        require_sizes(prefix_bytes, suffix_bytes)
        before, after = as_bytes(prefix, name="prefix"), as_bytes(suffix, name="suffix")
        self.suffix = after[: WEIGHED_BYTES if suffix_bytes is None else suffix_bytes]
        limit: int | None = getattr(model, "max_text_bytes", None)
        if prefix_bytes is not None:
            before = prefix_window(before, prefix_bytes)
        elif limit is not None:
            room = limit - min(room_bytes, limit // 2) - len(self.suffix)
            before, _ = fit(before, b"", max(room, 0), len)
        self.prefix = before
        self.typed = as_bytes(typed, name="typed")
        self._model = model
        self._state: ByteState = model.start(self.prefix + self.typed)

    def read(self) -> None:
        """Have the model read what is before the gap; that is kept."""
        self._model.next_byte_logprobs([self._state])

    def stream(
        self,
        params: SamplingParams | None = None,
        *,
        keep_indent: bool = False,
        candidates: int = 8,
        choose: Choice = "best",
        cancel: Cancel | None = None,
    ) -> InfillStream:
        """Return the middle as an iterator over its one chunk; what is before it is read now."""
        params = SamplingParams() if params is None else params
        # Nothing is asked of a model that draws no bytes; a unit that it has not is refused.
        make_sampler(self._model, self._model.start, b"", replace(params, max_bytes=0), "replace")
        params = checked_limits(
            params,
            self.prefix + self.typed,
            keep_indent=keep_indent,
            candidates=candidates,
            choose=choose,
        )
        interruption = Interruption(params.time_budget_ms, cancel)
        counted = _Counted(self._model, self._state)
        if params.max_bytes and interruption.reason() is None:
            counted.next_byte_logprobs([self._state])
        return InfillStream(self._weighed(counted, params, interruption, candidates, choose))

    def _weighed(
        self,
        model: _Counted,
        params: SamplingParams,
        interruption: Interruption,
        count: int,
        choose: Choice,
    ) -> Generator[Chunk, None, Infill]:
        """Draw middles, and weigh them."""
        random = np.random.default_rng(params.seed)
        drawn = sample_batch(
            model,
            [self.prefix + self.typed] * count,
            [replace(params, seed=int(random.integers(2**63))) for _ in range(count)],
            "replace",
            lambda _: None,
            start=lambda _: self._state.fork(),
            suffix=self.suffix,
            interruptions=[interruption] * count,
            time_share=0.5,  # weighing takes about as long as drawing
        )

        def logprobs(middles: Sequence[bytes]) -> tuple[NDArray[np.float64], int]:
            before = model.rows
            found = _suffix_logprobs(model, self._state, middles, self.suffix)
            return found, model.rows - before

        spent = model.rows
        found = weigh(
            logprobs,
            drawn,
            self.suffix,
            choose=choose,
            random=random,
            interruption=interruption,
            at_once=max(1, model.states_at_once // max(1, len(self.suffix))),
        )
        if found.middle:
            yield Chunk(found.middle)
        return Infill(
            bytes=found.middle,
            typed=self.typed,
            finish_reason=found.finish_reason,
            format=None,
            order=None,
            candidates=found.candidates,
            generation=found.generation,
            lm_evaluations=spent + found.rows,
            prefix_bytes=len(self.prefix),
            suffix_bytes=len(self.suffix),
        )


class _Counted:
    """A model, and how many rows its states asked for: one that several share counts for each.

    Some models count for each fork, and some for all that came from one state: a fork that is never
    asked has the part of what is counted for all.
    """

    def __init__(self, model: ByteModel, state: ByteState) -> None:
        self._model = model
        self._idle = state.fork()
        self.rows = 0
        self.states_at_once: int = getattr(model, "states_at_once", STATES_AT_ONCE)

    def start(self, prompt: str | bytes = b"") -> ByteState:
        return self._model.start(prompt)

    def next_byte_logprobs(self, states: Sequence[Any]) -> NDArray[np.float64]:
        counters = [self._idle, *states]
        before = [state.lm_evaluations for state in counters]
        laws = self._model.next_byte_logprobs(states)
        common, *each = (s.lm_evaluations - n for s, n in zip(counters, before, strict=True))
        self.rows += common + sum(one - common for one in each)
        return laws


def _suffix_logprobs(
    model: ByteModel, state: ByteState, middles: Sequence[bytes], suffix: bytes
) -> NDArray[np.float64]:
    """Return log P(suffix | the state's bytes, middle), -inf where a text cannot go on so."""
    parts: list[list[float]] = [[] for _ in middles]
    walks = []
    for place, middle in enumerate(middles):
        behind = state.fork()
        try:
            behind.push(middle)
        except UnreachableByteError:
            parts[place].append(-math.inf)
            walks.append((behind, b""))
            continue
        walks.append((behind, suffix))
    try:
        for block in laws_along(model, walks):
            parts[block.walk].extend(block.logprobs)
    except UnreachableByteError:  # the law behind a middle itself: which one is it?
        if len(middles) == 1:
            return np.array([-math.inf])
        each = [_suffix_logprobs(model, state, [middle], suffix) for middle in middles]
        return np.concatenate(each)
    return np.array([math.fsum(part) for part in parts])
