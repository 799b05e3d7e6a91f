"""The waist everything above is written on: what a byte model and its states promise.

Alphabet: the 256 byte values and `END_OF_TEXT` = 256. A `ByteModel` is a probability law over
finite byte strings, seen through the conditionals P(next symbol | bytes so far). Samplers, scorers,
ensembles and servers are functions on these two protocols, so they work on anything that has them:
a tokenized language model, an ensemble of models with different vocabularies, or a class of yours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

END_OF_TEXT: Final = 256
"""The symbol after the last byte of a text; index 256 of every row."""

ALPHABET_SIZE: Final = 257
"""256 byte values and `END_OF_TEXT`: the length of every row."""

STATES_AT_ONCE: Final = 64
"""How many states to ask together where a model does not say."""


class ByteState(Protocol):
    """A position in a text: the bytes so far and the law of what follows.

    A state belongs to one thread at a time and is cheap to fork. Two states of one lineage never
    influence each other.
    """

    @property
    def prefix(self) -> bytes:
        """Every byte pushed so far, the prompt included."""

    @property
    def logprob(self) -> float:
        """Natural log of P(a text starts with `prefix`); 0.0 for the empty prefix."""

    @property
    def bound(self) -> float:
        """Certified bound on the total variation error of the last distribution; 0.0 = exact."""

    @property
    def lm_evaluations(self) -> int:
        """Rows of logits this lineage has asked its language model for so far."""

    def next_byte_logprobs(self) -> NDArray[np.float64]:
        """Return the law of the next symbol.

        Returns
        -------
        ndarray, shape (257,), float64
            Natural log-probabilities: index b for byte b, index 256 for `END_OF_TEXT`, -inf for
            what cannot follow. The probabilities sum to one.
        """

    def push(self, data: bytes) -> None:
        """Append bytes.

        Raises
        ------
        UnreachableByteError
            A byte has probability zero. The state is then as it was before the call.
        """

    def fork(self) -> ByteState:
        """Return an independent state at the same position."""

    def rollback(self, n: int) -> None:
        """Take back the last `n` bytes."""


class ByteModel(Protocol):
    """A probability law over byte strings.

    Scorers read two optional attributes where they exist: ``states_at_once`` (int), how many states
    to ask together at most, and ``max_text_bytes`` (int or None), the length up to which any text
    can be read.

    Examples
    --------
    A model inherits from no class of this library; these methods are enough.

    >>> import math
    >>> import numpy as np
    >>> class UniformState:
    ...     bound, lm_evaluations = 0.0, 0
    ...     logprob = property(lambda self: -len(self.prefix) * math.log(257))
    ...     def __init__(self, prefix):
    ...         self.prefix = prefix
    ...     def next_byte_logprobs(self):
    ...         return np.full(257, -math.log(257))
    ...     def push(self, data):
    ...         self.prefix += data
    ...     def fork(self):
    ...         return UniformState(self.prefix)
    ...     def rollback(self, n):
    ...         self.prefix = self.prefix[: len(self.prefix) - n]
    >>> class Uniform:  # every symbol is as likely as any other, the end of the text too
    ...     def start(self, prompt=b""):
    ...         return UniformState(prompt)
    ...     def next_byte_logprobs(self, states):
    ...         return np.stack([state.next_byte_logprobs() for state in states])
    >>> state = Uniform().start(b"ab")
    >>> round(state.logprob, 3)
    -11.098
    """

    def start(self, prompt: str | bytes = b"") -> ByteState:
        """Return a new state whose prefix is `prompt` (text is encoded as UTF-8).

        Raises
        ------
        InvalidInputError
            The prompt is text with a lone surrogate.
        UnreachableByteError
            A byte of the prompt has probability zero.
        """

    def next_byte_logprobs(self, states: Sequence[Any]) -> NDArray[np.float64]:
        """Return the laws of many states in one batch.

        Parameters
        ----------
        states : sequence of ByteState
            States that this model's `start` and their `fork` made; a model may refuse others, so
            implementations declare their own type of state here.

        Returns
        -------
        ndarray, shape (len(states), 257), float64
            Row i is what `states[i].next_byte_logprobs()` returns.
        """
