"""From a description to the compiled tokenizer, one function per family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nextbyte import _core
from nextbyte.errors import TokenizerFormatError, UnsupportedTokenizerError
from nextbyte.formats.description import BytePairs, CharacterPairs

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
            case CharacterPairs() as model:
                return _character_pairs(description, model)
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


def _character_pairs(
    description: TokenizerDescription, model: CharacterPairs
) -> _core.CompiledTokenizer:
    if model.merges is not None:
        compiled = _core.compile_character_pair_merges(
            description.token_bytes,
            model.merges,
            byte_tokens=model.byte_tokens,
            has_lead=model.has_lead,
            added=description.added_tokens,
        )
    elif model.ranks is not None:
        compiled = _core.compile_character_pair_ranks(
            description.token_bytes,
            model.ranks,
            byte_tokens=model.byte_tokens,
            has_lead=model.has_lead,
            added=description.added_tokens,
        )
    else:
        raise TokenizerFormatError("neither merges nor ranks")
    if model.whole_pieces:
        _require_all_reachable(description, model, compiled)
    return compiled


def _require_all_reachable(
    description: TokenizerDescription, model: CharacterPairs, compiled: _core.CompiledTokenizer
) -> None:
    """Refuse `ignore_merges` where it changes an encoding: then covers need another rule."""
    byte_tokens = frozenset(model.byte_tokens)
    for token, data in enumerate(description.token_bytes):
        if data and token not in byte_tokens and not compiled.is_reachable(token):
            raise UnsupportedTokenizerError(
                f"token {token} ({data!r:.80}) is the encoding of its own bytes although no merges "
                "produce it (ignore_merges); not supported yet with byte fallback"
            )
