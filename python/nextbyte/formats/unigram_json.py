"""Describes `tokenizer.json` files of unigram models: T5, XLM-R and the like."""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from nextbyte.errors import UnsupportedTokenizerError
from nextbyte.formats.charsmap import decode_charsmap
from nextbyte.formats.description import TokenizerDescription, Unigram
from nextbyte.formats.piece_spelling import BLANK_SYMBOL, byte_of_piece, piece_bytes
from nextbyte.formats.text_normalizer import TextNormalizer
from nextbyte.formats.unigram import UNKNOWN_PENALTY, add_byte, blank_rival, in_order
from nextbyte.formats.vocabulary import MAX_TOKENS

if TYPE_CHECKING:
    from nextbyte.formats.json_fields import JsonField

_BLANK_RUNS: Final = {"Regex": " {2,}"}
_GREATEST_MINIMUM: Final = 10.0
"""Above it two unknown characters could score more than a piece of the two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """What the normalizer and the pre-tokenizer do to a text, taken together."""

    replacements: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    single_blanks: bool = False
    no_blank_first: bool = False
    only_blanks: bool = False
    escapes: bool = False
    has_lead: bool = False
    splits: bool = False


def is_unigram(document: JsonField) -> bool:
    """Say whether the file's model is Unigram."""
    return bool(document["model"]["type"].value == "Unigram")


def describe_unigram_json(
    document: JsonField, *, ignore_added_words: bool = False
) -> TokenizerDescription:
    """Describe a parsed file for which `is_unigram` holds, with the arithmetic of its engine.

    Raises
    ------
    TokenizerFormatError
        It contradicts itself.
    UnsupportedTokenizerError
        It has a step or an option whose covers are not exact here.
    """
    model = document["model"]
    if model["unk_id"].value is None:
        raise _unsupported(model["unk_id"], "is missing, so that some texts are errors")
    unknown = model["unk_id"].integer(limit=MAX_TOKENS)
    steps = _pre_tokenizer(document["pre_tokenizer"], _normalizer(document["normalizer"]))
    if not steps.escapes:
        raise _unsupported(document["pre_tokenizer"], "does not replace blanks by U+2581")
    special_tokens = _special_tokens(document["added_tokens"], ignore_words=ignore_added_words)
    vocabulary = [_entry(entry) for entry in model["vocab"].items()]
    lowest = min((score for _, score in vocabulary), default=0.0)
    if lowest > _GREATEST_MINIMUM:
        raise _unsupported(model["vocab"], f"has no score below {_GREATEST_MINIMUM}")
    fallback = model["byte_fallback"].flag(default=False)
    size = max([len(vocabulary), *(token + 1 for token in special_tokens.values())])
    token_bytes = [b""] * size
    byte_tokens: dict[int, int] = {}
    pieces, rivals = [], []
    seen: dict[str, int] = {}
    for index, (spelling, score) in enumerate(vocabulary):
        if seen.setdefault(spelling, index) != index:
            raise model["vocab"].error(f"has {spelling!r:.80} twice")
        if special_tokens.get(spelling) == index or not piece_bytes(spelling):
            continue
        if fallback and byte_of_piece(spelling) is not None:
            token_bytes[index] = add_byte(byte_tokens, spelling, index, source=document.source)
            rivals.append((piece_bytes(spelling), score))
        elif index == unknown:
            rivals.append((piece_bytes(spelling), score))
        else:
            token_bytes[index] = piece_bytes(spelling)
            pieces.append((index, score))
    unknown_score = lowest - UNKNOWN_PENALTY
    rivals += blank_rival([token_bytes[index] for index, _ in pieces], unknown_score)
    return TokenizerDescription(
        source=document.source,
        token_bytes=token_bytes,
        model=Unigram(
            pieces=pieces,
            rivals=rivals,
            unknown_score=unknown_score,
            byte_tokens=in_order(byte_tokens, source=document.source),
            split_at_blank=steps.splits,
            has_lead=steps.has_lead,
            normalizer=TextNormalizer(
                name="+".join(steps.names) or "identity",
                replacements=steps.replacements,
                single_blanks=steps.single_blanks,
                no_blank_first=steps.no_blank_first,
                only_blanks=steps.only_blanks,
                applies=False,
            ),
        ),
        special_tokens=special_tokens,
    )


def _unsupported(place: JsonField, problem: str) -> UnsupportedTokenizerError:
    return UnsupportedTokenizerError(f"{place.source}: {place.path} {problem}; not supported yet")


