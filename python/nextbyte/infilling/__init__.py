"""Filling a gap between two texts, with models trained for it and with any others.

*Trained models* read prefix and suffix in their family's layout (`fim_formats.py`) and generate the
middle until they end it. The place where generation begins is the end of an open text, so it is
healed exactly (`token_generation.py`): behind the prefix in the order "spm", behind what was typed
since in either order. The end of the middle is the model's own end-of-middle token, which here is
the end of the text.

*Other models* only go on from a prefix: middles are drawn so, and weighed by the byte-exact
probability of the suffix behind each (`weighing.py`): by tokens and covers where the model is one
`ByteLM`, by bytes with an ensemble or whatever else is a byte model (`byte_models.py`).

Either way a middle ends before it repeats what comes after it, and where the caller's limits say
(`sampling/text_ends.py`, `sampling/interruption.py`). `infill` is one completion of a session; a
session holds what a `ByteLM` has read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nextbyte.byte_lm import ByteLM
from nextbyte.errors import InvalidInputError
from nextbyte.infilling.byte_models import ByteGap
from nextbyte.infilling.results import Infill, InfillCandidate, InfillStream
from nextbyte.infilling.session import InfillSession
from nextbyte.infilling.weighing import Choice
from nextbyte.sampling.warping import SamplingParams
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nextbyte.byte_model import ByteModel
    from nextbyte.fim_formats import FimOrder
    from nextbyte.sampling.interruption import Cancel

__all__ = [
    "Choice",
    "Infill",
    "InfillCandidate",
    "InfillSession",
    "InfillStream",
    "infill",
    "infill_stream",
]


def infill_stream(
    lm: ByteModel,
    prefix: str | bytes,
    suffix: str | bytes,
    params: SamplingParams | None = None,
    *,
    typed: str | bytes = b"",
    format: str | None = None,  # noqa: A002 - the field's word
    order: FimOrder | None = None,
    path: str | bytes = b"",
    repository: str | bytes = b"",
    files: Sequence[tuple[str | bytes, str | bytes]] = (),
    prefix_bytes: int | None = None,
    suffix_bytes: int | None = None,
    keep_indent: bool = False,
    candidates: int = 8,
    choose: Choice = "best",
    cancel: Cancel | None = None,
) -> InfillStream:
    r"""Fill the gap between two texts, as a stream of chunks that never split a character.

    Parameters
    ----------
    lm, prefix, suffix, params, typed, format, order, path, repository, files
        As for `infill`.
    prefix_bytes, suffix_bytes, keep_indent, candidates, choose, cancel
        As for `infill`.

    Returns
    -------
    InfillStream
        Yields `Chunk`; its `result` is the `Infill` after the end. What is before the gap is read
        now, the rest on demand. Where middles are weighed there is one chunk, at the end.

    Raises
    ------
    InvalidInputError, UnreachableByteError, BackendError
        As `infill`.

    Examples
    --------
    >>> import nextbyte as nb
    >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
    >>> params = nb.SamplingParams(seed=0, max_bytes=12)
    >>> chunks = nb.infill_stream(lm, "The capital of Ger", " is Berlin, on the Spree.", params)
    >>> [chunk.bytes for chunk in chunks], chunks.result.finish_reason
    ([b'many'], 'suffix')
    """
    params = SamplingParams() if params is None else params
    data = as_bytes(typed, name="typed")
    room_bytes = len(data) + params.max_bytes
    if not isinstance(lm, ByteLM):
        if order is not None or path or repository or files:
            raise InvalidInputError(
                f"{type(lm).__name__} has no tokens for infilling, so there are no order, no paths "
                "and no other files"
            )
        gap = ByteGap(
            lm,
            prefix,
            suffix,
            typed=data,
            format=format,
            prefix_bytes=prefix_bytes,
            suffix_bytes=suffix_bytes,
            room_bytes=room_bytes,
        )
        return gap.stream(
            params, keep_indent=keep_indent, candidates=candidates, choose=choose, cancel=cancel
        )
    session = InfillSession(
        lm,
        prefix,
        suffix,
        format=format,
        order=order,
        path=path,
        repository=repository,
        files=files,
        prefix_bytes=prefix_bytes,
        suffix_bytes=suffix_bytes,
        room_bytes=room_bytes,
    )
    session.type(data)
    return session.stream(
        params, keep_indent=keep_indent, candidates=candidates, choose=choose, cancel=cancel
    )


def infill(
    lm: ByteModel,
    prefix: str | bytes,
    suffix: str | bytes,
    params: SamplingParams | None = None,
    *,
    typed: str | bytes = b"",
    format: str | None = None,  # noqa: A002 - the field's word
    order: FimOrder | None = None,
    path: str | bytes = b"",
    repository: str | bytes = b"",
    files: Sequence[tuple[str | bytes, str | bytes]] = (),
    prefix_bytes: int | None = None,
    suffix_bytes: int | None = None,
    keep_indent: bool = False,
    candidates: int = 8,
    choose: Choice = "best",
    cancel: Cancel | None = None,
) -> Infill:
    r"""Fill the gap between two texts.

    Parameters
    ----------
    lm : ByteModel
        A `ByteLM`, an ensemble, or any other byte model; the latter two draw bytes and weigh.
    prefix, suffix : str or bytes
        The text before and after the gap. Each may be cut anywhere; what a trained model reads as
        complete (`fim_formats.py`: the suffix, in "psm" the prefix) must be whole characters.
    params : SamplingParams, optional
        How the middle is drawn, and its limits: `max_bytes`, `stop`, `single_line`, `min_indent`,
        `time_budget_ms`. Beside these it ends where it would repeat the suffix's first lines.
    typed : str or bytes
        What the middle begins with: bytes typed since prefix and suffix were cut. These then stay
        as the model has read them; `InfillSession` keeps what was read from call to call.
    format : str, optional
        A family of `fim_formats.FIM_FORMATS`, or "none" to weigh middles with any model. By
        default what the tokenizer's own special tokens say.
    order : {"psm", "spm"}, optional
        By default the family's usual one.
    path, repository, files
        Where the family has a place for them: of this file, and path and content of others.
    prefix_bytes, suffix_bytes : int, optional
        How much of each, next to the gap, is read at most, cut at lines (`window.py`). By default
        what the model can read (with a model that is no `ByteLM`, its `max_text_bytes`, less room
        for the middle), and 64 bytes of the suffix where middles are weighed by it.
    keep_indent : bool, default False
        The middle ends before a line that is indented less than the cursor's line is.
    candidates, choose
        For models that were not trained to infill: how many middles to draw, and which to return:
        the most probable, or one drawn by weight (`weighing.py`).
    cancel : callable or threading.Event, optional
        Asked before each step; once it is true or set, the result is the best by then.

    Raises
    ------
    InvalidInputError
        An argument is out of range, or the family has no such order or no place for other files;
        or there is no family: what only a family has, or tokens of a model that draws bytes.
    UnreachableByteError
        No text that the tokenizer encodes has these bytes.
    BackendError
        The model failed.

    Examples
    --------
    >>> import nextbyte as nb
    >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
    >>> params = nb.SamplingParams(seed=0, max_bytes=12)
    >>> found = nb.infill(lm, "The capital of Ger", " is Berlin, on the Spree.", params)
    >>> found.middle, found.format
    (b'many', None)
    """
    chunks = infill_stream(
        lm,
        prefix,
        suffix,
        params,
        typed=typed,
        format=format,
        order=order,
        path=path,
        repository=repository,
        files=files,
        prefix_bytes=prefix_bytes,
        suffix_bytes=suffix_bytes,
        keep_indent=keep_indent,
        candidates=candidates,
        choose=choose,
        cancel=cancel,
    )
    for _ in chunks:
        pass
    return chunks.result
