"""From what a user calls a model to a directory: a path, an embedded model, a hub name."""

from __future__ import annotations

import os
from pathlib import Path

from nextbyte.errors import FetchError, InvalidInputError, MissingDependencyError
from nextbyte.models.fetch import fetch
from nextbyte.models.registry import MODELS

_HUB_FILES = ["*.json", "*.safetensors"]


def resolve_model(path_or_name: str | os.PathLike[str]) -> Path:
    """Return the directory of a model.

    Parameters
    ----------
    path_or_name
        A directory; the name of an embedded model, fetched if it is not in the cache; or an
        "organisation/name" of the Hugging Face hub, downloaded (or found in its cache) by
        `huggingface_hub`.

    Raises
    ------
    InvalidInputError
        None of these.
    FetchError
        The hub, or `fetch`, could not give the model.
    MissingDependencyError
        A hub name, and `huggingface_hub` is not installed.
    """
    path = Path(path_or_name)
    if path.exists():
        return path
    name = os.fspath(path_or_name)
    if name in MODELS:
        return fetch(name)
    if name.count("/") == 1 and not name.startswith(("/", ".")):
        try:
            from huggingface_hub import snapshot_download  # noqa: PLC0415 - an optional extra
        except ImportError:
            raise MissingDependencyError(
                f"{name!r} looks like a hub name, which needs huggingface_hub: "
                "pip install 'nextbyte[transformers]'"
            ) from None
        try:
            return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
        except (OSError, ValueError) as error:  # no network, no such model, not allowed, ...
            raise FetchError(
                f"{name!r} is no directory here, and the Hugging Face hub did not give a model of "
                f"that name: {error}"
            ) from error
    raise InvalidInputError(
        f"{name!r} is neither a directory nor an embedded model ({', '.join(MODELS)})"
    )
