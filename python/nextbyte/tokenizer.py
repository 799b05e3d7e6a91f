"""`Tokenizer`: a real model's tokenizer, compiled for exact covers of byte prefixes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nextbyte import _core
from nextbyte.compiling import check_compiled, compile_tokenizer, with_last_steps
from nextbyte.description_cache import Entry, look_up
from nextbyte.errors import InvalidInputError, UnsupportedTokenizerError
from nextbyte.formats import load_any
from nextbyte.formats.description import VALIDATE_HINT, BytePairs, CharacterPairs, Unigram
from nextbyte.formats.file_check import require_file
from nextbyte.formats.gguf import load_gguf
from nextbyte.formats.normal_form import normalized_bytes
from nextbyte.formats.tekken import load_tekken
from nextbyte.formats.tiktoken import load_tiktoken
from nextbyte.models.resolve import resolve_model
from nextbyte.text_input import as_bytes
from nextbyte.tokenizer_inspection import TokenizerInspection
from nextbyte.tokenizer_rows import TokenizerRows
from nextbyte.witnesses import compile_witnessed

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from nextbyte.formats.description import TokenizerDescription


class Tokenizer(TokenizerInspection, TokenizerRows):
    """A tokenizer of any family, with the cover encodings of byte prefixes.

    Immutable and safe to share between threads. Text is only ever ordinary text: the spelling of a
    special token in it is encoded like any other text.

    Examples
    --------
    >>> import nextbyte as nb
    >>> tok = nb.Tokenizer.from_pretrained("smollm2-135m")
    >>> tok.decode(tok.encode("hello world"))
    b'hello world'
    >>> tok.exactness
    'exact'
    """

    def __init__(self, description: TokenizerDescription, *, validate: bool = False) -> None:
        """Compile a plain description; use the `from_...` constructors for files."""
        self._description = description
        self._not_compiled = ""  # why not, in words
        try:
            self._compiled = compile_tokenizer(description)
            self._self_check = check_compiled(self._compiled, source=description.source)
        except UnsupportedTokenizerError as error:
            if not isinstance(description.model, BytePairs):
                raise
            if not validate:
                raise UnsupportedTokenizerError(f"{error}; {VALIDATE_HINT}") from None
            self._not_compiled = str(error)
            self._compiled = compile_witnessed(description, self._not_compiled)
            self._self_check = _core.SelfCheckReport()
        words = sorted((description.token_bytes[i] for i in description.added_tokens), key=len)
        self._added = (
            re.compile(b"(%s)" % b"|".join(map(re.escape, words[::-1]))) if words else None
        )
        self._verification = None
        self._rank_order = None

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        ignore_added_words: bool = False,
        validate: bool = False,
        cache: bool = True,
    ) -> Tokenizer:
        """Load a `tokenizer.json`, or a directory that has one; or one of the other formats.

        Those are `.gguf`, SentencePiece's `.model`, `tekken.json`, and the vocabulary text of RWKV
        World.

        Parameters
        ----------
        path
            The file or the directory. The file's name and content say which loader reads it.
        ignore_added_words
            Treat the spelling of added tokens that are not special (`<think>`) as text. The file's
            own encoder reads them out of text, as is done here otherwise; this tokenizer is then
            exact for the encoder with that switched off.
        validate
            Take a file whose pre-tokenizer is not compiled, too. The library that defines the file
            then confirms covers one by one: `exactness` is "validated", and `report().why` names
            what is not compiled. What is confirmed is sound, but may not be all; the states of a
            `ByteLM` report the mass that was left out. Tens of milliseconds a byte.
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
        require_file(path, "tokenizer.json")
        entry = look_up(
            path,
            lambda: load_any(path, ignore_added_words=ignore_added_words, validate=validate),
            loader=f"any {path.suffix.lower()}",
            options={"ignore_added_words": ignore_added_words, "validate": validate},
            cache=cache,
        )
        return cls._of_entry(entry, validate=validate)

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
        validate: bool = False,
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
        validate
            As for `from_file`: take a regex that is not compiled, too.
        cache
            Keep what large files say in the user's cache, and look there first: see
            `nextbyte.description_cache`.
        """
        path = Path(path)
        require_file(path, "rank file")
        entry = look_up(
            path,
            lambda: load_tiktoken(path, pattern=pattern, special_tokens=special_tokens),
            loader="tiktoken",
            options={"pattern": pattern, "special_tokens": dict(special_tokens or {})},
            cache=cache,
        )
        return cls._of_entry(entry, validate=validate)

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
            Treat the spelling of user-defined tokens as text. Their own encoder reads them out of
            text, as is done here otherwise; this tokenizer is then exact for the encoder with that
            switched off.
        cache
            Keep what large files say in the user's cache, and look there first: see
            `nextbyte.description_cache`.

        Raises
        ------
        TokenizerFormatError
            The file is missing, is no GGUF file, is damaged, or contradicts itself.
        UnsupportedTokenizerError
            A model that loses text (WordPiece), or an unknown pre-tokenizer.
        """
        path = Path(path)
        require_file(path, "GGUF file")
        entry = look_up(
            path,
            lambda: load_gguf(path, ignore_added_words=ignore_added_words),
            loader="gguf",
            options={"ignore_added_words": ignore_added_words},
            cache=cache,
        )
        return cls._of_entry(entry)

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
        require_file(path, "tekken.json")
        entry = look_up(path, lambda: load_tekken(path), loader="tekken", cache=cache)
        return cls._of_entry(entry)

    @classmethod
    def _of_entry(cls, entry: Entry, *, validate: bool = False) -> Tokenizer:
        """Compile what the cache found, or what it will find the next time."""
        tokenizer = cls(entry.description, validate=validate)
        entry.keep(with_last_steps(entry.description, tokenizer._compiled))
        return tokenizer

    @property
    def compiled(self) -> _core.CompiledTokenizer:
        """The core's object, for `ByteLM`."""
        return self._compiled

    @property
    def vocab_size(self) -> int:
        """One more than the greatest token id, special tokens included."""
        return self._compiled.vocabulary_size

    @property
    def special_tokens(self) -> dict[str, int]:
        """Content and id of every added token."""
        return dict(self._description.special_tokens)

    @property
    def added_words(self) -> dict[bytes, int]:
        """Spelling and id of the added tokens that are read out of text: those that are words."""
        tokens = self._description.token_bytes
        return {tokens[token]: token for token in self._description.added_tokens}

    def without_words(self, words: Iterable[bytes]) -> Tokenizer:
        """Return the same tokenizer for texts in which these added words are ordinary text.

        Their tokens then stand for no text, as special tokens do. As with `ignore_added_words`, it
        is exact for the encoder that does not read these words.
        """
        ids = {self.added_words[word] for word in words}
        old = self._description
        special = {old.token_bytes[i].decode("utf-8", "replace"): i for i in sorted(ids)}
        description = replace(
            old,
            token_bytes=[b"" if i in ids else data for i, data in enumerate(old.token_bytes)],
            special_tokens=old.special_tokens | special,
            added_tokens=[i for i in old.added_tokens if i not in ids],
        )
        return Tokenizer(description, validate=bool(self._not_compiled))

    def without_lead(self) -> Tokenizer:
        """Return the same tokenizer for texts that get no blank in front.

        Raises
        ------
        InvalidInputError
            It has one that is no blank in front of all texts of a BPE tokenizer.
        """
        old = self._description
        if not self._compiled.lead:
            return self
        if not isinstance(old.model, CharacterPairs):
            raise InvalidInputError(
                f"{old.source}: only BPE tokenizers can be had without the blank in front of texts"
            )
        return Tokenizer(replace(old, model=replace(old.model, has_lead=False)))

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
        model = self._description.model
        if isinstance(model, Unigram):  # the text is complete; and twice is not the same as once
            data = as_bytes(text, name="text")
            return self._compiled.encode(model.normalizer.normalize_bytes(data))
        return self._compiled.encode(self.normalize(text))

    def normalize(self, text: str | bytes) -> bytes:
        r"""Return what the tokenizer makes tokens of: the text in its normal form.

        The law of a byte model is that of normalized texts; `ByteLM.start` normalizes a prompt. A
        character that is cut off at the end is left as it is.

        Raises
        ------
        InvalidInputError
            Invalid UTF-8, or a lone surrogate, with its position.

        Examples
        --------
        >>> import nextbyte as nb
        >>> nb.Tokenizer.from_pretrained("smollm2-135m").normalize("e\u0301")  # has no normal form
        b'e\xcc\x81'
        """
        data = as_bytes(text, name="text")
        model = self._description.model
        if isinstance(model, Unigram):
            return model.normalizer.normalize_bytes(data, is_prefix=True)
        if not isinstance(model, BytePairs) or model.normal_form == "none":
            return data
        # Added tokens are read out first; what is between them is normalized by itself.
        parts = self._added.split(data) if self._added else [data]
        parts[::2] = [normalized_bytes(part, model.normal_form) for part in parts[::2]]
        return b"".join(parts)

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

    def __repr__(self) -> str:
        return f"Tokenizer({self._description.source!r}, vocab_size={self.vocab_size})"
