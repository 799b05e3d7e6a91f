"""`SegmentationsState`: the sum over all token sequences that spell a text, with certified bounds.

Definition (docs/theory.md 13): q(t | s) = p(t | s) / Z(s) over all tokens with bytes and the end
tokens; Q its product; A(x) = sum of Q over all covers of x, E(x) likewise, whatever the tokenizer
would have made of the text. A and E sum to one exactly; the contexts are exponentially many.

Some are expanded. Of those, F(b) is what is certain to go to xb, and L its sum. The rest, R, is the
Q of the contexts that were not expanded and can still spell x. Then for every symbol b

    F(b) / (L + R)  <=  P(b | x)  <=  (F(b) + R) / (L + R)

and the law F / L is at most R / (L + R) from the truth in total variation. At each byte contexts
are expanded until that is below the tolerance: first those that carry more than the tolerance of
the mass where they end, then by their Q, which is what they add to R (it never decays by itself,
while L shrinks with every byte).
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np

from nextbyte.audits.context_reading import READ_AT_ONCE, ContextReader, HeldContext
from nextbyte.audits.segmentation_search import Segmentation, SpellingTracker, choose, log_sum
from nextbyte.byte_lm_state import ByteLMState, Reader
from nextbyte.byte_model import ALPHABET_SIZE, END_OF_TEXT
from nextbyte.errors import InvalidInputError, UnreachableByteError
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nextbyte import _core
    from nextbyte.audits.targets import TargetOptions
    from nextbyte.audits.token_byte_arrays import TokenByteArrays
    from nextbyte.backends import Backend

__all__ = ["SegmentationsState"]


class _Expanded(NamedTuple):
    """A context with a row: its tokens that go on past the text so far, and their q."""

    context: Segmentation
    held: HeldContext
    tokens: NDArray[np.int64]
    chances: NDArray[np.float64]
    end: float  # q(end | context)


class _Frame(NamedTuple):
    """What was expanded after one position was settled, and what was not."""

    expanded: tuple[Segmentation, ...]
    unexpanded: tuple[Segmentation, ...]


class _Law(NamedTuple):
    """The certain masses on a common scale, and the logs of their sum and of the rest."""

    masses: NDArray[np.float64]  # shape (257,), F / exp(scale)
    scale: float
    log_certain: float  # log L
    log_arrived: float  # log of the unexpanded mass whose contexts spell x: part of A(x) for sure
    log_open: float  # log of the unexpanded mass that may yet spell x, or not


class SegmentationsState(ByteLMState):
    """A position in a text under a `ByteLM` of target "segmentations"."""

    def __init__(
        self,
        lm: Reader,
        stream: _core.ByteStream,
        start_tokens: tuple[int, ...],
        *,
        backend: Backend,
        end_tokens: tuple[int, ...],
        token_bytes: TokenByteArrays,
        options: TargetOptions,
    ) -> None:
        super().__init__(lm, stream, start_tokens)
        self._reader = ContextReader(backend, start_tokens)
        self._end_tokens = list(end_tokens)
        self._token_bytes = token_bytes
        self._options = options
        self._lead = len(stream.tokenizer.lead)
        self._spelling = SpellingTracker(token_bytes)
        self._spelling.push(stream.tokenizer.lead)
        self._root = Segmentation.root()
        self._root_end = 0.0  # q(end | root), once the root is expanded
        # Bounds of log A at each settled position; with a lead A(lead) is the certain event.
        self._log_reached: list[tuple[float, float]] = []
        self._frames: list[_Frame] = []  # one for each settled position, from 0 on
        self._expanded: list[_Expanded] | None = []  # of the last frame; None after a rollback
        self._law: _Law | None = None

    @property
    def prefix(self) -> bytes:
        """Every byte pushed so far, the prompt included."""
        return bytes(self._spelling.text[self._lead :])

    @property
    def bound(self) -> float:
        """Certified bound on the total variation error of the law at this position."""
        law = self._current()
        log_rest = log_sum(law.log_arrived, law.log_open)
        return 0.0 if log_rest == -math.inf else _share(log_rest, law.log_certain)

    @property
    def tolerance(self) -> float:
        """The `bound` to reach at each byte, if the limit does not end the search before."""
        return float(self._options.tolerance)

    @property
    def unconfirmed_mass(self) -> float:
        """0.0: no sequence is left out for want of a proof."""
        return 0.0

    @property
    def logprob_is_exact(self) -> bool:
        """Whether the `logprob_bounds` coincide."""
        low, high = self.logprob_bounds
        return low == high

    @property
    def logprob(self) -> float:
        """The lower bound of `logprob_bounds`: log P(a text starts with `prefix`), or less."""
        return self.logprob_bounds[0]

    @property
    def logprob_bounds(self) -> tuple[float, float]:
        """Certified bounds of the natural log of P(a text starts with `prefix`)."""
        self._settle()
        length = len(self._spelling.text)
        if length == self._lead:
            return 0.0, 0.0
        low, high = self._log_reached[length]
        start_low, start_high = self._log_reached[self._lead]
        return min(0.0, low - start_high), min(0.0, high - start_low)

    def next_byte_logprobs(self) -> NDArray[np.float64]:
        """Return the law of what was expanded, shape (257,); `bound` says how far it may be off.

        Raises
        ------
        UnreachableByteError
            The model gives probability zero to the bytes so far.
        InvalidInputError
            A row is no distribution: NaN, +inf, or nothing on tokens that may follow.
        """
        law = self._current()
        with np.errstate(divide="ignore"):
            row: NDArray[np.float64] = np.log(law.masses / law.masses.sum())
        return row

    def next_byte_bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return certified bounds of the probability of each symbol.

        Returns
        -------
        (lower, upper) : ndarrays, shape (257,), float64
            They hold up to rounding (1e-12). Equal where everything was expanded.
        """
        law, rest = self._current(), self.bound
        log_rest = log_sum(law.log_arrived, law.log_open)
        lower = law.masses / law.masses.sum()
        if rest > 0.0:
            lower *= _share(law.log_certain, log_rest)
        upper = lower.copy()
        upper[:256][self._token_bytes.symbols] += rest
        if self._end_tokens:
            upper[END_OF_TEXT] += rest
        return lower, np.minimum(upper, 1.0)

    def push(self, data: bytes) -> None:
        """Append bytes, all or none. Any that tokens spell can follow, valid UTF-8 or not.

        Raises
        ------
        UnreachableByteError
            No token sequence spells the text with this byte.
        """
        data = as_bytes(data, name="data")
        accepted = self._spelling.push(data)
        if accepted < len(data):
            position = len(self._spelling.text) - self._lead + accepted
            raise UnreachableByteError(position, data[accepted])
        if data:
            self._law = None

    def fork(self) -> SegmentationsState:
        """Return an independent state at the same position; what was expanded is shared."""
        other: SegmentationsState = copy.copy(self)
        other._spelling = self._spelling.fork()
        other._log_reached = list(self._log_reached)
        other._frames = list(self._frames)
        return other

    def rollback(self, n: int) -> None:
        """Take back the last `n` bytes. Contexts are evaluated again if they come back."""
        if not 0 <= n <= len(self._spelling.text) - self._lead:
            raise InvalidInputError(
                f"cannot roll back {n} bytes: {len(self._spelling.text) - self._lead} were pushed"
            )
        if n == 0:
            return
        self._spelling.rollback(n)
        kept = len(self._spelling.text) + 1
        if len(self._frames) > kept:
            del self._frames[kept:]
            del self._log_reached[kept:]
            self._expanded = None
        self._law = None

    def to_bytes(self) -> NoReturn:
        """Refuse: states of an audit are not saved.

        Raises
        ------
        InvalidInputError
            Always.
        """
        raise InvalidInputError(
            'only states of target="canonical" are saved, not those of "segmentations"'
        )

    def __repr__(self) -> str:
        prefix = self.prefix
        return f"SegmentationsState(prefix={prefix[-32:]!r}, bytes={len(prefix)})"

    def _current(self) -> _Law:
        """Return the law at this position.

        Raises
        ------
        UnreachableByteError
            Nothing has any mass.
        """
        self._settle()
        if self._law is None:
            law = self._sum_up(self._restored(), self._frames[-1].unexpanded)
            if law.log_certain == -math.inf:
                prefix = self.prefix
                raise UnreachableByteError(
                    max(len(prefix) - 1, 0),
                    prefix[-1] if prefix else 0,
                    f"the model gives probability zero to the {len(prefix)} bytes pushed so far",
                )
            self._law = law
        return self._law

    def _settle(self) -> None:
        """Expand what each pushed position wants, one after the other."""
        text = self._spelling.text
        while len(self._frames) <= len(text):
            position = len(self._frames)
            if position == 0:
                self._frames.append(self._expand(position, [], [self._root]))
            else:
                self._frames.append(self._expand(position, *self._advanced(position)))

    def _advanced(self, position: int) -> tuple[list[_Expanded], list[Segmentation]]:
        """Go on from the last frame by one byte: narrowed tokens, and the contexts they start."""
        expanded = []
        unexpanded = list(self._frames[-1].unexpanded)
        for entry in self._restored():
            narrowed = self._narrowed(entry, position - 1, position, unexpanded)
            if len(narrowed.tokens):
                expanded.append(narrowed)
        return expanded, unexpanded

    def _narrowed(
        self, entry: _Expanded, first: int, last: int, started: list[Segmentation] | None
    ) -> _Expanded:
        """Keep the tokens that agree with the text[first:last]; complete ones start a context."""
        context, held, tokens, chances, end = entry
        for place in range(first, last):
            depth = place - context.position
            agree = self._token_bytes.byte_at(tokens, depth) == self._spelling.text[place]
            tokens, chances = tokens[agree], chances[agree]
            complete = self._token_bytes.lengths[tokens] == depth + 1
            if started is not None:
                started.extend(
                    context.child(token, place + 1, chance)
                    for token, chance in zip(
                        tokens[complete].tolist(), chances[complete].tolist(), strict=True
                    )
                    if chance > 0.0
                )
            tokens, chances = tokens[~complete], chances[~complete]
        return _Expanded(context, held, tokens, chances, end)

    def _expand(
        self, position: int, expanded: list[_Expanded], unexpanded: list[Segmentation]
    ) -> _Frame:
        """Expand contexts at one position until the rest is small enough, or the limit met."""
        spent = 0
        while True:
            unexpanded = self._spelling.alive(unexpanded, position)
            law = self._sum_up(expanded, unexpanded, position)
            certain = log_sum(law.log_certain, law.log_arrived)
            reached = [*(low for low, _ in self._log_reached), certain]
            limit = self._options.max_evaluations_per_byte
            chosen = choose(
                unexpanded,
                log_certain=law.log_certain,
                log_reached=reached,
                tolerance=self._options.tolerance,
                room=None if limit is None else limit - spent,
            )
            if not chosen:
                break
            picked = {context.id for context in chosen}
            unexpanded = [context for context in unexpanded if context.id not in picked]
            for entry in self._read(chosen):
                narrowed = self._narrowed(entry, entry.context.position, position, unexpanded)
                if len(narrowed.tokens) or narrowed.context.position == position:
                    expanded.append(narrowed)
            spent += len(chosen)
        self._log_reached.append((certain, log_sum(certain, law.log_open)))
        self._expanded = expanded
        return _Frame(tuple(entry.context for entry in expanded), tuple(unexpanded))

    def _restored(self) -> list[_Expanded]:
        """Return the last frame's expanded contexts; after a rollback they are read again."""
        if self._expanded is None:
            last = len(self._frames) - 1
            self._expanded = [
                self._narrowed(entry, entry.context.position, last, None)
                for entry in self._read(self._frames[-1].expanded)
            ]
        return self._expanded

    def _read(self, contexts: Sequence[Segmentation]) -> list[_Expanded]:
        """Have contexts evaluated and make their rows probabilities."""
        found = []
        order = sorted(contexts, key=lambda context: context.id)  # parents come first
        self._lm_passes += math.ceil(len(order) / READ_AT_ONCE)
        for context, held, row in self._reader.read(order):
            self._lm_evaluations += 1
            tokens = self._token_bytes.tokens
            logits, ends = row[tokens], row[self._end_tokens]
            top = max(logits.max(), ends.max(initial=-math.inf))
            if top == -math.inf:
                raise InvalidInputError(
                    "the logits give probability zero to every token that may follow the first "
                    f"{context.position} bytes"
                )
            chances, end = np.exp(logits - top), float(np.exp(ends - top).sum())
            total = float(chances.sum()) + end
            found.append(_Expanded(context, held, tokens, chances / total, end / total))
            if context.parent is None:
                self._root_end = end / total
        return found

    def _sum_up(
        self,
        expanded: Sequence[_Expanded],
        unexpanded: Sequence[Segmentation],
        position: int | None = None,
    ) -> _Law:
        """Add the masses of what was expanded, and of what was not."""
        position = len(self._spelling.text) if position is None else position
        scale = max((entry.context.log_weight for entry in expanded), default=-math.inf)
        masses = np.zeros(ALPHABET_SIZE)
        for context, _, tokens, chances, end in expanded:
            weight = math.exp(context.log_weight - scale)
            depth = position - context.position
            following = self._token_bytes.byte_at(tokens, depth)
            masses += np.bincount(following, weights=weight * chances, minlength=ALPHABET_SIZE)
            if depth == 0:
                masses[END_OF_TEXT] += weight * end
        if position == self._lead > 0:  # the empty text has not even the lead
            scale, old = max(scale, 0.0), scale
            masses *= math.exp(old - scale)
            masses[END_OF_TEXT] += self._root_end * math.exp(-scale)
        total = float(masses.sum())
        arrived = [c.log_weight for c in unexpanded if c.position == position]
        still_open = [c.log_weight for c in unexpanded if c.position < position]
        return _Law(
            masses,
            scale,
            scale + math.log(total) if total > 0.0 else -math.inf,
            log_sum(*arrived),
            log_sum(*still_open),
        )


def _share(log_part: float, log_other: float) -> float:
    """Return part / (part + other)."""
    return 1.0 / (1.0 + math.exp(min(log_other - log_part, 700.0)))
