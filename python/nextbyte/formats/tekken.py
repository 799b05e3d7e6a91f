"""Reads Mistral's `tekken.json`: tiktoken ranks behind a block of special tokens."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from nextbyte import _core
from nextbyte.formats.description import BytePairs, TokenizerDescription
from nextbyte.formats.json_fields import JsonField
from nextbyte.formats.vocabulary import MAX_TOKENS, arrange_in_order, ranks_in_order

if TYPE_CHECKING:
    from pathlib import Path

MAX_SPECIAL: Final = 1 << 16
"""Special tokens: there is one by number alone, so a short file could ask for millions."""

# Of files without a list of special tokens (before version 8), in order of id.
_FIRST_SPECIAL_TOKENS: Final = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]"),
    *("[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
    "[TOOL_CONTENT]",
)


def is_tekken(document: JsonField) -> bool:
    """Say whether a parsed file is of this format: at its top are `config` and a list `vocab`."""
    top = document.value
    return isinstance(top, dict) and "config" in top and isinstance(top.get("vocab"), list)


def load_tekken(path: Path) -> TokenizerDescription:
    """Read a `tekken.json`.

    The first `default_num_special_tokens` ids are special tokens; the entry of rank r has the id r
    plus their number. Entries past `default_vocab_size` ids are not used.

    Raises
    ------
    TokenizerFormatError
        Not JSON, not such a file, or contradicting itself.
    """
    return describe_tekken(JsonField.read(path))


def describe_tekken(document: JsonField) -> TokenizerDescription:
    """Do what `load_tekken` does for a document that has been parsed."""
    if not is_tekken(document):
        raise document.error("is not a tekken.json file: it has no 'config' and no list 'vocab'")
    config = document["config"]
    size = config["default_vocab_size"].integer(limit=MAX_TOKENS)
    num_special = config["default_num_special_tokens"].integer(limit=min(size, MAX_SPECIAL) + 1)
    special_tokens = _special_tokens(document["special_tokens"], num_special)
    tokens = _tokens(document["vocab"], size - num_special)
    token_bytes = arrange_in_order(tokens, num_special, special_tokens, source=document.source)
    return TokenizerDescription(
        source=document.source,
        token_bytes=token_bytes,
        model=BytePairs(
            stages=[config["pattern"].text()],
            ranks=ranks_in_order(token_bytes),
            whole_pieces=True,  # it is tiktoken, which looks a whole piece up before it merges
        ),
        special_tokens=special_tokens,
    )


def _special_tokens(field: JsonField, count: int) -> dict[str, int]:
    """Return content and id of the special tokens, with the fillers `<SPECIAL_id>`."""
    if field.value is None:
        contents = dict(enumerate(_FIRST_SPECIAL_TOKENS[:count]))
    else:
        contents = {}
        for token in field.items():
            rank = token["rank"].integer(limit=count)
            if rank in contents:
                raise token.error(f"has rank {rank}, which is that of {contents[rank]!r:.80}")
            contents[rank] = token["token_str"].text()
    ids: dict[str, int] = {}
    for index in range(count):
        content = contents.get(index, f"<SPECIAL_{index}>")
        if content in ids:
            raise field.error(f"has {content!r:.80} twice, as {ids[content]} and {index}")
        ids[content] = index
    return ids


def _tokens(vocab: JsonField, count: int) -> list[bytes]:
    """Return the first `count` entries, which have the ranks 0 to count - 1 in order."""
    try:
        entries = vocab.value[:count]
        ranks = [entry["rank"] for entry in entries]
        tokens = _core.decode_base64_texts([entry["token_bytes"] for entry in entries])
    except (LookupError, TypeError):
        tokens = None
    else:
        if set(map(type, ranks)) != {int} or ranks != list(range(count)):
            tokens = None
    # Something is wrong or odd: say what, or do without the fast way.
    if tokens is None or not all(tokens) or len(set(tokens)) < count:
        tokens = _tokens_one_by_one(vocab, count)
    return tokens


def _tokens_one_by_one(vocab: JsonField, count: int) -> list[bytes]:
    ranks: dict[bytes, int] = {}
    for rank, entry in zip(range(count), vocab.items(), strict=False):
        if entry["rank"].integer(limit=MAX_TOKENS) != rank:
            raise entry.error(f"has rank {entry['rank'].value}; ranks count up from 0")
        spelling = entry["token_bytes"].text()
        try:
            token = base64.b64decode(spelling, validate=True)
        except (ValueError, binascii.Error):
            raise entry["token_bytes"].error("is not base64") from None
        if not token or token in ranks:
            raise entry["token_bytes"].error(f"is {token!r:.80}, which is empty or a repetition")
        ranks[token] = rank
    if len(ranks) < count:
        raise vocab.error(f"has {len(ranks)} entries; the config says {count} are used")
    return list(ranks)
