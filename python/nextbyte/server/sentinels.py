"""Reads a gap out of a prompt in which an editor has spelled the model's own sentinels as text.

Zed, Continue, twinny and others have no field for what follows the cursor: they fill in their
model's template and send it as a prompt. It is taken apart into the two texts, which then are only
text, and what else the family's layout has a place for.

Where a spelling comes more than once, the template's is taken to be the outermost: the first one
that opens, the last one that ends; between two texts, the first. The rest stays text. A prompt
without all of its family's sentinels, each in its place, has no gap, and is text as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nextbyte.fim_formats import FimOrder, FimSpelling

__all__ = ["Gap", "gap_in"]

_BLANK: Final = "\u2581"
"""How SentencePiece spells the blank before a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Two texts with a gap between them, and what else is known; `infill` has the meanings."""

    prefix: str
    suffix: str
    typed: str = ""
    order: FimOrder | None = None
    path: str = ""
    repository: str = ""
    files: tuple[tuple[str, str], ...] = ()


def gap_in(prompt: str, spelling: FimSpelling) -> Gap | None:
    r"""Return the gap that a prompt describes in one family's layout, None if it describes none.

    Examples
    --------
    >>> from nextbyte.fim_formats import FIM_FORMATS
    >>> starcoder = next(known for known in FIM_FORMATS if known.name == "starcoder")
    >>> gap = gap_in("<fim_prefix>def f(<fim_suffix>):\n<fim_middle>", starcoder)
    >>> gap.prefix, gap.suffix, gap.typed
    ('def f(', '):\n', '')
    >>> gap_in("<fim_middle> is a token", starcoder) is None
    True
    """
    opening, closing, middle = (_pattern(sentinel) for sentinel in spelling.sentinels)
    if not spelling.sentinels[2]:  # suffix first, and the answer follows the prefix
        found = _cut(prompt, closing, opening)
        if found is None:
            return None
        before, suffix, prefix = found
        return Gap(prefix=before + prefix, suffix=suffix)
    first = opening.search(prompt)
    if first is None:
        return None
    last = max(middle.finditer(prompt, first.end()), key=re.Match.start, default=None)
    if last is None:
        return None
    between = closing.search(prompt, first.end(), last.start())
    if between is None:
        return None
    prefix, suffix = prompt[first.end() : between.start()], prompt[between.end() : last.start()]
    typed = prompt[last.end() :]
    order: FimOrder | None = None
    if not prefix and typed and "spm" in spelling.orders:
        prefix, typed, order = typed, "", "spm"
    return _with_context(
        Gap(prefix=prefix, suffix=suffix, typed=typed, order=order),
        prompt[: first.start()],
        spelling,
    )


def _pattern(sentinel: str) -> re.Pattern[str]:
    """Return what finds a sentinel; templates write a blank where SentencePiece has its own.

    A blank behind the first sentinel of these is the one that its tokenizer puts before a text.
    """
    if not sentinel.startswith(_BLANK):
        return re.compile(re.escape(sentinel))
    behind = " ?" if sentinel.endswith("<PRE>") else ""
    return re.compile(f"[{_BLANK} ]?{re.escape(sentinel[1:])}{behind}")


def _cut(text: str, first: re.Pattern[str], second: re.Pattern[str]) -> tuple[str, str, str] | None:
    """Cut a text at two sentinels."""
    one = first.search(text)
    other = None if one is None else second.search(text, one.end())
    if one is None or other is None:
        return None
    return text[: one.start()], text[one.end() : other.start()], text[other.end() :]


def _with_context(gap: Gap, before: str, spelling: FimSpelling) -> Gap:
    """Return the gap with what came before its first sentinel: other files, or more prefix."""
    if not before:
        return gap
    if spelling.files == "none" or spelling.file not in before:
        return replace(gap, prefix=before + gap.prefix)
    parts = before.split(spelling.file)
    repository = outside = ""
    if spelling.files != "separated":
        head = parts.pop(0)
        if head.startswith(spelling.repository):
            repository = head.removeprefix(spelling.repository).removesuffix("\n")
        else:
            outside = head
    path, _, content = parts.pop().partition("\n")
    prefix = gap.prefix
    if spelling.files == "inside" and not path and "\n" in prefix:
        path, _, prefix = prefix.partition("\n")
    return replace(
        gap,
        prefix=outside + content + prefix,
        path=path,
        repository=repository,
        files=tuple(_file(part) for part in parts),
    )


def _file(part: str) -> tuple[str, str]:
    """Return path and content of another file."""
    path, _, content = part.partition("\n")
    return path, content.removesuffix("\n")
