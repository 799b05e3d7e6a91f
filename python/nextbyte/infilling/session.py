"""One gap in a text, held open: bytes are typed into it, and completions asked for, one by one.

The state behind all that the model has read is kept, so that what is typed costs the tokens that it
adds, and the ones at the cursor that it changes, never prefix and suffix again (EFIM, arXiv
2505.21889, puts the typed bytes behind the sentinels too, but had to retrain models for typed text
that ends inside a token; here its covers are weighed exactly). Completions are drawn from forks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from nextbyte.audits.targets import require_canonical
from nextbyte.byte_lm import ByteLM
from nextbyte.byte_lm_state import evaluate_states
from nextbyte.errors import InvalidInputError
from nextbyte.infilling.arguments import checked_limits, require_sizes
from nextbyte.infilling.models import format_of, model_for
from nextbyte.infilling.results import Infill, InfillStream
from nextbyte.infilling.weighing import WEIGHED_BYTES, weigh
from nextbyte.infilling.window import fit, prefix_window, suffix_window, token_count
from nextbyte.sampling.batch_sampler import sample_batch
from nextbyte.sampling.generation import Chunk
from nextbyte.sampling.interruption import Interruption
from nextbyte.sampling.token_generation import make_sampler
from nextbyte.sampling.warping import SamplingParams
from nextbyte.segments import close_segments, spell_leads
from nextbyte.text_input import as_bytes
from nextbyte.text_weights import continuation_logprobs

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from nextbyte.byte_lm_state import ByteLMState
    from nextbyte.fim_formats import FimOrder
    from nextbyte.infilling.weighing import Choice
    from nextbyte.sampling.interruption import Cancel
    from nextbyte.segments import Segment

__all__ = ["InfillSession"]


class InfillSession:
    r"""A gap between two texts, and what has been typed into it.

    Parameters
    ----------
    lm : ByteLM
        Other byte models have no tokens to read a layout by; `infill` takes them.
    prefix, suffix, format, order, path, repository, files, prefix_bytes, suffix_bytes
        As for `infill`.
    room_bytes : int, default 512
        Typed and drawn bytes for which windows leave room, where these are left to the library; at
        most half of what the model can read is left.

    Attributes
    ----------
    format : str or None
        The family of the layout; None where middles are weighed.
    order : {"psm", "spm"} or None
    prefix, suffix : bytes
        What is read of them.

    Raises
    ------
    InvalidInputError, UnreachableByteError
        As `infill`.

    Examples
    --------
    >>> import nextbyte as nb
    >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
    >>> session = nb.InfillSession(lm, "The capital of Ger", " is Berlin, on the Spree.")
    >>> session.type("m")
    >>> params = nb.SamplingParams(seed=0, max_bytes=12)
    >>> session.complete(params).bytes
    b'any'
    """

    def __init__(
        self,
        lm: ByteLM,
        prefix: str | bytes,
        suffix: str | bytes,
        *,
        format: str | None = None,  # noqa: A002 - the field's word
        order: FimOrder | None = None,
        path: str | bytes = b"",
        repository: str | bytes = b"",
        files: Sequence[tuple[str | bytes, str | bytes]] = (),
        prefix_bytes: int | None = None,
        suffix_bytes: int | None = None,
        room_bytes: int = 512,
    ) -> None:
        if not isinstance(lm, ByteLM):
            raise InvalidInputError(
                f"InfillSession needs a ByteLM, not {type(lm).__name__}: infill and infill_stream "
                "take any byte model"
            )
        require_canonical(lm.target, "infill")
        require_sizes(prefix_bytes, suffix_bytes)
        self._known = format_of(lm, format)
        self.format = None if self._known is None else self._known.name
        if self._known is None and (order is not None or path or repository or files):
            raise InvalidInputError(
                "the model's tokenizer has no tokens for infilling, so there are no order, no "
                "paths and no other files"
            )
        known = self._known
        self.order: FimOrder | None = None
        lead: bytes | None = None
        if known is not None:
            self.order = order or known.spelling.orders[0]
            lm, lead = model_for(lm, known, self.order)
        self._lm = lm

        def layout(before: bytes, after: bytes) -> list[Segment]:
            if known is None:
                return [before]
            segments = known.segments(
                before, after, order=order, path=path, repository=repository, files=files
            )
            return segments if lead is None else spell_leads(segments, lead)

        before, after = as_bytes(prefix, name="prefix"), as_bytes(suffix, name="suffix")
        if known is None and suffix_bytes is None:
            suffix_bytes = WEIGHED_BYTES
        if prefix_bytes is not None:
            before = prefix_window(before, prefix_bytes)
        if suffix_bytes is not None:  # what is weighed may be cut anywhere
            after = suffix_window(after, suffix_bytes) if known else after[:suffix_bytes]
        limit = getattr(lm.backend, "max_context_tokens", None)
        if limit is not None:
            room = limit - min(room_bytes, limit // 2) - self._fixed(layout(b"", b""))
            before, after = fit(before, after, room, lambda t: token_count(lm.tokenizer, t))
        self.prefix, self.suffix = before, after
        segments = layout(before, after)
        ends = [] if known is None else list(dict.fromkeys((*lm.end_tokens, *known.end_tokens)))
        self._open = as_bytes(cast("bytes", segments[-1]), name="prefix")
        self._typed = b""
        self._state: ByteLMState = lm.start(
            segments=segments, end_tokens=lm.end_tokens if known is None else ends
        )

    @property
    def typed(self) -> bytes:
        """What was typed so far."""
        return self._typed

    @property
    def lm_evaluations(self) -> int:
        """Rows of logits that were asked for what was typed, without what was drawn."""
        return self._state.lm_evaluations

    def type(self, data: str | bytes) -> None:
        """Put bytes at the cursor.

        Raises
        ------
        UnreachableByteError
            No text has these bytes there. Nothing was typed then.
        InvalidInputError
            A lone surrogate in a `str`.
        """
        self._replace(self._typed + as_bytes(data, name="data"))

    def erase(self, n: int) -> None:
        """Take back the last `n` typed bytes.

        Raises
        ------
        InvalidInputError
            There are fewer.
        """
        if not 0 <= n <= len(self._typed):
            raise InvalidInputError(f"{len(self._typed)} bytes were typed, so not {n} can go")
        self._replace(self._typed[: len(self._typed) - n])

    def read(self) -> None:
        """Have the model read now what the next completion needs; nothing, at a tolerance."""
        evaluate_states([self._state], current=self._state.tolerance == 0.0)

    def complete(
        self,
        params: SamplingParams | None = None,
        *,
        keep_indent: bool = False,
        candidates: int = 8,
        choose: Choice = "best",
        cancel: Cancel | None = None,
    ) -> Infill:
        """Return what may come behind what was typed; the arguments are those of `infill`."""
        chunks = self.stream(
            params, keep_indent=keep_indent, candidates=candidates, choose=choose, cancel=cancel
        )
        for _ in chunks:
            pass
        return chunks.result

    def stream(
        self,
        params: SamplingParams | None = None,
        *,
        keep_indent: bool = False,
        candidates: int = 8,
        choose: Choice = "best",
        cancel: Cancel | None = None,
    ) -> InfillStream:
        """Return the same as an iterator over its chunks; what was typed is read now.

        Where middles are weighed, the answer comes as one chunk.
        """
        params = checked_limits(
            SamplingParams() if params is None else params,
            self.prefix + self._typed,
            keep_indent=keep_indent,
            candidates=candidates,
            choose=choose,
        )
        interruption = Interruption(params.time_budget_ms, cancel)
        before = self._state.lm_evaluations
        if params.max_bytes and interruption.reason() is None:
            self.read()  # forks of a state that has read find what it has read
        state, typed = self._state.fork(), self._typed
        if self._known is not None:
            return InfillStream(self._generated(state, typed, before, params, interruption))
        return InfillStream(
            self._weighed(
                state,
                typed,
                before,
                params=params,
                interruption=interruption,
                count=candidates,
                choose=choose,
            )
        )

    def _generated(
        self,
        state: ByteLMState,
        typed: bytes,
        spent: int,
        params: SamplingParams,
        interruption: Interruption,
    ) -> Generator[Chunk, None, Infill]:
        """Have a trained model generate the middle."""
        sampler = make_sampler(
            self._lm,
            lambda: state,
            state.prefix,
            params,
            "replace",
            suffix=self.suffix,
            interruption=interruption,
        )
        while sampler.result is None:
            ready = sampler.step()
            if ready:
                yield Chunk(ready)
        generation = sampler.result
        generation = replace(generation, lm_evaluations=max(generation.lm_evaluations - spent, 0))
        return Infill(
            bytes=generation.bytes,
            typed=typed,
            finish_reason=generation.finish_reason,
            format=self.format,
            order=self.order,
            candidates=(),
            generation=generation,
            lm_evaluations=generation.lm_evaluations,
            prefix_bytes=len(self.prefix),
            suffix_bytes=len(self.suffix),
        )

    def _weighed(
        self,
        state: ByteLMState,
        typed: bytes,
        spent: int,
        *,
        params: SamplingParams,
        interruption: Interruption,
        count: int,
        choose: Choice,
    ) -> Generator[Chunk, None, Infill]:
        """Draw middles, and weigh them."""
        random = np.random.default_rng(params.seed)
        drawn = sample_batch(
            self._lm,
            [state.prefix] * count,
            [replace(params, seed=int(random.integers(2**63))) for _ in range(count)],
            "replace",
            lambda _: None,
            start=lambda _: state.fork(),
            suffix=self.suffix,
            interruptions=[interruption] * count,
            time_share=0.5,  # weighing takes about as long as drawing
        )
        rows = state.lm_evaluations - spent
        rows += sum(max(g.lm_evaluations - state.lm_evaluations, 0) for g in drawn)
        exact = state
        if state.tolerance > 0.0:
            exact = self._lm.start(state.prefix, tolerance=0.0)
        found = weigh(
            lambda middles: continuation_logprobs(exact, [(m, self.suffix) for m in middles]),
            drawn,
            self.suffix,
            choose=choose,
            random=random,
            interruption=interruption,
            token_bytes=self._lm.tokenizer.token_bytes,
        )
        if found.middle:
            yield Chunk(found.middle)
        return Infill(
            bytes=found.middle,
            typed=typed,
            finish_reason=found.finish_reason,
            format=None,
            order=None,
            candidates=found.candidates,
            generation=found.generation,
            lm_evaluations=rows + found.rows,
            prefix_bytes=len(self.prefix),
            suffix_bytes=len(self.suffix),
        )

    def _replace(self, typed: bytes) -> None:
        """Have other bytes behind the open text."""
        wanted = self._lm.tokenizer.normalize(self._open + typed)
        there = self._state.prefix
        common = _common(there, wanted)
        state = self._state.fork() if common < len(there) else self._state
        state.rollback(len(there) - common)
        state.push(wanted[common:])
        self._state, self._typed = state, typed

    def _fixed(self, segments: list[Segment]) -> int:
        """Return how many tokens there are beside prefix and suffix."""
        closed, text = close_segments(self._lm.tokenizer, segments)
        starts = 0 if self._lm.start_token is None else 1
        return starts + len(closed) + token_count(self._lm.tokenizer, text)


def _common(one: bytes, other: bytes) -> int:
    """Return how many bytes two texts begin with in common."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:  # as a rule: typed, or erased
        return length
    return next(place for place in range(length) if one[place] != other[place])
