"""From bytes back to tokens: the covers that a `ByteLMState` weighs, and walks on from one.

Theory (docs/theory.md 2): A(x), the probability of the bytes x, is the sum of Q over the covers of
x. So P(cover | x) = Q(cover) / A(x) is a law over covers, and a cover drawn from it, followed by
tokens drawn from q(t | s) until some END_OF_TEXT, has as its bytes exactly the law that the state
gives byte by byte: both are Q of whole token sequences, summed over those that spell the bytes.

Cost: the contexts that the next-byte law needs, once; then one context a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nextbyte import _core
from nextbyte.byte_lm_state import evaluate_states
from nextbyte.cover import Cover
from nextbyte.errors import InvalidInputError
from nextbyte.lineage import Evaluated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nextbyte.byte_lm_state import ByteLMState

__all__ = ["END", "CoverWeights", "TokenWalk", "read_rows", "tokens_between", "weigh_covers"]

END = -1
"""The end of the text, where a token is expected."""


class CoverWeights(NamedTuple):
    """All covers of positive probability, in order of context and of the last token's bytes."""

    contexts: list[_core.Context]
    owners: NDArray[np.int64]
    """Of each cover, the index of its context."""
    tokens: NDArray[np.int64]
    """Of each cover, the token after its context; `END` where the context itself is the cover."""
    log_weights: NDArray[np.float64]
    """Natural logs; the weights sum to one."""
    base: _core.Context
    """The deepest context that all contexts descend from, or are."""

    def cover(self, index: int, state: ByteLMState, token_bytes: Callable[[int], bytes]) -> Cover:
        """Return one of them as an object."""
        context = self.contexts[self.owners[index]]
        token = int(self.tokens[index])
        tokens = tokens_between(self.base, context)
        overhang = b""
        if token != END:
            tokens += (token,)
            overhang = token_bytes(token)[hidden_bytes(state, context) :]
        return Cover(tokens, overhang, float(self.log_weights[index]))


def weigh_covers(states: Sequence[ByteLMState], *, current: bool) -> list[CoverWeights]:
    """Return the posterior over the covers of each state's bytes, from one batch.

    Parameters
    ----------
    states
        States of one `ByteLM`.
    current
        Read the contexts that end with the bytes too: walks from there then find their row.

    Raises
    ------
    BackendError, InvalidInputError
        The model failed, or gave a row that is no distribution.
    UnreachableByteError
        The model gives the bytes no probability.
    """
    found = []
    try:
        # What weights of covers need is exact at any tolerance; what a law needs is not.
        evaluate_states(states, current=current and all(s.tolerance == 0.0 for s in states))
        for state in states:
            contexts, owners, tokens, weights = _core.cover_posterior(state._stream)  # noqa: SLF001
            base = _deepest_common(contexts)
            found.append(CoverWeights(contexts, owners, tokens, weights, base))
    except InvalidInputError:  # a row that is no distribution
        for state in states:
            state._forget_rows()  # noqa: SLF001
        raise
    return found


def hidden_bytes(state: ByteLMState, context: _core.Context) -> int:
    """Return how many bytes behind a context the state's bytes (and the lead) still go on."""
    stream = state._stream  # noqa: SLF001
    return len(stream.tokenizer.lead) + len(stream) - context.position


def tokens_between(base: _core.Context | None, context: _core.Context) -> tuple[int, ...]:
    """Return the tokens that lead from `base` (None: the start of the text) to a context."""
    tokens = []
    node = context
    while node.parent is not None and (base is None or node.id != base.id):
        tokens.append(node.token)
        node = node.parent
    return tuple(reversed(tokens))


def _deepest_common(contexts: Sequence[_core.Context]) -> _core.Context:
    ancestor = contexts[0]
    for context in contexts[1:]:
        other = context
        while ancestor.id != other.id:
            if ancestor.depth >= other.depth:
                ancestor = ancestor.parent or ancestor
            else:
                other = other.parent or other
    return ancestor


class TokenWalk:
    """Tokens after one cover: the law of the next one, and steps.

    Parameters
    ----------
    state
        Its bytes are covered. Nothing of it is changed, and it is not needed any longer.
    context
        One of its live contexts.
    token_bytes
        Returns the bytes of a token.
    """

    def __init__(
        self,
        state: ByteLMState,
        context: _core.Context,
        token_bytes: Callable[[int], bytes],
    ) -> None:
        self._law = _core.TokenWalk(state._stream, context)  # noqa: SLF001
        self._lm = state._lm  # noqa: SLF001
        self._nearest, self._tokens = state._nearest(context)  # noqa: SLF001
        self._token_bytes = token_bytes
        self._hidden = hidden_bytes(state, context)
        self.lm_evaluations = 0

    @property
    def has_row(self) -> bool:
        """Whether the law of the next token is at hand."""
        return self._law.has_row

    def advance(self, token: int) -> bytes:
        """Append a token; return the bytes that it adds to those of the state."""
        self._law.advance(token)
        self._tokens.append(token)
        data = self._token_bytes(token)
        shown = data[self._hidden :]
        self._hidden = max(self._hidden - len(data), 0)
        return shown

    def draw(self, uniform: float) -> int:
        """Return the token (or `END`) at a point in [0, 1) of the distribution function."""
        return self._law.draw(uniform)

    def logprob(self, token: int) -> float:
        """Return the natural log-probability of a token or `END`."""
        return self._law.logprob(token)

    def probabilities(self) -> NDArray[np.float64]:
        """Return the probability of each token by id, then that of `END`, shape (vocab + 1,)."""
        return self._law.probabilities()


def read_rows(walks: Sequence[TokenWalk]) -> None:
    """Have the model read what the walks of one `ByteLM` have no row for, in one batch."""
    missing = [walk for walk in walks if not walk.has_row]
    if not missing:
        return
    lm = missing[0]._lm  # noqa: SLF001
    branches = lm.extend([(walk._nearest, walk._tokens) for walk in missing])  # noqa: SLF001
    for walk, branch in zip(missing, branches, strict=True):
        walk._law.provide(branch.logits)  # noqa: SLF001
        # What was read before is kept by the branch as far as it needs it.
        walk._nearest, walk._tokens = Evaluated(branch, None, run=0), []  # noqa: SLF001
        walk._nearest.release()  # noqa: SLF001
        walk.lm_evaluations += 1
