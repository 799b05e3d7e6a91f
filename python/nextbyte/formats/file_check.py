"""Refuses a file that cannot be read, or is too large to be a tokenizer, before it is read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from nextbyte.errors import TokenizerFormatError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 1 << 27
"""The largest tokenizer files known have 40 MB."""


def require_file(path: Path, kind: str) -> None:
    """Refuse a file whose loader would fail, or read for long, because it is none.

    Parameters
    ----------
    path
        The file. One that is called `.gguf` may have any size: its weights are not read.
    kind
        What it should be, for messages.

    Raises
    ------
    TokenizerFormatError
        It is missing, cannot be read, or has more than `MAX_BYTES`.
    """
    if not path.is_file():
        raise TokenizerFormatError(f"{path}: no such file; give the path of a {kind}")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise TokenizerFormatError(f"{path}: cannot be read: {error.strerror}") from None
    if size > MAX_BYTES and path.suffix.lower() != ".gguf":
        raise TokenizerFormatError(
            f"{path}: has {size} bytes, and a {kind} at most {MAX_BYTES}; is it a model's weights?"
        )
