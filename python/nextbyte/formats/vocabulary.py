"""Puts the tokens of a file in order of id, and checks that no two claim one id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from nextbyte import _core
from nextbyte.errors import TokenizerFormatError
from nextbyte.formats.byte_alphabet import LETTERS, decode_byte_alphabet
from nextbyte.formats.description import NO_RANK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

_NO_ID: Final = object()  # None may stand in a file

MAX_TOKENS: Final = 1 << 22
"""Ids must be below this: a damaged file must not make a list of astronomical length."""


def arrange_byte_level(
    vocabulary: dict[str, int],
    special_tokens: dict[str, int],
    words: dict[str, int],
    *,
    source: str,
) -> list[bytes]:
    """Do what `arrange` does for tokens in the byte alphabet.

    Entries of the vocabulary that are special tokens or `words` (which are spelled as in text) are
    only that. Spellings outside the alphabet can come out of no text: they are holes.
    """
    added = special_tokens | words
    if len(added) == len(special_tokens) + len(words):
        token_bytes = _core.byte_level_tokens(vocabulary, added, LETTERS)
        if token_bytes is not None:
            for spelling, token in words.items():
                token_bytes[token] = spelling.encode()
            return token_bytes
    # Something is wrong or odd: say what, or do without the fast way.
    tokens = _spelled_tokens(vocabulary, special_tokens, words)
    return arrange(tokens, special_tokens, source=source)


def arrange_in_order(
    tokens: list[bytes], first: int, special_tokens: Mapping[str, int], *, source: str
) -> list[bytes]:
    """Do what `arrange` does for tokens, none of them empty, whose ids count up from `first`."""
    end = first + len(tokens)
    specials = list(special_tokens.values())
    fits = end <= MAX_TOKENS and set(map(type, specials)) <= {int}
    if not (
        tokens
        and fits
        and len(set(specials)) == len(specials)
        and all(0 <= token < first or end <= token < MAX_TOKENS for token in specials)
    ):
        pairs = ((data, first + index) for index, data in enumerate(tokens))
        return arrange(pairs, special_tokens, source=source)
    after = max([end - 1, *specials]) + 1 - end
    return [b""] * first + tokens + [b""] * after


def ranks_in_order(token_bytes: list[bytes]) -> NDArray[np.uint32]:
    """Return each id as its own rank; tokens without bytes take no part."""
    ranks = np.arange(len(token_bytes), dtype=np.uint32)
    ranks[np.fromiter((not data for data in token_bytes), bool, len(token_bytes))] = NO_RANK
    return ranks


def _spelled_tokens(
    vocabulary: dict[str, int], special_tokens: dict[str, int], words: dict[str, int]
) -> Iterator[tuple[bytes, int]]:
    for spelling, token in vocabulary.items():
        if token not in (special_tokens.get(spelling, _NO_ID), words.get(spelling, _NO_ID)):
            yield decode_byte_alphabet(spelling) or b"", token
    for spelling, token in words.items():
        yield spelling.encode(), token


def arrange(
    tokens: Iterable[tuple[bytes, int]], special_tokens: Mapping[str, int], *, source: str
) -> list[bytes]:
    """Return the bytes of each token by id, b"" for special tokens and ids that no token has.

    Raises
    ------
    TokenizerFormatError
        An id is no integer, out of range, or belongs to two tokens.
    """
    token_bytes: dict[int, bytes] = {}
    for data, token in tokens:
        if type(token) is not int or not 0 <= token < MAX_TOKENS:
            _check_id(token, f"token {data!r:.80}", source)
        if token in token_bytes:
            raise TokenizerFormatError(
                f"{source}: id {token} belongs to two tokens, {token_bytes[token]!r:.80} "
                f"and {data!r:.80}"
            )
        token_bytes[token] = data
    owners: dict[int, str] = {}
    for content, token in special_tokens.items():
        _check_id(token, f"special token {content!r:.80}", source)
        taken = token_bytes.get(token) or owners.get(token)
        if taken:
            raise TokenizerFormatError(
                f"{source}: special token {content!r:.80} has id {token}, which is that of "
                f"{taken!r:.80}"
            )
        owners[token] = content
    if not any(token_bytes.values()):
        raise TokenizerFormatError(f"{source}: the vocabulary has no token with bytes")
    size = max([*token_bytes, *owners]) + 1
    return [token_bytes.get(token, b"") for token in range(size)]


def _check_id(token: object, owner: str, source: str) -> None:
    if type(token) is not int or not 0 <= token < MAX_TOKENS:
        kind = "a negative id" if isinstance(token, int) and token < 0 else "not a token id"
        raise TokenizerFormatError(
            f"{source}: the id of {owner} in the vocabulary is {token!r:.80}, which is {kind}; ids "
            f"are integers from 0 to {MAX_TOKENS - 1}"
        )
