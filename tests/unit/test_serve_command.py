"""`nextbyte serve`: what it loads and under which name, and what it refuses before it loads."""

from __future__ import annotations

import socket
import sys

import pytest

import nextbyte as nb
from nextbyte import commands
from nextbyte.cli import main
from nextbyte.commands import serve as serve_command
from nextbyte.server.process import bind
from unit.fake_byte_models import order2_model

pytest.importorskip("starlette")

MODELS = {"a/A": order2_model(1, b"abc"), "B": order2_model(2, b"abc")}


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command up to where requests would be answered; return what would answer them."""
    served = []
    loaded = []

    def load(name, _, tolerance=0.0):
        loaded.append((name, tolerance))
        return MODELS[name]

    def answer(app, bound, say):
        served.append((app, bound.getsockname()))
        say(f"serving {app.name}")
        raise KeyboardInterrupt

    def run(*arguments):
        served.clear()
        loaded.clear()
        status = main(["serve", "--port=0", *arguments])
        captured = capsys.readouterr()
        assert captured.out == ""
        return status, captured.err, list(served), list(loaded)

    monkeypatch.setattr(commands, "load_model", load)
    monkeypatch.setattr(serve_command, "run_server", answer)
    monkeypatch.setenv("NEXTBYTE_MODEL", "B")
    monkeypatch.delenv("NEXTBYTE_API_KEY", raising=False)
    return run


def test_one_model(run):
    for arguments, loaded, name in [
        ([], ("B", 0.0), "B"),
        (["a/A"], ("a/A", 0.0), "A"),
        (["--model", "a/A", "--tolerance=0.001"], ("a/A", 0.001), "A"),
        (["a/A", "--name", "mine"], ("a/A", 0.0), "mine"),
    ]:
        status, err, served, found = run(*arguments)
        assert (status, err) == (0, f"nextbyte: serving {name}\n")
        assert found == [loaded]
        ((app, (host, port)),) = served
        assert (app.name, host) == (name, "127.0.0.1")
        assert port > 0
        assert app._served.model is MODELS[loaded[0]]


def test_an_ensemble(run):
    models = ["--model", "a/A", "--model", "B", "--weights", "0.6,0.4", "--rule", "posterior"]
    status, _, served, _ = run(*models, "--quiet")
    ensemble = served[0][0]._served.model
    assert (status, served[0][0].name) == (0, "A+B")
    assert isinstance(ensemble, nb.ByteEnsemble)
    assert (ensemble.models, ensemble.weights) == (tuple(MODELS.values()), (0.6, 0.4))
    assert ensemble.rule == "posterior"


def test_the_key_comes_from_the_option_or_the_environment(run, monkeypatch):
    assert run()[2][0][0]._key is None
    monkeypatch.setenv("NEXTBYTE_API_KEY", "env")
    assert run()[2][0][0]._key == b"env"
    assert run("--api-key=given")[2][0][0]._key == b"given"
    assert "api-key must not be empty" in run("--api-key=")[1]
    monkeypatch.setenv("NEXTBYTE_API_KEY", "")
    assert run()[2][0][0]._key is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["A", "--model", "B"], "as MODEL or with --model, not both"),
        (["--port=65536"], "port must be between 0 and 65535"),
        (["--port=x"], "invalid int value"),
        (["--host=no.such.host.invalid"], "cannot listen at no.such.host.invalid"),
        (["--weights=1"], "need two models"),
    ],
)
def test_what_is_refused_before_a_model_is_loaded(run, arguments, message):
    status, err, served, loaded = run(*arguments)
    assert (status, served, loaded) == (2, [], [])
    assert message in err


def test_a_taken_port_is_told_before_a_model_is_loaded(run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, err, _, loaded = run(f"--port={port}")
        assert (status, loaded) == (2, [])
        assert err.startswith(f"nextbyte: error: cannot listen at 127.0.0.1:{port}: ")


def test_nobody_is_let_wait_while_a_model_loads():
    bound = bind("127.0.0.1", 0)
    with bound, pytest.raises(ConnectionRefusedError):
        socket.create_connection(bound.getsockname(), timeout=60)


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_a_missing_extra_is_told_before_a_model_is_loaded(run, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    status, err, _, loaded = run()
    assert (status, loaded) == (2, [])
    expected = f"serving needs {package}: pip install 'nextbyte[server]'"
    assert err == f"nextbyte: error: {expected}\n"
