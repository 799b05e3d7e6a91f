"""From the name of a model to its directory: paths, embedded models, hub names."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nextbyte.errors import InvalidInputError
from nextbyte.models import resolve

RESOLVE = """
import sys
from nextbyte.models.resolve import resolve_model
print(resolve_model(sys.argv[1]))
"""


def run_offline(name, cache):
    """Resolve in a fresh interpreter: the hub's library reads its settings once, at import."""
    return subprocess.run(
        [sys.executable, "-c", RESOLVE, name],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def hub_cache(tmp_path):
    """Return a hub cache that holds one revision of `house/tiny`."""
    pytest.importorskip("huggingface_hub")
    folder = tmp_path / "models--house--tiny"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "tokenizer.json").write_text("{}")
    return tmp_path


def test_a_path_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smollm2-135m").mkdir()
    assert resolve.resolve_model("smollm2-135m") == resolve.Path("smollm2-135m")


def test_an_embedded_model_is_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr(resolve, "fetch", lambda name: tmp_path / name)
    assert resolve.resolve_model("smollm2-135m") == tmp_path / "smollm2-135m"


def test_a_hub_name_in_the_cache_needs_no_network(hub_cache):
    result = run_offline("house/tiny", hub_cache)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().endswith("0" * 40)


def test_a_hub_name_that_cannot_be_had(hub_cache):
    result = run_offline("house/unknown", hub_cache)
    assert "FetchError: 'house/unknown' is no directory here" in result.stderr


@pytest.mark.parametrize("name", ["nothing-of-that-name", "./house/tiny", "a/b/c"])
def test_anything_else_lists_what_there_is(name):
    with pytest.raises(InvalidInputError, match="smollm2-135m"):
        resolve.resolve_model(name)
