"""Healing: which tokens a prompt ends with, given only its bytes.

A prompt cut anywhere has many cover encodings: token sequences that reach its end, whose last token
may go on past it. Plain practice takes one, the tokenizer's encoding of the prompt as if it were
complete. Here is the whole posterior P(cover | prompt) = Q(cover) / A(prompt) (docs/theory.md 2),
however many tokens deep the covers part.

Only bytes of the prompt are covered. The start token, and whatever else is before the text, is in
front of every cover: nothing of it is ever taken back. Nor is text: each cover spells all of it.
The end of the text may follow a cover that ends with the prompt; it is not one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, overload

import numpy as np

from nextbyte.audits.targets import require_canonical
from nextbyte.byte_lm import ByteLM
from nextbyte.errors import InvalidInputError
from nextbyte.token_walk import tokens_between, weigh_covers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nextbyte.byte_lm_state import ByteLMState
    from nextbyte.cover import Cover
    from nextbyte.segments import Segment
    from nextbyte.token_walk import CoverWeights

__all__ = ["Healing", "heal"]


class Healing:
    """The posterior over the cover encodings of a prompt; `heal` makes it.

    Attributes
    ----------
    prompt : bytes
        What is covered.
    lm_evaluations : int
        Rows of logits that this took.
    """

    def __init__(self, lm: ByteLM, state: ByteLMState, weights: CoverWeights) -> None:
        self._lm = lm
        self._state = state
        self._weights = weights
        self.prompt = state.prefix
        self.lm_evaluations = state.lm_evaluations

    @cached_property
    def base_tokens(self) -> tuple[int, ...]:
        """The tokens of the text that all covers begin with; the start token is not among them."""
        return tokens_between(None, self._weights.base)

    @cached_property
    def covers(self) -> Sequence[Cover]:
        """All covers of positive probability, the most probable first; made as they are asked for.

        They can be as many as the vocabulary has tokens.
        """
        return _Covers(self)

    @property
    def best(self) -> Cover:
        """The most probable cover."""
        return self._cover(int(np.argmax(self._weights.log_weights)))

    @cached_property
    def log_weights(self) -> NDArray[np.float64]:
        """Natural logs of the covers' probabilities, which sum to one, in the order of `covers`."""
        weights = self._weights.log_weights[self._order]
        weights.flags.writeable = False
        return weights

    def sample(self, rng: np.random.Generator | int | None = None) -> Cover:
        """Draw a cover.

        Parameters
        ----------
        rng
            A generator, or the seed of a PCG64 one.
        """
        cumulative = np.cumsum(np.exp(self._weights.log_weights))
        uniform = np.random.default_rng(rng).random() * cumulative[-1]
        return self._cover(int(np.searchsorted(cumulative, uniform, side="right")))

    def token_ids(self, cover: Cover) -> list[int]:
        """Return all tokens that a language model reads: start token, base, the cover's."""
        return [*self._state.start_tokens, *self.base_tokens, *cover.tokens]

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(-self._weights.log_weights, kind="stable")

    def _cover(self, index: int) -> Cover:
        return self._weights.cover(index, self._state, self._lm.tokenizer.token_bytes)

    def __repr__(self) -> str:
        best = self.best
        return (
            f"Healing(prompt={self.prompt[-32:]!r}, covers={len(self.log_weights)}, "
            f"best={best.overhang!r} at {np.exp(best.log_weight):.4f})"
        )


class _Covers(Sequence["Cover"]):
    """The covers of a `Healing`, in order."""

    def __init__(self, healing: Healing) -> None:
        self._healing = healing

    def __len__(self) -> int:
        return len(self._healing.log_weights)

    @overload
    def __getitem__(self, index: int) -> Cover: ...

    @overload
    def __getitem__(self, index: slice) -> list[Cover]: ...

    def __getitem__(self, index: int | slice) -> Cover | list[Cover]:
        order, make = self._healing._order, self._healing._cover  # noqa: SLF001
        if isinstance(index, slice):
            return [make(int(place)) for place in order[index]]
        return make(int(order[index]))


def heal(
    lm: ByteLM, prompt: str | bytes = b"", *, segments: Sequence[Segment] | None = None
) -> Healing:
    """Return the posterior over the cover encodings of a prompt.

    Parameters
    ----------
    lm : ByteLM
    prompt : str or bytes
        It may end anywhere, inside a character too. Nothing in it is read as a special token.
    segments : sequence, optional
        Instead of a prompt, as for `ByteLM.start`: the last text is healed.

    Returns
    -------
    Healing

    Raises
    ------
    UnreachableByteError
        No text that the tokenizer encodes begins with the prompt, or none that the model allows.
    BackendError, InvalidInputError
        The model failed, or gave a row that is no distribution; or the prompt has a lone surrogate;
        or the model's target is not "canonical".

    Examples
    --------
    >>> import nextbyte as nb
    >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
    >>> healing = nb.heal(lm, "Hello, peop")
    >>> [lm.tokenizer.decode(cover.tokens) for cover in healing.covers[:2]]
    [b' people', b' peoples']
    >>> healing.best.overhang
    b'le'
    >>> bool(abs(np.exp(healing.log_weights).sum() - 1) < 1e-12)
    True
    """
    if not isinstance(lm, ByteLM):
        raise InvalidInputError(
            f"heal needs a ByteLM, not {type(lm).__name__}: covers are of tokens"
        )
    require_canonical(lm.target, "heal")
    state = lm.start(prompt, segments=segments)
    (weights,) = weigh_covers([state], current=False)
    return Healing(lm, state, weights)
