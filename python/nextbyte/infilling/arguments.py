"""What every way of filling a gap asks of its arguments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nextbyte.errors import InvalidInputError

if TYPE_CHECKING:
    from nextbyte.sampling.warping import SamplingParams

__all__ = ["checked_limits", "require_sizes"]


def require_sizes(prefix_bytes: int | None, suffix_bytes: int | None) -> None:
    """Refuse what is no size of a window.

    Raises
    ------
    InvalidInputError
        It says which.
    """
    for name, size in (("prefix_bytes", prefix_bytes), ("suffix_bytes", suffix_bytes)):
        if size is not None and (isinstance(size, bool) or size < 0):
            raise InvalidInputError(f"{name} must be None or at least 0, not {size!r}")


def checked_limits(
    params: SamplingParams, before: bytes, *, keep_indent: bool, candidates: int, choose: str
) -> SamplingParams:
    r"""Return the parameters of a middle behind `before`, once the choice among middles is one.

    Raises
    ------
    InvalidInputError
        There is nothing to choose from, or no such choice.

    Examples
    --------
    >>> from nextbyte import SamplingParams
    >>> rest = {"candidates": 8, "choose": "best"}
    >>> checked_limits(SamplingParams(), b"if a:\n    b", keep_indent=True, **rest).min_indent
    4
    """
    if candidates < 1:
        raise InvalidInputError(f"candidates must be at least 1, not {candidates}")
    if choose not in ("best", "sample"):
        raise InvalidInputError(f'choose must be "best" or "sample", not {choose!r:.80}')
    if not keep_indent:
        return params
    return replace(params, min_indent=max(params.min_indent, _indent(before)))


def _indent(text: bytes) -> int:
    """Return by how many spaces and tabs the last line is indented."""
    line = text[text.rfind(b"\n") + 1 :]
    return len(line) - len(line.lstrip(b" \t"))
