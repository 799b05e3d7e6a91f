"""From a description to the compiled tokenizer, one function per family."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from nextbyte import _core
from nextbyte.errors import TokenizerFormatError, UnsupportedTokenizerError
from nextbyte.formats.description import BytePairs, CharacterPairs, LongestMatch, Unigram

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from nextbyte.formats.description import TokenizerDescription

_FREE_HOLES: Final = 1 << 16
_HOLES_PER_TOKEN: Final = 8


def compile_tokenizer(description: TokenizerDescription) -> _core.CompiledTokenizer:
    """Compile a description; errors name its source.

    Raises
    ------
    TokenizerFormatError
        The data contradict themselves.
    UnsupportedTokenizerError
        The covers of such a tokenizer would not be exact.
    """
    _require_dense(description)
    try:
        match description.model:
            case BytePairs() as model:
                return _byte_pairs(description, model)
            case CharacterPairs() as model:
                return _character_pairs(description, model)
            case Unigram() as model:
                return _unigram(description, model)
            case LongestMatch():
                return _core.compile_longest_match(
                    description.token_bytes, added=description.added_tokens
                )
    except (TokenizerFormatError, UnsupportedTokenizerError) as error:
        raise type(error)(f"{description.source}: {error!s:.1000}") from None


def with_last_steps(
    description: TokenizerDescription, compiled: _core.CompiledTokenizer
) -> TokenizerDescription:
    """Return the description with what compiling it found out, to compile it again in less time."""
    model = description.model
    if not isinstance(model, BytePairs | CharacterPairs) or model.last_steps is not None:
        return description
    return replace(description, model=replace(model, last_steps=_core.last_steps(compiled)))


def _require_dense(description: TokenizerDescription) -> None:
    """Refuse ids far beyond the number of tokens, which make a small file a large tokenizer."""
    size = len(description.token_bytes)
    if size <= _FREE_HOLES:
        return
    tokens = size - description.token_bytes.count(b"") + len(description.special_tokens)
    if size - tokens > _FREE_HOLES + _HOLES_PER_TOKEN * tokens:
        raise TokenizerFormatError(
            f"{description.source}: its ids go up to {size - 1}, but only {tokens} of them have a "
            "token; is one of the ids wrong?"
        )


def _byte_pairs(description: TokenizerDescription, model: BytePairs) -> _core.CompiledTokenizer:
    if model.unknown:
        raise UnsupportedTokenizerError(model.unknown)
    from_rule: Callable[..., _core.CompiledTokenizer]
    if model.last_steps is not None:
        from_rule, rule = _core.compile_byte_pair_last_steps, merge_rows(model.last_steps)
    elif model.merges is not None:
        from_rule, rule = _core.compile_byte_pair_merges, merge_rows(model.merges)
    elif model.ranks is not None:
        from_rule, rule = _core.compile_byte_pair_ranks, _rank_row(model.ranks)
    else:
        raise TokenizerFormatError("neither merges nor ranks")
    return from_rule(
        description.token_bytes,
        rule,
        model.stages,
        whole_pieces=model.whole_pieces,
        normal_form=model.normal_form,
        added=description.added_tokens,
    )


def merge_rows(
    merges: NDArray[np.uint32] | Sequence[tuple[int, int, int]],
) -> NDArray[np.uint32]:
    """Return the merges as the core takes them, one row each."""
    return np.ascontiguousarray(merges, dtype=np.uint32).reshape(-1, 3)


def _rank_row(ranks: NDArray[np.uint32] | Sequence[int]) -> NDArray[np.uint32]:
    """Return the ranks by token id as the core takes them."""
    return np.ascontiguousarray(ranks, dtype=np.uint32)


def _character_pairs(
    description: TokenizerDescription, model: CharacterPairs
) -> _core.CompiledTokenizer:
    from_rule: Callable[..., _core.CompiledTokenizer]
    if model.last_steps is not None:
        from_rule, rule = _core.compile_character_pair_last_steps, merge_rows(model.last_steps)
    elif model.merges is not None:
        from_rule, rule = _core.compile_character_pair_merges, merge_rows(model.merges)
    elif model.ranks is not None:
        from_rule, rule = _core.compile_character_pair_ranks, _rank_row(model.ranks)
    else:
        raise TokenizerFormatError("neither merges nor ranks")
    compiled = from_rule(
        description.token_bytes,
        rule,
        byte_tokens=model.byte_tokens,
        has_lead=model.has_lead,
        added=description.added_tokens,
    )
    for token in model.whole_pieces:
        if not compiled.is_reachable(token):
            data = description.token_bytes[token]
            raise UnsupportedTokenizerError(
                f"token {token} ({data!r:.80}) is the encoding of its own bytes although no merges "
                "produce it (ignore_merges); not supported yet with byte fallback"
            )
    return compiled


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


def check_compiled(
    compiled: _core.CompiledTokenizer, *, source: str, effort: int = 1, with_masks: bool = False
) -> _core.SelfCheckReport:
    """Compare the engine with its own encoder; milliseconds at `effort` 1, which every load takes.

    Raises
    ------
    UnsupportedTokenizerError
        They differ: covers of this tokenizer would not be exact.
    """
    found = _core.self_check(compiled, effort=effort, with_masks=with_masks)
    if found.differences:
        raise UnsupportedTokenizerError(
            f"{source}: the self-check found {found.differences} differences between the covers of "
            f"this tokenizer and its encoder, so they are not exact; the first: "
            f"{found.first_difference}. Please report this with the file"
        )
    return found
