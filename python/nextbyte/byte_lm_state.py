"""`ByteLMState`: a stream of bytes and the contexts that the language model has read for it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from nextbyte import _core
from nextbyte.byte_model import ALPHABET_SIZE
from nextbyte.errors import InvalidInputError
from nextbyte.lineage import Evaluated, Lineage
from nextbyte.look_ahead import KEPT_AHEAD
from nextbyte.state_codec import SavedState, encode_state
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from nextbyte.backends import Branch
    from nextbyte.tokenizer import Tokenizer

_SCORED_AT_ONCE: Final = 128
"""Contexts per batch when the absolute probability of a prompt is asked for."""


class Reader(Protocol):
    """The side of a `ByteLM` that its states use."""

    def extend(self, requests: Sequence[tuple[Evaluated | None, list[int]]]) -> list[Branch]:
        """Evaluate contexts below evaluated ones in one batch."""

    @property
    def tokenizer(self) -> Tokenizer:
        """What the states' bytes are read with."""


class ByteLMState:
    """A position in a text under a `ByteLM`; see `nextbyte.ByteState`. Made by `ByteLM.start`."""

    def __init__(
        self,
        lm: Reader,
        stream: _core.ByteStream,
        start_tokens: tuple[int, ...],
        look_ahead: float | None = None,
    ) -> None:
        self._lm = lm
        self._look_ahead = look_ahead
        self._stream = stream
        self._start_tokens = start_tokens
        self._is_certain = not stream.tokenizer.is_witnessed
        self._lineage = Lineage()
        self._held: list[Evaluated] = []
        self._lm_evaluations = 0
        self._lm_passes = 0

    @property
    def start_tokens(self) -> tuple[int, ...]:
        """The tokens before the text: the start token, and closed segments."""
        return self._start_tokens

    def belongs_to(self, lm: Reader) -> bool:
        """Say whether this state was made by `lm`."""
        return self._lm is lm

    @property
    def prefix(self) -> bytes:
        """Every byte pushed so far, the prompt included."""
        return self._stream.prefix

    @property
    def bound(self) -> float:
        """Certified bound on the total variation error of the last distribution.

        0.0 where it is exact, never more than `tolerance`. 1.0, which says nothing, where the
        tokenizer's covers are only validated: `unconfirmed_mass` then estimates what is missing.
        """
        return self._stream.bound if self._is_certain else 1.0

    @property
    def tolerance(self) -> float:
        """The greatest `bound` that a distribution may have; 0.0 if all must be exact."""
        return self._stream.tolerance

    @property
    def logprob_is_exact(self) -> bool:
        """Whether `logprob` is exact, whatever `bound` says of the distributions."""
        return self._is_certain

    @property
    def unconfirmed_mass(self) -> float:
        """What the last distribution leaves out without proof, 0.0 for exact covers.

        Of the language model's mass at the current contexts the share that is on tokens which
        nothing has confirmed to be possible there: mass on impossible tokens and what a "validated"
        tokenizer has missed.
        """
        return self._stream.unconfirmed

    @property
    def lm_evaluations(self) -> int:
        """Rows of logits that this lineage has asked the language model for."""
        return self._lm_evaluations

    @property
    def lm_passes(self) -> int:
        """Calls of the language model that this lineage has waited for."""
        return self._lm_passes

    @property
    def logprob(self) -> float:
        """Natural log of P(a text starts with `prefix`), the prompt included.

        The contexts of a prompt are evaluated (in batches) the first time this is asked for; the
        next-byte distribution does not need them. Exact at any tolerance: what was put off is
        evaluated for it.
        """
        try:
            evaluate_states([self], current=False)
            self._score_base()
            return self._stream.base_logprob() + self._stream.relative_logprob()
        except InvalidInputError:  # a row that is no distribution
            self._forget_rows()
            raise

    def next_byte_logprobs(self) -> NDArray[np.float64]:
        """Return the law of the next byte, shape (257,), float64; see `ByteState`."""
        row = np.empty(ALPHABET_SIZE)
        try:
            evaluate_states([self], current=True)
            self._stream.next_byte_logprobs(row)
        except InvalidInputError:  # a row that is no distribution
            self._forget_rows()
            raise
        return row

    def next_byte_bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return bounds on the true law of the next byte, symbol by symbol.

        They cost no evaluation beyond those of `next_byte_logprobs`. Where the law is exact they
        are its probabilities, rounded down and up; where the tokenizer's covers are only validated,
        nothing is certain, and they are 0 and 1.

        Returns
        -------
        lower, upper : ndarray, shape (257,), float64
            Probabilities (no logarithms): ``lower <= true law <= upper``.

        Raises
        ------
        BackendError, InvalidInputError, UnreachableByteError
            As `next_byte_logprobs`.

        Examples
        --------
        >>> import nextbyte as nb
        >>> lm = nb.ByteLM.from_pretrained("smollm2-135m", tolerance=1e-3)
        >>> state = lm.start("An apple a day keeps the doc")
        >>> lower, upper = state.next_byte_bounds()
        >>> bool((upper - lower).max() <= 2 * state.bound + 1e-12)
        True
        """
        self.next_byte_logprobs()
        lower, upper = np.zeros(ALPHABET_SIZE), np.ones(ALPHABET_SIZE)
        if self._is_certain:
            self._stream.next_byte_bounds(lower, upper)
        return lower, upper

    def push(self, data: bytes) -> None:
        """Append bytes, all or none.

        Raises
        ------
        UnreachableByteError
            A byte has probability zero for certain; `position` counts from the start of the text.
        """
        # Bytes go straight through: this is called once a byte.
        self._stream.push(data if type(data) is bytes else as_bytes(data, name="data"))

    def fork(self) -> ByteLMState:
        """Return an independent state at the same position; history and KV cache are shared."""
        other = ByteLMState(self._lm, self._stream.fork(), self._start_tokens, self._look_ahead)
        other._lineage = self._lineage
        other._held = list(self._held)
        other._lm_evaluations = self._lm_evaluations
        other._lm_passes = self._lm_passes
        return other

    def to_bytes(self) -> bytes:
        """Return this position in the text as bytes; `ByteLM.restore` makes a state of them again.

        They hold the prefix, the tokens before it, the end tokens and the tolerance, and say which
        tokenizer they belong to; neither rows nor keys and values, nor bytes that a rollback could
        go beyond.
        """
        fingerprint = bytes.fromhex(self._lm.tokenizer.fingerprint)
        ends = tuple(self._stream.end_tokens)
        return encode_state(
            SavedState(fingerprint, self._start_tokens, ends, self.tolerance, self.prefix)
        )

    def rollback(self, n: int) -> None:
        """Take back the last `n` bytes. Their contexts are evaluated again if they come back."""
        if n < 0:
            raise InvalidInputError(f"n must not be negative, got {n}")
        self._stream.rollback(n)
        if n:
            self._lineage.ahead.clear()  # what was read ahead would keep the path to it

    def __repr__(self) -> str:
        return f"ByteLMState(prefix={self.prefix[-32:]!r}, bytes={len(self._stream)})"

    def _nearest(self, context: _core.Context | None) -> tuple[Evaluated | None, list[int]]:
        """Return the nearest evaluated context at or above this one, and the tokens after it."""
        tokens: list[int] = []
        while context is not None:
            evaluated = self._lineage.evaluated.get(context.id)
            if evaluated is not None:
                return evaluated, tokens[::-1]
            if context.parent is not None:
                tokens.append(context.token)
            context = context.parent
        return None, [*self._start_tokens, *tokens[::-1]]

    def _request(self, context: _core.Context) -> tuple[Evaluated | None, list[int]]:
        """Return what the backend has to read for the row of a context.

        The search begins above the context: it may have been evaluated before, and its row given
        back since.
        """
        if context.parent is None:
            return None, list(self._start_tokens)
        ancestor, tokens = self._nearest(context.parent)
        return ancestor, [*tokens, context.token]

    def _likely(self) -> tuple[tuple[int, int], Evaluated | None, list[int]] | None:
        """Return what to read ahead: its key, and what the backend has to read for it."""
        if self._look_ahead is None:
            return None
        likely = self._stream.likely_token(self._look_ahead)
        if likely is None or (likely[0].id, likely[1]) in self._lineage.ahead:
            return None
        ancestor, tokens = self._nearest(likely[0])
        return (likely[0].id, likely[1]), ancestor, [*tokens, likely[1]]

    def _hold(self) -> None:
        nearest = (self._nearest(context)[0] for context in self._stream.live)
        self._held = [evaluated for evaluated in nearest if evaluated is not None]

    def _forget_rows(self) -> None:
        """Keep no row that may be bad: the next query asks the model again."""
        self._stream.drop_massless_rows()
        self._lineage.ahead.clear()
        for evaluated in self._held:
            evaluated.release(kept=True)

    def _score_base(self) -> None:
        """Evaluate what the absolute weight of the live contexts' common ancestor needs."""
        edges = self._stream.unscored()
        last: Evaluated | None = None
        for first in range(0, len(edges), _SCORED_AT_ONCE):
            batch = edges[first : first + _SCORED_AT_ONCE]
            nearest = [self._request(parent) for parent, _ in batch]
            branches = self._lm.extend(nearest)
            for (parent, child), (ancestor, _), branch in zip(
                batch, nearest, branches, strict=True
            ):
                self._stream.provide_edge(child, branch.logits)
                last = Evaluated(branch, ancestor, run=0)
                last.release()
                self._lineage.add(parent, last)
            self._lm_evaluations += len(batch)
            self._lm_passes += 1
        del last  # it carried the prefix from batch to batch


