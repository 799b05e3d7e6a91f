"""Reads byte-level BPE tokenizers out of the metadata of GGUF files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nextbyte.errors import UnsupportedTokenizerError
from nextbyte.formats.description import BytePairs, TokenizerDescription
from nextbyte.formats.gguf_metadata import read_gguf_metadata
from nextbyte.formats.gguf_pretokenizers import BY_NAME, PreTokenizer
from nextbyte.formats.json_fields import JsonField
from nextbyte.formats.merges import read_merges
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
        Accept user-defined tokens, and never read them out of text.

    Raises
    ------
    TokenizerFormatError
        Not a GGUF file, damaged, or contradicting itself.
    UnsupportedTokenizerError
        Another kind of tokenizer than byte-level BPE, a pre-tokenizer whose stages are not known,
        or user-defined tokens.
    """
    metadata = _read_metadata(path)
    _require_byte_level_bpe(metadata)
    pre_tokenizer = _pre_tokenizer(metadata)
    ordinary, special_tokens = _sort_tokens(metadata, ignore_words=ignore_added_words)
    token_bytes = arrange_byte_level(ordinary, special_tokens, source=str(path))
    size = len(metadata["tokens"].value)
    token_bytes += [b""] * (size - len(token_bytes))  # the last ids may be unused
    return TokenizerDescription(
        source=str(path),
        token_bytes=token_bytes,
        model=BytePairs(
            stages=list(pre_tokenizer.stages),
            merges=read_merges(metadata["merges"], ordinary, token_bytes),
            whole_pieces=pre_tokenizer.whole_pieces,
        ),
        special_tokens=special_tokens,
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
    if model.text() != "gpt2":
        raise UnsupportedTokenizerError(
            f"{model.source}: {model.path} is {model.value!r}, and only 'gpt2', byte-level BPE, is "
            "supported"
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
            f"{field.source}: {field.path}, the pre-tokenizer, is {name!r}{guess}, whose split "
            f"patterns are not known here; known are {', '.join(BY_NAME)}. The model's "
            "tokenizer.json has the patterns themselves: Tokenizer.from_file reads it"
        )
    return BY_NAME[name]


def _sort_tokens(
    metadata: JsonField, *, ignore_words: bool
) -> tuple[dict[str, int], dict[str, int]]:
    """Return spelling and id of the ordinary tokens, and of the special and added ones.

    The converter fills ids that no token has with `[PAD<id>]`, of type unused, in older files
    user-defined. The model's tokenizer knows nothing of them: they are holes.
    """
    kinds = [field.integer(limit=_NUM_TYPES) for field in metadata["token_type"].items()]
    tokens = list(metadata["tokens"].items())
    if len(kinds) != len(tokens):
        raise metadata["token_type"].error(f"has {len(kinds)} entries for {len(tokens)} tokens")
    ordinary: dict[str, int] = {}
    special_tokens: dict[str, int] = {}
    for index, (field, kind) in enumerate(zip(tokens, kinds, strict=True)):
        spelling = field.text()
        if spelling in ordinary or spelling in special_tokens:
            raise field.error(f"is {spelling!r:.80} once more")
        if kind == _NORMAL:
            ordinary[spelling] = index
        elif kind in (_CONTROL, _UNKNOWN):
            special_tokens[spelling] = index
        elif kind == _UNUSED or (kind == _USER_DEFINED and spelling == f"[PAD{index}]"):
            continue
        elif kind == _USER_DEFINED:
            if not ignore_words:
                raise UnsupportedTokenizerError(
                    f"{field.source}: {field.path}, {spelling!r:.80}, is a user-defined token: its "
                    "encoder reads it out of text, which exact covers do not follow yet. "
                    "ignore_added_words=True makes a tokenizer that treats its spelling as text"
                )
            special_tokens[spelling] = index
        else:
            kind_name = "a byte token" if kind == _BYTE else "a token of no type"
            raise field.error(f"is {kind_name}, which byte-level BPE does not have")
    return ordinary, special_tokens
