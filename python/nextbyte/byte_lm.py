"""`ByteLM`: a tokenizer and a language model over tokens, seen as an exact model over bytes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nextbyte import _core
from nextbyte.backends import FunctionBackend, TransformersBackend
from nextbyte.byte_lm_state import ByteLMState, Evaluated, next_byte_rows
from nextbyte.errors import InvalidInputError, UnsupportedTokenizerError
from nextbyte.look_ahead import checked_share
from nextbyte.models.resolve import resolve_model
from nextbyte.segments import close_segments
from nextbyte.state_codec import SavedState, decode_state, encode_state
from nextbyte.text_input import as_bytes
from nextbyte.tokenizer import Tokenizer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from nextbyte.backends import Backend, Branch
    from nextbyte.segments import Segment


class _FromBackend:
    """The type of the default of `start_token` and `end_tokens`: what the backend names."""

    def __repr__(self) -> str:
        return "FROM_BACKEND"


FROM_BACKEND: Final = _FromBackend()
"""Take the start token or the end tokens from the backend."""


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
        with what is needed: fewer passes, more rows, the same laws. For models whose pass costs
        the same for a row more. By default None: never.

    Raises
    ------
    InvalidInputError
        The model's rows are narrower than the vocabulary, or a start or end token is out of range,
        or an end token is an ordinary token, or the tolerance or look_ahead is none.

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
        start_token: int | _FromBackend | None = FROM_BACKEND,
        end_tokens: Iterable[int] | _FromBackend = FROM_BACKEND,
        tolerance: float = 0.0,
        look_ahead: float | None = None,
    ) -> None:
        # Special tokens behind the row's end are no loss: Gemma's files have one.
        if backend.vocab_size < tokenizer.compiled.row_size:
            raise InvalidInputError(
                f"the model's rows have {backend.vocab_size} logits, but the tokenizer has "
                f"{tokenizer.compiled.row_size} tokens: they do not belong together"
            )
        if isinstance(start_token, _FromBackend):
            start_token = getattr(backend, "start_token", None)
        if isinstance(end_tokens, _FromBackend):
            end_tokens = getattr(backend, "end_tokens", ())
        self.tokenizer = tokenizer
        self.backend = backend
        self.start_token = self._checked_start(start_token)
        self.end_tokens = tuple(self._checked(token, "end") for token in end_tokens)
        self.tolerance = self._checked_tolerance(tolerance)
        self.look_ahead = checked_share(look_ahead)
        self._stream(self.tolerance)  # checks the end tokens now

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
        tolerance, look_ahead
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
        return cls(tokenizer, backend, tolerance=tolerance, look_ahead=look_ahead)

    @classmethod
    def from_pretrained(
        cls,
        path_or_name: str | os.PathLike[str],
        *,
        ignore_added_words: bool = False,
        tolerance: float = 0.0,
        look_ahead: float | None = None,
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
        tolerance, look_ahead
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
        return cls(tokenizer, backend, tolerance=tolerance, look_ahead=look_ahead)

    def start(
        self,
        prompt: str | bytes = b"",
        *,
        segments: Sequence[Segment] | None = None,
        bos: int | _FromBackend | None = FROM_BACKEND,
        end_tokens: Iterable[int] | None = None,
        tolerance: float | None = None,
    ) -> ByteLMState:
        """Return a state after `prompt`, which may end anywhere, even inside a character.

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
        start_token = (
            self.start_token if isinstance(bos, _FromBackend) else self._checked_start(bos)
        )
        stream = self._stream(
            self.tolerance if tolerance is None else self._checked_tolerance(tolerance),
            None if end_tokens is None else [self._checked(token, "end") for token in end_tokens],
        )
        before: tuple[int, ...] = () if start_token is None else (start_token,)
        text = as_bytes(prompt, name="prompt")
        if segments is not None:
            if text:
                raise InvalidInputError("give a prompt or segments, not both")
            closed, text = close_segments(self.tokenizer, segments)
            before += tuple(self._checked(token, "segment's") for token in closed)
        state = ByteLMState(self, stream, before, self.look_ahead)
        stream.push(self.tokenizer.normalize(text))
        return state

    def restore(self, data: bytes) -> ByteLMState:
        """Return the state that `ByteLMState.to_bytes` saved, perhaps in another process.

        Its laws are those of this model; contexts are evaluated when they are first needed.

        Raises
        ------
        InvalidInputError
            The bytes are no saved state, damaged, of another version, or of a model with another
            tokenizer or other end tokens.
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
        if saved.fingerprint.hex() != self.tokenizer.fingerprint:
            raise InvalidInputError(
                "the state was saved with another tokenizer (fingerprint "
                f"{saved.fingerprint.hex()[:12]}, here {self.tokenizer.fingerprint[:12]}): restore "
                "it with a model that has the same"
            )
        if saved.end_tokens != self.end_tokens:
            raise InvalidInputError(
                f"the state was saved with the end tokens {list(saved.end_tokens)}, this model has "
                f"{list(self.end_tokens)}: make it with end_tokens=..."
            )
        before = tuple(self._checked(token, "start") for token in saved.start_tokens)
        state = ByteLMState(self, self._stream(self.tolerance), before, self.look_ahead)
        state.push(saved.prefix)  # as it is: it was normalized when it was a prompt
        return state

    def saved(
        self, prefix: bytes, start_tokens: tuple[int, ...], end_tokens: tuple[int, ...]
    ) -> bytes:
        """Return a saved state of this model (for `ByteLMState.to_bytes`)."""
        fingerprint = bytes.fromhex(self.tokenizer.fingerprint)
        return encode_state(SavedState(fingerprint, start_tokens, end_tokens, prefix))

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
        return next_byte_rows(states)

    def extend(self, requests: Sequence[tuple[Evaluated | None, list[int]]]) -> list[Branch]:
        """Evaluate contexts below evaluated ones in one batch (for `ByteLMState`)."""
        return self.backend.extend(
            [(None if nearest is None else nearest.branch, tokens) for nearest, tokens in requests]
        )

    def _stream(self, tolerance: float, ends: list[int] | None = None) -> _core.ByteStream:
        ends = list(self.end_tokens) if ends is None else ends
        return _core.ByteStream(self.tokenizer.compiled, ends, tolerance)

    @staticmethod
    def _checked_tolerance(tolerance: float) -> float:
        try:
            value = float(tolerance)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not 0.0 <= value < 1.0:
            raise InvalidInputError(
                f"tolerance must be a number with 0 <= tolerance < 1, not {tolerance!r:.80}: it "
                "bounds a total variation distance"
            )
        return value

    def _checked_start(self, token: int | None) -> int | None:
        return None if token is None else self._checked(token, "start")

    def _checked(self, token: int, name: str) -> int:
        if isinstance(token, bool) or not isinstance(token, (int, np.integer)):
            raise InvalidInputError(f"the {name} token must be a token id, not {token!r:.80}")
        if not 0 <= token < self.backend.vocab_size:
            raise InvalidInputError(
                f"{name} token {token} is outside the model's {self.backend.vocab_size} logits"
            )
        return int(token)

    def __repr__(self) -> str:
        return f"ByteLM({self.tokenizer!r}, {type(self.backend).__name__})"
