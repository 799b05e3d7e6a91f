"""`nextbyte serve` as a process: several models, bad starts, and its end."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import pytest

import nextbyte as nb
from integration.http_clients import PATIENCE, serve_command
from unit import tiny_tokenizers as tiny

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("uvicorn")

BYTES = tiny.single_bytes(bytes(range(256)))
MERGES = {
    "one": [(b"h", b"e"), (b" ", b"he"), (b"a", b"b")],
    "two": [(b"e", b"l"), (b"l", b"o"), (b"b", b"a"), (b" ", b"h")],
}


def save(folder, name, seed):
    """Write a small random model whose texts end rarely."""
    folder.mkdir()
    document = tiny.document(BYTES, MERGES[name], specials=("<e>",))
    tiny.write(folder, document)
    size = 1 + max(document["model"]["vocab"].values())
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=256,
        initializer_range=0.5,
        eos_token_id=document["model"]["vocab"]["<e>"],
        bos_token_id=None,
    )
    transformers.LlamaForCausalLM(config).eval().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("models")
    return [save(parent / name, name, seed) for seed, name in enumerate(MERGES)]


def test_several_models(folders):
    """The served law is the ensemble's; SIGINT ends the process without a complaint."""
    members = [nb.ByteLM.from_pretrained(folder) for folder in folders]
    ensemble = nb.ByteEnsemble(members, [0.6, 0.4], "product")
    models = [part for folder in folders for part in ("--model", folder)]
    with serve_command(*models, "--weights", "0.6,0.4", "--rule", "product") as server:
        assert [m["id"] for m in server.get("/v1/models").json()["data"]] == [server.name]
        for prompt in ("hello", " he", "aba"):
            params = nb.SamplingParams(temperature=0, max_bytes=12)
            wanted = nb.generate(ensemble, prompt, params)
            body = {"prompt": prompt, "max_tokens": 16, "temperature": 0}
            choice = server.post("/v1/completions", body).json()["choices"][0]
            assert choice["text"].startswith(wanted.bytes.decode("utf-8", "ignore"))
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=PATIENCE) in (0, 130)
        assert server.process.stdout.read() == ""
    assert "Traceback" not in "".join(server.said)
    assert re.search(r" at http://127\.0\.0\.1:\d+\n$", server.said[0])


def fails(*arguments):
    command = [sys.executable, "-m", "nextbyte", "serve", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("nextbyte: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_model_that_does_not_exist():
    assert "no-such-model" in fails("./no-such-model", "--port", "0")


def test_a_port_that_is_taken(folders):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert port in fails(folders[0], "--port", port)
