"""Reads tiktoken rank files: one `base64(token bytes) rank` a line."""

from __future__ import annotations

import base64
import binascii
import io
from typing import TYPE_CHECKING

from nextbyte import _core
from nextbyte.errors import InvalidInputError, TokenizerFormatError
from nextbyte.formats.description import BytePairs, TokenizerDescription
from nextbyte.formats.patterns import BY_NAME
from nextbyte.formats.vocabulary import MAX_TOKENS, arrange, arrange_in_order, ranks_in_order

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def load_tiktoken(
    path: Path, *, pattern: str, special_tokens: Mapping[str, int] | None = None
) -> TokenizerDescription:
    """Read a rank file. The file has no pre-tokenizer: `pattern` is a regex or a name for one.

    Raises
    ------
    InvalidInputError
        `pattern` is a word that names none.
    TokenizerFormatError
        A line is not `base64 rank`, or a rank or a token occurs twice.
    """
    if pattern not in BY_NAME and pattern.isidentifier():
        raise InvalidInputError(
            f"pattern {pattern!r:.80} is neither a regex nor one of the names {', '.join(BY_NAME)}"
        )
    specials = dict(special_tokens or {})
    data = path.read_bytes()
    tokens = _core.read_rank_lines(data)
    # Something is wrong or odd: say what, or do without the fast way.
    if not tokens or not all(tokens) or len(set(tokens)) < len(tokens):
        ranks = _read_lines(data, path)
        token_bytes = arrange(ranks.items(), specials, source=str(path))
    else:
        token_bytes = arrange_in_order(tokens, 0, specials, source=str(path))
    return TokenizerDescription(
        source=str(path),
        token_bytes=token_bytes,
        model=BytePairs(
            stages=[BY_NAME.get(pattern, pattern)],
            ranks=ranks_in_order(token_bytes),
            whole_pieces=True,  # tiktoken looks a whole piece up before it merges
        ),
        special_tokens=specials,
    )


def _read_lines(data: bytes, path: Path) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    # Line by line: a list of all would be many times as large as a file of empty ones.
    for number, line in enumerate(io.BytesIO(data), start=1):
        if number > MAX_TOKENS:
            raise TokenizerFormatError(f"{path}: has more than {MAX_TOKENS} lines, one for each id")
        if not line.strip():
            continue
        try:
            encoded, rank = line.split()
            token = base64.b64decode(encoded, validate=True)
            value = int(rank)
        except (ValueError, binascii.Error):
            message = f"{path}: line {number} is not 'base64 rank': {line[:60]!r}"
            raise TokenizerFormatError(message) from None
        if token in ranks or not token or not 0 <= value < MAX_TOKENS:
            raise TokenizerFormatError(f"{path}: line {number} repeats a token or is out of range")
        ranks[token] = value
    if not ranks:
        raise TokenizerFormatError(f"{path}: no ranks in the file; is it a tiktoken rank file?")
    return ranks
