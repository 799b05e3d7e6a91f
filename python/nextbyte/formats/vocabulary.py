"""Puts the tokens of a file in order of id, and checks that no two claim one id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nextbyte.errors import TokenizerFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_TOKENS: Final = 1 << 22
"""Ids must be below this: a damaged file must not make a list of astronomical length."""


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
