"""Reads the vocabulary text files of RWKV World: greedy longest match over byte strings."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from nextbyte.errors import TokenizerFormatError
from nextbyte.formats.description import LongestMatch, TokenizerDescription
from nextbyte.formats.vocabulary import MAX_TOKENS, arrange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

END_OF_TEXT: Final = "<|endoftext|>"
"""What token 0 is called; it has no line in the file."""
_LINE: Final = re.compile(r"(\d+) (b?['\"].*['\"]) (\d+)\r?")
_LONGEST_LINE: Final = 1 << 14


def is_rwkv(path: Path) -> bool:
    """Tell whether the file starts with a line of such a vocabulary: id, literal, length."""
    try:
        with path.open("rb") as file:
            start = file.read(_LONGEST_LINE)
    except OSError:
        return False
    return _LINE.fullmatch(start.partition(b"\n")[0].decode("utf-8", "replace")) is not None


def load_rwkv(path: Path) -> TokenizerDescription:
    """Read a vocabulary: a line has an id, a Python literal of text or bytes, and its length.

    Raises
    ------
    TokenizerFormatError
        The file cannot be read, or a line is none.
    """
    special_tokens = {END_OF_TEXT: 0}
    try:
        # Line by line: a list of all would be many times as large as a file of empty ones.
        with path.open(encoding="utf-8", newline="\n") as lines:
            token_bytes = arrange(_tokens(lines, path), special_tokens, source=str(path))
    except OSError as error:
        raise TokenizerFormatError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise TokenizerFormatError(f"{path}: not a text file: {error}") from None
    return TokenizerDescription(
        source=str(path),
        token_bytes=token_bytes,
        model=LongestMatch(),
        special_tokens=special_tokens,
    )


def _tokens(lines: Iterable[str], path: Path) -> Iterator[tuple[bytes, int]]:
    for number, ended in enumerate(lines, start=1):
        if number > MAX_TOKENS:
            raise TokenizerFormatError(f"{path}: has more than {MAX_TOKENS} lines, one for each id")
        line = ended.removesuffix("\n")
        if not line.strip():
            continue
        place = f"{path}: line {number}, {line[:80]!r},"
        parts = _LINE.fullmatch(line) if len(line) <= _LONGEST_LINE else None
        if parts is None:
            raise TokenizerFormatError(f"{place} is not an id, a literal and a length")
        token, literal, length = parts.groups()
        if len(token) > len(str(MAX_TOKENS)):
            raise TokenizerFormatError(f"{place} has an id beyond {MAX_TOKENS - 1}")
        data = _value(literal)
        if data is None:
            raise TokenizerFormatError(f"{place} has no literal of text or bytes in the middle")
        if not data or str(len(data)) != length:
            raise TokenizerFormatError(f"{place} has {len(data)} bytes and says {length[:20]}")
        yield data, int(token)


def _value(literal: str) -> bytes | None:
    try:
        value = ast.literal_eval(literal)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:  # a surrogate
            return None
    return value if isinstance(value, bytes) else None