def next_byte_rows(states: Sequence[ByteLMState]) -> NDArray[np.float64]:
    """Return the laws of many states of one `ByteLM`, shape (n, 257), from one batch."""
    rows = np.empty((len(states), ALPHABET_SIZE))
    try:
        evaluate_states(states, current=True)
        _core.next_byte_rows([state._stream for state in states], rows)  # noqa: SLF001
    except InvalidInputError:  # a row that is no distribution
        for state in states:
            state._forget_rows()  # noqa: SLF001
        raise
    return rows


def evaluate_states(states: Sequence[ByteLMState], *, current: bool) -> None:
    """Get every row that the states still need, in one batch; forks share theirs.

    That is for their laws (`current`), or for the weights of their covers alone. States with a
    tolerance learn from rows which others they can do without, and ask again.
    """
    asking = list(dict.fromkeys(states))
    while asking:
        wanted: dict[int, tuple[_core.Context, list[ByteLMState]]] = {}
        again = []
        for state in asking:
            pending = state._stream.pending(current=current)  # noqa: SLF001
            for context in pending:
                wanted.setdefault(context.id, (context, []))[1].append(state)
            if pending and current and state.tolerance > 0.0:
                again.append(state)
        if not wanted:
            return
        found = _read(wanted)  # keeps every context of the batch until its state holds it
        for evaluated, context, owners in found:
            row = evaluated.branch.logits
            count = len(owners)
            _core.provide_rows(
                [state._stream for state in owners],  # noqa: SLF001
                [context] * count,
                [row] * count,
            )
            evaluated.release()
        for state in states:
            state._hold()  # noqa: SLF001
            state._lineage.trim()  # noqa: SLF001
        asking = again


