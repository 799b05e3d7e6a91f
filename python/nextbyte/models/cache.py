"""The folder of fetched models: where it is, who may write, and whether a model is complete.

A model is a folder that holds a manifest with the size and SHA-256 of every other file. The
folder is built elsewhere on the same file system and renamed into place, manifest and all, so
that it is either absent or whole. What can still go wrong afterwards (a file cut short, changed
or lost) is found by comparing with the manifest: sizes at every use, hashes on request.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nextbyte.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MANIFEST", "cache_directory", "damage", "locked", "sha256_of", "write_manifest"]

MANIFEST: Final = "manifest.json"
_BLOCK: Final = 1 << 20


def cache_directory() -> Path:
    """Return the folder that holds everything nextbyte caches; it may not exist yet.

    ``NEXTBYTE_CACHE`` if set, else ``nextbyte`` under ``XDG_CACHE_HOME``, else
    ``~/.cache/nextbyte``.

    Returns
    -------
    Path
        An absolute path.

    Examples
    --------
    >>> import os
    >>> os.environ["NEXTBYTE_CACHE"] = "/tmp/nextbyte-example"
    >>> cache_directory().as_posix()
    '/tmp/nextbyte-example'
    >>> del os.environ["NEXTBYTE_CACHE"]
    """
    chosen = os.environ.get("NEXTBYTE_CACHE", "")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The base directory specification says that a relative path here is to be ignored.
    if base and Path(base).is_absolute():
        return Path(base) / "nextbyte"
    try:
        home = Path.home()
    except RuntimeError as error:
        raise FetchError(
            "cannot tell where to cache models: there is no home directory; "
            "set NEXTBYTE_CACHE to a folder you may write to"
        ) from error
    return home / ".cache" / "nextbyte"


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, reading it in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_manifest(folder: Path, origin: Mapping[str, Any], hashes: Mapping[str, str]) -> None:
    """Write the manifest of a folder; it comes last, since it says that the rest is there.

    Parameters
    ----------
    folder : Path
        The folder, with all its other files written.
    origin : Mapping
        What the files were made from; `damage` compares it.
    hashes : Mapping[str, str]
        SHA-256 of files that were hashed while they were written; the others are read again.
    """
    files = {
        path.name: {
            "bytes": path.stat().st_size,
            "sha256": hashes.get(path.name) or sha256_of(path),
        }
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != MANIFEST
    }
    text = json.dumps({"origin": dict(origin), "files": files}, indent=2) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def damage(folder: Path, origin: Mapping[str, Any], *, verify: bool) -> str | None:
    """Say what is wrong with a stored model, or None where it is whole.

    Parameters
    ----------
    folder : Path
        The folder of the model.
    origin : Mapping
        What it should have been made from; another origin is a stale cache.
    verify : bool
        Read every file and compare its hash; otherwise only sizes are compared.

    Returns
    -------
    str or None
        One line for people, or None.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if manifest["origin"] != dict(origin):
            return "it was made by another version of nextbyte"
        for name, expected in manifest["files"].items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            size = path.stat().st_size
            if size != expected["bytes"]:
                return f"{name} has {size} bytes instead of {expected['bytes']}"
            if verify and sha256_of(path) != expected["sha256"]:
                return f"{name} has another SHA-256 than when it was written"
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{MANIFEST} cannot be used ({error})"
    return None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, waiting for whoever has it.

    The operating system gives the lock up when its process ends, however it ends; so a killed
    process leaves nothing to clean. The file itself stays: removing it would let two processes
    lock two different files of the same name.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - exists on one platform only

            while True:
                # LK_LOCK gives up after ten tries, one a second; a conversion takes longer.
                with contextlib.suppress(OSError):
                    msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
                    break
        else:
            import fcntl  # noqa: PLC0415 - exists on one platform only

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
