"""A served model on a real socket, and a client that sees the raw answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import re
import threading
from dataclasses import dataclass

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

import uvicorn

from nextbyte.server import make_app
from nextbyte.server.process import bind

PATIENCE = 300  # seconds after which something hangs; cores are shared
REQUEST = re.compile(r"[A-Z]+ /\S* \d{3} \| \d+\.\d\d s( \| .*)?$")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    raw: bytes
    line: str = ""

    @property
    def json(self):
        return json.loads(self.raw)

    @property
    def message(self):
        return self.json["error"]["message"]

    @property
    def text(self):
        (choice,) = self.json["choices"]
        return choice["text"]

    @property
    def events(self):
        """What a stream's events hold; "[DONE]" as it is."""
        assert self.headers["content-type"].startswith("text/event-stream")
        blocks = self.raw.decode().split("\n\n")
        assert blocks.pop() == ""
        assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
        texts = [block.removeprefix("data: ") for block in blocks]
        return [text if text == "[DONE]" else json.loads(text) for text in texts]


class Server:
    """A client of a server, and its log: one line a request, and what else there is."""

    def __init__(self, app, port, log):
        self.app = app
        self.port = port
        self.log = log
        self.faults = []

    def line(self):
        """The next request's line; it is written behind the answer."""
        while not REQUEST.match(line := self.log.get(timeout=PATIENCE)):
            self.faults.append(line)
        return line

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def send(self, path, body=None, *, method=None, headers=None):
        """Return a connection with a request under way."""
        connection = self.connect()
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        method = method or ("GET" if body is None else "POST")
        connection.request(method, path, data, headers or {})
        return connection

    def ask(self, path, body=None, **options):
        with contextlib.closing(self.send(path, body, **options)) as connection:
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, headers, response.read())
        answer.line = self.line()
        assert f" {answer.status} | " in answer.line
        return answer

    def complete(self, prompt, **fields):
        answer = self.ask("/v1/completions", {"prompt": prompt, **fields})
        assert answer.status == 200, answer.raw
        return answer

    def infill(self, prefix, suffix, **fields):
        answer = self.ask("/infill", {"input_prefix": prefix, "input_suffix": suffix, **fields})
        assert answer.status == 200, answer.raw
        return answer


@contextlib.contextmanager
def serving(model, *, name="tiny", **options):
    """Serve a model in a thread."""
    log: queue.Queue[str] = queue.Queue()
    app = make_app(model, name=name, log=log.put, **options)
    bound = bind("127.0.0.1", 0)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([bound],))
    port = bound.getsockname()[1]
    bound.listen()  # so that a client waits for the thread, rather than being refused
    thread.start()
    try:
        yield Server(app, port, log)
    finally:
        app.cancel_all()
        server.should_exit = True
        thread.join(PATIENCE)
        bound.close()
        assert not thread.is_alive()