def _read(
    wanted: dict[int, tuple[_core.Context, list[ByteLMState]]],
) -> list[tuple[Evaluated, _core.Context, list[ByteLMState]]]:
    """Return every wanted context with its row: one that was kept, or one of a single batch."""
    found = []
    missing = []
    for context, owners in wanted.values():
        lineage = owners[0]._lineage  # noqa: SLF001 - the owners are of one lineage
        evaluated = lineage.evaluated.get(context.id)
        if ahead := lineage.ahead.take(context):
            lineage.add(context, ahead)
            found.append((ahead, context, owners))
        elif evaluated is not None and evaluated.keeps_row:
            found.append((evaluated, context, owners))
        else:
            missing.append((context, owners, *owners[0]._request(context)))  # noqa: SLF001
    if not missing:
        return found
    lm = missing[0][1][0]._lm  # noqa: SLF001
    waiting = dict.fromkeys(state for _, owners, _, _ in missing for state in owners)
    ahead_of = _likely_of(waiting)
    branches = lm.extend(
        [(ancestor, tokens) for _, _, ancestor, tokens in missing]
        + [(ancestor, tokens) for _, ancestor, tokens, _ in ahead_of]
    )
    for state in waiting:
        state._lm_passes += 1  # noqa: SLF001
    for (key, ancestor, _, owners), branch in zip(ahead_of, branches[len(missing) :], strict=True):
        owners[0]._lineage.ahead.add(key, Evaluated(branch, ancestor, run=0))  # noqa: SLF001
        for state in owners:
            state._lm_evaluations += 1  # noqa: SLF001
    for (context, owners, _, tokens), branch in zip(missing, branches, strict=False):
        # Parents come first, so the nearest ancestor may be one of this very batch.
        ancestor = None if context.parent is None else owners[0]._nearest(context.parent)[0]  # noqa: SLF001
        evaluated = Evaluated(branch, ancestor, run=len(tokens))
        found.append((evaluated, context, owners))
        owners[0]._lineage.add(context, evaluated)  # noqa: SLF001
        for state in owners:
            state._lm_evaluations += 1  # noqa: SLF001
    return found


def _likely_of(
    waiting: Iterable[ByteLMState],
) -> list[tuple[tuple[int, int], Evaluated | None, list[int], list[ByteLMState]]]:
    """Return what to read ahead, and for which states: nothing of a lineage that could not keep it.

    So a batch of many forks, those along a text that is scored say, reads nothing ahead.
    """
    found: dict[tuple[int, int], tuple[Evaluated | None, list[int], list[ByteLMState]]] = {}
    for state in waiting:
        if likely := state._likely():  # noqa: SLF001
            key, ancestor, tokens = likely
            found.setdefault(key, (ancestor, tokens, []))[2].append(state)
    if not found:
        return []
    counts = Counter(id(owners[0]._lineage) for _, _, owners in found.values())  # noqa: SLF001
    return [
        (key, ancestor, tokens, owners)
        for key, (ancestor, tokens, owners) in found.items()
        if counts[id(owners[0]._lineage)] <= KEPT_AHEAD  # noqa: SLF001
    ]
