"""The plain description that every tokenizer file reduces to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nextbyte.formats.normal_form import NormalForm
    from nextbyte.formats.text_normalizer import TextNormalizer

NO_RANK = 2**32 - 1
"""Rank of a token that takes no part in merges."""

VALIDATE_HINT = (
    "validate=True makes a tokenizer whose covers its own library confirms one by one (slow, and "
    "not known to be complete)"
)
"""What a message of refusal says where that is a way out."""


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
    normal_form
        What texts are normalized to before all else.
    last_steps
        What compiling found out of `merges` or `ranks`, and compiling again takes instead of them:
        `_core.last_steps`. Only the cache sets it.
    unknown
        What of the pre-tokenizer has no place in `stages`, in words: such a tokenizer is not
        compiled. Empty if there is nothing.
    """

    family: ClassVar[str] = "byte-level BPE"

    stages: list[str]
    merges: NDArray[np.uint32] | Sequence[tuple[int, int, int]] | None = None
    ranks: NDArray[np.uint32] | Sequence[int] | None = None
    whole_pieces: bool = False
    normal_form: NormalForm = "none"
    last_steps: NDArray[np.uint32] | None = None
    unknown: str = ""

    @property
    def loses_text(self) -> bool:
        """Whether texts that are not canonically equivalent are brought to the same form."""
        return self.normal_form == "nfkc"


@dataclass(frozen=True, slots=True, kw_only=True)
class CharacterPairs:
    """BPE over characters, with byte tokens for characters without a token (SentencePiece).

    Parameters
    ----------
    merges
        Rows (left, right, result) of token ids in order of rank, or None where `ranks` says it all.
    ranks
        The priority of each token's bytes, whichever two tokens it is made of; equal ones go from
        left to right. `NO_RANK`: takes no part, as special, byte and added tokens. Or None.
    byte_tokens
        Ids of the tokens that stand for one byte each.
    has_lead
        A blank is put in front of every text that is not empty.
    whole_pieces
        Ids of the tokens that stand for their bytes whatever merges say. Refused unless merges say
        the same.
    last_steps
        As for `BytePairs`.
    """

    family: ClassVar[str] = "BPE over characters"
    loses_text: ClassVar[bool] = False

    merges: NDArray[np.uint32] | Sequence[tuple[int, int, int]] | None = None
    ranks: Sequence[int] | None = None
    byte_tokens: list[int] = field(default_factory=list)
    has_lead: bool = False
    whole_pieces: list[int] = field(default_factory=list)
    last_steps: NDArray[np.uint32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unigram:
    """The segmentation into pieces of the greatest sum of scores.

    Parameters
    ----------
    pieces
        Id and score of each token that is matched in the text by its bytes.
    rivals
        Bytes and score of what is matched, but stands for no text: no text may be read so.
    unknown_score
        The score of a character that is no piece.
    byte_tokens
        By byte, the ids of the tokens that spell such a character; empty if nothing does.
    sums
        How scores are added up, which decides between segmentations that are as good: "double"
        (Hugging Face tokenizers, llama.cpp), "single" (sentencepiece 0.2.3) or "mixed"
        (up to 0.2.1: a sum is compared as a double and kept as a float).
    split_at_blank
        The text is cut before each blank first, and each part segmented by itself.
    has_lead
        A blank is put in front of every text that is not empty.
    normalizer
        What is done to a text before all that, and which texts it leaves alone.
    """

    family: ClassVar[str] = "unigram"

    pieces: list[tuple[int, float]]
    unknown_score: float
    normalizer: TextNormalizer
    rivals: list[tuple[bytes, float]] = field(default_factory=list)
    byte_tokens: list[int] = field(default_factory=list)
    sums: Literal["double", "single", "mixed"] = "double"
    split_at_blank: bool = False
    has_lead: bool = False

    @property
    def normal_form(self) -> str:
        """What a text is brought to before it is tokenized; "none" if it stays as it is."""
        return self.normalizer.name if self.loses_text else "none"

    @property
    def loses_text(self) -> bool:
        """Whether texts that differ are brought to the same form."""
        return self.normalizer.changes_text


@dataclass(frozen=True, slots=True, kw_only=True)
class LongestMatch:
    """Greedy: at each position the longest token that fits."""

    family: ClassVar[str] = "longest match"
    loses_text: ClassVar[bool] = False


Model: TypeAlias = BytePairs | CharacterPairs | LongestMatch | Unigram
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
