"""Filling a gap between two texts, with models trained for it and with any others.

*Trained models* read prefix and suffix in their family's layout (`fim_formats.py`) and generate the
middle until they end it. The place where generation begins is the end of an open text, so it is
healed exactly (`token_generation.py`): behind the prefix in the order "spm", behind what was typed
since in either order. The end of the middle is the model's own end-of-middle token, which here is
the end of the text.

*Other models* only go on from a prefix. Middles drawn so have the law P(middle | prefix); what is
wanted has P(middle | prefix, suffix), which is that times P(suffix | prefix + middle), normalized.
So several are drawn, and each of their beginnings at a token's end (a middle may end anywhere) is
weighed by the byte-exact probability of the suffix behind it, as often as it was drawn. The
heaviest, or one drawn by weight, is the answer: sampling-importance-resampling (Rubin 1987). As
the number of draws grows, the law of the one drawn becomes the wanted one, with all ends of a draw
alike beforehand. A draw that came to the suffix's first line by itself ends there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import numpy as np

from nextbyte.audits.targets import require_canonical
from nextbyte.byte_lm import ByteLM
from nextbyte.errors import InvalidInputError
from nextbyte.fim_formats import FimFormat, find_fim_format
from nextbyte.sampling import ByteStreamIterator
from nextbyte.sampling.batch_sampler import sample_batch
from nextbyte.sampling.token_generation import make_sampler
from nextbyte.sampling.warping import SamplingParams
from nextbyte.text_input import as_bytes
from nextbyte.text_weights import continuation_logprobs

if TYPE_CHECKING:
    import builtins
    from collections.abc import Sequence

    from nextbyte.fim_formats import FimOrder
    from nextbyte.sampling.generation import FinishReason, Generation
    from nextbyte.segments import Segment

__all__ = ["Infill", "InfillCandidate", "infill"]

_REPEATED: Final = 8
"""Bytes of the suffix's first line, without blanks around it, that are not repeated by chance."""

_WEIGHED: Final = 64
"""Middles that are weighed at most: those drawn most often, the shortest among them."""

Choice: TypeAlias = Literal["best", "sample"]
"""Which of the weighed middles is the answer."""


@dataclass(frozen=True, slots=True)
class InfillCandidate:
    """A middle that was weighed.

    Attributes
    ----------
    bytes : bytes
    suffix_logprob : float
        Natural log P(the suffix's beginning | prefix, middle).
    log_weight : float
        Of that and of how often the middle was drawn, normalized over all candidates.
    """

    bytes: builtins.bytes
    suffix_logprob: float
    log_weight: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Infill:
    """What was put into the gap.

    Attributes
    ----------
    bytes : bytes
        What comes behind what was typed.
    typed : bytes
        What the middle began with.
    finish_reason : {"stop", "length", "end_of_text"}
        "end_of_text": the model ended the middle. "stop" also where it was cut to meet the suffix.
    format : str or None
        The family of the layout; None where middles were weighed.
    order : {"psm", "spm"} or None
    candidates : tuple of InfillCandidate
        What was weighed, the most often drawn first; empty for trained models.
    generation : Generation
        How it was drawn; `bytes` may be a beginning of what that has.
    lm_evaluations : int
        Rows of logits in all.
    """

    bytes: builtins.bytes
    typed: builtins.bytes
    finish_reason: FinishReason
    format: str | None
    order: FimOrder | None
    candidates: tuple[InfillCandidate, ...]
    generation: Generation
    lm_evaluations: int

    @property
    def middle(self) -> builtins.bytes:
        """All of the middle: what was typed, and what follows."""
        return self.typed + self.bytes

    @property
    def text(self) -> str:
        """The bytes as text, ill-formed ones replaced."""
        return self.bytes.decode("utf-8", "replace")