def _entry(entry: JsonField) -> tuple[str, float]:
    parts = list(entry.items())
    if len(parts) != 2:
        raise entry.error("is no pair of a piece and its score")
    score = parts[1].value
    if type(score) not in (int, float) or not math.isfinite(score):
        raise parts[1].error(f"is {score!r:.80}, which is no score")
    return parts[0].text(), float(score)


def _flatten(place: JsonField, parts: str) -> list[JsonField]:
    if place.value is None:
        return []
    if place["type"].text() == "Sequence":
        return [step for part in place[parts].items() for step in _flatten(part, parts)]
    return [place]


def _normalizer(normalizer: JsonField) -> _Steps:
    steps = _Steps()
    for step in _flatten(normalizer, "normalizers"):
        kind = step["type"].text()
        pattern = step["pattern"].value
        content = step["content"].value
        if kind == "Precompiled" and steps == _Steps():
            charsmap = _decode_base64(step["precompiled_charsmap"])
            steps = replace(
                steps,
                replacements=decode_charsmap(charsmap, source=step.source) if charsmap else {},
            )
        elif kind == "Strip" and not steps.escapes:
            # It knows all white space, at the ends only; of the texts that it leaves alone, those
            # with blanks only are enough.
            steps = replace(steps, single_blanks=True, only_blanks=True)
        elif kind == "Replace" and pattern == _BLANK_RUNS and content in (" ", BLANK_SYMBOL):
            steps = replace(steps, single_blanks=True)
        elif kind == "Replace" and pattern == {"String": " "} and content == BLANK_SYMBOL:
            steps = replace(steps, escapes=True)
        elif kind == "Prepend" and step["prepend"].value == BLANK_SYMBOL and not steps.has_lead:
            steps = replace(steps, has_lead=True)
        else:
            raise _unsupported(
                step, f"(normalizer {kind!r:.80}) changes the text before it is tokenized"
            )
        steps = replace(steps, names=(*steps.names, kind))
    return steps


def _decode_base64(place: JsonField) -> bytes:
    if place.value is None:
        return b""
    try:
        return base64.b64decode(place.text(), validate=True)
    except binascii.Error:
        raise place.error("is no base64") from None


def _pre_tokenizer(pre_tokenizer: JsonField, steps: _Steps) -> _Steps:
    words_only = False
    for step in _flatten(pre_tokenizer, "pretokenizers"):
        kind = step["type"].text()
        if kind == "WhitespaceSplit" and not (steps.escapes or steps.has_lead or words_only):
            words_only = True
            steps = replace(steps, single_blanks=True, only_blanks=True)
        elif kind == "Metaspace" and not steps.splits:
            steps = _metaspace(step, steps, words_only=words_only)
        else:
            raise _unsupported(step, f"is of type {kind!r:.80}")
        steps = replace(steps, names=(*steps.names, kind))
    return steps


def _metaspace(step: JsonField, steps: _Steps, *, words_only: bool) -> _Steps:
    if step["replacement"].text() != BLANK_SYMBOL:
        raise _unsupported(step["replacement"], f"is {step['replacement'].value!r:.80}")
    legacy = "always" if step["add_prefix_space"].flag(default=True) else "never"
    scheme = legacy if step["prepend_scheme"].value is None else step["prepend_scheme"].text()
    if scheme not in ("always", "first", "never"):
        raise _unsupported(step["prepend_scheme"], f"is {scheme!r:.80}")
    if words_only and scheme != "always":
        raise _unsupported(step, f"has {scheme=}: blanks between words are lost")
    if scheme != "never" and not steps.has_lead:
        # A text that begins with a blank gets no other: it is encoded as the one without.
        steps = replace(steps, has_lead=True, no_blank_first=True)
    return replace(steps, escapes=True, splits=words_only or step["split"].flag(default=True))


def _special_tokens(added: JsonField, *, ignore_words: bool) -> dict[str, int]:
    special_tokens: dict[str, int] = {}
    for token in [] if added.value is None else added.items():
        content = token["content"].text()
        if not token["special"].flag(default=False) and not ignore_words:
            raise _unsupported(
                token,
                f"({content!r:.80}) is read out of text; ignore_added_words=True makes a tokenizer "
                "that treats its spelling as text",
            )
        special_tokens[content] = token["id"].integer(limit=MAX_TOKENS)
    return special_tokens
