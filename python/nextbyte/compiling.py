"""From a description to the compiled tokenizer, one function per family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nextbyte import _core
from nextbyte.errors import TokenizerFormatError, UnsupportedTokenizerError
from nextbyte.formats.description import BytePairs, LongestMatch

if TYPE_CHECKING:
    from nextbyte.formats.description import TokenizerDescription


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
        match description.model:
            case BytePairs() as model:
                return _byte_pairs(description, model)
            case LongestMatch():
                return _core.compile_longest_match(
                    description.token_bytes, added=description.added_tokens
                )
    except (TokenizerFormatError, UnsupportedTokenizerError) as error:
        raise type(error)(f"{description.source}: {error}") from None


def _byte_pairs(description: TokenizerDescription, model: BytePairs) -> _core.CompiledTokenizer:
    if model.merges is not None:
        return _core.compile_byte_pair_merges(
            description.token_bytes,
            model.merges,
            model.stages,
            whole_pieces=model.whole_pieces,
            normal_form=model.normal_form,
            added=description.added_tokens,
        )
    if model.ranks is not None:
        return _core.compile_byte_pair_ranks(
            description.token_bytes,
            model.ranks,
            model.stages,
            whole_pieces=model.whole_pieces,
            normal_form=model.normal_form,
            added=description.added_tokens,
        )
    raise TokenizerFormatError("neither merges nor ranks")
