"""Tokenizers that are not compiled: their own library confirms what may follow, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nextbyte import _core
from nextbyte.errors import UnsupportedTokenizerError
from nextbyte.verification import find_reference

if TYPE_CHECKING:
    from nextbyte.formats.description import TokenizerDescription

__all__ = ["compile_witnessed"]

_SAMPLES: Final = (
    "a",
    " a  b\n\nc",
    "don't 123 4567",
    "x = [1, 2]\r\n\ty",
    "naïve 中文 😀 e\u0301",
)


def compile_witnessed(description: TokenizerDescription, reason: str) -> _core.CompiledTokenizer:
    """Return a tokenizer whose sequences count once its own library has confirmed them.

    Parameters
    ----------
    description
        The file's. Of the model only its tokens' bytes are used.
    reason
        Why the tokenizer is not compiled, for the message.

    Raises
    ------
    UnsupportedTokenizerError
        That library is not installed, or changes the text.
    """
    reference = find_reference(description)
    if reference is None:
        raise UnsupportedTokenizerError(
            f"{reason}; and the library that defines such files, which could confirm covers one by "
            "one, is not installed (tokenizers for a tokenizer.json, tiktoken for rank files)"
        )
    tokens = description.token_bytes
    for text in _SAMPLES:
        if b"".join(tokens[token] for token in reference.encode(text)) != text.encode():
            raise UnsupportedTokenizerError(
                f"{reason}; and {reference.library} does not give back the text {text!r} that it "
                "encodes, so covers cannot be confirmed one by one either"
            )
    encode = reference.encode
    return _core.compile_witnessed(tokens, lambda texts: [encode(text) for text in texts])
