"""Generation of text from any byte model: whole, as a stream, or many prompts at once.

All of them drive the same `StreamSampler`, one law at a time, so the bytes are the same: `generate`
drains the iterator that `stream` returns, and a batch asks for the laws of all its unfinished
streams in one call of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, overload

from nextbyte.errors import InvalidInputError, NextByteError
from nextbyte.progress import progress_bar
from nextbyte.sampling.batch_sampler import sample_batch
from nextbyte.sampling.generation import Chunk, FinishReason, Generation, TextErrors, checked_errors
from nextbyte.sampling.interruption import Interruption
from nextbyte.sampling.token_generation import make_sampler
from nextbyte.sampling.warping import SamplingParams, warp
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from nextbyte.byte_model import ByteModel
    from nextbyte.sampling.interruption import Cancel
    from nextbyte.sampling.stream_sampler import StreamSampler

__all__ = [
    "ByteStreamIterator",
    "Chunk",
    "FinishReason",
    "Generation",
    "Prompts",
    "SamplingParams",
    "TextErrors",
    "generate",
    "stream",
    "warp",
]

Prompts: TypeAlias = list[str] | list[bytes] | list[str | bytes] | tuple[str | bytes, ...]
"""The prompts of a batch. A `str` is a sequence of `str` too, so the type names no sequence."""


class ByteStreamIterator:
    """Iterator over the chunks of one generation; `stream` makes it."""

    def __init__(self, sampler: StreamSampler) -> None:
        self._sampler = sampler

    def __iter__(self) -> ByteStreamIterator:
        return self

    def __next__(self) -> Chunk:
        sampler = self._sampler
        while sampler.result is None:
            ready = sampler.step()
            if ready:
                return Chunk(ready, sampler.errors)
        raise StopIteration

    @property
    def result(self) -> Generation:
        """The whole generation, once the iterator has ended.

        Raises
        ------
        NextByteError
            The stream has not ended yet.
        """
        if self._sampler.result is None:
            raise NextByteError("the stream has no result before its end: iterate it to the end")
        return self._sampler.result


def stream(
    model: ByteModel,
    prompt: str | bytes,
    params: SamplingParams | None = None,
    *,
    errors: TextErrors = "replace",
    cancel: Cancel | None = None,
) -> ByteStreamIterator:
    r"""Generate as a stream of chunks that never split a character nor show part of a stop string.

    Parameters
    ----------
    model : ByteModel
    prompt : str or bytes
        It may end anywhere, inside a character too. Nothing in it is read as a special token.
    params : SamplingParams, optional
        By default, samples of the model's own law, up to 256 bytes.
    errors : {"replace", "strict", "ignore", "backslashreplace"}
        What ill-formed bytes become in `Chunk.text` and `Generation.text`.
    cancel : callable or threading.Event, optional
        Asked once before each step; once it is true or set, the result is what there is by then.

    Returns
    -------
    ByteStreamIterator
        Yields `Chunk`; its `result` is the `Generation` after the end. The bytes are those that
        `generate` returns for the same seed. The prompt is checked now, the rest runs on demand.

    Raises
    ------
    InvalidInputError
        An argument has the wrong type or the prompt a lone surrogate.
    UnreachableByteError
        A byte of the prompt has probability zero.

    Examples
    --------
    >>> import numpy as np
    >>> from nextbyte import END_OF_TEXT
    >>> class OneText:  # a byte model: this text, then nothing but the end
    ...     text, prefix, logprob, bound, lm_evaluations = "h\u00e9llo.".encode(), b"", 0.0, 0.0, 0
    ...     def start(self, prompt=b""):
    ...         state = OneText()
    ...         state.prefix = prompt
    ...         return state
    ...     def push(self, data):
    ...         self.prefix += data
    ...     def next_byte_logprobs(self):
    ...         row = np.full(257, -np.inf)
    ...         row[[*self.text, END_OF_TEXT][len(self.prefix)]] = 0.0
    ...         return row
    >>> chunks = stream(OneText(), b"h", SamplingParams(stop="lo."))
    >>> [chunk.bytes for chunk in chunks]
    [b'\xc3\xa9', b'l']
    >>> chunks.result.finish_reason, chunks.result.stop
    ('stop', b'lo.')
    """
    if not isinstance(prompt, str | bytes):
        raise InvalidInputError(
            f"prompt must be one str or bytes, not {type(prompt).__name__}; "
            "a list of prompts is for `generate`"
        )
    params = _checked_params(params)
    data = as_bytes(prompt, name="prompt")
    interruption = Interruption(params.time_budget_ms, cancel)
    return ByteStreamIterator(
        make_sampler(
            model,
            lambda: model.start(data),
            data,
            params,
            checked_errors(errors),
            interruption=interruption,
        )
    )


@overload
def generate(
    model: ByteModel,
    prompt: str | bytes,
    params: SamplingParams | None = None,
    *,
    errors: TextErrors = "replace",
    progress: bool = False,
    cancel: Cancel | None = None,
) -> Generation: ...


@overload
def generate(
    model: ByteModel,
    prompt: Prompts,
    params: SamplingParams | Sequence[SamplingParams] | None = None,
    *,
    errors: TextErrors = "replace",
    progress: bool = False,
    cancel: Cancel | None = None,
) -> list[Generation]: ...


def generate(
    model: ByteModel,
    prompt: str | bytes | Prompts,
    params: SamplingParams | Sequence[SamplingParams] | None = None,
    *,
    errors: TextErrors = "replace",
    progress: bool = False,
    cancel: Cancel | None = None,
) -> Generation | list[Generation]:
    """Generate and return the whole, for one prompt or for many at once.

    Many prompts are sampled side by side: one call of the model gives the next laws of all streams
    that have not ended, whatever their lengths. Result i is what `generate` returns for prompt i
    and its parameters alone, up to the rounding of a language model whose rows depend on what else
    is in the batch (about 1e-6 in float32). At a tolerance equal prompts share what was read for
    them, so each law is within its bound, but need not be the one alone.

    Parameters
    ----------
    model, errors, cancel
        As for `stream`.
    prompt : str or bytes, or list or tuple of them
        One prompt, or many.
    params : SamplingParams or sequence of them, optional
        As for `stream`. For many prompts either one for each, or one for all: with a seed s, prompt
        i then has the seed s + i, so that equal prompts give different samples.
    progress : bool, default False
        Show a bar on standard error if that is a terminal (needs the extra `cli`).

    Returns
    -------
    Generation or list of Generation
        One for one prompt; for many a list in their order.

    Raises
    ------
    InvalidInputError, UnreachableByteError
        As for `stream`. In a batch the message begins with the number of the prompt.
    BackendError
        The language model failed; in a batch likewise.
    MissingDependencyError
        A progress bar was asked for without `rich`.

    Examples
    --------
    >>> import numpy as np
    >>> class FairCoin:  # a byte model: "0" or "1" for ever
    ...     logprob, bound, lm_evaluations = 0.0, 0.0, 0
    ...     def start(self, prompt=b""):
    ...         state = FairCoin()
    ...         state.prefix = prompt
    ...         return state
    ...     def push(self, data):
    ...         self.prefix += data
    ...     def next_byte_logprobs(self, states=None):
    ...         row = np.full(257, -np.inf)
    ...         row[list(b"01")] = np.log(0.5)
    ...         return row if states is None else np.stack([row] * len(states))
    >>> generate(FairCoin(), "", SamplingParams(max_bytes=8, seed=0))
    Generation(text='10001111', finish_reason='length', bytes=8, logprob=-5.5452, lm_evaluations=0)
    >>> results = generate(FairCoin(), ["", "1"], SamplingParams(max_bytes=8, seed=0))
    >>> [result.text for result in results]
    ['10001111', '11010010']
    """
    if isinstance(prompt, list | tuple):
        prompts = [_checked_prompt(one, f"prompt {index}") for index, one in enumerate(prompt)]
        each = _params_of_each(params, len(prompts))
        checked_errors(errors)
        total = sum(one.max_bytes for one in each)
        with progress_bar("generating", total=total, enabled=progress) as advance:
            limits = [Interruption(one.time_budget_ms, cancel) for one in each]
            return sample_batch(model, prompts, each, errors, advance, interruptions=limits)
    one = _checked_params(params)
    chunks = stream(model, prompt, one, errors=errors, cancel=cancel)
    with progress_bar("generating", total=one.max_bytes, enabled=progress) as advance:
        for chunk in chunks:
            advance(len(chunk.bytes))
    return chunks.result


def _checked_prompt(prompt: str | bytes, name: str) -> bytes:
    if not isinstance(prompt, str | bytes):
        raise InvalidInputError(f"{name} must be str or bytes, not {type(prompt).__name__}")
    return as_bytes(prompt, name=name)


def _checked_params(params: object, name: str = "params") -> SamplingParams:
    if params is None:
        return SamplingParams()
    if not isinstance(params, SamplingParams):
        raise InvalidInputError(f"{name} must be SamplingParams, not {type(params).__name__}")
    return params


def _params_of_each(
    params: SamplingParams | Sequence[SamplingParams] | None, count: int
) -> list[SamplingParams]:
    """Return the parameters of each prompt of a batch."""
    if isinstance(params, list | tuple):
        if len(params) != count:
            raise InvalidInputError(
                f"{count} prompts need {count} params, got {len(params)}; one SamplingParams "
                "without a list is for all"
            )
        return [_checked_params(one, f"params {index}") for index, one in enumerate(params)]
    common = _checked_params(params)
    if common.seed is None:
        return [common] * count
    return [replace(common, seed=common.seed + index) for index in range(count)]
