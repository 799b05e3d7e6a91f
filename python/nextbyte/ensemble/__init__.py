"""`ByteEnsemble`: models with different vocabularies, combined in byte space into one byte model.

Every member has a law over the same 257 symbols whatever its tokens are, so laws can be averaged,
multiplied, or weighed by how well each member foretold the text (`rules.py` has the
arithmetic, `state.py` the states, docs/ensembles.md what happens in which case). The cost
of a byte is that of all members, at the same time where cores allow.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, get_args

import numpy as np

from nextbyte.byte_model import ALPHABET_SIZE, STATES_AT_ONCE
from nextbyte.ensemble.batch import Needs, forerunners, same_models
from nextbyte.ensemble.members import least_max_text_bytes, member_failed, start_members
from nextbyte.ensemble.rules import RULES, checked_weights
from nextbyte.ensemble.state import ByteEnsembleState
from nextbyte.ensemble.workers import MemberWorkers
from nextbyte.errors import InvalidInputError, UnreachableByteError
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from nextbyte.byte_model import ByteModel
    from nextbyte.ensemble.batch import Asked
    from nextbyte.ensemble.rules import Rule

__all__ = ["ByteEnsemble", "PosteriorFrom"]

PosteriorFrom: TypeAlias = Literal["text", "prompt"]
"""Where the evidence of a posterior begins."""


class ByteEnsemble:
    """Several byte models as one.

    Parameters
    ----------
    models : iterable of ByteModel
        At least one; of any kind, ensembles too.
    weights : sequence of float, optional
        One for each model; by default equal, and their sum one. A model of weight zero is never
        asked. `start` takes others for one text.
    rule : {"mixture", "product", "posterior"}
        "mixture": the weighted mean of the members' next-byte distributions. "product": their
        weighted geometric mean, renormalized; any real weights, [1, 1, -1] for proxy tuning.
        "posterior": Bayesian model averaging, the mixture whose weights are proportional to
        weight_i P_i(bytes so far).
    concurrent : bool, default True
        Evaluate members at the same time, each in a thread. Members that share a model or a backend
        take turns in any case.
    posterior_from : {"text", "prompt"}
        Where the evidence of a posterior begins: at the start of the text, which has the members
        score the prompt, or at its end.

    Raises
    ------
    InvalidInputError
        No model, something that is no byte model, or weights that the rule cannot use.

    Examples
    --------
    >>> import numpy as np
    >>> import nextbyte as nb
    >>> class Coin:  # a byte model: "1" with probability p, else "0", for ever
    ...     bound, lm_evaluations = 0.0, 0
    ...     def __init__(self, p, prefix=b""):
    ...         self.p, self.prefix = p, prefix
    ...     @property
    ...     def logprob(self):
    ...         ones = self.prefix.count(b"1")
    ...         return ones * np.log(self.p) + (len(self.prefix) - ones) * np.log(1 - self.p)
    ...     def start(self, prompt=b""):
    ...         return Coin(self.p, prompt)
    ...     def next_byte_logprobs(self, states=None):
    ...         if states is not None:
    ...             return np.stack([state.next_byte_logprobs() for state in states])
    ...         row = np.full(257, -np.inf)
    ...         row[list(b"01")] = np.log([1 - self.p, self.p])
    ...         return row
    ...     def push(self, data):
    ...         self.prefix += data
    ...     def fork(self):
    ...         return Coin(self.p, self.prefix)
    ...     def rollback(self, n):
    ...         self.prefix = self.prefix[: len(self.prefix) - n]
    >>> def one(ensemble, prompt):
    ...     return round(float(np.exp(ensemble.start(prompt).next_byte_logprobs()[ord("1")])), 3)
    >>> coins = [Coin(0.2), Coin(0.8)]
    >>> one(nb.ByteEnsemble(coins), b"11")
    0.5
    >>> one(nb.ByteEnsemble(coins, [-1, 2], rule="product"), b"11")
    0.985
    >>> one(nb.ByteEnsemble(coins, rule="posterior"), b"11")  # the second is 16 times as likely
    0.765
    """

    def __init__(
        self,
        models: Iterable[ByteModel],
        weights: Sequence[float] | None = None,
        rule: Rule = "mixture",
        *,
        concurrent: bool = True,
        posterior_from: PosteriorFrom = "text",
    ) -> None:
        self._models = tuple(models)
        if not self._models:
            raise InvalidInputError("an ensemble needs at least one model")
        for i, model in enumerate(self._models):
            if not callable(getattr(model, "start", None)):
                raise InvalidInputError(f"member {i} is no byte model: {model!r:.120}")
        if str(rule) == "common-vocabulary":
            raise InvalidInputError(
                "that is not a rule over bytes but another meeting point: use "
                "nextbyte.CommonVocabularyEnsemble(models, weights)"
            )
        if rule not in RULES:
            allowed = ", ".join(map(repr, RULES))
            raise InvalidInputError(f"rule must be one of {allowed}, got {rule!r:.80}")
        if posterior_from not in get_args(PosteriorFrom):
            raise InvalidInputError(
                f'posterior_from must be "text" or "prompt", got {posterior_from!r:.80}'
            )
        self._rule: Rule = rule
        self._posterior_from: PosteriorFrom = posterior_from
        self._weights = checked_weights(weights, len(self._models), rule)
        self._workers = MemberWorkers(self._models, concurrent=concurrent)

    @property
    def models(self) -> tuple[ByteModel, ...]:
        """The members."""
        return self._models

    @property
    def weights(self) -> tuple[float, ...]:
        """One weight a member; of a mixture and a posterior, of sum one."""
        return tuple(self._weights.tolist())

    @property
    def rule(self) -> Rule:
        """How the members' laws are combined."""
        return self._rule

    @property
    def posterior_from(self) -> PosteriorFrom:
        """Where the evidence of a posterior begins."""
        return self._posterior_from

    @property
    def states_at_once(self) -> int:
        """How many states to ask together: the least that a member says."""
        return min(getattr(model, "states_at_once", STATES_AT_ONCE) for model in self._models)

    @property
    def max_text_bytes(self) -> int | None:
        """Length up to which no text is too long for any member, None where there is no limit."""
        return least_max_text_bytes(self._models)

    @property
    def may_lose(self) -> bool:
        """Does the rule go on without a member that finds the text impossible? Not a product."""
        return self._rule != "product"

    def start(
        self, prompt: str | bytes = b"", *, weights: Sequence[float] | None = None
    ) -> ByteEnsembleState:
        """Return a state after `prompt`.

        Parameters
        ----------
        prompt
            Every member gets it through its own `start`, and may normalize it; the prefix of the
            ensemble's state is the prompt as it is.
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
        used = self._weights
        if weights is not None:
            used = checked_weights(weights, len(self._models), self._rule)
        warned: set[int] = set()
        members, absent = start_members(self, data, np.flatnonzero(used).tolist(), warned)
        return ByteEnsembleState(self, data, used, members, absent, warned=warned)

    def next_byte_logprobs(self, states: Sequence[ByteEnsembleState]) -> NDArray[np.float64]:
        """Return the laws of the next byte of many states, shape (n, 257).

        Each member gets its states of all texts in one batch.

        Raises
        ------
        BackendError
            A member failed; it is named, and the error is raised from its own. The states are as
            they were. Or: there is no symbol that every member of a product finds possible.
        """
        for state in states:
            if not isinstance(state, ByteEnsembleState):
                raise InvalidInputError(f"states must come from start(), not {state!r:.80}")
            if not state.belongs_to(self):
                raise InvalidInputError("a state belongs to another ByteEnsemble; ask that one")
        self.evaluate(states, Needs(laws=True, evidence=self._rule == "posterior"))
        laws = np.empty((len(states), ALPHABET_SIZE))
        for law, state in zip(laws, states, strict=True):
            law[:] = state.next_byte_logprobs()
        return laws

    def evaluate(self, states: Sequence[ByteEnsembleState], needs: Needs) -> None:
        """Have every member find out what the states lack, at the same time (for the states)."""
        distinct = list({id(state): state for state in states}.values())
        before = forerunners(distinct) if needs.laws else {}
        without = needs._replace(evidence=False)
        wanted: dict[int, Asked] = {}
        for state in distinct:
            for i, lacking in state.lacks(without if id(state) in before else needs).items():
                wanted.setdefault(i, []).append((i, state, lacking))
        together = same_models(self._models, wanted)
        tasks = {i: functools.partial(self._ask, i, asked) for i, asked in together.items()}
        outcomes = self._workers.run(tasks)
        for i, outcome in sorted(outcomes.items()):
            if outcome.error is not None:
                raise member_failed(self, i, outcome.error, "to evaluate") from outcome.error
        for state in distinct:
            state.settle(before.get(id(state)))

    def _ask(self, index: int, asked: Asked) -> None:
        """Ask one model, in its own thread; nobody else touches its part of the states."""
        reading = [state.members[i] for i, state, needs in asked if needs.laws]
        if reading:
            states = [member.state for member in reading]
            try:
                rows = self._models[index].next_byte_logprobs(states)
            except (InvalidInputError, UnreachableByteError):  # of one of them: which?
                for member in reading:
                    member.read_law()
            else:
                for member, row in zip(reading, rows, strict=True):
                    member.take_law(row)
        for i, state, needs in asked:
            member = state.members[i]
            if needs.prompts:
                member.weigh_prompt(*state.lengths)
            if needs.evidence:
                member.logprob = member.state.logprob

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
        return f"ByteEnsemble([{models}], weights={list(self.weights)}, rule={self._rule!r})"
