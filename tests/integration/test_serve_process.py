"""`nextbyte serve` as users start it: a process, a socket, the embedded model, an interrupt."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

import nextbyte as nb
from integration.small_models import VOCAB, llama
from nextbyte.backends import TransformersBackend
from nextbyte.models import convert
from unit.known_models import load_all
from unit.serving import PATIENCE, Server, serving
from unit.tiny_model import write_gguf

READY = re.compile(r"nextbyte: serving (\S+) at http://127\.0\.0\.1:(\d+)\n")
WEIGHTS = ["--weights", "0.6,0.4", "--rule", "mixture"]


class Log:
    """The lines that a process writes to stderr, as its server's log."""

    def __init__(self, stream):
        self.lines = []
        self._has_more = threading.Condition()
        self._read = 0
        self._thread = threading.Thread(target=self._follow, args=[stream], daemon=True)
        self._thread.start()

    def _follow(self, stream):
        for line in stream:
            with self._has_more:
                self.lines.append(line)
                self._has_more.notify()

    def get(self, timeout):
        with self._has_more:
            assert self._has_more.wait_for(lambda: len(self.lines) > self._read, timeout)
            self._read += 1
            return self.lines[self._read - 1].removeprefix("nextbyte: ").rstrip("\n")

    def end(self):
        self._thread.join(PATIENCE)


