"""Reads Hugging Face `tokenizer.json` files, those of byte-level BPE itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nextbyte.errors import UnsupportedTokenizerError
from nextbyte.formats.added_words import read_added_words
from nextbyte.formats.character_pairs_json import (
    describe_character_pairs_json,
    is_character_pairs,
)
from nextbyte.formats.description import VALIDATE_HINT, BytePairs, TokenizerDescription
from nextbyte.formats.merges import read_merges
from nextbyte.formats.patterns import GPT2
from nextbyte.formats.unigram_json import describe_unigram_json, is_unigram
from nextbyte.formats.vocabulary import arrange_byte_level

if TYPE_CHECKING:
    from nextbyte.formats.json_fields import JsonField
    from nextbyte.formats.normal_form import NormalForm


def describe_tokenizer_json(
    document: JsonField, *, ignore_added_words: bool = False, validate: bool = False
) -> TokenizerDescription:
    """Describe a parsed `tokenizer.json`: the file decides, not the name of a class.

    Parameters
    ----------
    document
        The whole file.
    ignore_added_words
        Never read added tokens that are not special out of text, as the file's encoder does.
    validate
        Describe a file whose pre-tokenizer has splits that are not compiled, too.

    Raises
    ------
    TokenizerFormatError
        Not a tokenizer file, or contradicting itself.
    UnsupportedTokenizerError
        Well formed, but with a model, normalizer or pre-tokenizer whose covers are not exact here.
    """
    if not isinstance(document.value, dict) or not isinstance(document["model"].value, dict):
        raise document.error("is not a tokenizer.json file: it has no 'model' object")
    if is_character_pairs(document):
        return describe_character_pairs_json(document, ignore_added_words=ignore_added_words)
    if is_unigram(document):
        return describe_unigram_json(document, ignore_added_words=ignore_added_words)
    model = document["model"]
    _require_plain_bpe(model)
    normal_form = _normal_form(document["normalizer"])
    stages, unknown = _stages(document["pre_tokenizer"], validate=validate)
    vocabulary: dict[str, int] = model["vocab"].object()
    added = read_added_words(
        document["added_tokens"],
        vocabulary,
        ignore=ignore_added_words,
        normalizes=normal_form != "none",
    )
    token_bytes = arrange_byte_level(vocabulary, added.special, added.words, source=document.source)
    return TokenizerDescription(
        source=document.source,
        token_bytes=token_bytes,
        model=BytePairs(
            stages=stages,
            merges=read_merges(model["merges"], vocabulary, token_bytes),
            whole_pieces=model["ignore_merges"].flag(default=False),
            normal_form=normal_form,
            unknown=unknown,
        ),
        special_tokens=added.special,
        added_tokens=list(added.words.values()),
    )


def _unsupported(field: JsonField, problem: str) -> UnsupportedTokenizerError:
    return UnsupportedTokenizerError(f"{field.source}: {field.path} {problem}; not supported yet")


def _require_plain_bpe(model: JsonField) -> None:
    kind = model.value.get("type", "BPE" if "merges" in model.value else None)
    if kind == "WordPiece":
        raise UnsupportedTokenizerError(
            f"{model.source}: {model.path} is of type 'WordPiece', which loses text: blanks, and "
            "words that it cannot spell; so its tokens do not say what the bytes were, as those of "
            "byte-level BPE do"
        )
    if kind != "BPE":
        raise _unsupported(model, f"is of type {kind!r:.80}, and only byte-level BPE is supported")
    for option in ("byte_fallback", "dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model[option].value:
            raise _unsupported(model, f"has {option}={model[option].value!r:.80}")


def _normal_form(normalizer: JsonField) -> NormalForm:
    steps = _flatten(normalizer, "normalizers")
    if not steps:
        return "none"
    kind = steps[0]["type"].text()
    if len(steps) == 1 and kind in ("NFC", "NFKC"):
        return "nfc" if kind == "NFC" else "nfkc"
    other = next((step for step in steps if step["type"].text() not in ("NFC", "NFKC")), steps[-1])
    raise _unsupported(
        other, f"(normalizer {other['type'].value!r:.80}) changes the text before it is tokenized"
    )


def _stages(pre_tokenizer: JsonField, *, validate: bool) -> tuple[list[str], str]:
    """Return the split patterns, and what they leave out, in words."""
    steps = _flatten(pre_tokenizer, "pretokenizers")
    if not steps or steps[-1]["type"].text() != "ByteLevel":
        raise _unsupported(
            pre_tokenizer, "does not end in ByteLevel, and only byte-level BPE is supported"
        )
    stages, unknown = [], ""
    for step in steps:
        kind = step["type"].text()
        if kind == "Split":
            try:
                stages.append(_split_pattern(step))
            except UnsupportedTokenizerError as error:
                if not validate:
                    raise UnsupportedTokenizerError(f"{error}; {VALIDATE_HINT}") from None
                unknown = unknown or str(error)
        elif kind == "Digits":
            one_by_one = step["individual_digits"].flag(default=False)
            stages.append(r"\p{N}" if one_by_one else r"\p{N}+")
        elif kind == "ByteLevel" and step is steps[-1]:
            if step["add_prefix_space"].flag(default=True):
                raise _unsupported(step["add_prefix_space"], "adds a byte to the text")
            if step["use_regex"].flag(default=True):
                stages.append(GPT2)
        else:
            raise _unsupported(step, f"is of type {kind!r:.80}")
    return stages, unknown


def _flatten(field: JsonField, parts: str) -> list[JsonField]:
    """Return the steps of a normalizer or pre-tokenizer, those of a `Sequence` in order."""
    if field.value is None:
        return []
    steps: list[JsonField] = []
    left = [field]  # in a loop, since a file may nest them as deep as Python's stack, and deeper
    while left:
        step = left.pop()
        if step["type"].text() == "Sequence":
            left += reversed(list(step[parts].items()))
        else:
            steps.append(step)
    return steps


def _split_pattern(step: JsonField) -> str:
    behavior, invert = step["behavior"].text(), step["invert"].flag(default=False)
    if behavior != "Isolated" or invert:
        raise _unsupported(
            step,
            f"has behavior {behavior!r:.80} and invert {invert}, and only 'Isolated' is supported",
        )
    pattern = step["pattern"]
    if "Regex" in pattern.object():
        return _checked_regex(pattern["Regex"])
    return re.sub(r"([\\.^$|?*+()\[\]{}])", r"\\\1", pattern["String"].text())


_REGEX_PARTS = re.compile(
    r"(?P<atom>\\[pP]\{[^}]*\}|\\.|\[(?:\\.|[^\[\]\\])*\])|(?P<operator>.)", flags=re.DOTALL
)


def _checked_regex(field: JsonField) -> str:
    """Say what the engine behind these files (Oniguruma) reads in the terms of the compiled class.

    There `$` is the end of a line, and `{m,n}+` repeats a repetition.
    """
    regex = field.text()
    parts = list(_REGEX_PARTS.finditer(regex))
    bare = "".join(part["operator"] or "_" for part in parts)
    if "}+" in bare:
        raise _unsupported(
            field, f"{regex!r:.80} has '}}+', which its engine reads as a repeated group"
        )
    if "$" in bare and "[" in bare:  # a class inside a class: is the $ inside?
        raise _unsupported(field, f"{regex!r:.80} has '$' and nested classes")
    return "".join(r"(?![^\n])" if part["operator"] == "$" else part[0] for part in parts)
