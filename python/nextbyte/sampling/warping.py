"""Sampling parameters, and the warping of one next-byte law by them.

Definition. With a row l of natural log-masses over the 257 symbols, in this order:

1. temperature T > 0: weights w = exp((l - max l) / T). T = 0 is greedy: all mass goes to the
   largest entry and the filters below change nothing.
2. top_k: the k symbols of largest l stay.
3. top_p: of those, the fewest symbols of largest l that hold at least top_p of the mass stay.
4. min_p: of those, symbols with w >= min_p * max w stay.
5. What stays is scaled to sum one.

Ties at every edge go to the smaller symbol value, so `END_OF_TEXT` (256) loses all of them and the
result is a pure function of its input. A symbol with l = -inf keeps probability zero; the largest
entry always stays, so something always does. Order and meaning are those of transformers.
Cost: one stable sort where top_k or top_p is on: of 257 floats, or of the largest of a law over
tokens.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Final, Literal, cast

import numpy as np

from nextbyte.byte_model import ALPHABET_SIZE
from nextbyte.errors import InvalidInputError
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["SamplingParams", "warp", "warp_law"]

_SORTED_AT_FIRST: Final = 512
"""Symbols of a long law that are looked at first for top_p; more than an alphabet has."""

_SURELY: Final = 1.0 + 1e-9
"""More than rounding: a sum that exceeds its goal by so much does so in any order of summing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    r"""How to choose bytes. Everything acts on the alphabet of 256 bytes and `END_OF_TEXT`.

    Parameters
    ----------
    temperature : float, default 1.0
        Divides the log-probabilities; 0 is greedy. 1 leaves the model's own law.
    top_k : int, default 0
        Keep this many most probable symbols; 0 or -1 keeps all (and reads back as 0).
    top_p : float, default 1.0
        Keep the fewest symbols that hold this much probability, 0 < top_p <= 1; 1 keeps all.
    min_p : float, default 0.0
        Keep symbols at least this probable relative to the most probable, 0 <= min_p <= 1.
    seed : int or None, default None
        Seed of the PCG64 generator; the same seed gives the same bytes. None draws a fresh one.
    stop : str, bytes or sequence of them, default ()
        Generation ends where one of these ends. Text is encoded as UTF-8. Reads back as a tuple of
        bytes.
    max_bytes : int, default 256
        The most bytes to sample; bytes that turn out to belong to a stop string count too.
    max_tokens : int or None, default None
        The most tokens to draw, where tokens are drawn: a limit beside `max_bytes`. What completes
        the token in which the prompt ends counts as one.
    unit : {"byte", "token"} or None, default None
        What is drawn at a time. "token": a cover of the prompt's end from its exact posterior, then
        whole tokens, at one LM evaluation each; temperature and filters act on these. "byte":
        one byte after the other, for control over each. At temperature 1 without filters both give
        the same law of bytes. None: "token" where the model is a single `ByteLM` (of
        target "canonical"), else "byte".
    single_line : bool, default False
        Generation ends before the first line end.
    min_indent : int, default 0
        Generation ends before a line that is indented by fewer spaces and tabs, blank lines apart;
        the line in which it begins may be.
    time_budget_ms : float or None, default None
        Milliseconds after which no further step is begun; what there is by then is the result. A
        step is one call of the language model, the first one reads the prompt.

    Raises
    ------
    InvalidInputError
        A field has the wrong type or is out of range.

    Examples
    --------
    >>> params = SamplingParams(temperature=0.7, top_p=0.95, stop="\n", seed=0)
    >>> params.stop
    (b'\n',)
    >>> SamplingParams(temperature=-1)
    Traceback (most recent call last):
        ...
    nextbyte.errors.InvalidInputError: temperature must be a finite number >= 0, got -1
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    stop: str | bytes | Sequence[str | bytes] = ()
    max_bytes: int = 256
    max_tokens: int | None = None
    unit: Literal["byte", "token"] | None = None
    single_line: bool = False
    min_indent: int = 0
    time_budget_ms: float | None = None

    def __post_init__(self) -> None:
        """Check every field and bring it into its normal form."""
        temperature = _number("temperature", self.temperature, "a finite number >= 0")
        if not 0.0 <= temperature < math.inf:
            raise _refusal("temperature", self.temperature, "a finite number >= 0")
        top_p = _number("top_p", self.top_p, "a number in (0, 1]")
        if not 0.0 < top_p <= 1.0:
            raise _refusal("top_p", self.top_p, "a number in (0, 1]")
        min_p = _number("min_p", self.min_p, "a number in [0, 1]")
        if not 0.0 <= min_p <= 1.0:
            raise _refusal("min_p", self.min_p, "a number in [0, 1]")
        top_k = _integer("top_k", self.top_k, "an integer >= 1, or 0 or -1 for off", minimum=-1)
        seed = self.seed
        if seed is not None:
            seed = _integer("seed", seed, "None or an integer >= 0", minimum=0)
        max_tokens = self.max_tokens
        if max_tokens is not None:
            max_tokens = _integer("max_tokens", max_tokens, "None or an integer >= 0", minimum=0)
        if self.unit not in (None, "byte", "token"):
            raise _refusal("unit", self.unit, '"byte", "token" or None')
        if not isinstance(self.single_line, bool):
            raise _refusal("single_line", self.single_line, "True or False")
        budget = self.time_budget_ms
        if budget is not None:
            budget = _number("time_budget_ms", budget, "None or a number >= 0")
            if not budget >= 0.0:
                raise _refusal("time_budget_ms", budget, "None or a number >= 0")
        normal = {
            "temperature": temperature,
            "top_k": max(top_k, 0),
            "top_p": top_p,
            "min_p": min_p,
            "seed": seed,
            "stop": _stop_strings(self.stop),
            "max_bytes": _integer("max_bytes", self.max_bytes, "an integer >= 0", minimum=0),
            "max_tokens": max_tokens,
            "min_indent": _integer("min_indent", self.min_indent, "an integer >= 0", minimum=0),
            "time_budget_ms": budget,
        }
        for name, value in normal.items():
            object.__setattr__(self, name, value)

    @property
    def stop_strings(self) -> tuple[bytes, ...]:
        """The stop strings, as the tuple of bytes that `stop` has become."""
        return cast("tuple[bytes, ...]", self.stop)

    @property
    def is_plain(self) -> bool:
        """Whether the parameters leave the law as it is."""
        return (
            self.temperature == 1.0 and self.top_k == 0 and self.top_p == 1.0 and self.min_p == 0.0
        )


def warp(logprobs: ArrayLike, params: SamplingParams) -> NDArray[np.float64]:
    """Return the probabilities from which the next symbol is drawn.

    The module's first lines define them exactly. Only `temperature`, `top_k`, `top_p` and `min_p`
    of the parameters matter.

    Parameters
    ----------
    logprobs : array_like, shape (257,), float
        Natural log-probabilities, -inf for what cannot follow; read only. They need not sum to one:
        a constant added to all of them changes nothing but rounding.
    params : SamplingParams

    Returns
    -------
    ndarray, shape (257,), float64
        A new array that sums to one within rounding.

    Raises
    ------
    InvalidInputError
        Another shape, NaN or +inf, or no entry above -inf.

    Examples
    --------
    >>> row = np.full(257, -np.inf)
    >>> row[[97, 98, 256]] = np.log([0.5, 0.25, 0.25])
    >>> warp(row, SamplingParams(top_k=2))[[97, 98, 256]].round(3).tolist()
    [0.667, 0.333, 0.0]
    """
    row = np.asarray(logprobs, dtype=np.float64)
    if row.shape != (ALPHABET_SIZE,):
        raise InvalidInputError(f"logprobs must have shape ({ALPHABET_SIZE},), got {row.shape}")
    return warp_law(row, params)


def warp_law(row: NDArray[np.float64], params: SamplingParams) -> NDArray[np.float64]:
    """Return what `warp` defines, for a law of any length, shape (n,): of tokens, of covers."""
    largest = row.max()  # NaN if any entry is
    if not math.isfinite(largest):
        raise InvalidInputError(
            "logprobs leave no symbol: every entry is -inf"
            if largest == -np.inf
            else f"logprobs must be below +inf and not NaN; their maximum is {largest}"
        )
    if params.temperature == 0.0:
        greedy = np.zeros(len(row))
        greedy[np.argmax(row)] = 1.0  # the first of equals
        return greedy
    weights = row - largest
    if params.temperature != 1.0:
        with np.errstate(over="ignore"):  # a tiny one may reach -inf, which is what is meant
            weights /= params.temperature
    weights = np.exp(weights, out=weights)
    # From here the largest weight is 1, whatever is removed.
    if 0 < params.top_k < len(row) or params.top_p < 1.0:
        kept = _kept(row, weights, params)
        filtered = np.zeros(len(row))
        filtered[kept] = weights[kept]
        weights = filtered
    if params.min_p > 0.0:
        weights[weights < params.min_p] = 0.0
    weights /= weights.sum()
    return cast("NDArray[np.float64]", weights)


def _kept(
    row: NDArray[np.float64], weights: NDArray[np.float64], params: SamplingParams
) -> NDArray[np.intp]:
    """Return the symbols that top_k and top_p keep."""
    # By the row, not the weights: a high temperature may round unequal weights to equal ones.
    order = _descending(row, weights, params)
    if params.top_k:
        order = order[: params.top_k]
    if params.top_p < 1.0:
        held = np.cumsum(weights[order])
        total = held[-1] if params.top_k or len(order) == len(row) else weights.sum()
        order = order[: int(np.searchsorted(held, params.top_p * total)) + 1]
    return order


def _descending(
    row: NDArray[np.float64], weights: NDArray[np.float64], params: SamplingParams
) -> NDArray[np.intp]:
    """Return symbols by falling l, smaller ones first among equals: as many as the filters need.

    Sorting 50,000 symbols takes some milliseconds; a law over tokens mostly needs few of them.
    """
    count = params.top_k or _SORTED_AT_FIRST
    while count < len(row):
        smallest = np.partition(row, len(row) - count)[len(row) - count]
        largest = np.flatnonzero(row >= smallest)  # all of those that are equal
        if params.top_k or weights[largest].sum() > params.top_p * weights.sum() * _SURELY:
            return largest[np.argsort(-row[largest], kind="stable")]
        count *= 8
    return np.argsort(-row, kind="stable")


def _refusal(name: str, value: object, allowed: str) -> InvalidInputError:
    """Return the one error of this module: the field, what it may be, what it is."""
    return InvalidInputError(f"{name} must be {allowed}, got {value!r}")


def _number(name: str, value: object, allowed: str) -> float:
    """Return a real number as a float; refuse bool, which is a number only by accident."""
    if isinstance(value, bool | np.bool) or not isinstance(value, Real):
        raise _refusal(name, value, allowed)
    return float(value)


def _integer(name: str, value: object, allowed: str, *, minimum: int) -> int:
    """Return an integer (of numpy too) of at least `minimum`; refuse bool and whole floats."""
    if isinstance(value, bool | np.bool) or not hasattr(value, "__index__"):
        raise _refusal(name, value, allowed)
    number = operator.index(value)
    if number < minimum:
        raise _refusal(name, value, allowed)
    return number


def _stop_strings(stop: object) -> tuple[bytes, ...]:
    """Return the stop strings as bytes, in their order, repetitions left out."""
    if isinstance(stop, str | bytes):
        named = [("stop", stop)]
    elif isinstance(stop, Sequence):
        named = [(f"stop[{index}]", item) for index, item in enumerate(stop)]
    else:
        raise _refusal("stop", stop, "str, bytes or a sequence of them")
    strings = []
    for name, item in named:
        data = as_bytes(item, name=name)
        if not data:
            raise _refusal(name, item, "a non-empty string (an empty one would stop at once)")
        strings.append(data)
    return tuple(dict.fromkeys(strings))
