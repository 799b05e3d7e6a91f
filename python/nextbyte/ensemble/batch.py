"""What states ask of their ensemble, and what one evaluation of many asks of which member.

Members that are the same model get the states of all of them in one call. A state that is another
one's text and a byte more (the batch of a text that is scored) has its evidence by one addition;
only the first of such a row of states has its members asked for theirs.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from nextbyte.ensemble.members import Roster

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nextbyte.ensemble.rules import Rule
    from nextbyte.ensemble.state import ByteEnsembleState

__all__ = ["Asked", "Needs", "Owner", "forerunners", "same_models"]


class Needs(NamedTuple):
    """What an evaluation has to find out."""

    laws: bool = False
    evidence: bool = False
    prompts: bool = False
    """Log-probabilities of the prompts by themselves."""


class Owner(Roster, Protocol):
    """The side of a `ByteEnsemble` that its states use."""

    @property
    def rule(self) -> Rule:
        """How laws are combined."""

    @property
    def posterior_from(self) -> str:
        """Where the evidence of a posterior begins: "text" or "prompt"."""

    def start(self, prompt: bytes, *, weights: Sequence[float]) -> ByteEnsembleState:
        """Start another text."""

    def evaluate(self, states: Sequence[ByteEnsembleState], needs: Needs) -> None:
        """Have the members find out what these states lack."""


Asked: TypeAlias = "list[tuple[int, ByteEnsembleState, Needs]]"
"""Member, state, and what the member has to find out there."""


def same_models(models: Sequence[object], wanted: Mapping[int, Asked]) -> dict[int, Asked]:
    """Put what members are asked for together where they are one model, under the first of them."""
    first: dict[int, int] = {}
    found: dict[int, Asked] = {}
    for i, asked in sorted(wanted.items()):
        found.setdefault(first.setdefault(id(models[i]), i), []).extend(asked)
    return found


def forerunners(states: Sequence[ByteEnsembleState]) -> dict[int, ByteEnsembleState]:
    """Return, by identity, the state before each that goes on from it by one byte.

    Neighbours in the sequence are compared, which is how the states of a text come.
    """
    pairs = itertools.pairwise(states)
    return {id(after): before for before, after in pairs if after.is_byte_after(before)}
