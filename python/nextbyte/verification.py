"""Compares a tokenizer with the library that defines its files, where that is installed.

The engine's self-check at load compares with our own encoder, which shares the pre-tokenizer with
the engine and the file's reader with everything. This shares neither, but costs another load
(docs/adr/0019): it runs with `ByteLM.from_pretrained`, where a model takes longer, and on request.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from nextbyte import _core
from nextbyte.errors import InvalidInputError
from nextbyte.formats.description import NO_RANK, BytePairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nextbyte.formats.description import TokenizerDescription

__all__ = ["Reference", "Verification", "find_reference", "verify"]

SEED: Final = 2026
MAX_QUOTED: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was compared with another library, and what came out."""

    library: str
    """Name and version."""
    texts: int
    """Texts whose tokens were compared."""
    skipped: int
    """Texts that were not: a byte of them has no token, or the library reads an added token."""
    differences: int
    first_difference: str
    """In words; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Another library's tokenizer over the same file."""

    library: str
    encode: Callable[[str], list[int]]
    read_out: tuple[str, ...] = ()
    """Spellings that the library reads out of text and this tokenizer was told not to."""


class _Encoder(Protocol):
    """What is verified."""

    @property
    def compiled(self) -> _core.CompiledTokenizer: ...
    def encode(self, text: str | bytes) -> list[int]: ...


def verify(
    tokenizer: _Encoder,
    reference: Reference,
    *,
    texts: Iterable[str] | None = None,
    count: int = 500,
) -> Verification:
    """Encode texts with both and count the differences.

    Parameters
    ----------
    tokenizer
        The tokenizer.
    reference
        As `find_reference` gives it.
    texts
        By default `count` adversarial ones, the same in every run.
    count
        How many.
    """
    if texts is None:
        texts = _core.adversarial_texts(tokenizer.compiled, count, seed=SEED)
    compared = skipped = differences = 0
    first = ""
    for text in texts:
        if any(spelling in text for spelling in reference.read_out):
            skipped += 1
            continue
        try:
            ours = tokenizer.encode(text)
        except InvalidInputError:
            skipped += 1
            continue
        theirs = reference.encode(text)
        compared += 1
        if ours != theirs:
            differences += 1
            first = first or (
                f"{text!r:.{MAX_QUOTED}} is {ours} here and {theirs} by {reference.library}"
            )
    return Verification(
        library=reference.library,
        texts=compared,
        skipped=skipped,
        differences=differences,
        first_difference=first,
    )


def find_reference(description: TokenizerDescription) -> Reference | None:
    """Return the library that defines a tokenizer file; None if there is none, or not installed.

    `tokenizers` for a tokenizer.json, `sentencepiece` for a tokenizer.model, `tiktoken` for rank
    files and tekken.json. Special tokens are not read out of text by any of them.
    """
    path = Path(description.source)
    model = description.model
    try:
        if isinstance(model, BytePairs) and model.ranks is not None:
            return _tiktoken(description, model)
        if path.suffix == ".json":
            return _tokenizers(path, description)
        if ".model" in path.name:
            return _sentencepiece(path, description)
    except ImportError:
        pass
    return None


def _tokenizers(path: Path, description: TokenizerDescription) -> Reference | None:
    import tokenizers  # noqa: PLC0415 - an optional extra

    try:
        engine = tokenizers.Tokenizer.from_file(str(path))
    except Exception:  # noqa: BLE001 - it raises nothing more special: a version that cannot read it
        return None
    engine.encode_special_tokens = True
    engine.no_truncation()
    engine.no_padding()
    read_out = tuple(
        token.content
        for token_id, token in engine.get_added_tokens_decoder().items()
        if not token.special and token_id not in description.added_tokens
    )

    def encode(text: str) -> list[int]:
        tokens: list[int] = engine.encode(text, add_special_tokens=False).ids
        return tokens

    return Reference(_version("tokenizers"), encode, read_out)


def _tiktoken(description: TokenizerDescription, model: BytePairs) -> Reference | None:
    import tiktoken  # noqa: PLC0415 - an optional extra

    ranks = model.ranks or []
    ids = {rank: token for token, rank in enumerate(ranks) if rank != NO_RANK}
    by_bytes = {description.token_bytes[token]: rank for rank, token in ids.items()}
    if len(model.stages) != 1 or any(bytes([byte]) not in by_bytes for byte in range(256)):
        return None  # it aborts at a byte without a token
    engine = tiktoken.Encoding(
        description.source, pat_str=model.stages[0], mergeable_ranks=by_bytes, special_tokens={}
    )
    return Reference(
        _version("tiktoken"), lambda text: [ids[rank] for rank in engine.encode_ordinary(text)]
    )


def _sentencepiece(path: Path, description: TokenizerDescription) -> Reference:
    import sentencepiece  # noqa: PLC0415 - an optional extra

    engine = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def encode(text: str) -> list[int]:
        tokens: list[int] = engine.encode(text)
        return tokens

    # Control pieces are never read out of text; user-defined ones are, and may have been left out.
    read_out = [
        content
        for content, token in description.special_tokens.items()
        if not engine.is_control(token) and not engine.is_unknown(token)
    ]
    return Reference(_version("sentencepiece"), encode, tuple(read_out))


def _version(package: str) -> str:
    return f"{package} {importlib.metadata.version(package)}"
