"""Keeps the descriptions of large tokenizer files on disk, so that a second load parses nothing.

What is kept is the plain `TokenizerDescription`, with what compiling it found out about its merges
(docs/adr/0023), and not all that the core makes of it. The name of an entry is a SHA-256 over all
that decides about it: the content of the file (its name and times prove nothing, and hashing 20 MB
takes some 15 milliseconds), the loader and its options, and the code of the loaders themselves, so
that no entry outlives a change of them. An entry carries a checksum; what does not check is no
entry.

The cache is never in the way: a folder that cannot be read or written means to do without, and so
does ``NEXTBYTE_TOKENIZER_CACHE=0``.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import nextbyte.formats
from nextbyte import _core
from nextbyte.description_codec import decode, encode
from nextbyte.errors import NextByteError
from nextbyte.formats.description import TokenizerDescription
from nextbyte.formats.json_fields import collection_held
from nextbyte.models.cache import cache_directory, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Entry", "look_up"]

SWITCH: Final = "NEXTBYTE_TOKENIZER_CACHE"
SUFFIX: Final = ".description"
MIN_SOURCE: Final = 1 << 18
"""Smaller files (bytes) are read faster than their hash is worth."""
MAX_SOURCE: Final = 1 << 26
"""Larger ones hold weights as well, and hashing those would take longer than parsing."""
MAX_ENTRIES: Final = 64
MAX_TOTAL: Final = 1 << 28
"""Bytes of all entries; the ones used last stay."""

_MAGIC: Final = b"nextbyte description\n"
_DIGEST: Final = hashlib.sha256().digest_size
_STALE: Final = 3600.0  # seconds after which a temporary file has no writer any more
# What decoding may raise for bytes that are not what `encode` wrote. The checksum says so first.
_DAMAGE: Final = (AttributeError, ImportError, LookupError, OverflowError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Entry:
    """A description, and where it is to be kept if it was not found there."""

    description: TokenizerDescription
    source: Path
    path: Path | None = None
    key: str = ""
    state: tuple[int, int] = (0, 0)  # of the source before it was read

    def keep(self, description: TokenizerDescription) -> None:
        """Write it for the next time, in place of `self.description`; nothing if it was found."""
        if self.path is None:
            return
        with contextlib.suppress(OSError):
            # Otherwise the source may have been written while it was read.
            if _state(self.source) == self.state:
                _write(self.path, self.key, description)


def look_up(
    source: Path,
    load: Callable[[], TokenizerDescription],
    *,
    loader: str,
    options: Mapping[str, Any] | None = None,
    cache: bool = True,
) -> Entry:
    """Return `load()`, or what was kept of it for the same content before.

    Parameters
    ----------
    source
        The only file that `load` reads.
    load
        Reads it. What it raises is not kept.
    loader
        Its name, and what it takes from the file's name, if anything.
    options
        Its options: all that decide about the result beside the content. Of JSON's types.
    cache
        False to neither look nor keep.
    """
    if not cache or os.environ.get(SWITCH, "1") == "0":
        return Entry(_loaded(load), source)
    try:
        before = _state(source)
        if not MIN_SOURCE <= before[0] <= MAX_SOURCE:
            return Entry(_loaded(load), source)
        folder = cache_directory() / "tokenizers"
        key = _key(sha256_of(source), loader, options or {})
    except (OSError, NextByteError, TypeError, ValueError):  # the last two: odd options
        return Entry(_loaded(load), source)
    path = folder / f"{key}{SUFFIX}"
    found = _read(path, key)
    if found is not None:
        return Entry(replace(found, source=str(source)), source)
    return Entry(_loaded(load), source, path, key, before)


def _state(source: Path) -> tuple[int, int]:
    status = source.stat()
    return status.st_size, status.st_mtime_ns


def _loaded(load: Callable[[], TokenizerDescription]) -> TokenizerDescription:
    with collection_held():
        return load()


def _key(content: str, loader: str, options: Mapping[str, Any]) -> str:
    parts = [content, loader, dict(options), _fingerprint()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@functools.cache
def _fingerprint() -> str:
    """Return a hash of the code that makes descriptions and entries."""
    codec = Path(__file__).with_name("description_codec.py")
    files = [Path(__file__), codec, Path(_core.__file__)]
    files += sorted(Path(folder) for folder in nextbyte.formats.__path__)
    digest = hashlib.sha256()
    for file in files:
        for part in sorted(file.glob("*.py")) if file.is_dir() else [file]:
            digest.update(part.name.encode() + b"\0" + part.read_bytes() + b"\0")
    return digest.hexdigest()


def _read(path: Path, key: str) -> TokenizerDescription | None:
    """Return the description of an entry, or None where there is none that is whole."""
    try:
        data = path.read_bytes()
        begin = len(_MAGIC) + _DIGEST
        body = memoryview(data)[begin:]
        checksum = hashlib.sha256(body).digest()
        if data[:begin] != _MAGIC + checksum or bytes(body[: len(key)]) != key.encode():
            return None
        description = decode(body[len(key) :])
        if not isinstance(description, TokenizerDescription):
            return None
    except (OSError, *_DAMAGE):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return description


def _write(path: Path, key: str, description: TokenizerDescription) -> None:
    """Write an entry; others see all of it or nothing.

    Raises
    ------
    OSError
        The folder cannot be written to, or the disk is full; nothing is left behind.
    """
    try:
        body = key.encode() + encode(description)
    except TypeError:  # of a family that describes itself by something the codec does not know
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with open(handle, "wb") as stream:  # noqa: PTH123 - a descriptor
            stream.write(_MAGIC + hashlib.sha256(body).digest())
            stream.write(body)
        os.replace(temporary, path)  # noqa: PTH105 - a name
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - a name
        raise
    _prune(path.parent, keep=path)


def _prune(folder: Path, *, keep: Path) -> None:
    """Remove the entries that were used longest ago, and what killed writers left."""
    entries = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            status = path.stat()
            if path.suffix == SUFFIX:
                entries.append((path == keep, status.st_mtime, status.st_size, path))
            elif path.name.startswith(".writing-") and time.time() - status.st_mtime > _STALE:
                path.unlink()
    total = 0
    for count, (_, _, size, path) in enumerate(sorted(entries, reverse=True)):
        total += size
        if count > 0 and (count >= MAX_ENTRIES or total > MAX_TOTAL):
            with contextlib.suppress(OSError):
                path.unlink()
