"""Probabilities of texts that are given: one pass over a token tree in place of a step a byte.

Theory. log P(x | context) is the sum of the conditionals log P(x_i | context, x_1..x_{i-1}), and a
row of the sum needs only contexts that are known beforehand: the text is. So the states before all
bytes of a stretch are asked in one batch. They are forks of one another, their contexts form one
tree of about 1.1 nodes a byte, and a backend reads a tree in one forward pass (docs/adr/0027). The
numbers are those of one query a byte; only the order of the model's float sums differs.

Memory: a batch holds a row of the vocabulary for each of its states, so its size is bounded
(`states_at_once`); behind it stay the keys and values of the text's own tokens, the tree's dead
branches go. A text longer than a window is read in windows, each by itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, overload

import numpy as np

from nextbyte.byte_model import ALPHABET_SIZE, END_OF_TEXT
from nextbyte.errors import InvalidInputError
from nextbyte.progress import progress_bar
from nextbyte.scoring.walks import laws_along
from nextbyte.scoring.windows import ScoredWindow, WindowedText
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from nextbyte.byte_model import ByteModel

__all__ = ["ScoredWindow", "bits_per_byte", "loglikelihood", "score", "score_windows"]


def score(
    model: ByteModel,
    data: str | bytes,
    *,
    context: str | bytes = b"",
    full: bool = False,
    end_of_text: bool = False,
    window_bytes: int | None = None,
    overlap_bytes: int | None = None,
    progress: bool = False,
) -> NDArray[np.float64]:
    """Return the log-probability of every byte of a text.

    Parameters
    ----------
    model
        Any byte model.
    data
        The text. Where a tokenizer normalizes (NFC), it must be normalized.
    context
        What comes before it and is not scored; it may end anywhere.
    full
        Return whole laws, from the same pass: 2 kB a byte.
    end_of_text
        Also score `END_OF_TEXT` after the last byte: -inf where the text cannot end.
    window_bytes, overlap_bytes
        As for `score_windows`. A text that is longer than a window is not conditioned on all of
        its past, but on at least `overlap_bytes` of it.
    progress
        Show a bar on standard error.

    Returns
    -------
    ndarray, shape (n,) or, if `full`, (n, 257), float64
        Entry i is log P(byte i | context, bytes before i), natural; n is the number of bytes, and
        one more for `END_OF_TEXT`. Row i of the full answer is the law that byte i is drawn from.

    Raises
    ------
    UnreachableByteError
        A byte has probability zero; `position` is its index in `data`.
    InvalidInputError
        Text with a lone surrogate, a window that is no window, a row that is no distribution.

    Examples
    --------
    >>> import nextbyte as nb
    >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
    >>> logprobs = nb.score(lm, " doctor away", context="An apple a day keeps the")
    >>> logprobs.shape
    (12,)
    >>> bool(logprobs[3:].sum() > -0.2)  # after " do" nothing is left to guess
    True
    """
    task = WindowedText(
        model,
        data,
        context=context,
        end_of_text=end_of_text,
        window_bytes=window_bytes,
        overlap_bytes=overlap_bytes,
    )
    count = len(task.data) + end_of_text
    found = np.empty((count, ALPHABET_SIZE) if full else count)
    with progress_bar("scoring", total=count, enabled=progress) as advance:
        for window in task.windows(start=0, full=full, advance=advance):
            part = window.logprobs if window.rows is None else window.rows
            found[window.start : window.start + len(part)] = part
    return found


def bits_per_byte(
    model: ByteModel,
    data: str | bytes,
    *,
    context: str | bytes = b"",
    end_of_text: bool = False,
    window_bytes: int | None = None,
    overlap_bytes: int | None = None,
    progress: bool = False,
) -> float:
    """Return -log2 P(data | context) / len(data), the code length of a text.

    Parameters and errors are those of `score`; with `end_of_text` the end's bits are in the sum.

    Raises
    ------
    InvalidInputError
        Also for an empty text, which has no rate.

    Examples
    --------
    >>> import nextbyte as nb
    >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
    >>> nb.bits_per_byte(lm, "An apple a day keeps the doctor away.") < 1.5
    True
    """
    logprobs = score(
        model,
        data,
        context=context,
        end_of_text=end_of_text,
        window_bytes=window_bytes,
        overlap_bytes=overlap_bytes,
        progress=progress,
    )
    count = len(logprobs) - end_of_text
    if count == 0:
        raise InvalidInputError("data is empty: no bytes to share the bits among")
    return -math.fsum(logprobs) / (count * math.log(2))


@overload
def loglikelihood(  # type: ignore[overload-overlap]  # a str is a sequence of str too: this one wins
    model: ByteModel,
    context: str | bytes,
    continuation: str | bytes,
    *,
    end_of_text: bool = False,
) -> float: ...


@overload
def loglikelihood(
    model: ByteModel,
    context: str | bytes,
    continuation: Sequence[str | bytes],
    *,
    end_of_text: bool = False,
) -> NDArray[np.float64]: ...


def loglikelihood(
    model: ByteModel,
    context: str | bytes,
    continuation: str | bytes | Sequence[str | bytes],
    *,
    end_of_text: bool = False,
) -> float | NDArray[np.float64]:
    """Return log P(continuation | context), for one continuation or for several.

    P(context + continuation) / P(context), both of byte prefixes: exact at the join, whatever the
    tokenizer makes of the two together. Nothing is tokenized twice, and a blank may stand on either
    side. Context and continuation are read whole, without windows.

    Parameters
    ----------
    model
        Any byte model.
    context
        What comes before.
    continuation
        A text, or several (multiple choice), which are evaluated together below the one context.
    end_of_text
        Also demand that the text ends there.

    Returns
    -------
    float, or ndarray of shape (k,), float64, for k continuations
        Natural log-probabilities; -inf for a continuation that is impossible.

    Raises
    ------
    UnreachableByteError
        The context itself is impossible.
    InvalidInputError
        Text with a lone surrogate, a row that is no distribution.

    Examples
    --------
    >>> import nextbyte as nb
    >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
    >>> choices = [" Paris", " Rome", " bananas"]
    >>> int(nb.loglikelihood(lm, "The capital of France is", choices).argmax())
    0
    """
    single = isinstance(continuation, (str, bytes))
    texts = [continuation] if isinstance(continuation, (str, bytes)) else list(continuation)
    end = (END_OF_TEXT,) if end_of_text else ()
    symbols = [
        (*as_bytes(text, name=f"continuation {index}" if not single else "continuation"), *end)
        for index, text in enumerate(texts)
    ]
    state = model.start(context)
    parts: list[list[float]] = [[] for _ in symbols]
    # A query before the forks part: each of them then begins with the rows of the context.
    if any(symbols):
        model.next_byte_logprobs([state])
    walks = [(state.fork(), one) for one in symbols]
    del state
    for block in laws_along(model, walks):
        parts[block.walk].extend(block.logprobs)
    found = np.array([math.fsum(part) for part in parts])
    return float(found[0]) if single else found


def score_windows(
    model: ByteModel,
    data: str | bytes,
    *,
    context: str | bytes = b"",
    full: bool = False,
    end_of_text: bool = False,
    window_bytes: int | None = None,
    overlap_bytes: int | None = None,
    start: int = 0,
) -> Iterator[ScoredWindow]:
    """Score a text window by window; `score` is their concatenation.

    A window reads `window_bytes` of context and data, up to three more so as to begin with a whole
    character, and scores what no window before it has: the first one all of its bytes, those after
    it the last `window_bytes` - `overlap_bytes`. Windows depend on the lengths alone, and not on
    one another: a job that was stopped goes on with `start` = the last window's `stop`, and every
    number is that of a job that was not.

    Parameters
    ----------
    model, data, context, full, end_of_text
        As for `score`.
    window_bytes : int, optional
        By default 8,192, or less where the model's longest context is shorter: no text of that many
        bytes has more tokens. Larger values are tried as they are.
    overlap_bytes : int, optional
        By default half a window.
    start : int
        Begin with the window that begins here.

    Yields
    ------
    ScoredWindow
        In the order of the text. Nothing for an empty text without `end_of_text`.

    Raises
    ------
    UnreachableByteError, InvalidInputError
        As `score`; also if no window begins at `start`.

    Examples
    --------
    >>> import numpy as np
    >>> import nextbyte as nb
    >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
    >>> text = b"one two three four five six"
    >>> for window in nb.score_windows(lm, text, window_bytes=12, overlap_bytes=4):
    ...     print(window.start, window.stop, window.context_bytes)
    0 12 0
    12 20 4
    20 27 5
    """
    task = WindowedText(
        model,
        data,
        context=context,
        end_of_text=end_of_text,
        window_bytes=window_bytes,
        overlap_bytes=overlap_bytes,
    )
    return task.windows(start=start, full=full, advance=lambda _: None)
