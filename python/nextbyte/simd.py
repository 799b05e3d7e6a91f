"""The instruction sets that rows of logits are computed with: which there are, which is in use.

The kernels are built once per level of the processor, and the highest that this processor has is
taken when nextbyte is imported. The environment variable ``NEXTBYTE_SIMD`` names another. Results
of two levels differ by rounding only: 1e-6 (relative) at most, and not at all for float64 rows.

Examples
--------
>>> import nextbyte as nb
>>> nb.simd.active() in nb.simd.targets()
True
>>> nb.simd.use(nb.simd.targets()[0])  # the baseline runs everywhere
>>> nb.simd.active() == nb.simd.targets()[0]
True
>>> nb.simd.use(nb.simd.targets()[-1])
"""

from __future__ import annotations

import os

from nextbyte import _core
from nextbyte.errors import InvalidInputError

__all__ = ["active", "targets", "use"]


def targets() -> tuple[str, ...]:
    """Return the levels that this processor can run, from the baseline up.

    Examples
    --------
    >>> import nextbyte as nb
    >>> len(nb.simd.targets()) >= 1
    True
    """
    return tuple(name for name, is_supported in _core.simd_levels() if is_supported)


def active() -> str:
    """Return the level in use.

    Examples
    --------
    >>> import nextbyte as nb
    >>> nb.simd.active() in nb.simd.targets()
    True
    """
    return _core.simd_active()


def use(level: str) -> None:
    """Take one of `targets` into use, in all threads, for rows that come from now on.

    Raises
    ------
    InvalidInputError
        There is no such level, or this processor does not have it.

    Examples
    --------
    >>> import nextbyte as nb
    >>> nb.simd.use(nb.simd.active())
    """
    _use(level, "level")


def _use(level: str, what: str) -> None:
    if not _core.simd_use(level):
        known = level in dict(_core.simd_levels())
        raise InvalidInputError(
            f"{what} {level!r} {'is not supported by this processor' if known else 'is unknown'}; "
            f"use one of {', '.join(targets())}"
        )


if _wanted := os.environ.get("NEXTBYTE_SIMD", ""):
    _use(_wanted, "NEXTBYTE_SIMD")