@contextlib.contextmanager
def process(*arguments):
    command = [sys.executable, "-m", "nextbyte", "serve", "--port", "0", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        log = Log(child.stderr)
        try:
            line = log.get(timeout=600) + "\n"
            found = READY.fullmatch("nextbyte: " + line)
            assert found, line
            server = Server(None, int(found[2]), log)
            server.name, server.child = found[1], child
            yield server
        finally:
            child.terminate()
            child.wait(PATIENCE)
            log.end()


@pytest.fixture(scope="module")
def server(model_folder):
    with process("--model", str(model_folder)) as running:
        yield running


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    write_gguf(folder / "tiny.gguf")
    convert.convert_gguf(folder / "tiny.gguf", folder)
    return folder


def texts_of(raw):
    events = [e.removeprefix("data: ") for e in raw.decode().split("\n\n")[:-1]]
    assert events.pop() == "[DONE]"
    return [json.loads(event)["choices"][0]["text"] for event in events]


@pytest.mark.model
def test_completions_whole_and_streamed(server):
    assert server.name == "smollm2-135m"
    assert server.ask("/health").json == {"status": "ok"}
    assert [m["id"] for m in server.ask("/v1/models").json["data"]] == ["smollm2-135m"]
    options = {"max_tokens": 4, "temperature": 0}
    answer = server.complete("The capital of Ger", **options).json
    assert answer["choices"][0]["text"].startswith("many")
    assert answer["usage"]["completion_tokens"] == 4
    stream = server.complete("The capital of Ger", stream=True, **options)
    assert "".join(texts_of(stream.raw)) == answer["choices"][0]["text"]


@pytest.mark.model
def test_infill_as_llama_vim_asks(server):
    fields = {
        "input_extra": [{"text": "a text", "time": [1, 2], "filename": "a.txt"}],
        "prompt": "The capital of Ger",
        "n_predict": 2,
        "n_indent": 0,
        "stop": [],
        "top_k": 40,
        "top_p": 0.9,
        "stream": False,
        "samplers": ["top_k", "top_p", "infill"],
        "cache_prompt": True,
        "t_max_prompt_ms": 500,
        "seed": 0,
        "response_fields": ["content", "timings/prompt_n", "tokens_cached", "truncated"],
    }
    answer = server.infill("", " is Berlin, on the Spree.", **fields)
    assert re.match(rb"^\s*{", answer.raw)
    assert re.search(rb'"content"\s*:"', answer.raw)
    assert answer.json["content"] == "many"
    assert set(answer.json) == set(fields["response_fields"])
    warm_up = {"n_predict": 0, "samplers": [], "response_fields": [""]}
    assert server.infill("", "", **warm_up).raw == b"{}"


@pytest.mark.model
def test_bad_requests_and_clients_that_go_away(server):
    assert server.ask("/v1/completions", b"{").status == 400
    assert server.ask("/v1/completions", b'{"prompt":"\\ud800"}').status == 400
    assert server.ask("/infill", {"input_prefix": "a"}).status == 400
    assert server.ask("/v1/chat/completions", {}).status == 404
    connection = server.send(
        "/v1/completions", {"prompt": "a", "max_tokens": 4000, "stop": [], "stream": True}
    )
    response = connection.getresponse()
    assert response.readline().startswith(b"data: ")
    connection.sock.shutdown(socket.SHUT_RDWR)
    response.close()
    connection.close()
    assert server.line().startswith("POST /v1/completions 499 | ")
    assert server.complete("b", max_tokens=1).status == 200


@pytest.mark.model
@pytest.mark.skipif(os.name == "nt", reason="signals are others there")
def test_an_ensemble_gives_what_complete_prints_and_an_interrupt_is_the_end(
    model_folder, tiny_folder, tmp_path
):
    models = ["--model", str(model_folder), "--model", str(tiny_folder), *WEIGHTS]
    sampling = {"max_bytes": 20, "temperature": 0.8, "seed": 5}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in sampling.items()]
    command = [sys.executable, "-m", "nextbyte", "complete", "def fib(n):", *models, *options]
    done = subprocess.run([*command, "--json"], capture_output=True, check=True, text=True)
    printed = json.loads(done.stdout)
    with process(*models) as running:
        assert running.name == "smollm2-135m+tiny"
        answer = running.complete("def fib(n):", **sampling).json
        assert answer["choices"][0]["text"] == printed["text"]
        assert answer["usage"]["completion_bytes"] == len(printed["bytes"])
        stream = running.complete("def fib(n):", stream=True, **sampling)
        assert "".join(texts_of(stream.raw)) == printed["text"]
        gap = {"input_prefix": "def f", "input_suffix": "(n):", "max_bytes": 2, "seed": 1}
        (tmp_path / "prefix").write_text(gap["input_prefix"])
        (tmp_path / "suffix").write_text(gap["input_suffix"])
        files = [f"--{part}-file={tmp_path / part}" for part in ("prefix", "suffix")]
        command = [sys.executable, "-m", "nextbyte", "infill", *files, *models]
        command += ["--max-bytes=2", "--seed=1", "--quiet"]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        assert running.ask("/infill", gap).json["content"] == done.stdout
        # Interrupted while it generates.
        connection = running.send("/v1/completions", {"prompt": "x", "max_bytes": 40, "n": 30})
        assert running.ask("/health").status == 200
        running.child.send_signal(signal.SIGINT)
        with contextlib.suppress(http.client.RemoteDisconnected):
            assert connection.getresponse().status == 503
        connection.close()
        assert running.child.wait(PATIENCE) == 0
        running.log.end()
        assert running.child.stdout.read() == ""
        assert all(line.startswith("nextbyte: ") for line in running.log.lines)
        assert sum("serving" in line for line in running.log.lines) == 1


def test_what_was_read_for_a_request_is_not_read_again(tmp_path_factory):
    """An editor asks about the same text again and again, a little longer each time."""
    tokenizer = load_all(tmp_path_factory.mktemp("tokenizers"))["letters"]
    assert tokenizer.vocab_size <= VOCAB
    backend = TransformersBackend(llama().double(), start_token=0, end_tokens=())
    lm = nb.ByteLM(tokenizer, backend)
    read = []
    forward = backend._forward

    def counting(part):
        read.append(len(part))
        return forward(part)

    backend._forward = counting
    prompt = "the tea that heat at the hat " * 4
    with serving(lm) as running:
        running.complete(prompt, max_tokens=1)
        assert sum(read) > 30
        read.clear()
        running.complete(prompt + "the", max_tokens=1)
        assert sum(read) < 20
        running.infill(prompt, "the", n_predict=1)
        held = backend.kv_tokens
        for i in range(12):  # other texts take its place
            running.complete(f"{'at' * (i + 1)}{prompt}", max_tokens=1)
        assert backend.kv_tokens < 8 * held
