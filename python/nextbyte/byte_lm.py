"""`ByteLM`: a tokenizer and a language model over tokens, seen as an exact model over bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nextbyte import _core
from nextbyte.backends import FunctionBackend, TransformersBackend
from nextbyte.byte_lm_state import ByteLMState, Evaluated, next_byte_rows
from nextbyte.byte_model import ALPHABET_SIZE
from nextbyte.errors import InvalidInputError, UnsupportedTokenizerError
from nextbyte.models.resolve import resolve_model
from nextbyte.raw_state import RawState
from nextbyte.segmentations_state import SegmentationsState
from nextbyte.targets import DEFAULT_EVALUATIONS_PER_BYTE, Target, TargetOptions
from nextbyte.text_input import as_bytes
from nextbyte.token_byte_arrays import TokenByteArrays
from nextbyte.tokenizer import Tokenizer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from nextbyte.backends import Backend, Branch


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
    target : {"canonical", "raw", "segmentations"}, default "canonical"
        Another law than the above, for audits (docs/theory.md 12). "raw": nothing is scaled up, so
        laws sum to 1 - `state.defect`; `start` returns a `RawState`. "segmentations": the sum over
        all token sequences that spell the bytes; it is not found whole, but bounded: `start`
        returns a `SegmentationsState`.
    tolerance : float, default 0.0
        Of "segmentations": contexts are expanded until `state.bound` is at most this.
    max_evaluations_per_byte : int or None, default 64
        Of "segmentations": stop there, whatever the bound is by then. None for no limit, which
        takes time exponential in the length of the text if the tolerance is small.

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
        start_token: int | _FromBackend | None = FROM_BACKEND,
        end_tokens: Iterable[int] | _FromBackend = FROM_BACKEND,
        target: Target = "canonical",
        tolerance: float = 0.0,
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
        if isinstance(start_token, _FromBackend):
            start_token = getattr(backend, "start_token", None)
        if isinstance(end_tokens, _FromBackend):
            end_tokens = getattr(backend, "end_tokens", ())
        self.tokenizer = tokenizer
        self.backend = backend
        self.start_token = self._checked_start(start_token)
        self.end_tokens = tuple(self._checked(token, "end") for token in end_tokens)
        _core.ByteStream(tokenizer.compiled, list(self.end_tokens))  # checks the end tokens now
        self._token_bytes: TokenByteArrays | None = None  # for audits, made when asked for

    @property
    def target(self) -> Target:
        """Which law the states have."""
        return self._options.target

    @classmethod
    def from_function(
        cls,
        tokenizer: Tokenizer,
        fn: Callable[[list[list[int]]], Any],
        *,
        start_token: int | None = None,
        end_tokens: Sequence[int] = (),
        target: Target = "canonical",
        tolerance: float = 0.0,
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
        target, tolerance, max_evaluations_per_byte
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
            target=target,
            tolerance=tolerance,
            max_evaluations_per_byte=max_evaluations_per_byte,
        )

    @classmethod
    def from_pretrained(
        cls,
        path_or_name: str | os.PathLike[str],
        *,
        ignore_added_words: bool = False,
        target: Target = "canonical",
        tolerance: float = 0.0,
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
        target, tolerance, max_evaluations_per_byte
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
        return cls(
            tokenizer,
            TransformersBackend.from_pretrained(directory, **options),
            target=target,
            tolerance=tolerance,
            max_evaluations_per_byte=max_evaluations_per_byte,
        )

    def start(
        self, prompt: str | bytes = b"", *, bos: int | _FromBackend | None = FROM_BACKEND
    ) -> ByteLMState:
        """Return a state after `prompt`, which may end anywhere, even inside a character.

        With another target than "canonical" it is a `RawState` or a `SegmentationsState`.

        Parameters
        ----------
        prompt
            Ordinary text or bytes; the spelling of a special token in it is ordinary text too.
            Where the tokenizer normalizes texts (NFC), the state's `prefix` is the normalized
            prompt; bytes pushed later are taken as they are.
        bos
            The token before the text instead of `start_token`; None for none.

        Raises
        ------
        UnreachableByteError
            No text that the tokenizer encodes starts with these bytes (invalid UTF-8, or a byte
            that has no token); it names the position.
        InvalidInputError
            A lone surrogate in a `str`.
        """
        start_token = (
            self.start_token if isinstance(bos, _FromBackend) else self._checked_start(bos)
        )
        stream = _core.ByteStream(self.tokenizer.compiled, list(self.end_tokens))
        data = self.tokenizer.normalize(as_bytes(prompt, name="prompt"))
        state = self._new_state(stream, start_token)
        state.push(data)
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

    def extend(self, requests: Sequence[tuple[Evaluated | None, list[int]]]) -> list[Branch]:
        """Evaluate contexts below evaluated ones in one batch (for `ByteLMState`)."""
        return self.backend.extend(
            [(None if nearest is None else nearest.branch, tokens) for nearest, tokens in requests]
        )

    def _new_state(self, stream: _core.ByteStream, start_token: int | None) -> ByteLMState:
        if self.target == "canonical":
            return ByteLMState(self, stream, start_token)
        if self._token_bytes is None:
            known = min(self.tokenizer.vocab_size, self.backend.vocab_size)
            self._token_bytes = TokenByteArrays(
                [self.tokenizer.token_bytes(token) for token in range(known)]
            )
        if self.target == "raw":
            return RawState(
                self,
                stream,
                start_token,
                backend=self.backend,
                end_tokens=self.end_tokens,
                token_bytes=self._token_bytes,
            )
        return SegmentationsState(
            self,
            stream,
            start_token,
            backend=self.backend,
            end_tokens=self.end_tokens,
            token_bytes=self._token_bytes,
            options=self._options,
        )

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
