"""The plain description that every tokenizer file reduces to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

NO_RANK = 2**32 - 1
"""Rank of a token that takes no part in merges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BytePairs:
    """Byte-level BPE: pieces of the text are merged from single bytes.

    Parameters
    ----------
    stages
        The pre-tokenizer's split patterns, applied in order, each to the pieces of the one before.
    merges
        Rows (left, right, result) of token ids in order of rank, or None where `ranks` says it all.
    ranks
        tiktoken's form: the priority of each token's bytes (`NO_RANK`: takes no part), or None.
    whole_pieces
        A whole piece that is in the vocabulary becomes that token, merges or not.
    """

    stages: list[str]
    merges: NDArray[np.uint32] | Sequence[tuple[int, int, int]] | None = None
    ranks: NDArray[np.uint32] | Sequence[int] | None = None
    whole_pieces: bool = False


Model: TypeAlias = BytePairs
"""What makes tokens of a segment of text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerDescription:
    """A tokenizer as data: what the compiled core is built from.

    Parameters
    ----------
    source
        Where it came from, for messages.
    token_bytes
        `token_bytes[id]` are the bytes of token `id`; b"" for special tokens and holes.
    model
        The family, and what it knows beside the tokens' bytes.
    special_tokens
        Content and id of every token that stands for no text. Never read out of text.
    added_tokens
        Ids (with bytes) of the tokens that are read out of text wherever they are spelled, leftmost
        and longest first, before the model sees what is between them.
    """

    source: str
    token_bytes: list[bytes]
    model: Model
    special_tokens: dict[str, int] = field(default_factory=dict)
    added_tokens: list[int] = field(default_factory=list)
