"""`ByteLM`: a tokenizer and a language model over tokens, seen as an exact model over bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nextbyte import _core
from nextbyte.audits.states import AuditStates
from nextbyte.audits.targets import DEFAULT_EVALUATIONS_PER_BYTE, Target, TargetOptions
from nextbyte.backends import FunctionBackend, TransformersBackend
from nextbyte.byte_lm_state import ByteLMState, next_byte_rows
from nextbyte.byte_model import ALPHABET_SIZE
from nextbyte.errors import InvalidInputError, UnsupportedTokenizerError
from nextbyte.look_ahead import checked_share
from nextbyte.models.resolve import resolve_model
from nextbyte.segments import close_segments
from nextbyte.state_codec import decode_state
from nextbyte.text_input import as_bytes
from nextbyte.token_choice import FROM_BACKEND, FromBackend, checked_tokens
from nextbyte.tokenizer import Tokenizer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from nextbyte.backends import Backend, Branch
    from nextbyte.lineage import Evaluated
    from nextbyte.segments import Segment


_ROWS_BYTES: Final = 1 << 27  # of one batch of states: a row of logits and a row of masses each
_MOST_STATES: Final = 256  # of one batch: more make a forward pass no faster
_EXTRA_TOKENS: Final = 2  # of a context: the start token, and the lead of some tokenizers


class ByteLM:
    """An exact model over bytes, made of a tokenizer and a language model over its tokens.

    The law is that of local renormalization over prefix-canonical sequences: the language model's
    probabilities of tokens that cannot follow in any text's encoding are taken out and the rest is
    scaled up; P(bytes) is then the sum over the cover encodings of the bytes (Phan et al.,
    arXiv 2410.09303). END_OF_TEXT has the probability of the model's end tokens, where the text may
    end. Every other special token has none.

    Parameters
    ----------
    tokenizer : Tokenizer
        The tokenizer the model was trained with.
    backend : Backend
        The language model.
    start_token : int or None, optional
        The token each text starts with; None for none. By default the backend's.
    end_tokens : iterable of int, optional
        The tokens that mean END_OF_TEXT. By default the backend's.
    tolerance : float, optional
        0 <= tolerance < 1. By default 0.0: every law is exact. Above it, contexts that matter
        little are not evaluated, and every law is within `tolerance` of the exact one in total
        variation; the state's `bound` certifies by how much.
    look_ahead : float or None, optional
        Where a token has at least this share of the mass (over 1/2), its context is evaluated along
        with what is needed: fewer passes, more rows, the same laws. By default None: never.
    target : {"canonical", "raw", "segmentations"}, default "canonical"
        Another law than the above, for audits (docs/theory.md 13). "raw": nothing is scaled up, so
        laws sum to 1 - `state.defect`; `start` returns a `RawState`. "segmentations": the sum over
        all token sequences that spell the bytes; it is not found whole, but bounded, within
        `tolerance` if possible; `start` returns a `SegmentationsState`.
    max_evaluations_per_byte : int or None, default 64
        Of "segmentations": stop there, whatever the bound is. None: time may grow exponentially.

    Raises
    ------
    InvalidInputError
        The model's rows are narrower than the vocabulary, or a start or end token is out of range,
        or an end token is an ordinary token; an unknown target, or an option out of range.
    UnsupportedTokenizerError
        Target "raw" and a tokenizer whose covers are only validated.

    Examples
    --------
    >>> import nextbyte as nb
    >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
    >>> state = lm.start("An apple a day keeps the doc")
    >>> bytes([state.next_byte_logprobs().argmax()])
    b't'
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        backend: Backend,
        *,
        start_token: int | FromBackend | None = FROM_BACKEND,
        end_tokens: Iterable[int] | FromBackend = FROM_BACKEND,
        tolerance: float = 0.0,
        look_ahead: float | None = None,
        target: Target = "canonical",
        max_evaluations_per_byte: int | None = DEFAULT_EVALUATIONS_PER_BYTE,
    ) -> None:
        self._options = TargetOptions(target, tolerance, max_evaluations_per_byte)
        self._options.require_support(is_witnessed=tokenizer.compiled.is_witnessed)
        # Special tokens behind the row's end are no loss: Gemma's files have one.
        if backend.vocab_size < tokenizer.compiled.row_size:
            raise InvalidInputError(
                f"the model's rows have {backend.vocab_size} logits, but the tokenizer has "
                f"{tokenizer.compiled.row_size} tokens: they do not belong together"
            )
        if isinstance(start_token, FromBackend):
            start_token = getattr(backend, "start_token", None)
        if isinstance(end_tokens, FromBackend):
            end_tokens = getattr(backend, "end_tokens", ())
        self.tokenizer = tokenizer
        self.backend = backend
        start = () if start_token is None else (start_token,)
        self._start = checked_tokens(start, "start", backend.vocab_size)
        self.end_tokens = checked_tokens(end_tokens, "end", backend.vocab_size)
        self.look_ahead = checked_share(look_ahead)
        self._audits = AuditStates(self)
        self._stream(self.tolerance)  # checks the end tokens now

    @property
    def start_token(self) -> int | None:
        """The token that each text starts with, None for none."""
        return self._start[0] if self._start else None

    @property
    def target(self) -> Target:
        """Which law the states have."""
        return self._options.target

    @property
    def tolerance(self) -> float:
        """The greatest total variation distance that a law may have from the exact one."""
        return self._options.tolerance

    @classmethod
    def from_function(
        cls,
        tokenizer: Tokenizer,
        fn: Callable[[list[list[int]]], Any],
        *,
        start_token: int | None = None,
        end_tokens: Sequence[int] = (),
        tolerance: float = 0.0,
        look_ahead: float | None = None,
        target: Target = "canonical",
        max_evaluations_per_byte: int | None = DEFAULT_EVALUATIONS_PER_BYTE,
    ) -> ByteLM:
        """Make a byte model from any function of token contexts.

        Parameters
        ----------
        tokenizer
            The tokenizer of the model behind `fn`.
        fn
            Maps n token contexts (start token included) to logits of shape (n, vocab), float16,
            float32 or float64.
        start_token, end_tokens
            The model's own special tokens, if it has any.
        tolerance, look_ahead, target, max_evaluations_per_byte
            As for `ByteLM`.

        Examples
        --------
        >>> import numpy as np
        >>> import nextbyte as nb
        >>> tok = nb.Tokenizer.from_pretrained("smollm2-135m")
        >>> def uniform(contexts):
        ...     return np.zeros((len(contexts), tok.vocab_size), np.float32)
        >>> lm = nb.ByteLM.from_function(tok, uniform)
        >>> bool(abs(np.exp(lm.start(b"he").next_byte_logprobs()).sum() - 1) < 1e-12)
        True
        """
        backend = FunctionBackend(
            fn, vocab_size=None, start_token=start_token, end_tokens=tuple(end_tokens)
        )
        return cls(
            tokenizer,
            backend,
            tolerance=tolerance,
            look_ahead=look_ahead,
            target=target,
            max_evaluations_per_byte=max_evaluations_per_byte,
        )

    @classmethod
    def from_pretrained(
        cls,
        path_or_name: str | os.PathLike[str],
        *,
        ignore_added_words: bool = False,
        tolerance: float = 0.0,
        look_ahead: float | None = None,
        target: Target = "canonical",
        max_evaluations_per_byte: int | None = DEFAULT_EVALUATIONS_PER_BYTE,
        **options: Any,  # noqa: ANN401
    ) -> ByteLM:
        """Load tokenizer and model.

        Parameters
        ----------
        path_or_name
            A transformers directory, the name of an embedded model ("smollm2-135m"), or a name on
            the Hugging Face hub.
        ignore_added_words
            As for `Tokenizer.from_file`.
        tolerance, look_ahead, target, max_evaluations_per_byte
            As for `ByteLM`.
        options
            For `TransformersBackend.from_pretrained`, `dtype` for example.

        Raises
        ------
        UnsupportedTokenizerError
            The tokenizer is of no exact kind, or encodes other tokens than its own library.

        Examples
        --------
        >>> import nextbyte as nb
        >>> nb.ByteLM.from_pretrained("smollm2-135m").tokenizer.vocab_size
        49152
        """
        directory = resolve_model(path_or_name)
        tokenizer = Tokenizer.from_file(directory, ignore_added_words=ignore_added_words)
        tokenizer.verify()
        if tokenizer.exactness == "refuted":
            raise UnsupportedTokenizerError(f"{directory}: {tokenizer.report().why}")
        backend = TransformersBackend.from_pretrained(directory, **options)
        return cls(
            tokenizer,
            backend,
            tolerance=tolerance,
            look_ahead=look_ahead,
            target=target,
            max_evaluations_per_byte=max_evaluations_per_byte,
        )

    def start(
        self,
        prompt: str | bytes = b"",
        *,
        segments: Sequence[Segment] | None = None,
        bos: int | FromBackend | None = FROM_BACKEND,
        end_tokens: Iterable[int] | None = None,
        tolerance: float | None = None,
    ) -> ByteLMState:
        """Return a state after `prompt`, which may end anywhere, even inside a character.

        With another target than "canonical" it is a `RawState` or a `SegmentationsState`.

        Parameters
        ----------
        prompt
            Ordinary text or bytes; the spelling of a special token in it is ordinary text too.
            Where the tokenizer normalizes texts (NFC), the state's `prefix` is the normalized
            prompt; bytes pushed later are taken as they are.
        segments
            Instead of a prompt: texts, and between them special tokens by id, one or a sequence of
            them. A text before a special token is complete, and so is read as its own encoding; the
            last text is open, as a prompt is. The state's `prefix` and `logprob` are those of the
            open text, given all that is before it.
        bos
            The token before all of that instead of `start_token`; None for none.
        end_tokens
            The tokens that mean END_OF_TEXT instead of the model's own.
        tolerance
            Of this state and its forks, instead of the model's own.

        Raises
        ------
        UnreachableByteError
            No text that the tokenizer encodes starts with these bytes (invalid UTF-8, or a byte
            that has no token); it names the position.
        InvalidInputError
            A lone surrogate in a `str`, or a tolerance outside [0, 1); a segment that is neither
            text nor special tokens, or a closed one that is no complete text.

        Examples
        --------
        >>> import nextbyte as nb
        >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
        >>> turn, end = 1, 2  # <|im_start|>, <|im_end|>
        >>> state = lm.start(segments=[turn, "user <|im_end|>", end, turn, "as"])
        >>> state.prefix, state.start_tokens[:3]
        (b'as', (0, 1, 4093))
        """
        width = self.backend.vocab_size
        before = self._start
        if not isinstance(bos, FromBackend):
            before = checked_tokens(() if bos is None else (bos,), "start", width)
        options = self._options.with_tolerance(tolerance)
        ends = self.end_tokens
        if end_tokens is not None:
            ends = checked_tokens(end_tokens, "end", width)
        text = as_bytes(prompt, name="prompt")
        if segments is not None:
            if text:
                raise InvalidInputError("give a prompt or segments, not both")
            closed, text = close_segments(self.tokenizer, segments)
            before += checked_tokens(closed, "segment's", width)
        stream = self._stream(options.stream_tolerance, ends)
        state = (
            ByteLMState(self, stream, before, self.look_ahead)
            if self.target == "canonical"
            else self._audits.make(stream, before, ends, options)
        )
        state.push(self.tokenizer.normalize(text))
        return state

    def restore(self, data: bytes) -> ByteLMState:
        """Return the state that `ByteLMState.to_bytes` saved, perhaps in another process.

        Its laws are those of this model; contexts are evaluated when they are first needed.

        Raises
        ------
        InvalidInputError
            The bytes are no saved state, damaged, of another version, or of a model with another
            tokenizer.
        UnreachableByteError
            The prefix cannot be read here: the tokens are the same, but not how text is split.

        Examples
        --------
        >>> import nextbyte as nb
        >>> lm = nb.ByteLM.from_pretrained("smollm2-135m")
        >>> saved = lm.start("An apple a day").to_bytes()
        >>> lm.restore(saved).prefix
        b'An apple a day'
        """
        saved = decode_state(data)
        saved.require_tokenizer(self.tokenizer.fingerprint)
        if self.target != "canonical":
            raise InvalidInputError(f"states of target {self.target!r} are not restored")
        stream = self._stream(
            self._options.with_tolerance(saved.tolerance).tolerance, saved.end_tokens
        )
        start = checked_tokens(saved.start_tokens, "start", self.backend.vocab_size)
        state = ByteLMState(self, stream, start, self.look_ahead)
        state.push(saved.prefix)  # as it is: it was normalized when it was a prompt
        return state

    def next_byte_logprobs(self, states: Sequence[ByteLMState]) -> NDArray[np.float64]:
        """Return the laws of the next byte of many states, shape (n, 257), from one batch.

        Raises
        ------
        BackendError, InvalidInputError
            The model failed, or gave a row that is no distribution (NaN, all -inf).
        """
        for state in states:
            if not isinstance(state, ByteLMState):
                raise InvalidInputError(f"states must come from start(), not {state!r:.80}")
            if not state.belongs_to(self):
                raise InvalidInputError("a state belongs to another ByteLM; ask that one")
        if self.target != "canonical":
            rows = [state.next_byte_logprobs() for state in states]
            return np.stack(rows) if rows else np.empty((0, ALPHABET_SIZE))
        return next_byte_rows(states)

    @property
    def states_at_once(self) -> int:
        """How many consecutive states to ask together: their rows take 128 MiB or less.

        One for audits, whose states are asked one by one and go on best from the last that was.
        """
        if self.target != "canonical":
            return 1
        return max(1, min(_MOST_STATES, _ROWS_BYTES // (8 * self.backend.vocab_size)))

    @property
    def max_text_bytes(self) -> int | None:
        """Length up to which no text can be too long for the model, None where there is no limit.

        A context has at most one token for each byte; most texts several times as long fit too.
        """
        limit: int | None = getattr(self.backend, "max_context_tokens", None)
        return None if limit is None else max(0, limit - _EXTRA_TOKENS)

    def extend(self, requests: Sequence[tuple[Evaluated | None, list[int]]]) -> list[Branch]:
        """Evaluate contexts below evaluated ones in one batch (for `ByteLMState`)."""
        return self.backend.extend(
            [(None if nearest is None else nearest.branch, tokens) for nearest, tokens in requests]
        )

    def _stream(self, tolerance: float, ends: Sequence[int] | None = None) -> _core.ByteStream:
        ends = self.end_tokens if ends is None else ends
        return _core.ByteStream(self.tokenizer.compiled, list(ends), tolerance)

    def __repr__(self) -> str:
        return f"ByteLM({self.tokenizer!r}, {type(self.backend).__name__})"
