r"""Where a text that is being drawn ends by what it says: stop strings, lines, what comes after it.

Definitions, for a text x drawn so far. It is cut

- *stop*: before a stop string; before the first line end ("\n" or "\r\n") under `single_line`.
- *indentation*: before the line end behind which the next line that is not blank is indented by
  fewer than `min_indent` spaces and tabs. The line in which x begins is not looked at.
- *suffix*: before the head of the text that will follow x. The head is the least number of whole
  lines of it with 8 bytes that are not blank, without the blanks at its ends, and 64 bytes of it at
  most; there is none if the text is too short. Blanks before it go too, as far as the same are in
  front of the head. Where x ends otherwise, what it has of the head is cut off if that is at least
  8 bytes that are not blank.

`pending` is how many bytes at the end of x may still be cut off; no more ever are. Cost: a few
steps a byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from nextbyte.stop_strings import StopMatcher

if TYPE_CHECKING:
    from nextbyte.sampling.generation import FinishReason
    from nextbyte.sampling.warping import SamplingParams

__all__ = ["Ending", "TextEnds", "head_of"]

_BLANKS: Final = b" \t\n\r\v\f"
_LINE_ENDS: Final = (b"\n", b"\r\n")

_REPEATED: Final = 8
"""Bytes that are not blank and are not repeated by chance."""

_HEAD: Final = 64
"""Bytes of a head at most: who says so much again will say the rest, too."""


class Ending(NamedTuple):
    """An end that was met."""

    length: int
    """How much of the text stays."""
    reason: FinishReason
    stop: bytes | None = None


class TextEnds:
    r"""Watches one text grow, byte by byte.

    Parameters
    ----------
    params
        Its limits.
    suffix
        What will follow the text, if that is known.

    Examples
    --------
    >>> from nextbyte.sampling import SamplingParams
    >>> ends, text = TextEnds(SamplingParams(min_indent=4)), bytearray()
    >>> for byte in b"x\n\n    y\n  z":
    ...     text.append(byte)
    ...     if ending := ends.push(text):
    ...         print(ending.length, ending.reason)
    8 indentation
    """

    def __init__(self, params: SamplingParams, suffix: bytes = b"") -> None:
        lines = _LINE_ENDS if params.single_line else ()
        self._matcher = StopMatcher(tuple(dict.fromkeys((*params.stop_strings, *lines))))
        self._indentation = _Indentation(params.min_indent) if params.min_indent else None
        lead, head = head_of(suffix)
        self._suffix = _Suffix(lead, head) if head else None

    @property
    def pending(self) -> int:
        """Bytes at the end of the text that may still be cut off."""
        found = self._matcher.pending
        if self._indentation is not None:
            found = max(found, self._indentation.pending)
        if self._suffix is not None:
            found = max(found, self._suffix.pending)
        return found

    def push(self, text: bytearray) -> Ending | None:
        """Look at a text that has grown by one byte; return where it ends, the earliest place."""
        stop = self._matcher.push(text[-1])
        found = [] if stop is None else [Ending(len(text) - len(stop), "stop", stop)]
        if self._indentation is not None:
            cut = self._indentation.push(text)
            if cut is not None:
                found.append(Ending(cut, "indentation"))
        if self._suffix is not None:
            cut = self._suffix.push(text)
            if cut is not None:
                found.append(Ending(cut, "suffix"))
        return min(found, key=lambda ending: ending.length) if found else None

    def kept(self, text: bytearray) -> int:
        """Return how much of a text stays that has ended otherwise."""
        return len(text) if self._suffix is None else self._suffix.kept(text)


def head_of(suffix: bytes) -> tuple[bytes, bytes]:
    r"""Return the blanks before the head of a text, and the head, empty if there is none.

    Examples
    --------
    >>> head_of(b")\n    return x\n}")
    (b'', b')\n    return x')
    >>> head_of(b"\r\n  }\r\n")
    (b'', b'')
    """
    start = len(suffix) - len(suffix.lstrip(_BLANKS))
    end, size = start, len(suffix)
    while end < size and _solid(suffix[start:end]) < _REPEATED:
        line_end = suffix.find(b"\n", end)
        end = size if line_end < 0 else line_end + 1
    head = suffix[start : min(end, start + _HEAD)].rstrip(_BLANKS)
    return (suffix[:start], head) if _solid(head) >= _REPEATED else (b"", b"")


class _Indentation:
    """Finds lines that are indented too little."""

    def __init__(self, minimum: int) -> None:
        self._minimum = minimum
        self._cut: int | None = None  # before the line end behind the last text
        self._indent: int | None = None  # of this line; None once it has text
        self.pending = 0

    def push(self, text: bytearray) -> int | None:
        byte, size = text[-1], len(text)
        if byte == 0x0A:
            if self._indent is None:  # the line had text, or is the first
                self._cut = size - (2 if text[-2:-1] == b"\r" else 1)
            self._indent = 0
        elif self._indent is not None and byte in b" \t":
            self._indent += 1
        elif self._indent is not None and byte != 0x0D:
            if self._indent < self._minimum:
                return self._cut
            self._indent = None
        if self._indent is not None and self._cut is not None:
            self.pending = size - self._cut
        else:
            self.pending = 1 if byte == 0x0D else 0  # it may be half of a line end
        return None


class _Suffix:
    """Finds the head of what follows."""

    def __init__(self, lead: bytes, head: bytes) -> None:
        self._lead, self._head = lead, head
        self._matcher = StopMatcher((head,))
        self._blanks = 0
        self.pending = 0

    def push(self, text: bytearray) -> int | None:
        if self._matcher.push(text[-1]) is not None:
            return self._before(text, len(self._head))
        matched = self._matcher.pending
        # Any blanks in front may turn out to be those of the lead, or its beginning.
        window = text[max(len(text) - matched - len(self._lead), 0) : len(text) - matched]
        self.pending = matched + len(window) - len(window.rstrip(_BLANKS))
        return None

    def kept(self, text: bytearray) -> int:
        matched = self._matcher.pending
        if _solid(self._head[:matched]) < _REPEATED:
            return len(text)
        return self._before(text, matched)

    def _before(self, text: bytearray, matched: int) -> int:
        """Return where the lead begins, as far as it is there, before what matches the head."""
        end = len(text) - matched
        count = 0
        while count < min(len(self._lead), end) and self._lead[-1 - count] == text[end - 1 - count]:
            count += 1
        return end - count


def _solid(text: bytes | bytearray) -> int:
    """Return how many bytes are not blank."""
    return sum(byte not in _BLANKS for byte in text)
