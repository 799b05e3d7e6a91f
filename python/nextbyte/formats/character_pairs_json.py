"""Describes `tokenizer.json` files of BPE over characters: Llama 2, Mistral, Gemma."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nextbyte.errors import UnsupportedTokenizerError
from nextbyte.formats.description import CharacterPairs, TokenizerDescription
from nextbyte.formats.merges import read_merges
from nextbyte.formats.piece_spelling import BLANK_SYMBOL, byte_of_piece, piece_bytes
from nextbyte.formats.vocabulary import MAX_TOKENS, arrange

if TYPE_CHECKING:
    from nextbyte.formats.json_fields import JsonField


def is_character_pairs(document: JsonField) -> bool:
    """Say whether the file has BPE with byte fallback, or with U+2581 for blanks."""
    model = document["model"]
    if model["type"].value not in ("BPE", None) or "merges" not in model.object():
        return False
    steps = _flatten(document["pre_tokenizer"], "pretokenizers")
    if any(step["type"].value == "ByteLevel" for step in steps):
        return False
    steps += _flatten(document["normalizer"], "normalizers")
    return bool(model["byte_fallback"].value) or any(
        BLANK_SYMBOL in (step["content"].value, step["replacement"].value) for step in steps
    )


def describe_character_pairs_json(
    document: JsonField, *, ignore_added_words: bool = False
) -> TokenizerDescription:
    """Describe a parsed file for which `is_character_pairs` holds.

    Raises
    ------
    TokenizerFormatError
        It contradicts itself.
    UnsupportedTokenizerError
        It has a step or an option that loses a part of the text, or whose covers are not exact.
    """
    model = document["model"]
    for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model[option].value:
            raise _unsupported(model, f"has {option}={model[option].value!r:.80}")
    vocabulary: dict[str, int] = model["vocab"].object()
    has_lead = _has_lead(document)
    _require_no_split(document["pre_tokenizer"], vocabulary)
    special_tokens, added = _added_tokens(
        document["added_tokens"], ignore_words=ignore_added_words, has_lead=has_lead
    )
    pieces, byte_tokens = _pieces(
        vocabulary, special_tokens, fallback=model["byte_fallback"].flag(default=False)
    )
    for spelling, token in added.items():
        pieces[spelling] = spelling.encode(), token
    token_bytes = arrange(pieces.values(), special_tokens, source=document.source)
    merges = read_merges(model["merges"], vocabulary, token_bytes)
    of_bytes = np.isin(merges, sorted(byte_tokens)).any(axis=1)
    if of_bytes.any():
        first = tuple(merges[of_bytes.argmax()].tolist())
        raise _unsupported(model["merges"], f"merge the byte token in {first}")
    return TokenizerDescription(
        source=document.source,
        token_bytes=token_bytes,
        model=CharacterPairs(
            merges=merges,
            byte_tokens=sorted(byte_tokens),
            has_lead=has_lead,
            whole_pieces=(
                [token for data, token in pieces.values() if data and token not in byte_tokens]
                if model["ignore_merges"].flag(default=False)
                else []
            ),
        ),
        special_tokens=special_tokens,
        added_tokens=list(added.values()),
    )


def _unsupported(field: JsonField, problem: str) -> UnsupportedTokenizerError:
    return UnsupportedTokenizerError(f"{field.source}: {field.path} {problem}; not supported yet")


def _flatten(field: JsonField, parts: str) -> list[JsonField]:
    if field.value is None:
        return []
    if field["type"].value == "Sequence":
        return [step for part in field[parts].items() for step in _flatten(part, parts)]
    return [field]


def _has_lead(document: JsonField) -> bool:
    """Check that blanks, and nothing else, become U+2581; say whether one is put in front."""
    prepends = replaces = 0
    for step in _flatten(document["normalizer"], "normalizers"):
        kind = step["type"].text()
        if kind == "Replace" and step["pattern"].object() == {"String": " "}:
            if step["content"].text() != BLANK_SYMBOL:
                raise _unsupported(step["content"], f"is {step['content'].value!r:.80}")
            replaces += 1
        elif kind == "Prepend" and step["prepend"].text() == BLANK_SYMBOL and prepends == 0:
            prepends += 1
        else:
            raise _unsupported(
                step, f"(normalizer {kind!r:.80}) changes the text before it is tokenized"
            )
    replaces += any(
        step["type"].value == "Metaspace"
        for step in _flatten(document["pre_tokenizer"], "pretokenizers")
    )
    if not replaces:
        raise _unsupported(document["normalizer"], "does not replace blanks by U+2581")
    return prepends == 1


def _require_no_split(pre_tokenizer: JsonField, vocabulary: dict[str, int]) -> None:
    """Refuse pre-tokenizers that can split what comes out of the normalizer."""
    for step in _flatten(pre_tokenizer, "pretokenizers"):
        kind = step["type"].text()
        if kind == "Split" and step["pattern"].object() == {"String": " "}:
            # It can match nowhere: no blanks are left. (Inverted, it would match everywhere.)
            if step["invert"].flag(default=False):
                raise _unsupported(step["invert"], "is true")
        elif kind == "Metaspace":
            _require_plain_metaspace(step, vocabulary)
        else:
            raise _unsupported(step, f"is of type {kind!r:.80}")


def _require_plain_metaspace(step: JsonField, vocabulary: dict[str, int]) -> None:
    if step["replacement"].text() != BLANK_SYMBOL:
        raise _unsupported(step["replacement"], f"is {step['replacement'].value!r:.80}")
    scheme = step["prepend_scheme"].value
    if scheme != "never":
        raise _unsupported(
            step["prepend_scheme"],
            f"is {scheme!r:.80}: a text that starts with a blank and one that does not are encoded "
            "alike, so a blank is lost",
        )
    # A split before each U+2581 changes nothing where no token has one further inside.
    if step["split"].flag(default=True):
        for spelling in vocabulary:
            if BLANK_SYMBOL in spelling[1:]:
                raise _unsupported(step["split"], f"is true, and {spelling!r:.80} is a token")


def _added_tokens(
    field: JsonField, *, ignore_words: bool, has_lead: bool
) -> tuple[dict[str, int], dict[str, int]]:
    """Return content and id of the special tokens, and of those that are read out of text.

    A token that is read out of the text before it is normalized, and has U+2581 in it, is never
    found there: it is an ordinary one.
    """
    special_tokens: dict[str, int] = {}
    added: dict[str, int] = {}
    for token in [] if field.value is None else field.items():
        content = token["content"].text()
        number = token["id"].integer(limit=MAX_TOKENS)
        if token["special"].flag(default=False):
            if len(content) == 1:
                raise _unsupported(token, f"({content!r:.80}) makes a character no text")
            special_tokens[content] = number
            continue
        normalized = token["normalized"].flag(default=True)
        if ignore_words or not content or (not normalized and BLANK_SYMBOL in content):
            continue
        for option in ("lstrip", "rstrip", "single_word"):
            if token[option].flag(default=False):
                raise _unsupported(token, f"({content!r:.80}) has {option}")
        if normalized and (BLANK_SYMBOL in content or " " in content):
            raise _unsupported(token, f"({content!r:.80}) has a blank and is normalized")
        if has_lead:
            raise _unsupported(
                token,
                f"({content!r:.80}) is read out of text, and a blank is put in front of what "
                "follows it; ignore_added_words=True makes a tokenizer that treats its spelling as "
                "text",
            )
        added[content] = number
    return special_tokens, added


def _pieces(
    vocabulary: dict[str, int], special_tokens: dict[str, int], *, fallback: bool
) -> tuple[dict[str, tuple[bytes, int]], set[int]]:
    """Return bytes and id of what is only in the vocabulary, and the ids of the byte tokens."""
    pieces: dict[str, tuple[bytes, int]] = {}
    byte_tokens = set()
    for spelling, token in vocabulary.items():
        is_id = type(token) is int  # if not, whoever arranges the tokens complains
        if is_id and special_tokens.get(spelling) == token:
            continue
        byte = byte_of_piece(spelling) if fallback else None
        if byte is not None and is_id:
            byte_tokens.add(token)
        pieces[spelling] = (piece_bytes(spelling) if byte is None else byte), token
    return pieces, byte_tokens
