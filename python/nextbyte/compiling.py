"""From a description to the compiled tokenizer, one function per family."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nextbyte import _core
from nextbyte.errors import TokenizerFormatError, UnsupportedTokenizerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nextbyte.formats.description import BytePairs, TokenizerDescription


def compile_tokenizer(description: TokenizerDescription) -> _core.CompiledTokenizer:
    """Compile a description; errors name its source.

    Raises
    ------
    TokenizerFormatError
        The data contradict themselves.
    UnsupportedTokenizerError
        The covers of such a tokenizer would not be exact.
    """
    try:
        return _byte_pairs(description, description.model)
    except (TokenizerFormatError, UnsupportedTokenizerError) as error:
        raise type(error)(f"{description.source}: {error}") from None


def _byte_pairs(description: TokenizerDescription, model: BytePairs) -> _core.CompiledTokenizer:
    if model.merges is not None:
        return _core.compile_byte_pair_merges(
            description.token_bytes,
            merge_rows(model.merges),
            model.stages,
            whole_pieces=model.whole_pieces,
            added=description.added_tokens,
        )
    if model.ranks is not None:
        return _core.compile_byte_pair_ranks(
            description.token_bytes,
            np.ascontiguousarray(model.ranks, dtype=np.uint32),
            model.stages,
            whole_pieces=model.whole_pieces,
            added=description.added_tokens,
        )
    raise TokenizerFormatError("neither merges nor ranks")


def merge_rows(
    merges: NDArray[np.uint32] | Sequence[tuple[int, int, int]],
) -> NDArray[np.uint32]:
    """Return the merges as the core takes them, one row each."""
    return np.ascontiguousarray(merges, dtype=np.uint32).reshape(-1, 3)