def infill(
    lm: ByteLM,
    prefix: str | bytes,
    suffix: str | bytes,
    params: SamplingParams | None = None,
    *,
    typed: str | bytes = b"",
    format: str | None = None,  # noqa: A002 - the field's word
    order: FimOrder | None = None,
    path: str | bytes = b"",
    repository: str | bytes = b"",
    files: Sequence[tuple[str | bytes, str | bytes]] = (),
    candidates: int = 8,
    choose: Choice = "best",
    suffix_bytes: int = 64,
) -> Infill:
    r"""Fill the gap between two texts.

    Parameters
    ----------
    lm : ByteLM
    prefix, suffix : str or bytes
        The text before and after the gap. Each may be cut anywhere; what a trained model reads as
        complete (`fim_formats.py`: the suffix, in "psm" the prefix) must be whole characters.
    params : SamplingParams, optional
        How the middle is drawn. Its stop strings end it; so does the suffix's first line, where
        that is longer than a few bytes.
    typed : str or bytes
        What the middle begins with: bytes typed since prefix and suffix were cut. These then stay
        as the model has read them.
    format : str, optional
        A family of `fim_formats.FIM_FORMATS`, or "none" to weigh middles with any model. By
        default what the tokenizer's own special tokens say.
    order : {"psm", "spm"}, optional
        By default the family's usual one.
    path, repository, files
        Where the family has a place for them: of this file, and path and content of others.
    candidates, choose, suffix_bytes
        For models that were not trained to infill: how many middles to draw, which to return (the
        heaviest, or one drawn by weight), by how many bytes of the suffix.

    Raises
    ------
    InvalidInputError
        An argument is out of range, or the family has no such order or no place for other files.
    UnreachableByteError
        No text that the tokenizer encodes has these bytes.
    BackendError
        The model failed.

    Examples
    --------
    >>> import nextbyte as nb
    >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
    >>> params = nb.SamplingParams(seed=0, max_bytes=12)
    >>> found = nb.infill(lm, "The capital of Ger", " is Berlin, on the Spree.", params)
    >>> found.middle, found.format
    (b'many', None)
    """
    if not isinstance(lm, ByteLM):
        raise InvalidInputError(f"infill needs a ByteLM, not {type(lm).__name__}")
    params = SamplingParams() if params is None else params
    known = None
    if format != "none":
        tokens = lm.tokenizer.special_tokens | {
            word.decode("utf-8", "replace"): token
            for word, token in lm.tokenizer.added_words.items()
        }
        known = find_fim_format(tokens, format)
    before, after = as_bytes(prefix, name="prefix"), as_bytes(suffix, name="suffix")
    own = as_bytes(typed, name="typed")
    params = _until_the_suffix(params, after)
    if known is not None:
        segments = known.segments(
            before, after, order=order, typed=own, path=path, repository=repository, files=files
        )
        order = order or known.spelling.orders[0]
        return _by_format(lm, known=known, order=order, segments=segments, typed=own, params=params)
    if order is not None or path or repository or files:
        raise InvalidInputError(
            "the model's tokenizer has no tokens for infilling, so there are no order, no paths "
            "and no other files"
        )
    if candidates < 1 or suffix_bytes < 0:
        raise InvalidInputError(
            f"candidates must be at least 1 and suffix_bytes at least 0, not {candidates} and "
            f"{suffix_bytes}"
        )
    if choose not in ("best", "sample"):
        raise InvalidInputError(f'choose must be "best" or "sample", not {choose!r:.80}')
    return _by_weight(
        lm,
        prefix=before + own,
        suffix=after[:suffix_bytes],
        typed=own,
        params=params,
        count=candidates,
        choose=choose,
    )


def _until_the_suffix(params: SamplingParams, suffix: bytes) -> SamplingParams:
    """Have the middle end where it begins to repeat the suffix."""
    line = suffix.lstrip().split(b"\n")[0].rstrip()
    if len(line) < _REPEATED:
        return params
    return replace(params, stop=(*params.stop_strings, line))


