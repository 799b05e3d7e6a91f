"""A server among clients that send nonsense, go away, or all come at once."""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from integration.http_clients import eventually, serve_app
from integration.scripted_models import LINES, hexadecimal

COMPLETIONS = "/v1/completions"


def request(prompt, **options):
    return {"model": "scripted", "prompt": prompt, "max_tokens": 4000, "temperature": 0} | options


def alive(server):
    answer = server.post(COMPLETIONS, request("lines:"))
    return answer.status == 200 and answer.json()["choices"][0]["text"] == LINES


def refused(answer, *statuses):
    """One JSON error, as clients of either API read it."""
    assert answer.status in (statuses or (400,)), answer.raw[:300]
    error = answer.json()["error"]
    assert error["message"]
    assert isinstance(error["type"], str)
    assert b"Traceback" not in answer.raw


BODIES = {
    "nothing": b"",
    "no JSON": b"prompt=hello",
    "half an object": b'{"prompt": "lines:"',
    "two objects": b'{"prompt": "lines:"}{}',
    "an array": b'["prompt"]',
    "a number": b"5",
    "null": b"null",
    "not UTF-8": b'{"prompt": "\xff\xfe"}',
    "half a character": b'{"prompt": "\xf0\x9f\x98"}',
    "NaN": b'{"prompt": "lines:", "temperature": NaN}',
    "an infinity by its digits": b'{"prompt": "lines:", "temperature": 1e999}',
    "endless tokens": b'{"prompt": "lines:", "max_tokens": 1e999}',
    "a bottomless array": b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a bottomless object": b'{"prompt": "x", "y": ' + b'{"a":' * 100_000,
    "a surrogate": b'{"prompt": "a\\ud83d"}',
    "surrogates in the wrong order": b'{"prompt": "\\ude00\\ud83d lines:"}',
    "a surrogate behind": b'{"prompt": "a", "suffix": "\\udc00"}',
    "a surrogate that stops": b'{"prompt": "lines:", "stop": ["\\ud800"]}',
    "no prompt": b'{"max_tokens": 4}',
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_no_request(name, scripted_server):
    answer = scripted_server.post(COMPLETIONS, BODIES[name], content_type="application/json")
    refused(answer)
    assert alive(scripted_server)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"input_prefix":"\\ud83d","input_suffix":""}'],
    ids=["nothing", "half", "array", "surrogate"],
)
def test_bodies_that_are_no_gap(body, scripted_server):
    refused(scripted_server.post("/infill", body, content_type="application/json"))


OPTIONS = [
    {"prompt": 5},
    {"prompt": {"text": "lines:"}},
    {"prompt": [["lines:"]]},
    {"prompt": ["lines:", 5]},
    {"prompt": [1.5]},
    {"prompt": [-1]},
    {"prompt": [10**9]},
    {"prompt": [10**400]},
    {"prompt": [True]},
    {"suffix": 5},
    {"max_tokens": -5},
    {"max_tokens": "many"},
    {"max_tokens": 1.5},
    {"temperature": -1},
    {"temperature": "hot"},
    {"top_p": 0},
    {"top_p": 1.5},
    {"n": 0},
    {"n": "two"},
    {"stop": 5},
    {"stop": [5]},
    {"stream": "perhaps"},
    {"stream_options": 5, "stream": True},
    {"echo": "perhaps"},
    {"logprobs": -1},
    {"logprobs": "all"},
    {"seed": "lucky"},
    {"seed": 1.5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: str(options)[:40])
def test_options_that_mean_nothing(options, scripted_server):
    refused(scripted_server.post(COMPLETIONS, request("lines:") | options))


@pytest.mark.parametrize("seed", [0, -1, 2**31, 2**63, 2**64, 10**30])
def test_seeds_of_any_size(seed, scripted_server):
    """Refused or used; never a failure of the server's."""
    assert scripted_server.post(COMPLETIONS, request("lines:", seed=seed)).status in (200, 400)


def test_places_that_do_not_exist(scripted_server):
    refused(scripted_server.get("/no/such/place"), 404)
    refused(scripted_server.get(COMPLETIONS), 405)
    refused(scripted_server.post("/health", {}), 405)
    assert alive(scripted_server)


def test_a_huge_body(scripted_server):
    """64 MiB: refused while it comes or behind its end; the connection may be cut."""
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    body = b'{"prompt": "' + b"a" * (64 << 20) + b'"}'
    with socket.create_connection((scripted_server.host, scripted_server.port), 120) as connection:
        answered = b""
        try:
            connection.sendall(head % (COMPLETIONS.encode(), len(body)) + body)
            answered = connection.recv(4096)
        except (BrokenPipeError, ConnectionResetError):
            answered = answered or b"HTTP/1.1 413 "
        assert answered.split(b" ")[1] in (b"413", b"400"), answered
    assert alive(scripted_server)


JUNK = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "words": b"hello there, server\r\n\r\n",
    "a header without end": b"GET /health HTTP/1.1\r\nX: " + b"a" * 200_000,
    "a body that is no request": b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n\x00\xff\r\n\r\n",
    "a length that is none": b"POST /infill HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
}


@pytest.mark.parametrize("name", JUNK)
def test_junk(name, scripted_server):
    found = scripted_server.raw(JUNK[name] + b"\r\n\r\n")
    assert b" 500 " not in found
    if name == "a body that is no request":
        assert found.startswith(b"HTTP/1.1 200 ")
    elif found:
        assert found.split(b" ")[1] in (b"400", b"431"), found[:200]
    assert alive(scripted_server)


