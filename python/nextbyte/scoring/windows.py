"""How a text is cut into windows, and the probabilities of one window.

Windows are a function of four lengths (context, text, window, overlap), but for up to three bytes
by which one begins earlier, so as to begin with a whole character. Each is read by itself, from the
start token on; what it knows of the text before is stated in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from nextbyte.byte_model import ALPHABET_SIZE, END_OF_TEXT
from nextbyte.errors import InvalidInputError, UnreachableByteError
from nextbyte.scoring.walks import laws_along
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from nextbyte.byte_model import ByteModel

__all__ = ["ScoredWindow", "WindowedText"]

DEFAULT_WINDOW_BYTES: Final = 8192
"""The longest window that is chosen for you; a model that ends earlier gets a shorter one."""

_LONGEST_TAIL: Final = 3  # bytes of a character after its first


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredWindow:
    """A stretch of a text with its probabilities, from one `score_windows`.

    Attributes
    ----------
    start, stop : int
        The stretch of `data`; its first byte is `data[start]`.
    logprobs : ndarray, shape (stop - start,), float64
        Natural log-probability of each byte; in the last window one more with `end_of_text`.
    rows : ndarray, shape (len(logprobs), 257), float64, or None
        The whole laws, if asked for.
    context_bytes : int
        How many bytes before `start` the window knows: it is as if the text had begun there. All
        of them, context included, in the first window of a context that fits.
    bound : float
        The largest `bound` of its states: 0.0 if every law is exact given what the window knows.
    """

    start: int
    stop: int
    logprobs: NDArray[np.float64]
    rows: NDArray[np.float64] | None
    context_bytes: int
    bound: float


class WindowedText:
    """A text to score, and how it is cut into windows."""

    def __init__(
        self,
        model: ByteModel,
        data: str | bytes,
        *,
        context: str | bytes,
        end_of_text: bool,
        window_bytes: int | None,
        overlap_bytes: int | None,
    ) -> None:
        self.model = model
        self.data = as_bytes(data, name="data")
        # What the model makes of the context: a normalized one has other bytes.
        self._before = model.start(context).prefix
        self._end_of_text = end_of_text
        limit: int | None = getattr(model, "max_text_bytes", None)
        if window_bytes is None:
            longest = DEFAULT_WINDOW_BYTES if limit is None else limit - _LONGEST_TAIL
            window_bytes = max(1, min(DEFAULT_WINDOW_BYTES, longest))
        if overlap_bytes is None:
            overlap_bytes = window_bytes // 2
        if not 0 <= overlap_bytes < window_bytes:
            raise InvalidInputError(
                f"a window of {window_bytes} bytes cannot overlap {overlap_bytes} bytes of the one "
                "before: 0 <= overlap_bytes < window_bytes"
            )
        self._window_bytes = window_bytes
        self._step = window_bytes - overlap_bytes

    def windows(
        self, *, start: int, full: bool, advance: Callable[[int], None]
    ) -> Iterator[ScoredWindow]:
        """Yield the windows from the one that begins at `start`; see `score_windows`."""
        bounds = self._bounds()
        starts = [first for first, _ in bounds]
        if start == len(self.data) and start not in starts:
            return iter(())  # all is done
        if start not in starts:
            near = min(starts, key=lambda first: abs(first - start))
            raise InvalidInputError(
                f"start={start}: no window of {self._window_bytes} bytes begins there; the nearest "
                f"begins at {near}"
            )
        return (
            self._window(first, stop, full=full, advance=advance)
            for first, stop in bounds[starts.index(start) :]
        )

    def _bounds(self) -> list[tuple[int, int]]:
        """Return (start, stop) of every window, in `data`."""
        shift, size = len(self._before), len(self.data)
        bounds = []
        start = 0
        while start < size:
            # In the text that begins with the context.
            stop = max(self._window_bytes, shift + start + self._step) - shift
            bounds.append((start, min(stop, size)))
            start = stop
        if not bounds and self._end_of_text:
            bounds.append((0, 0))
        return bounds

    def _window(
        self, start: int, stop: int, *, full: bool, advance: Callable[[int], None]
    ) -> ScoredWindow:
        shift = len(self._before)
        known = self._known(start + shift, stop + shift)
        symbols: list[int] = [*self.data[start:stop]]
        if self._end_of_text and stop == len(self.data):
            symbols.append(END_OF_TEXT)
        logprobs = np.empty(len(symbols))
        rows = np.empty((len(symbols), ALPHABET_SIZE)) if full else None
        bound = 0.0
        done = 0
        for block in laws_along(self.model, [(self.model.start(known), symbols)]):
            count = len(block.logprobs)
            logprobs[done : done + count] = block.logprobs
            if rows is not None:
                rows[done : done + count] = block.rows
            bound = max(bound, block.bound)
            # That the text cannot end is an answer; that it cannot be is none.
            if block.logprobs[-1] == -math.inf and start + done + count <= len(self.data):
                self._refuse(start + done + count - 1)
            done += count
            advance(count)
        return ScoredWindow(
            start=start,
            stop=stop,
            logprobs=logprobs,
            rows=rows,
            context_bytes=len(known),
            bound=bound,
        )

    def _known(self, start: int, stop: int) -> bytes:
        """Return what a window knows before `start`; positions in context and data together."""
        begin = max(0, stop - self._window_bytes)
        low = max(0, begin - _LONGEST_TAIL)
        # Only these bytes are copied, the text may be long: from low to start, and that at begin.
        shift = len(self._before)
        end = max(start, begin + 1)
        part = self._before[low:end] + self.data[max(0, low - shift) : max(0, end - shift)]
        cuts = range(begin - low, -1, -1) if begin else ()
        # Where there is no whole character, it is no UTF-8, and one cut is as good as another.
        cut = next((cut for cut in cuts if not 0x80 <= part[cut] < 0xC0), begin - low)
        return part[cut : start - low]

    def _refuse(self, position: int) -> None:
        byte = self.data[position]
        raise UnreachableByteError(
            position,
            byte,
            f"data: byte 0x{byte:02X} at position {position} has probability zero after the bytes "
            "before it",
        )
