"""Tokenizer files, one loader each; all reduce to `TokenizerDescription`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nextbyte.formats.gguf import load_gguf
from nextbyte.formats.json_fields import JsonField
from nextbyte.formats.rwkv import is_rwkv, load_rwkv
from nextbyte.formats.sentencepiece import load_sentencepiece
from nextbyte.formats.sentencepiece_model import looks_like_sentencepiece
from nextbyte.formats.tekken import describe_tekken, is_tekken
from nextbyte.formats.tokenizer_json import describe_tokenizer_json

if TYPE_CHECKING:
    from pathlib import Path

    from nextbyte.formats.description import TokenizerDescription


def load_any(
    path: Path, *, ignore_added_words: bool = False, validate: bool = False
) -> TokenizerDescription:
    """Read a file that says itself what it is.

    `.gguf`, SentencePiece's `.model`, RWKV's vocabulary text, `tekken.json`, `tokenizer.json`.

    Raises
    ------
    TokenizerFormatError, UnsupportedTokenizerError, MissingDependencyError
        As the loader of the format.
    """
    if path.suffix.lower() == ".gguf":
        return load_gguf(path, ignore_added_words=ignore_added_words)
    if looks_like_sentencepiece(_head(path)):
        return load_sentencepiece(path, ignore_added_words=ignore_added_words)
    if is_rwkv(path):
        return load_rwkv(path)
    document = JsonField.read(path)
    # The content decides; the name only says what a file that is neither was meant to be.
    has_model = isinstance(document.value, dict) and "model" in document.value
    if is_tekken(document) or (path.name.startswith("tekken") and not has_model):
        return describe_tekken(document)
    return describe_tokenizer_json(
        document, ignore_added_words=ignore_added_words, validate=validate
    )


def _head(path: Path) -> bytes:
    """Return the first bytes of a file; b"" if it cannot be read, which its loader will say."""
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError:
        return b""
