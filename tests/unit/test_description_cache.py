"""The cache of descriptions: the same tokenizer from it, and never a wrong one or an error."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nextbyte import Tokenizer, description_cache
from nextbyte.description_cache import look_up
from nextbyte.description_codec import encode
from nextbyte.errors import TokenizerFormatError
from unit import tiny_tokenizers as tiny
from unit.descriptions import assert_same, description


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Give each test a cache of its own, that takes small files."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NEXTBYTE_CACHE", str(folder))
    monkeypatch.delenv(description_cache.SWITCH, raising=False)
    monkeypatch.setattr(description_cache, "MIN_SOURCE", 0)
    return folder / "tokenizers"


def described(source, load, **options):
    """Look up and keep, as a tokenizer's constructors do."""
    entry = look_up(source, load, **options)
    entry.keep(entry.description)
    return entry.description


class Loads:
    """A loader that counts."""

    def __init__(self, result=None):
        self.count = 0
        self.result = result or description()

    def __call__(self):
        self.count += 1
        return self.result


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(b"the content")
    return path


def entries(folder):
    return sorted(folder.glob("*")) if folder.exists() else []


# --- Hits and misses -----------------------------------------------------------------------------


def test_the_second_load_reads_no_source(source, cache_folder):
    load = Loads()
    first = described(source, load, loader="x")
    second = described(source, load, loader="x")
    assert load.count == 1
    assert len(entries(cache_folder)) == 1
    assert_same(second, dataclasses.replace(first, source=str(source)))


def test_what_decides_about_the_result_decides_about_the_entry(source, monkeypatch):
    load = Loads()

    def loads(**options):
        before = load.count
        described(source, load, **{"loader": "x"} | options)
        return load.count - before

    assert [loads(), loads()] == [1, 0]
    assert [loads(loader="y"), loads(loader="y")] == [1, 0]
    assert [loads(options={"a": True}), loads(options={"a": True})] == [1, 0]
    assert [loads(options={"a": False}), loads()] == [1, 0]
    source.write_bytes(b"The content")  # as long as before
    os.utime(source, (1, 1))
    assert [loads(), loads()] == [1, 0]
    source.write_bytes(b"the content")
    assert loads() == 0
    moved = source.rename(source.with_name("other.json"))
    assert described(moved, load, loader="x").source == str(moved)
    monkeypatch.setattr(description_cache, "_fingerprint", lambda: "another version")
    assert described(moved, load, loader="x").source == "somewhere"


def test_the_fingerprint_is_that_of_the_loaders(monkeypatch, tmp_path):
    import nextbyte.formats  # noqa: PLC0415 - to copy what it is

    before = description_cache._fingerprint()
    folder = tmp_path / "formats"
    folder.mkdir()
    for path in Path(nextbyte.formats.__file__).parent.glob("*.py"):
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(nextbyte.formats, "__path__", [str(folder)])
    description_cache._fingerprint.cache_clear()
    assert description_cache._fingerprint() == before
    with (folder / "merges.py").open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")
    description_cache._fingerprint.cache_clear()
    changed = description_cache._fingerprint()
    description_cache._fingerprint.cache_clear()
    assert changed != before


def test_switching_it_off(source, cache_folder, monkeypatch):
    load = Loads()
    described(source, load, loader="x", cache=False)
    monkeypatch.setenv(description_cache.SWITCH, "0")
    described(source, load, loader="x")
    assert load.count == 2
    assert entries(cache_folder) == []


def test_small_and_huge_files_are_not_kept(source, cache_folder, monkeypatch):
    load = Loads()
    monkeypatch.setattr(description_cache, "MIN_SOURCE", 12)  # it has 11 bytes
    described(source, load, loader="x")
    monkeypatch.setattr(description_cache, "MIN_SOURCE", 0)
    monkeypatch.setattr(description_cache, "MAX_SOURCE", 10)
    described(source, load, loader="x")
    assert (load.count, entries(cache_folder)) == (2, [])


def test_errors_are_the_loaders_and_are_not_kept(source, cache_folder):
    def load():
        raise TokenizerFormatError("bad")

    for _ in range(2):
        with pytest.raises(TokenizerFormatError, match="bad"):
            described(source, load, loader="x")
    assert entries(cache_folder) == []


def test_a_source_that_changes_while_it_is_read_is_not_kept(source, cache_folder):
    def load():
        source.write_bytes(b"another content")
        return description()

    described(source, load, loader="x")
    assert entries(cache_folder) == []


def test_a_description_that_cannot_be_kept_is_only_returned(source, cache_folder):
    odd = description(added_tokens={1, 2})
    assert described(source, Loads(odd), loader="x") is odd
    assert entries(cache_folder) == []


# --- Damage --------------------------------------------------------------------------------------


def test_an_entry_cut_anywhere_is_none_and_is_mended(source, cache_folder):
    load = Loads()
    described(source, load, loader="x")
    (path,) = entries(cache_folder)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        count = load.count
        described(source, load, loader="x")
        assert load.count == count + 1, length
        assert path.read_bytes() == whole


def test_an_entry_with_any_byte_changed_is_none(source, cache_folder):
    load = Loads()
    described(source, load, loader="x")
    (path,) = entries(cache_folder)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        count = load.count
        assert_same(described(source, load, loader="x"), description())
        assert load.count == count + 1, at


def test_an_entry_under_another_name_is_none(source, cache_folder):
    load = Loads()
    described(source, load, loader="x")
    (first,) = entries(cache_folder)
    described(source, load, loader="y")
    (second,) = set(entries(cache_folder)) - {first}
    second.write_bytes(first.read_bytes())
    described(source, load, loader="y")
    assert load.count == 3


