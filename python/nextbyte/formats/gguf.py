"""Reads byte-level BPE tokenizers out of the metadata of GGUF files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nextbyte.errors import UnsupportedTokenizerError
from nextbyte.formats.character_pairs_gguf import (
    CHARACTER_PAIRS,
    describe_character_pairs_gguf,
)
from nextbyte.formats.description import BytePairs, TokenizerDescription
from nextbyte.formats.gguf_metadata import read_gguf_metadata
from nextbyte.formats.gguf_pretokenizers import BY_NAME, PreTokenizer
from nextbyte.formats.json_fields import JsonField
from nextbyte.formats.merges import read_merges
from nextbyte.formats.unigram_gguf import UNIGRAM, describe_unigram_gguf
from nextbyte.formats.vocabulary import arrange_byte_level

if TYPE_CHECKING:
    from pathlib import Path

_PREFIX: Final = "tokenizer.ggml."
# The values of tokenizer.ggml.token_type.
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_NUM_TYPES: Final = 7


def load_gguf(path: Path, *, ignore_added_words: bool = False) -> TokenizerDescription:
    """Read the tokenizer of a GGUF file; its weights, if it has any, are not touched.

    Parameters
    ----------
    path
        The file.
    ignore_added_words
        Never read user-defined tokens out of text.

    Raises
    ------
    TokenizerFormatError
        Not a GGUF file, damaged, or contradicting itself.
    UnsupportedTokenizerError
        Another kind of tokenizer than byte-level BPE, or a pre-tokenizer whose stages are unknown.
    """
    metadata = _read_metadata(path)
    if metadata["model"].value in CHARACTER_PAIRS:
        return describe_character_pairs_gguf(metadata, ignore_added_words=ignore_added_words)
    if metadata["model"].value == UNIGRAM:
        return describe_unigram_gguf(metadata, ignore_added_words=ignore_added_words)
    _require_byte_level_bpe(metadata)
    pre_tokenizer = _pre_tokenizer(metadata)
    ordinary, special_tokens, words = _sort_tokens(metadata, ignore_words=ignore_added_words)
    token_bytes = arrange_byte_level(ordinary, special_tokens, words, source=str(path))
    size = len(metadata["tokens"].value)
    token_bytes += [b""] * (size - len(token_bytes))  # the last ids may be unused
    return TokenizerDescription(
        source=str(path),
        token_bytes=token_bytes,
        model=BytePairs(
            stages=list(pre_tokenizer.stages),
            merges=read_merges(metadata["merges"], ordinary | words, token_bytes),
            whole_pieces=pre_tokenizer.whole_pieces,
        ),
        special_tokens=special_tokens,
        added_tokens=list(words.values()),
    )


def _read_metadata(path: Path) -> JsonField:
    """Return what the file says under `tokenizer.ggml.`, as one object."""
    found = {
        key.removeprefix(_PREFIX): value
        for key, value in read_gguf_metadata(path).items()
        if key.startswith(_PREFIX)
    }
    return JsonField(found, source=str(path), path=_PREFIX.rstrip("."))


def _require_byte_level_bpe(metadata: JsonField) -> None:
    model = metadata["model"]
    if model.text() == "bert":
        raise UnsupportedTokenizerError(
            f"{model.source}: {model.path} is 'bert', WordPiece, which loses text: blanks, capital "
            "letters, words that it cannot spell; so its tokens do not say what the bytes were, as "
            "those of byte-level BPE do"
        )
    if model.text() != "gpt2":
        raise UnsupportedTokenizerError(
            f"{model.source}: {model.path} is {model.value!r:.80}, and only 'gpt2' (byte-level "
            "BPE), 'llama' and 'gemma4' (BPE over characters) are supported"
        )
    for option in ("add_space_prefix", "normalizer.lowercase"):
        if metadata[option].flag(default=False):
            raise UnsupportedTokenizerError(
                f"{model.source}: {metadata[option].path} changes the text before it is tokenized; "
                "not supported yet"
            )


def _pre_tokenizer(metadata: JsonField) -> PreTokenizer:
    field = metadata["pre"]
    name = "default" if field.value is None else field.text()
    if name not in BY_NAME:
        guess = " (llama.cpp's guess for files that name none)" if name == "default" else ""
        raise UnsupportedTokenizerError(
            f"{field.source}: {field.path}, the pre-tokenizer, is {name!r:.80}{guess}, whose split "
            f"patterns are not known here; known are {', '.join(BY_NAME)}. The model's "
            "tokenizer.json has the patterns themselves: Tokenizer.from_file reads it"
        )
    return BY_NAME[name]


def _sort_tokens(
    metadata: JsonField, *, ignore_words: bool
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Return spelling and id of the ordinary tokens, the special and the user-defined ones.

    The last are read out of text; with `ignore_words` they are special.

    The converter fills ids that no token has with `[PAD<id>]`, of type unused, in older files
    user-defined. The model's tokenizer knows nothing of them: they are holes.
    """
    kinds = [field.integer(limit=_NUM_TYPES) for field in metadata["token_type"].items()]
    tokens = list(metadata["tokens"].items())
    if len(kinds) != len(tokens):
        raise metadata["token_type"].error(f"has {len(kinds)} entries for {len(tokens)} tokens")
    ordinary: dict[str, int] = {}
    special_tokens: dict[str, int] = {}
    words: dict[str, int] = {}
    for index, (field, kind) in enumerate(zip(tokens, kinds, strict=True)):
        spelling = field.text()
        if spelling in ordinary or spelling in special_tokens or spelling in words:
            raise field.error(f"is {spelling!r:.80} once more")
        if kind == _NORMAL:
            ordinary[spelling] = index
        elif kind in (_CONTROL, _UNKNOWN):
            special_tokens[spelling] = index
        elif kind == _UNUSED or (kind == _USER_DEFINED and spelling == f"[PAD{index}]"):
            continue
        elif kind == _USER_DEFINED:
            (special_tokens if ignore_words or not spelling else words)[spelling] = index
        else:
            kind_name = "a byte token" if kind == _BYTE else "a token of no type"
            raise field.error(f"is {kind_name}, which byte-level BPE does not have")
    return ordinary, special_tokens, words
