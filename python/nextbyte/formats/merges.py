"""Reads a merge list whose entries name tokens by their spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nextbyte import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nextbyte.formats.json_fields import JsonField


def read_merges(
    merges: JsonField, vocabulary: dict[str, int], token_bytes: list[bytes]
) -> NDArray[np.uint32]:
    """Return rows (left, right, result) of ids in order of rank.

    Parameters
    ----------
    merges
        The list: each entry is "left right", or a pair of texts.
    vocabulary
        The id of every spelling that a merge may name.
    token_bytes
        The bytes of every id; merges with a hole (b"") are left out.

    Raises
    ------
    TokenizerFormatError
        An entry is no pair, or names a token that is not in the vocabulary.
    """
    if not isinstance(merges.value, list):
        raise merges.error("(the merge list) must be an array")
    rows = _core.resolve_merges(merges.value, vocabulary, token_bytes)
    if rows is None:  # something is wrong or odd: say what, or do without the fast way
        triples = read_merges_one_by_one(merges, vocabulary, token_bytes)
        rows = np.array(triples, dtype=np.uint32).reshape(-1, 3)
    return rows


def read_merges_one_by_one(
    merges: JsonField, vocabulary: dict[str, int], token_bytes: list[bytes]
) -> list[tuple[int, int, int]]:
    """Do what `read_merges` does for a list, a hundred times slower; the errors come from here."""
    triples = []
    for index, merge in enumerate(merges.value):
        parts = merge.split(" ", 1) if isinstance(merge, str) else merge
        if (
            not isinstance(parts, list)
            or len(parts) != 2
            or not all(isinstance(part, str) for part in parts)
        ):
            raise merges.error(f"has merge {index} {merge!r:.80}, which is not a pair of tokens")
        left, right = parts
        for name in (left, right, left + right):
            if name not in vocabulary:
                raise merges.error(
                    f"has merge {index} ({left!r:.80}, {right!r:.80}), that names {name!r:.80}, "
                    "which is not in the vocabulary"
                )
        triple = (vocabulary[left], vocabulary[right], vocabulary[left + right])
        # Merges of holes (spellings outside the byte alphabet) can never apply to bytes.
        if all(token_bytes[token] for token in triple):
            triples.append(triple)
    return triples