def test_requests_in_one_packet_are_answered_in_order(scripted_server):
    body = json.dumps(request("lines:")).encode()
    first = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
        COMPLETIONS.encode(),
        len(body),
        body,
    )
    last = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    found = scripted_server.raw(first + last)
    assert found.count(b"HTTP/1.1 200 ") == 2
    assert found.index(b"text_completion") < found.index(b'"status"')


def test_a_body_in_chunks_and_one_that_waits_for_consent(scripted_server):
    """curl sends large bodies with `Expect: 100-continue`."""
    body = json.dumps(request("lines:")).encode()
    start = b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % COMPLETIONS.encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    found = scripted_server.raw(start + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert found.startswith(b"HTTP/1.1 200 ")
    expecting = start + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection((scripted_server.host, scripted_server.port), 60) as connection:
        connection.sendall(expecting)
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_many_requests_on_one_connection(scripted_server):
    connection = scripted_server.connect()
    try:
        for stream in (False, True, False):
            body = json.dumps(request("lines:", stream=stream))
            connection.request("POST", COMPLETIONS, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            assert response.status == 200
            assert b"four" in response.read().replace(b"\n", b"") or stream
    finally:
        connection.close()


@pytest.fixture
def slow(scripted):
    """Every row takes a while."""
    scripted.delay = 0.004
    yield scripted
    scripted.delay = 0.0


def is_idle(model):
    """Nobody asks the model any more."""
    before = len(model.contexts)
    time.sleep(0.4)
    return len(model.contexts) == before


def ask_and_leave(server, path, body):
    """Send a request and close the connection without reading."""
    data = json.dumps(body).encode()
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(data))
    connection = socket.create_connection((server.host, server.port), 60)
    connection.sendall(head + data)
    return connection


@pytest.mark.parametrize("way", ["stream", "answer", "infill"])
def test_nothing_is_generated_for_who_has_gone(way, slow, scripted_server):
    """A script of 20,000 bytes would keep the model busy for minutes."""
    before = len(slow.contexts)
    body = request("forever:", max_tokens=20_000)
    if way == "stream":
        with scripted_server.open_stream(COMPLETIONS, body | {"stream": True}) as stream:
            assert [next(iter(stream)) for _ in range(3)]
    else:
        if way == "infill":
            body = {"input_prefix": "head " * 2000, "input_suffix": "tail", "n_predict": -1}
        path = COMPLETIONS if way == "answer" else "/infill"
        connection = ask_and_leave(scripted_server, path, body)
        eventually(lambda: len(slow.contexts) > before + 10, "it never begins")
        connection.close()
    eventually(lambda: is_idle(slow), "it goes on for nobody")
    assert len(slow.contexts) - before < 10_000
    slow.delay = 0.0
    assert alive(scripted_server)


def test_who_waits_is_served_when_another_leaves(slow, scripted_server):
    with (
        scripted_server.open_stream(
            COMPLETIONS, request("forever:", max_tokens=20_000, stream=True)
        ) as stream,
        ThreadPoolExecutor(4) as pool,
    ):
        events = iter(stream)
        assert next(events)
        waiting = [
            pool.submit(scripted_server.post, COMPLETIONS, request("lines:")) for _ in range(4)
        ]
        for _ in range(5):
            assert next(events)
        stream.hang_up()
        for answer in waiting:
            assert answer.result(60).json()["choices"][0]["text"] == LINES
    eventually(lambda: is_idle(slow), "it goes on for nobody")


def test_health_is_answered_while_the_model_is_busy(scripted, scripted_server):
    scripted.gate.clear()
    try:
        asking = threading.Thread(
            target=scripted_server.post, args=(COMPLETIONS, request("lines:")), daemon=True
        )
        asking.start()
        time.sleep(0.1)
        assert scripted_server.get("/health").json()["status"] == "ok"
        assert scripted_server.get("/v1/models").status == 200
    finally:
        scripted.gate.set()
    asking.join(60)
    assert not asking.is_alive()


def test_twenty_clients_at_once(scripted_server):
    """Streams, answers and gaps; each gets its own text, and all of it."""

    def ask(number):
        if number % 3 == 0:
            body = {"input_prefix": f"head {number}", "input_suffix": "tail", "temperature": 0.0}
            return scripted_server.post("/infill", body).json()["content"]
        if number % 3 == 1:
            body = request(f"{number}", suffix=f"tail {number}")
            return scripted_server.post(COMPLETIONS, body).json()["choices"][0]["text"]
        body = request(f"{number} lines:", stream=True)
        events = scripted_server.stream(COMPLETIONS, body).events
        return "".join(event["choices"][0]["text"] for event in events)

    def wanted(number):
        if number % 3 == 0:
            return hexadecimal(f"head {number}", "tail")
        return hexadecimal(f"{number}", f"tail {number}") if number % 3 == 1 else LINES

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, range(20))) == [wanted(number) for number in range(20)]


def test_a_key(scripted):
    from nextbyte.server import make_app  # noqa: PLC0415 - an optional part

    body = request("lines:")
    gap = {"input_prefix": "a", "input_suffix": "b", "temperature": 0.0}
    with serve_app(make_app(scripted.lm, name="guarded", api_key="s3cret")) as server:
        assert server.get("/health").status == 200
        for path, data in ((COMPLETIONS, body), ("/infill", gap)):
            refused(server.post(path, data), 401)
            refused(server.post(path, data, authorization="Bearer wrong"), 401)
            refused(server.post(path, data, authorization="Basic s3cret"), 401)
            refused(server.post(path, data, authorization="Bearer s3crét".encode()), 401)
            assert server.post(path, data, authorization="Bearer s3cret").status == 200
