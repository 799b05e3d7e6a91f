"""`CommonVocabularyEnsemble`: models meet at the tokens that all of them have, not at bytes.

A text is read as its greedy longest match over the common tokens. Each member's law of texts is
then a law of such tokens, those are combined, and the result is a law of texts again, so this is a
byte model too. docs/ensembles.md has the definition, and what it costs.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, Self, TypeAlias, get_args

import numpy as np

from nextbyte.byte_model import ALPHABET_SIZE, STATES_AT_ONCE
from nextbyte.ensemble.common_vocabulary.mass_walk import Reading
from nextbyte.ensemble.common_vocabulary.state import CommonVocabularyState
from nextbyte.ensemble.common_vocabulary.text import Text
from nextbyte.ensemble.common_vocabulary.token_law import TokenRule
from nextbyte.ensemble.common_vocabulary.token_trie import TokenTrie
from nextbyte.ensemble.members import least_max_text_bytes, member_failed
from nextbyte.ensemble.rules import checked_weights, intervals_from_total_variation
from nextbyte.ensemble.workers import MemberWorkers
from nextbyte.errors import InvalidInputError, UnreachableByteError
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from nextbyte.byte_model import ByteModel, ByteState

    Array: TypeAlias = NDArray[np.float64]

__all__ = ["DEFAULT_TOLERANCE", "CommonVocabularyEnsemble", "CommonVocabularyState", "TokenRule"]

DEFAULT_TOLERANCE: Final = 0.01
"""Of laws, in total variation: an exact one asks for many laws that hardly matter."""


class CommonVocabularyEnsemble:
    """Several models as one, combined token by token over the tokens that all of them have.

    Parameters
    ----------
    models : iterable of ByteModel
        At least one; each with a ``tokenizer`` (a `ByteLM` has one), whose ordinary tokens count.
    weights : sequence of float, optional
        One for each model; by default equal, and their sum one. A model of weight zero is never
        asked, but its tokens count. `start` takes others for one text.
    rule : {"mixture", "product"}
        How the members' laws of the next common token are combined: the weighted mean, or the
        weighted geometric mean, renormalized.
    tolerance : float, default 0.01
        0 <= tolerance < 1. Members are asked for laws until the law of the next byte is certain to
        be within `tolerance` of the definition, in total variation; the state's `bound` says how
        close it is. 0.0: exact. Members with bounds of their own may leave more.
    concurrent : bool, default True
        Evaluate members at the same time, each in a thread, as `ByteEnsemble` does.

    Raises
    ------
    InvalidInputError
        No model, one without a tokenizer, another rule, weights that the rule cannot use, or a
        product with a negative weight and a tolerance: nothing can be certified there.

    Examples
    --------
    >>> import nextbyte as nb
    >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
    >>> model = nb.CommonVocabularyEnsemble([lm, lm], tolerance=0.1)
    >>> state = model.start("An apple a day keeps the doc")
    >>> bytes([state.next_byte_logprobs().argmax()])
    b't'
    >>> state.bound <= 0.1
    True
    """

    def __init__(
        self,
        models: Iterable[ByteModel],
        weights: Sequence[float] | None = None,
        *,
        rule: TokenRule = "mixture",
        tolerance: float = DEFAULT_TOLERANCE,
        concurrent: bool = True,
    ) -> None:
        self._models = tuple(models)
        if not self._models:
            raise InvalidInputError("an ensemble needs at least one model")
        if rule not in get_args(TokenRule):
            allowed = ", ".join(map(repr, get_args(TokenRule)))
            raise InvalidInputError(f"rule must be one of {allowed}, got {rule!r:.80}")
        self._rule: TokenRule = rule
        self._tolerance = _checked_tolerance(tolerance)
        self._weights = self._checked(weights)
        spellings = None
        for i, model in enumerate(self._models):
            own = _ordinary_tokens(i, model)
            spellings = own if spellings is None else spellings & own
        single = {bytes([byte]) for byte in range(256)}
        self._trie = TokenTrie(single | (spellings or set()))
        self._workers = MemberWorkers(self._models, concurrent=concurrent)

    @property
    def models(self) -> tuple[ByteModel, ...]:
        """The members."""
        return self._models

    @property
    def weights(self) -> tuple[float, ...]:
        """One weight a member; of a mixture, of sum one."""
        return tuple(self._weights.tolist())

    @property
    def rule(self) -> TokenRule:
        """How the members' laws of a token are combined."""
        return self._rule

    @property
    def tolerance(self) -> float:
        """The greatest total variation distance that a law may have from the definition."""
        return self._tolerance

    @property
    def tokens(self) -> list[bytes]:
        """The common tokens and all single bytes, sorted."""
        return list(self._trie.tokens[1:])

    @property
    def trie(self) -> TokenTrie:
        """The common tokens as a trie (for the states)."""
        return self._trie

    @property
    def states_at_once(self) -> int:
        """How many states to ask together: one, which asks its members for many."""
        return 1

    @property
    def max_text_bytes(self) -> int | None:
        """Length up to which no text is too long for any member, None where there is no limit.

        Members are asked for laws behind the text, up to a token further on.
        """
        least = least_max_text_bytes(self._models)
        return None if least is None else max(0, least - max(map(len, self._trie.tokens)))

    @property
    def may_lose(self) -> bool:
        """Does the rule go on without a member that finds the text impossible? Not a product."""
        return self._rule != "product"

    def encode(self, text: str | bytes) -> list[bytes]:
        """Return the greedy longest match of a text over the common tokens.

        Examples
        --------
        >>> import nextbyte as nb
        >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
        >>> nb.CommonVocabularyEnsemble([lm]).encode("hello world")
        [b'hello', b' world']
        """
        data, found, begin = as_bytes(text, name="text"), [], 0
        while begin < len(data):
            node, end = self._trie.root, begin
            while end < len(data) and data[end] in node.children:
                node = node.children[data[end]]
                end += 1
            found.append(self._trie.tokens[node.longest])
            begin += len(found[-1])
        return found

    def start(
        self, prompt: str | bytes = b"", *, weights: Sequence[float] | None = None
    ) -> CommonVocabularyState:
        """Return a state after `prompt`.

        Parameters
        ----------
        prompt
            Every member gets it through its own `start`, and may normalize it. If all have the same
            text then, that is the prefix of the state. Else it is the prompt as it is, and tokens
            that begin in what a member changed and end behind it are impossible for that member.
        weights
            For this text, instead of the ensemble's.

        Raises
        ------
        InvalidInputError
            A lone surrogate in a `str`, or weights that the rule cannot use.
        UnreachableByteError
            A byte of the prompt is impossible for every member, or for one of a product.
        BackendError
            A member failed to start; it is named.

        Warns
        -----
        MemberLostWarning
            The text is impossible for a member, and the others go on without it.
        """
        data = as_bytes(prompt, name="prompt")
        used = self._weights if weights is None else self._checked(weights)
        return CommonVocabularyState.begin(Text(self, used), data)

    def next_byte_logprobs(self, states: Sequence[CommonVocabularyState]) -> NDArray[np.float64]:
        """Return the laws of the next byte of many states, shape (n, 257).

        Raises
        ------
        BackendError
            A member failed; it is named. Or: there is no symbol that every member of a product
            finds possible.
        """
        for state in states:
            if not isinstance(state, CommonVocabularyState):
                raise InvalidInputError(f"states must come from start(), not {state!r:.80}")
            if not state.belongs_to(self):
                raise InvalidInputError("a state belongs to another ensemble; ask that one")
        laws = np.empty((len(states), ALPHABET_SIZE))
        for law, state in zip(laws, states, strict=True):
            law[:] = state.next_byte_logprobs()
        return laws

    def token_bounds(
        self, text: str | bytes = b"", *, tolerance: float | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return certified bounds on the law of the next common token after `encode(text)`.

        Parameters
        ----------
        text
            The text so far; it is all in whole tokens.
        tolerance
            Members are asked until no more mass than that is undecided between tokens; by default
            the ensemble's. An ensemble of one model shows that model's own law.

        Returns
        -------
        lower, upper : ndarray, shape (len(tokens) + 1,), float64
            Probabilities of `tokens`, and of the end of the text last.

        Examples
        --------
        >>> import nextbyte as nb
        >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
        >>> model = nb.CommonVocabularyEnsemble([lm])
        >>> lower, upper = model.token_bounds("The capital of France is", tolerance=0.5)
        >>> model.tokens[int(lower[:-1].argmax())]
        b' Paris'
        """
        wanted = self._tolerance if tolerance is None else _checked_tolerance(tolerance)
        lower, upper = self.start(text).token_bounds(wanted)
        return np.roll(lower, -1), np.roll(upper, -1)

    def read(
        self, wanted: Mapping[int, Sequence[ByteState]]
    ) -> tuple[dict[int, list[Reading | None]], int]:
        """Ask members for laws, at the same time; also return the rows that it took them."""
        tasks = {
            i: functools.partial(_laws_of, self._models[i], states) for i, states in wanted.items()
        }
        found: dict[int, list[Reading | None]] = {}
        rows = 0
        for i, outcome in sorted(self._workers.run(tasks).items()):
            if outcome.error is not None or outcome.value is None:
                error = outcome.error or RuntimeError("no answer")
                raise member_failed(self, i, error, "to evaluate") from error
            found[i], count = outcome.value
            rows += count
        return found, rows

    def close(self) -> None:
        """End the threads now instead of with this object; later calls start new ones."""
        self._workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        models = ", ".join(f"{model!r:.60}" for model in self._models)
        return (
            f"CommonVocabularyEnsemble([{models}], weights={list(self.weights)}, "
            f"rule={self._rule!r}, tolerance={self._tolerance})"
        )

    def _checked(self, weights: Sequence[float] | None) -> Array:
        found = checked_weights(weights, len(self._models), self._rule)
        if self._tolerance > 0.0 and (found < 0.0).any():
            raise InvalidInputError(
                f"negative weights need tolerance=0.0, not {self._tolerance}: what is not known of "
                "a model that is divided by has no bound"
            )
        return found


def _checked_tolerance(tolerance: float) -> float:
    if not 0.0 <= tolerance < 1.0:
        raise InvalidInputError(f"tolerance must be at least 0 and below 1, got {tolerance!r:.80}")
    return float(tolerance)


def _ordinary_tokens(index: int, model: ByteModel) -> set[bytes]:
    """Return the byte strings of a member's ordinary tokens."""
    if not callable(getattr(model, "start", None)):
        raise InvalidInputError(f"member {index} is no byte model: {model!r:.120}")
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise InvalidInputError(
            f"member {index} has no tokenizer, so no tokens in common with the others: "
            f"{model!r:.120}; ByteEnsemble combines any byte models"
        )
    special = set(tokenizer.special_tokens.values())
    spellings = {tokenizer.token_bytes(t) for t in range(tokenizer.vocab_size) if t not in special}
    return spellings - {b""}


def _laws_of(model: ByteModel, states: Sequence[ByteState]) -> tuple[list[Reading | None], int]:
    """Return a member's laws at some states, and the rows of logits that it asked for."""
    before = sum(state.lm_evaluations for state in states)
    size = max(1, getattr(model, "states_at_once", STATES_AT_ONCE))
    found: list[Reading | None] = []
    for first in range(0, len(states), size):
        batch = states[first : first + size]
        try:
            rows = list(model.next_byte_logprobs(batch))
        except UnreachableByteError:  # of one of them: which?
            rows = [_law_of(state) for state in batch]
        found += [
            None if row is None else _reading(row, state)
            for row, state in zip(rows, batch, strict=True)
        ]
    return found, sum(state.lm_evaluations for state in states) - before


def _law_of(state: ByteState) -> Array | None:
    try:
        return state.next_byte_logprobs()
    except UnreachableByteError:
        return None


def _reading(row: Array, state: ByteState) -> Reading:
    probabilities = np.exp(row)
    if state.bound == 0.0:
        return Reading(probabilities, None)
    own = getattr(state, "next_byte_bounds", None)
    lower, _ = intervals_from_total_variation(row, state.bound) if own is None else own()
    return Reading(probabilities, np.minimum(lower, probabilities))
