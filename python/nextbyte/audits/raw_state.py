"""`RawState`: the covers under the model's own probabilities, and the defect of that.

Definition (docs/theory.md 13): p is the softmax over the whole row, special tokens included; P(c)
its product. A(x) = sum of P over the prefix-canonical covers of x, E(x) the same for the end of the
text. Then A(x) - sum over b of A(xb) - E(x) = sum of P(s) (1 - Z(s)) over the contexts s that spell
x: mass on tokens that no text has there. So A(xb) / A(x) sums to 1 - defect.

Cost: every context and every ancestor of one is evaluated; a pass over the row for each. An audit.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from nextbyte import _core
from nextbyte.audits.context_reading import READ_AT_ONCE, ContextReader, HeldContext
from nextbyte.byte_lm_state import ByteLMState, Reader
from nextbyte.byte_model import ALPHABET_SIZE, END_OF_TEXT
from nextbyte.errors import InvalidInputError, UnreachableByteError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nextbyte.audits.token_byte_arrays import TokenByteArrays
    from nextbyte.backends import Backend

__all__ = ["RawState"]


class RawState(ByteLMState):
    """A position in a text under a `ByteLM` of target "raw".

    The law it returns is sub-stochastic: its probabilities sum to 1 - `defect`. A sampler scales
    them up at each step; the probability of what it draws is then no longer a ratio of A.
    """

    def __init__(
        self,
        lm: Reader,
        stream: _core.ByteStream,
        start_tokens: tuple[int, ...],
        *,
        backend: Backend,
        end_tokens: tuple[int, ...],
        token_bytes: TokenByteArrays,
    ) -> None:
        super().__init__(lm, stream, start_tokens)
        self._reader = ContextReader(backend, start_tokens)
        self._end_tokens = list(end_tokens)
        self._token_bytes = token_bytes
        self._lead = len(stream.tokenizer.lead)
        # log P of contexts that were live or above a live one: the same for all forks.
        self._log_weights: dict[int, float] = {}
        # The probabilities after the live contexts, by id.
        self._rows: dict[int, tuple[HeldContext, NDArray[np.float64]]] = {}
        self._law: tuple[NDArray[np.float64], float, float] | None = None

    @property
    def defect(self) -> float:
        """1 - the sum of the law at this position: the share of the mass on impossible tokens."""
        return self._current()[1]

    @property
    def bound(self) -> float:
        """The `defect`: no distribution that is at least this law is further from it than that."""
        return self.defect

    @property
    def logprob(self) -> float:
        """Natural log of A(prefix); 0.0 for the empty prefix, -inf for zero."""
        return self._current()[2]

    def next_byte_logprobs(self) -> NDArray[np.float64]:
        """Return log A(xb) / A(x) and log E(x) / A(x), shape (257,); they sum to 1 - `defect`.

        Raises
        ------
        UnreachableByteError
            The model gives probability zero to the bytes so far.
        InvalidInputError
            A row is no distribution: NaN, +inf, or -inf throughout.
        """
        law, _, log_mass = self._current()
        if log_mass == -math.inf:
            prefix = self.prefix
            raise UnreachableByteError(
                len(prefix) - 1,
                prefix[-1],
                f"the model gives probability zero to the {len(prefix)} bytes pushed so far",
            )
        with np.errstate(divide="ignore"):
            row: NDArray[np.float64] = np.log(law)
        return row

    def next_byte_bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the law's probabilities twice, shape (257,): it is exact for its definition."""
        law = self._current()[0]
        return law.copy(), law.copy()

    def push(self, data: bytes) -> None:
        """Append bytes, all or none; see `ByteLMState.push`."""
        super().push(data)
        self._law = None

    def fork(self) -> RawState:
        """Return an independent state at the same position."""
        other: RawState = copy.copy(self)
        other._stream = self._stream.fork()
        other._rows = dict(self._rows)
        return other

    def rollback(self, n: int) -> None:
        """Take back the last `n` bytes. Their contexts are evaluated again if they come back."""
        super().rollback(n)
        self._law = None

    def to_bytes(self) -> NoReturn:
        """Refuse: states of an audit are not saved.

        Raises
        ------
        InvalidInputError
            Always.
        """
        raise InvalidInputError('only states of target="canonical" are saved, not those of "raw"')

    def __repr__(self) -> str:
        return f"RawState(prefix={self.prefix[-32:]!r}, bytes={len(self._stream)})"

    def _current(self) -> tuple[NDArray[np.float64], float, float]:
        """Return the law, its defect and log A(prefix), made once for a position."""
        if self._law is None:
            self._law = self._make_law()
        return self._law

    def _make_law(self) -> tuple[NDArray[np.float64], float, float]:
        live = _core.live_tokens(self._stream)
        self._evaluate([context for context, _, _ in live])
        length = len(self._stream) + self._lead
        weights = [self._log_weights[context.id] for context, _, _ in live]
        greatest = max(weights)
        masses = np.zeros(ALPHABET_SIZE)
        if greatest == -math.inf:
            return masses, 0.0, -math.inf
        lost = 0.0
        for (context, tokens, may_end), log_weight in zip(live, weights, strict=True):
            if log_weight == -math.inf:
                continue
            weight = math.exp(log_weight - greatest)
            row = self._rows[context.id][1]
            depth = length - context.position
            following = self._token_bytes.byte_at(tokens, depth)
            chances = weight * row[tokens]
            masses += np.bincount(following, weights=chances, minlength=ALPHABET_SIZE)
            if may_end:
                masses[END_OF_TEXT] += weight * row[self._end_tokens].sum()
            if depth == 0:
                off = np.ones(len(row), dtype=np.bool_)
                off[tokens] = False
                if may_end:
                    off[self._end_tokens] = False
                lost += weight * float(row[off].sum())
        total = float(masses.sum()) + lost
        if len(self._stream) == 0:  # P(root) = 1 = A: with a lead, contexts below it lose mass too
            law = masses * math.exp(greatest)
            return law, max(0.0, 1.0 - math.fsum(law)), 0.0
        if total == 0.0:
            return masses, 0.0, -math.inf
        return masses / total, lost / total, greatest + math.log(total)

    def _evaluate(self, live: list[_core.Context]) -> None:
        """Get the weight of every live context, and its row if the weight is not zero."""
        children: dict[int, dict[int, _core.Context]] = {}  # whose weight is not known yet
        needed: dict[int, _core.Context] = {}
        for context in live:
            self._need_row(context, needed)
            node = context
            while node.id not in self._log_weights:
                parent = node.parent
                if parent is None:
                    self._log_weights[node.id] = 0.0
                    break
                children.setdefault(parent.id, {})[node.id] = node
                self._need_row(parent, needed)
                node = parent
        for parent_id, unknown in children.items():
            if parent_id not in needed:  # its row is at hand, or it is impossible
                row = self._rows.get(parent_id)
                self._set_weights(unknown, None if row is None else row[1])
        is_live = {context.id for context in live}
        self._rows = {key: row for key, row in self._rows.items() if key in is_live}
        # From the top: a weight is known before the rows below it are.
        order = sorted(needed.values(), key=lambda context: context.depth)
        self._lm_passes += math.ceil(len(order) / READ_AT_ONCE)
        for context, held, logits in self._reader.read(order):
            self._lm_evaluations += 1
            probabilities = None
            if self._log_weights[context.id] > -math.inf:
                probabilities = _softmax(logits, context.position)
                if context.id in is_live:
                    self._rows[context.id] = held, probabilities
            self._set_weights(children.get(context.id, {}), probabilities)

    def _need_row(self, context: _core.Context, needed: dict[int, _core.Context]) -> None:
        impossible = self._log_weights.get(context.id) == -math.inf
        if context.id not in self._rows and not impossible:
            needed[context.id] = context

    def _set_weights(
        self, children: dict[int, _core.Context], row: NDArray[np.float64] | None
    ) -> None:
        """Set log P of contexts from their parent's row; None if that has probability zero."""
        for key, child in children.items():
            chance = 0.0 if row is None else float(row[child.token])
            if chance > 0.0 and child.parent is not None:
                self._log_weights[key] = self._log_weights[child.parent.id] + math.log(chance)
            else:
                self._log_weights[key] = -math.inf


def _softmax(logits: NDArray[np.float64], position: int) -> NDArray[np.float64]:
    """Return the probabilities of a whole row."""
    top = logits.max()
    if top == -np.inf:
        raise InvalidInputError(
            f"every logit of the row after the first {position} bytes is -inf: nothing may follow"
        )
    masses = np.exp(logits - top)
    probabilities: NDArray[np.float64] = masses / masses.sum()
    return probabilities
