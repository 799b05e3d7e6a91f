"""A plain HTTP client, and the server under test: as a process, or an app on a real socket.

Bodies stay bytes, since some clients look at them before they parse, and streams are read event by
event, with the time at which each came.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

PATIENCE = 120.0  # seconds that a loaded machine may take for anything


@dataclass
class Answer:
    """Status, headers in lower case, and the body as it came."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def text(self):
        return self.raw.decode("utf-8")

    def json(self):
        kind = self.headers["content-type"].partition(";")[0]
        assert kind == "application/json", self.raw[:200]
        return json.loads(self.raw, parse_constant=_no_constant)


def _no_constant(name):
    """Refuse NaN and Infinity: no JSON, and JavaScript cannot read them."""
    message = f"{name} is not JSON"
    raise AssertionError(message)


@dataclass
class Stream:
    """The events of one answer, by the rules of server-sent events."""

    headers: dict[str, str]
    data: list[str] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)

    @property
    def events(self):
        """What was sent as JSON."""
        return [json.loads(d, parse_constant=_no_constant) for d in self.data if d != "[DONE]"]


@dataclass
class Server:
    """Where it listens, and how to ask."""

    host: str
    port: int
    name: str = ""
    process: subprocess.Popen | None = None
    said: list[str] = field(default_factory=list)

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def ask(self, method, path, body=None, **headers):
        """Send one request on a connection of its own."""
        with contextlib.closing(self.connect()) as connection:
            self._send(connection, method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, _lower(response.getheaders()), response.read())

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def post(self, path, body, **headers):
        return self.ask("POST", path, body, **headers)

    def stream(self, path, body, **headers):
        """Read a whole stream."""
        with self.open_stream(path, body, **headers) as stream:
            for _ in stream:
                pass
            return stream.result

    def open_stream(self, path, body, **headers):
        return OpenStream(self, path, body, headers)

    def raw(self, data, *, until=None):
        """Send bytes as they are; return what comes until the server closes, or `until`."""
        with socket.create_connection((self.host, self.port), timeout=PATIENCE) as connection:
            connection.sendall(data)
            found = b""
            while until is None or until not in found:
                try:
                    chunk = connection.recv(65536)
                except ConnectionResetError:
                    break
                if not chunk:
                    break
                found += chunk
            return found

    def _send(self, connection, method, path, body, headers):
        if isinstance(body, dict | list):
            body = json.dumps(body)
            headers = {"content_type": "application/json"} | headers
        if isinstance(body, str):
            body = body.encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, names)


def _lower(headers):
    return {name.lower(): value for name, value in headers}


class OpenStream:
    """A stream that can be left in the middle."""

    def __init__(self, server, path, body, headers):
        self._connection = server.connect()
        server._send(self._connection, "POST", path, body, headers)
        self._socket = self._connection.sock  # the response takes it over
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()
        self.result = Stream(_lower(self._response.getheaders()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hang_up()

    def __iter__(self):
        """Give each event's data as soon as it is there."""
        while line := self._response.readline():
            self.result.lines.append(line)
            if line.startswith(b"data:"):
                self.result.data.append(line[5:].strip().decode("utf-8"))
                yield self.result.data[-1]

    def hang_up(self):
        """Go away, whatever is still to come."""
        with contextlib.suppress(OSError):  # it may have ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)
        self._response.close()
        self._connection.close()


def eventually(condition, what):
    """Wait for something that happens in another thread or process."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@contextlib.contextmanager
def serve_command(*arguments):
    """Start `nextbyte serve` as a user would, and wait for its line."""
    command = [sys.executable, "-m", "nextbyte", "serve", *arguments, "--port", "0"]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stderr.readline()
            server = _address(line, process)
            server.said.append(line)
            reader = threading.Thread(target=_keep, args=(process.stderr, server.said), daemon=True)
            reader.start()
            yield server
        finally:
            process.terminate()
            try:
                process.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _address(line, process):
    before, separator, address = line.strip().partition(" at http://")
    assert before.startswith("nextbyte: serving "), line + process.stderr.read()
    assert separator, line
    host, _, port = address.rpartition(":")
    return Server(host, int(port), before.removeprefix("nextbyte: serving "), process)


def _keep(pipe, lines):
    lines.extend(pipe)


@contextlib.contextmanager
def serve_app(app):
    """Run an ASGI app on a socket, in a thread of this process."""
    import uvicorn  # noqa: PLC0415 - an optional dependency

    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="error", ws="none", loop="asyncio"
    )
    runner = uvicorn.Server(config)
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: runner.started or not thread.is_alive(), "the app does not start")
        assert runner.started
        host, port = runner.servers[0].sockets[0].getsockname()[:2]
        yield Server(host, port)
    finally:
        runner.should_exit = True
        thread.join(timeout=PATIENCE)
        assert not thread.is_alive(), "the app does not stop"
