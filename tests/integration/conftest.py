"""Servers that several files talk to; each starts when the first test asks for it."""

from __future__ import annotations

import pytest

from integration.http_clients import serve_app, serve_command

NAME = "smollm2-135m"


@pytest.fixture(scope="session")
def scripted(tmp_path_factory):
    """Return the model behind `scripted_server`."""
    from integration.scripted_models import Scripted  # noqa: PLC0415 - needs the package

    return Scripted(tmp_path_factory.mktemp("scripted"))


@pytest.fixture(scope="session")
def scripted_server(scripted):
    """Serve a scripted code model from this process."""
    pytest.importorskip("uvicorn")
    from nextbyte.server import make_app  # noqa: PLC0415 - an optional part

    with serve_app(make_app(scripted.lm, name="scripted")) as server:
        server.name = "scripted"
        yield server


@pytest.fixture(scope="session")
def model_server():
    """Serve the embedded model from a process of its own; use it under the marker `model`."""
    pytest.importorskip("uvicorn")
    with serve_command(NAME) as server:
        yield server
