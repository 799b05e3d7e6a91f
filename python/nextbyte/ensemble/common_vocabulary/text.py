"""`Text`: what the states of one text share, the laws of tokens behind its contexts above all."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from nextbyte.ensemble.common_vocabulary.mass_walk import MassWalk
from nextbyte.ensemble.common_vocabulary.mixture_law import MixtureLaw
from nextbyte.ensemble.common_vocabulary.product_law import ProductLaw
from nextbyte.ensemble.members import Roster

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nextbyte.byte_model import ByteState
    from nextbyte.ensemble.common_vocabulary.mass_walk import Reading
    from nextbyte.ensemble.common_vocabulary.token_law import TokenLaw, TokenRule
    from nextbyte.ensemble.common_vocabulary.token_trie import Context, TokenTrie

    Array: TypeAlias = NDArray[np.float64]

__all__ = ["Owner", "Text"]

_KEPT_LAWS: Final = 64
"""Contexts whose laws are kept; the one not asked for longest goes first."""

_KEPT_STATES: Final = 256
"""Members' states that those laws may hold, so that walks go on where they stopped."""


class Owner(Roster, Protocol):
    """The side of a `CommonVocabularyEnsemble` that its states use."""

    @property
    def rule(self) -> TokenRule:
        """How laws are combined."""

    @property
    def tolerance(self) -> float:
        """The greatest bound that a law should have."""

    @property
    def trie(self) -> TokenTrie:
        """The common tokens."""

    def read(
        self, wanted: Mapping[int, Sequence[ByteState]]
    ) -> tuple[dict[int, list[Reading | None]], int]:
        """Ask members for laws; return them and how many rows of logits that took."""


class Text:
    """Shared by a state and its forks. Laws are kept for the contexts that were used last."""

    def __init__(self, owner: Owner, weights: Array) -> None:
        self.owner = owner
        self.weights = weights
        self.used = [i for i, weight in enumerate(weights.tolist()) if weight]
        self.warned: set[int] = set()
        self.lm_evaluations = 0
        self.byte_laws = 0
        self.lock = threading.RLock()
        self._laws: OrderedDict[Context, TokenLaw] = OrderedDict()

    def law(self, context: Context, roots: Callable[[Context], dict[int, ByteState]]) -> TokenLaw:
        """Return the law behind a context; `roots` makes the members' states there."""
        law = self._laws.get(context)
        if law is None:
            law = self._laws[context] = self._make(context, roots(context))
        self._laws.move_to_end(context)
        return law

    def trim(self) -> None:
        """Keep within the limits."""
        while len(self._laws) > _KEPT_LAWS:
            self._laws.popitem(last=False)
        held = sum(law.walk.states_held for law in self._laws.values())
        for law in self._laws.values():
            if held <= _KEPT_STATES:
                break
            held -= law.walk.states_held
            law.walk.release()

    def read(self, wanted: Mapping[int, Sequence[ByteState]]) -> dict[int, list[Reading | None]]:
        """Ask members for laws."""
        found, evaluations = self.owner.read(wanted)
        self.lm_evaluations += evaluations
        self.byte_laws += sum(map(len, wanted.values()))
        return found

    def _make(self, context: Context, roots: dict[int, ByteState]) -> TokenLaw:
        trie = self.owner.trie
        before = None if context.parent is None else self._laws.get(context.parent)
        if before is not None:  # a member may take bytes that its own law had excluded
            for k in before.impossible(trie.nodes[context.token]):
                roots.pop(self.used[k], None)
        walk = MassWalk(trie, context, roots, self.used, self.read)
        weights = self.weights[self.used]
        if self.owner.rule == "product":
            return ProductLaw(walk, weights, trie.root)
        return MixtureLaw(walk, weights)
