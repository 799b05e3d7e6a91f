"""Reads Hugging Face `tokenizer.json` files that hold byte-level BPE."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nextbyte.errors import UnsupportedTokenizerError
from nextbyte.formats.description import BytePairs, TokenizerDescription
from nextbyte.formats.merges import read_merges
from nextbyte.formats.patterns import GPT2
from nextbyte.formats.vocabulary import MAX_TOKENS, arrange_byte_level

if TYPE_CHECKING:
    from nextbyte.formats.json_fields import JsonField


def describe_tokenizer_json(
    document: JsonField, *, ignore_added_words: bool = False
) -> TokenizerDescription:
    """Describe a parsed `tokenizer.json`: the file decides, not the name of a class.

    Parameters
    ----------
    document
        The whole file.
    ignore_added_words
        Accept added tokens that are not special, and never read them out of text.

    Raises
    ------
    TokenizerFormatError
        Not a tokenizer file, or contradicting itself.
    UnsupportedTokenizerError
        Well formed, but with a model, normalizer or pre-tokenizer whose covers are not exact here.
    """
    if not isinstance(document.value, dict) or not isinstance(document["model"].value, dict):
        raise document.error("is not a tokenizer.json file: it has no 'model' object")
    model = document["model"]
    _require_plain_bpe(model)
    _require_no_normalizer(document["normalizer"])
    stages = _stages(document["pre_tokenizer"])
    special_tokens = _added_tokens(document["added_tokens"], ignore_words=ignore_added_words)
    vocabulary: dict[str, int] = model["vocab"].object()
    token_bytes = arrange_byte_level(vocabulary, special_tokens, source=document.source)
    return TokenizerDescription(
        source=document.source,
        token_bytes=token_bytes,
        model=BytePairs(
            stages=stages,
            merges=read_merges(model["merges"], vocabulary, token_bytes),
            whole_pieces=model["ignore_merges"].flag(default=False),
        ),
        special_tokens=special_tokens,
    )


def _unsupported(field: JsonField, problem: str) -> UnsupportedTokenizerError:
    return UnsupportedTokenizerError(f"{field.source}: {field.path} {problem}; not supported yet")


def _require_plain_bpe(model: JsonField) -> None:
    kind = model.value.get("type", "BPE" if "merges" in model.value else None)
    if kind != "BPE":
        raise _unsupported(model, f"is of type {kind!r}, and only byte-level BPE is supported")
    for option in ("byte_fallback", "dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model[option].value:
            raise _unsupported(model, f"has {option}={model[option].value!r}")


def _require_no_normalizer(normalizer: JsonField) -> None:
    if normalizer.value is None:
        return
    kind = normalizer["type"].text()
    if kind != "Sequence":
        raise _unsupported(
            normalizer, f"(normalizer {kind!r}) changes the text before it is tokenized"
        )
    for part in normalizer["normalizers"].items():
        _require_no_normalizer(part)


def _stages(pre_tokenizer: JsonField) -> list[str]:
    steps = _flatten(pre_tokenizer)
    if not steps or steps[-1]["type"].text() != "ByteLevel":
        raise _unsupported(
            pre_tokenizer, "does not end in ByteLevel, and only byte-level BPE is supported"
        )
    stages = []
    for step in steps:
        kind = step["type"].text()
        if kind == "Split":
            stages.append(_split_pattern(step))
        elif kind == "Digits":
            one_by_one = step["individual_digits"].flag(default=False)
            stages.append(r"\p{N}" if one_by_one else r"\p{N}+")
        elif kind == "ByteLevel" and step is steps[-1]:
            if step["add_prefix_space"].flag(default=True):
                raise _unsupported(step["add_prefix_space"], "adds a byte to the text")
            if step["use_regex"].flag(default=True):
                stages.append(GPT2)
        else:
            raise _unsupported(step, f"is of type {kind!r}")
    return stages


def _flatten(pre_tokenizer: JsonField) -> list[JsonField]:
    if pre_tokenizer.value is None:
        return []
    if pre_tokenizer["type"].text() == "Sequence":
        parts = pre_tokenizer["pretokenizers"].items()
        return [step for part in parts for step in _flatten(part)]
    return [pre_tokenizer]


def _split_pattern(step: JsonField) -> str:
    behavior, invert = step["behavior"].text(), step["invert"].flag(default=False)
    if behavior != "Isolated" or invert:
        raise _unsupported(
            step, f"has behavior {behavior!r} and invert {invert}, and only 'Isolated' is supported"
        )
    pattern = step["pattern"]
    if "Regex" in pattern.object():
        return _checked_regex(pattern["Regex"])
    return re.sub(r"([\\.^$|?*+()\[\]{}])", r"\\\1", pattern["String"].text())


def _checked_regex(field: JsonField) -> str:
    """Refuse what the engine behind these files (Oniguruma) reads unlike the compiled patterns."""
    regex = field.text()
    # Without escapes, properties and character classes, what is left are the operators.
    bare = re.sub(r"\\[pP]\{[^}]*\}|\\.|\[(?:\\.|[^\]\\])*\]", "_", regex, flags=re.DOTALL)
    for construct, meaning in (("$", "the end of a line"), ("}+", "a repeated group")):
        if construct in bare:
            raise _unsupported(
                field, f"{regex!r} has {construct!r}, which its engine reads as {meaning}"
            )
    return regex


def _added_tokens(added: JsonField, *, ignore_words: bool) -> dict[str, int]:
    special_tokens: dict[str, int] = {}
    if added.value is None:
        return special_tokens
    for token in added.items():
        content = token["content"].text()
        if not token["special"].flag(default=False) and not ignore_words:
            raise UnsupportedTokenizerError(
                f"{token.source}: {token.path}, the added token {content!r}, is not special: its "
                "encoder reads it out of text, which exact covers do not follow yet. "
                "ignore_added_words=True makes a tokenizer that treats its spelling as text"
            )
        special_tokens[content] = token["id"].integer(limit=MAX_TOKENS)
    return special_tokens
