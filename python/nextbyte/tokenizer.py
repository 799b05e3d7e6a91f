"""`Tokenizer`: a real model's tokenizer, compiled for exact covers of byte prefixes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nextbyte.compiling import compile_tokenizer
from nextbyte.description_cache import described
from nextbyte.errors import InvalidInputError, TokenizerFormatError
from nextbyte.formats import load_any
from nextbyte.formats.gguf import load_gguf
from nextbyte.formats.tekken import load_tekken
from nextbyte.formats.tiktoken import load_tiktoken
from nextbyte.models.resolve import resolve_model
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from nextbyte import _core
    from nextbyte.formats.description import TokenizerDescription

Exactness = Literal["exact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerReport:
    """What was compiled. Counts are of tokens, classes, states; see the field names."""

    source: str
    family: str
    exactness: Exactness
    vocabulary_size: int
    reachable_tokens: int
    special_tokens: dict[str, int]
    missing_bytes: bytes
    stages: list[str]
    character_classes: int
    automaton_states: int
    automaton_subsets: int


class Tokenizer:
    """A byte-level BPE tokenizer with its exact cover encodings.

    Immutable and safe to share between threads. Text is only ever ordinary text: the spelling of a
    special or added token in it is encoded like any other text.

    Examples
    --------
    >>> import nextbyte as nb
    >>> tok = nb.Tokenizer.from_pretrained("smollm2-135m")
    >>> tok.decode(tok.encode("hello world"))
    b'hello world'
    >>> tok.exactness
    'exact'
    """

    def __init__(self, description: TokenizerDescription) -> None:
        """Compile a plain description; use the `from_...` constructors for files."""
        self._description = description
        self._compiled = compile_tokenizer(description)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        ignore_added_words: bool = False,
        cache: bool = True,
    ) -> Tokenizer:
        """Load a `tokenizer.json`, or a directory that has one; a `.gguf` or a `tekken.json`.

        Parameters
        ----------
        path
            The file or the directory. The file's name and content say which loader reads it.
        ignore_added_words
            Accept a file whose added tokens are not all special. Its own encoder reads such tokens
            out of text; this tokenizer is then exact for the encoder with that switched off.
        cache
            Keep what large files say in the user's cache, and look there first: see
            `nextbyte.description_cache`.

        Raises
        ------
        TokenizerFormatError
            The file is missing, or is not a tokenizer file, or contradicts itself.
        UnsupportedTokenizerError
            The file uses something whose covers are not known to be exact.
        """
        path = Path(path)
        if path.is_dir():
            path /= "tokenizer.json"
        _require_file(path, "tokenizer.json")
        return cls(
            described(
                path,
                lambda: load_any(path, ignore_added_words=ignore_added_words),
                loader=f"any {path.suffix.lower()}",
                options={"ignore_added_words": ignore_added_words},
                cache=cache,
            )
        )

    @classmethod
    def from_pretrained(
        cls, path_or_name: str | os.PathLike[str], *, ignore_added_words: bool = False
    ) -> Tokenizer:
        """Load the tokenizer of a model: a directory, an embedded model, or a hub name.

        Examples
        --------
        >>> import nextbyte as nb
        >>> nb.Tokenizer.from_pretrained("smollm2-135m").decode([28120])
        b'hello'
        """
        directory = resolve_model(path_or_name)
        return cls.from_file(directory, ignore_added_words=ignore_added_words)

    @classmethod
    def from_tiktoken(
        cls,
        path: str | os.PathLike[str],
        *,
        pattern: str,
        special_tokens: Mapping[str, int] | None = None,
        cache: bool = True,
    ) -> Tokenizer:
        """Load a tiktoken rank file, which has no pre-tokenizer of its own.

        Parameters
        ----------
        path
            The file: one `base64 rank` a line.
        pattern
            The pre-tokenizer: "gpt2", "cl100k", "o200k", "llama3", "qwen2", or a regex.
        special_tokens
            Content and id of each special token.
        cache
            Keep what large files say in the user's cache, and look there first: see
            `nextbyte.description_cache`.
        """
        path = Path(path)
        _require_file(path, "rank file")
        return cls(
            described(
                path,
                lambda: load_tiktoken(path, pattern=pattern, special_tokens=special_tokens),
                loader="tiktoken",
                options={"pattern": pattern, "special_tokens": dict(special_tokens or {})},
                cache=cache,
            )
        )

    @classmethod
    def from_gguf(
        cls,
        path: str | os.PathLike[str],
        *,
        ignore_added_words: bool = False,
        cache: bool = True,
    ) -> Tokenizer:
        """Load the tokenizer of a GGUF file, with weights or without.

        The file only names its pre-tokenizer; the stages of a name are in a table here. A
        normalizer of the model's own tokenizer (Qwen's NFC, for example) is no part of the file:
        covers are exact for the encoder without it.

        Parameters
        ----------
        path
            The file.
        ignore_added_words
            Accept user-defined tokens. Their own encoder reads them out of text; this tokenizer is
            then exact for the encoder with that switched off.
        cache
            Keep what large files say in the user's cache, and look there first: see
            `nextbyte.description_cache`.

        Raises
        ------
        TokenizerFormatError
            The file is missing, is no GGUF file, is damaged, or contradicts itself.
        UnsupportedTokenizerError
            Another model than "gpt2" (byte-level BPE), or an unknown pre-tokenizer.
        """
        path = Path(path)
        _require_file(path, "GGUF file")
        return cls(
            described(
                path,
                lambda: load_gguf(path, ignore_added_words=ignore_added_words),
                loader="gguf",
                options={"ignore_added_words": ignore_added_words},
                cache=cache,
            )
        )

    @classmethod
    def from_tekken(cls, path: str | os.PathLike[str], *, cache: bool = True) -> Tokenizer:
        """Load Mistral's `tekken.json`, as the package mistral-common ships it.

        Parameters
        ----------
        path
            The file.
        cache
            Keep what large files say in the user's cache, and look there first: see
            `nextbyte.description_cache`.

        Raises
        ------
        TokenizerFormatError
            The file is missing, is not such a file, or contradicts itself.
        UnsupportedTokenizerError
            Its pattern, or a token that only the whole-piece rule produces.
        """
        path = Path(path)
        _require_file(path, "tekken.json")
        return cls(described(path, lambda: load_tekken(path), loader="tekken", cache=cache))

    @property
    def compiled(self) -> _core.CompiledTokenizer:
        """The core's object, for `ByteLM`."""
        return self._compiled

    @property
    def exactness(self) -> Exactness:
        """Say what the covers are: "exact"; a tokenizer that is not is refused when loaded."""
        return "exact"

    @property
    def vocab_size(self) -> int:
        """One more than the greatest token id, special tokens included."""
        return self._compiled.vocabulary_size

    @property
    def special_tokens(self) -> dict[str, int]:
        """Content and id of every added token."""
        return dict(self._description.special_tokens)

    def encode(self, text: str | bytes) -> list[int]:
        """Return the tokenizer's own token ids of a complete text.

        Raises
        ------
        InvalidInputError
            Invalid UTF-8, a lone surrogate, or a byte that has no token, with its position.

        Examples
        --------
        >>> import nextbyte as nb
        >>> len(nb.Tokenizer.from_pretrained("smollm2-135m").encode("hello"))
        1
        """
        return self._compiled.encode(as_bytes(text, name="text"))

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of one token; b"" for a special token."""
        if not 0 <= token < self.vocab_size:
            raise InvalidInputError(
                f"token id {token} is outside the vocabulary of {self.vocab_size}"
            )
        return self._description.token_bytes[token]

    def decode(self, tokens: Iterable[int]) -> bytes:
        """Return the text of a token sequence; special tokens have none.

        What the tokenizer puts in front of each text (SentencePiece's dummy prefix) is taken off.
        """
        return b"".join(self.token_bytes(token) for token in tokens).removeprefix(
            self._compiled.lead
        )

    def cover_encodings(self, prefix: str | bytes) -> list[tuple[tuple[int, ...], int]]:
        """Return every cover encoding of a byte prefix.

        A cover is a token sequence that is the beginning of the encoding of some text, whose bytes
        start with `prefix`, and whose last token reaches the prefix's end (Phan et al.,
        arXiv 2410.09303, with prefix-canonical for "valid").

        Returns
        -------
        list of (token ids, overhang)
            `overhang` is the number of bytes past the prefix's end. Empty if no text that this
            tokenizer encodes starts so. There can be as many as there are tokens.

        Examples
        --------
        >>> import nextbyte as nb
        >>> tok = nb.Tokenizer.from_pretrained("smollm2-135m")
        >>> covers = tok.cover_encodings(b"hell")
        >>> min(tok.decode(ids) for ids, overhang in covers if overhang == 1)
        b'helld'
        """
        covers = self._compiled.cover_encodings(as_bytes(prefix, name="prefix"))
        return [(tuple(tokens), overhang) for tokens, overhang in covers]

    def report(self) -> TokenizerReport:
        """Return what was compiled, in figures."""
        tokens = self._description.token_bytes
        single = {token for token in tokens if len(token) == 1}
        pretokenizer = self._compiled.pretokenizer
        return TokenizerReport(
            source=self._description.source,
            family="byte-level BPE",
            exactness=self.exactness,
            vocabulary_size=self.vocab_size,
            reachable_tokens=sum(self._compiled.is_reachable(i) for i in range(len(tokens))),
            special_tokens=self.special_tokens,
            missing_bytes=bytes(b for b in range(256) if bytes([b]) not in single),
            stages=list(self._description.model.stages),
            character_classes=pretokenizer.num_classes if pretokenizer else 0,
            automaton_states=pretokenizer.num_raw_states if pretokenizer else 0,
            automaton_subsets=pretokenizer.num_subsets if pretokenizer else 0,
        )

    def __repr__(self) -> str:
        return f"Tokenizer({self._description.source!r}, vocab_size={self.vocab_size})"


def _require_file(path: Path, kind: str) -> None:
    if not path.is_file():
        raise TokenizerFormatError(f"{path}: no such file; give the path of a {kind}")
