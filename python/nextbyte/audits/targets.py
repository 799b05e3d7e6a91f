"""Which law over bytes a `ByteLM` has: the names of the targets, and the options of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np

from nextbyte.errors import InvalidInputError, UnsupportedTokenizerError

__all__ = ["DEFAULT_EVALUATIONS_PER_BYTE", "Target", "TargetOptions", "require_canonical"]

Target: TypeAlias = Literal["canonical", "raw", "segmentations"]
"""Where a text's probability comes from (docs/theory.md, 2 and 13).

canonical
    Its prefix-canonical token sequences, renormalized at each context. The law of generation.
raw
    The same sequences with the model's own probabilities: what is on other sequences is lost.
segmentations
    All token sequences that spell it, as far as they were expanded, with certified bounds.
"""

DEFAULT_EVALUATIONS_PER_BYTE: Final = 64
"""Contexts that target "segmentations" evaluates at most for one byte."""


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """The target of a `ByteLM` and its options, checked.

    Raises
    ------
    InvalidInputError
        An unknown target, or an option out of range or of another target.

    Examples
    --------
    >>> TargetOptions("segmentations", tolerance=1e-3).max_evaluations_per_byte
    64
    >>> TargetOptions("paper")
    Traceback (most recent call last):
        ...
    nextbyte.errors.InvalidInputError: target must be one of canonical, raw, segmentations, not \
'paper'
    """

    target: Target = "canonical"
    tolerance: float = 0.0
    max_evaluations_per_byte: int | None = DEFAULT_EVALUATIONS_PER_BYTE

    def __post_init__(self) -> None:
        """Check every field."""
        if self.target not in get_args(Target):
            names = ", ".join(get_args(Target))
            raise InvalidInputError(f"target must be one of {names}, not {self.target!r:.80}")
        if not _is_tolerance(self.tolerance):
            raise InvalidInputError(
                "tolerance must be a number with 0 <= tolerance < 1, "
                f"not {self.tolerance!r:.80}: it bounds a total variation distance"
            )
        if self.target == "raw" and self.tolerance != 0.0:
            raise InvalidInputError(
                "target 'raw' has no tolerance: it evaluates every context; "
                f"leave out tolerance={self.tolerance!r}"
            )
        if not _is_limit(self.max_evaluations_per_byte):
            raise InvalidInputError(
                "max_evaluations_per_byte must be a whole number of at least 1, or None for no "
                f"limit, not {self.max_evaluations_per_byte!r:.80}"
            )

    @property
    def stream_tolerance(self) -> float:
        """What the stream of a state may put off: audits do their own evaluating."""
        return float(self.tolerance) if self.target == "canonical" else 0.0

    def with_tolerance(self, tolerance: float | None) -> TargetOptions:
        """Return these options with another tolerance, if one is given."""
        return self if tolerance is None else replace(self, tolerance=tolerance)

    def require_support(self, *, is_witnessed: bool) -> None:
        """Refuse a tokenizer for which the target has no meaning.

        Raises
        ------
        UnsupportedTokenizerError
            Target "raw", and covers that are only validated: the defect would count what was
            missed as if it were off the canonical set.
        """
        if self.target == "raw" and is_witnessed:
            raise UnsupportedTokenizerError(
                'target="raw" needs exact covers, but those of this tokenizer are only validated; '
                'use target="canonical" or "segmentations"'
            )


def require_canonical(target: Target, what: str) -> None:
    """Refuse what is defined by the covers of the canonical law: `what` begins the message.

    Raises
    ------
    InvalidInputError
        The target is another one; the states of audits keep no such covers.
    """
    if target != "canonical":
        raise InvalidInputError(
            f'{what} needs a ByteLM of target="canonical", not {target!r}: it is made of covers '
            "and their weights under that law"
        )


def _is_tolerance(value: Any) -> bool:  # noqa: ANN401 - whatever the caller gave
    is_number = isinstance(value, (int, float, np.floating)) and not isinstance(value, bool)
    return is_number and bool(0.0 <= value < 1.0)


def _is_limit(value: Any) -> bool:  # noqa: ANN401
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return value is None or (is_whole and bool(value >= 1))
