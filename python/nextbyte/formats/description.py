"""The plain description that every tokenizer file reduces to."""

from __future__ import annotations

from dataclasses import dataclass, field

NO_RANK = 2**32 - 1
"""Rank of a token that takes no part in merges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerDescription:
    """A byte-level BPE tokenizer as data: what the compiled core is built from.

    Parameters
    ----------
    source
        Where it came from, for messages.
    token_bytes
        `token_bytes[id]` are the bytes of token `id`; b"" for special tokens and holes.
    merges
        (left, right, result) token ids in order of rank, or None where `ranks` says it all.
    ranks
        tiktoken's form: the priority of each token's bytes (`NO_RANK`: takes no part), or None.
    stages
        The pre-tokenizer's split patterns, applied in order, each to the pieces of the one before.
    special_tokens
        Content of every added token, and its id. None of them is ever read out of text.
    ignore_merges
        A whole piece that is in the vocabulary becomes that token, merges or not.
    """

    source: str
    token_bytes: list[bytes]
    stages: list[str]
    merges: list[tuple[int, int, int]] | None = None
    ranks: list[int] | None = None
    special_tokens: dict[str, int] = field(default_factory=dict)
    ignore_merges: bool = False
