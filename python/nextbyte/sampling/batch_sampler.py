"""Samples many streams side by side: one call of the model for the laws of all unfinished ones.

Invariant: stream i meets the same states, laws and random numbers as it would alone, so its result
is the same, as far as the model's laws do not depend on the batch. A stream that ends leaves the
batch and drops its state, so a batch costs what its unfinished streams cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nextbyte.errors import NextByteError
from nextbyte.sampling.token_generation import TokenSampler, make_sampler, read_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nextbyte.byte_model import ByteModel, ByteState
    from nextbyte.sampling.generation import Generation, TextErrors
    from nextbyte.sampling.interruption import Interruption
    from nextbyte.sampling.stream_sampler import StreamSampler
    from nextbyte.sampling.warping import SamplingParams

__all__ = ["sample_batch"]


def sample_batch(
    model: ByteModel,
    prompts: Sequence[bytes],
    params: Sequence[SamplingParams],
    errors: TextErrors,
    advance: Callable[[int], None],
    *,
    start: Callable[[bytes], ByteState] | None = None,
    suffix: bytes = b"",
    interruptions: Sequence[Interruption] | None = None,
    time_share: float = 1.0,
) -> list[Generation]:
    """Return the generation of each prompt.

    Parameters
    ----------
    model
        Any byte model.
    prompts, params
        One of each for every stream.
    errors
        What ill-formed UTF-8 becomes in the results' texts.
    advance
        Told of the bytes that were sampled; a stream that ends early counts as whole.
    start
        Makes the state after a prompt, instead of the model's own `start`.
    suffix, interruptions
        As for `StreamSampler`: one for all of them, one for each.
    time_share
        Of the time that there is, what may be used.

    Raises
    ------
    NextByteError
        A stream failed. The message begins with the number of its prompt.
    """
    results: list[Generation | None] = [None] * len(prompts)

    def make(index: int, begin: Callable[[], ByteState]) -> StreamSampler:
        interruption = None if interruptions is None else interruptions[index]
        return make_sampler(
            model,
            begin,
            prompts[index],
            params[index],
            errors,
            suffix=suffix,
            interruption=interruption,
        )

    active = _started(start or model.start, prompts, make)
    while True:
        for sampler in active.values():
            if sampler.result is None:
                sampler.poll(time_share)
        for index, sampler in list(active.items()):
            if sampler.result is not None:
                results[index] = sampler.result
                del active[index], sampler  # the state goes, and with it what only it holds
        if not active:
            break
        laws = _laws(model, active)
        for index, sampler in active.items():
            before = sampler.sampled
            try:
                if index in laws:
                    sampler.take(laws[index])
                else:
                    sampler.advance()
            except NextByteError as error:
                raise _named(error, index) from error.__cause__
            ended = sampler.result is not None
            advance((params[index].max_bytes if ended else sampler.sampled) - before)
    return [result for result in results if result is not None]


def _started(
    start: Callable[[bytes], ByteState],
    prompts: Sequence[bytes],
    make: Callable[[int, Callable[[], ByteState]], StreamSampler],
) -> dict[int, StreamSampler]:
    """Start all streams; those of equal prompts fork one state, and share what it reads."""
    samplers: dict[int, StreamSampler] = {}
    first: dict[bytes, ByteState] = {}

    def begin(prompt: bytes) -> ByteState:
        state = first.get(prompt)
        if state is not None:
            return state.fork()
        state = first[prompt] = start(prompt)
        return state

    for index, prompt in enumerate(prompts):
        try:
            samplers[index] = make(index, lambda p=prompt: begin(p))  # type: ignore[misc]
        except NextByteError as error:
            raise _named(error, index) from error.__cause__
    return samplers


def _laws(model: ByteModel, active: dict[int, StreamSampler]) -> dict[int, NDArray[np.float64]]:
    """Return the laws of all states; where that fails, say which stream it is.

    What streams by tokens need next is read too; they have their laws themselves.
    """
    by_bytes = {i: s for i, s in active.items() if not isinstance(s, TokenSampler)}
    try:
        read_ahead(list(active.values()))
        if not by_bytes:
            return {}
        rows = model.next_byte_logprobs([sampler.state for sampler in by_bytes.values()])
        return dict(zip(by_bytes, rows, strict=True))
    except NextByteError:
        for index, sampler in active.items():
            try:
                if index in by_bytes:
                    sampler.state.next_byte_logprobs()
                else:
                    read_ahead([sampler])
            except NextByteError as error:
                raise _named(error, index) from error.__cause__
        raise  # each of them works alone


def _named(error: NextByteError, index: int) -> NextByteError:
    """Return the same error with the number of its prompt in front."""
    error.args = (f"prompt {index}: {error}", *error.args[1:])
    return error
