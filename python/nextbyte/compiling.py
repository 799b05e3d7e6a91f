"""From a description to the compiled tokenizer, one function per family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nextbyte import _core
from nextbyte.errors import TokenizerFormatError, UnsupportedTokenizerError
from nextbyte.formats.description import BytePairs, Unigram

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
            case Unigram() as model:
                return _unigram(description, model)
    except (TokenizerFormatError, UnsupportedTokenizerError) as error:
        raise type(error)(f"{description.source}: {error}") from None


def _byte_pairs(description: TokenizerDescription, model: BytePairs) -> _core.CompiledTokenizer:
    if model.merges is not None:
        return _core.compile_byte_pair_merges(
            description.token_bytes,
            model.merges,
            model.stages,
            whole_pieces=model.whole_pieces,
            added=description.added_tokens,
        )
    if model.ranks is not None:
        return _core.compile_byte_pair_ranks(
            description.token_bytes,
            model.ranks,
            model.stages,
            whole_pieces=model.whole_pieces,
            added=description.added_tokens,
        )
    raise TokenizerFormatError("neither merges nor ranks")


def _unigram(description: TokenizerDescription, model: Unigram) -> _core.CompiledTokenizer:
    normalizer = model.normalizer
    return _core.compile_unigram(
        description.token_bytes,
        model.pieces,
        model.rivals,
        unknown_score=model.unknown_score,
        sums=model.sums,
        split_at_blank=model.split_at_blank,
        byte_tokens=model.byte_tokens,
        forbidden=[sequence.encode() for sequence in normalizer.forbidden()],
        single_blanks=normalizer.single_blanks,
        no_blank_first=normalizer.no_blank_first,
        lead=model.has_lead,
        added=description.added_tokens,
    )