def test_bytes_that_only_check_are_no_description(source, cache_folder):
    """A good checksum over anything else: no error, and no trust."""
    load = Loads()
    described(source, load, loader="x")
    (path,) = entries(cache_folder)
    key = path.stem
    for body in (b"", b"\xff" * 50, encode([1, 2]), encode(None), b"\2" + b"\0" * 7 + b"[]"):
        checked = key.encode() + body
        digest = description_cache.hashlib.sha256(checked).digest()
        path.write_bytes(description_cache._MAGIC + digest + checked)
        count = load.count
        described(source, load, loader="x")
        assert load.count == count + 1


# --- Folders and processes -----------------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_no_obstacle(source, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NEXTBYTE_CACHE", str(tmp_path / "file" / "below"))
    load = Loads()
    for _ in range(2):
        assert_same(described(source, load, loader="x"), description())
    assert load.count == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_read_only_folder_is_no_obstacle(source, cache_folder):
    cache_folder.mkdir(parents=True)
    cache_folder.chmod(0o500)
    load = Loads()
    described(source, load, loader="x")
    described(source, load, loader="x")
    assert load.count == 2
    cache_folder.chmod(0o700)


@pytest.mark.parametrize("failing", ["mkstemp", "replace", "write"])
def test_a_full_disk_is_no_obstacle_and_leaves_nothing(source, cache_folder, monkeypatch, failing):
    def fail(*_args, **_options):
        raise OSError(28, "No space left on device")

    if failing == "mkstemp":
        monkeypatch.setattr(description_cache.tempfile, "mkstemp", fail)
    elif failing == "replace":
        monkeypatch.setattr(description_cache.os, "replace", fail)
    else:

        class Full:
            def __init__(self, handle, _mode):
                self.handle = handle

            def __enter__(self):
                return self

            def __exit__(self, *_):
                os.close(self.handle)

            write = fail

        monkeypatch.setattr(description_cache, "open", Full, raising=False)
    load = Loads()
    assert_same(described(source, load, loader="x"), description())
    assert entries(cache_folder) == []


def test_without_a_home(source, monkeypatch):
    monkeypatch.delenv("NEXTBYTE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def no_home():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", no_home)
    load = Loads()
    described(source, load, loader="x")
    assert load.count == 1


def test_the_entries_used_last_stay(source, cache_folder, monkeypatch):
    monkeypatch.setattr(description_cache, "MAX_ENTRIES", 3)
    load = Loads()
    now = time.time()
    names = {}
    for index, loader in enumerate("abcd"):
        described(source, load, loader=loader)
        (names[loader],) = set(entries(cache_folder)) - set(names.values())
        os.utime(names[loader], (now - 100 + index, now - 100 + index))
        if loader == "c":
            described(source, load, loader="a")  # used: now the newest
    assert set(entries(cache_folder)) == {names[loader] for loader in "acd"}
    monkeypatch.setattr(description_cache, "MAX_TOTAL", 1)
    described(source, load, loader="e")
    assert len(entries(cache_folder)) == 1  # the one just written, however large
    described(source, load, loader="e")
    assert load.count == 5


def test_what_killed_writers_left_is_removed(source, cache_folder):
    cache_folder.mkdir(parents=True)
    old, new = cache_folder / ".writing-old", cache_folder / ".writing-new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    described(source, Loads(), loader="x")
    assert not old.exists()
    assert new.exists()


WRITER = """
import sys
from pathlib import Path
from nextbyte import description_cache
from nextbyte.formats.description import BytePairs, TokenizerDescription
description_cache.MIN_SOURCE = 0
tokens = [bytes([i % 256, i // 256]) for i in range(5000)]
whole = TokenizerDescription(source="s", token_bytes=tokens, model=BytePairs(stages=[], ranks=[1]))
for turn in range(40):
    entry = description_cache.look_up(Path(sys.argv[1]), lambda: whole, loader="x")
    entry.keep(entry.description)
    found = entry.description
    assert found.token_bytes == tokens
    for path in Path(sys.argv[2]).glob("*.description"):
        if turn % 3 == int(sys.argv[3]) % 3:
            path.unlink(missing_ok=True)
"""


def test_many_processes_at_once(source, cache_folder):
    """They write, read and remove the same entry; each sees all of it or nothing."""
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, source, cache_folder, str(number)])
        for number in range(4)
    ]
    assert [process.wait(timeout=120) for process in running] == [0] * 4
    assert not list(cache_folder.glob(".writing-*"))


# --- Through the public constructors -------------------------------------------------------------


def test_tokenizers_from_it_are_the_same(tmp_path, cache_folder):
    path = tiny.write(tmp_path, tiny.smollm2_like())
    fresh = Tokenizer.from_file(path, cache=False)
    assert entries(cache_folder) == []
    Tokenizer.from_file(path)
    assert len(entries(cache_folder)) == 1
    kept = Tokenizer.from_file(path)
    assert kept.report() == fresh.report()
    for text in ("the theatre in 2024\n\n  é中 '", "", " "):
        assert kept.encode(text) == fresh.encode(text)
        assert sorted(kept.cover_encodings(text)) == sorted(fresh.cover_encodings(text))
    assert [kept.token_bytes(i) for i in range(kept.vocab_size)] == [
        fresh.token_bytes(i) for i in range(fresh.vocab_size)
    ]