def _by_format(
    lm: ByteLM,
    *,
    known: FimFormat,
    order: FimOrder,
    segments: Sequence[Segment],
    typed: bytes,
    params: SamplingParams,
) -> Infill:
    """Have a trained model generate the middle."""
    # A token with bytes is a word of texts (`Tokenizer.added_words`): they may go on through it.
    ends = dict.fromkeys((*lm.end_tokens, *known.end_tokens))
    ends = {end: None for end in ends if not lm.tokenizer.token_bytes(end)}
    open_text = as_bytes(cast("bytes", segments[-1]), name="prefix")
    sampler = make_sampler(
        lm,
        lambda: lm.start(segments=segments, end_tokens=ends),
        open_text,
        params,
        "replace",
    )
    chunks = ByteStreamIterator(sampler)
    for _ in chunks:
        pass
    generation = chunks.result
    return Infill(
        bytes=generation.bytes,
        typed=typed,
        finish_reason=generation.finish_reason,
        format=known.name,
        order=order,
        candidates=(),
        generation=generation,
        lm_evaluations=generation.lm_evaluations,
    )


def _by_weight(
    lm: ByteLM,
    *,
    prefix: bytes,
    suffix: bytes,
    typed: bytes,
    params: SamplingParams,
    count: int,
    choose: Choice,
) -> Infill:
    """Draw middles, and weigh their beginnings by the suffix behind each."""
    require_canonical(lm.target, "weighing middles")
    random = np.random.default_rng(params.seed)
    each = [replace(params, seed=int(random.integers(2**63))) for _ in range(count)]
    drawn = sample_batch(lm, [prefix] * count, each, "replace", lambda _: None)
    evaluations = sum(generation.lm_evaluations for generation in drawn)
    found: dict[bytes, int] = {}
    for generation in drawn:
        for end in _ends(lm, generation):
            middle = generation.bytes[:end]
            found[middle] = found.get(middle, 0) + 1
    middles = sorted(found, key=lambda middle: (-found[middle], len(middle), middle))[:_WEIGHED]
    logprobs, rows = continuation_logprobs(
        lm.start(prefix, tolerance=0.0), [(middle, suffix) for middle in middles]
    )
    evaluations += rows
    logs = logprobs + np.log([found[middle] for middle in middles])
    if np.max(logs) == -np.inf:  # the suffix fits behind none of them
        logs = np.zeros(len(middles))
    logs -= np.max(logs)
    logs -= np.log(np.sum(np.exp(logs)))
    place = int(np.argmax(logs))
    if choose == "sample":
        cumulative = np.cumsum(np.exp(logs))
        place = int(np.searchsorted(cumulative, random.random() * cumulative[-1], side="right"))
    generation = next(g for g in drawn if g.bytes.startswith(middles[place]))
    whole = next((g for g in drawn if g.bytes == middles[place]), None)
    return Infill(
        bytes=middles[place],
        typed=typed,
        finish_reason="stop" if whole is None else whole.finish_reason,
        format=None,
        order=None,
        candidates=tuple(
            InfillCandidate(middle, float(logprob), float(weight))
            for middle, logprob, weight in zip(middles, logprobs, logs, strict=True)
        ),
        generation=whole or generation,
        lm_evaluations=evaluations,
    )


def _ends(lm: ByteLM, generation: Generation) -> list[int]:
    """Return where a drawn middle may end: where it did, if it came to the suffix by itself.

    Else behind each token, or each byte where bytes were drawn; the empty middle too.
    """
    size = len(generation.bytes)
    if generation.finish_reason != "length":
        return [size]
    if generation.cover is None:
        return list(range(size + 1))
    lengths = [len(lm.tokenizer.token_bytes(token)) for token in generation.token_ids]
    ends = np.cumsum([len(generation.cover.overhang), *lengths])
    return sorted({0, size, *(int(end) for end in ends if end < size)})
