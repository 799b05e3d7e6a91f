"""What the server refuses, and what it answers when something fails."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import InvalidInputError, MissingDependencyError
from nextbyte.server import make_app
from unit.fake_byte_models import FakeByteModel, order2_model
from unit.serving import serving


@pytest.fixture(scope="module")
def law():
    return order2_model(1, b"ab")


@pytest.fixture(scope="module")
def server(law):
    with serving(law) as running:
        yield running


BAD_FIELDS = [
    ({}, "prompt", "required"),
    ({"prompt": None}, "prompt", "required"),
    ({"prompt": 3}, "prompt", "must be a string"),
    ({"prompt": [1, 2]}, "prompt", "no token ids"),
    ({"prompt": [[1], [2]]}, "prompt", "no token ids"),
    ({"prompt": []}, "prompt", "at least one"),
    ({"prompt": ["a", None]}, "prompt", "at least one"),
    ({"prompt": "\ud83d"}, "prompt", "lone surrogate U+D83D at character 0"),
    ({"prompt": ["a", "b\udc00"]}, "prompt[1]", "lone surrogate"),
    ({"prompt": "a", "suffix": "\ud83d"}, "suffix", "lone surrogate"),
    ({"prompt": "a", "suffix": ["b"]}, "suffix", "must be a string, not a list"),
    ({"prompt": "a", "stop": 3}, "stop", "a string or a list of strings"),
    ({"prompt": "a", "stop": ["x", "\ud83d"]}, "stop[1]", "lone surrogate"),
    ({"prompt": "a", "max_tokens": "many"}, "max_tokens", "must be an integer, not a string"),
    ({"prompt": "a", "max_tokens": True}, "max_tokens", "must be an integer, not true"),
    ({"prompt": "a", "max_tokens": 1.5}, "max_tokens", "must be an integer, not 1.5"),
    ({"prompt": "a", "max_tokens": -2}, "max_tokens", "at least -1"),
    ({"prompt": "a", "max_bytes": -1}, "max_bytes", "at least 0"),
    ({"prompt": "a", "temperature": "hot"}, "temperature", "must be a number"),
    ({"prompt": "a", "temperature": -1}, "temperature", ">= 0"),
    ({"prompt": "a", "temperature": 10**400}, "temperature", "a double"),
    ({"prompt": "a", "top_p": 0}, "top_p", "(0, 1]"),
    ({"prompt": "a", "top_k": -5}, "top_k", "top_k must be"),
    ({"prompt": "a", "min_p": 2}, "min_p", "[0, 1]"),
    ({"prompt": "a", "n": 0}, "n", "at least 1"),
    ({"prompt": "a", "n": 65}, "n", "at most 64"),
    ({"prompt": ["a"] * 40, "n": 2}, "n", "more than 64"),
    ({"prompt": "a", "best_of": 3}, "best_of", "not supported"),
    ({"prompt": "a", "presence_penalty": 0.5}, "presence_penalty", "not supported"),
    ({"prompt": "a", "frequency_penalty": -1}, "frequency_penalty", "not supported"),
    ({"prompt": "a", "logit_bias": {"5": 1}}, "logit_bias", "not supported"),
    ({"prompt": "a", "logprobs": 999}, "logprobs", "at most 257"),
    ({"prompt": "a", "logprobs": True}, "logprobs", "an integer, not true"),
    ({"prompt": "a", "stream": "yes"}, "stream", "true or false"),
    ({"prompt": "a", "stream_options": 1}, "stream_options", "an object"),
    (
        {"prompt": "a", "stream_options": {"include_usage": 1}},
        "stream_options.include_usage",
        "true or false",
    ),
]


@pytest.mark.parametrize(("body", "field", "message"), BAD_FIELDS)
def test_what_is_wrong_is_named(server, body, field, message):
    answer = server.ask("/v1/completions", body)
    assert answer.status == 400
    error = answer.json["error"]
    assert (error["param"], error["type"]) == (field, "invalid_request_error")
    assert message in error["message"]
    assert answer.line.startswith("POST /v1/completions 400 | ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"prompt": "\xff"}', "not JSON"),
        (b'{"prompt": NaN}', "NaN is no number"),
        (b'{"temperature": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'["prompt"]', "a JSON object, not a list"),
        (b"null", "a JSON object, not null"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/completions", "/infill"])
def test_what_is_no_json_object(server, path, body, message):
    answer = server.ask(path, body)
    assert answer.status == 400
    assert message in answer.message


def test_neutral_and_unknown_fields_are_ignored(server):
    plain = server.complete("ab", seed=3, max_bytes=9).text
    neutral = {
        "model": "another",
        "user": "\ud83d",
        "presence_penalty": 0.0,
        "frequency_penalty": None,
        "logit_bias": {},
        "best_of": 1,
        "suffix": None,
        "logprobs": False,
        "nobody_knows": [1],
    }
    assert server.complete("ab", seed=3, max_bytes=9, **neutral).text == plain


def test_a_prompt_that_cannot_be_is_the_clients_error(server):
    answer = server.ask("/v1/completions", {"prompt": "zebra"})
    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")
    assert answer.message.startswith("byte 0x7a at position 0")


def test_gaps_of_any_byte_model(server, law):
    wanted = nb.infill(law, "ab", "ba", nb.SamplingParams(seed=3, max_bytes=9))
    found = server.complete("ab", suffix="ba", seed=3, max_bytes=9)
    assert (found.status, found.text) == (200, wanted.text)
    body = {"input_prefix": "ab", "input_suffix": "ba", "seed": 3, "max_bytes": 9}
    assert server.ask("/infill", body).json["content"] == wanted.text
    answer = server.ask("/infill", {**body, "input_prefix": "zebra"})
    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")
    # Nothing behind the cursor is no gap.
    text = server.complete("ab", seed=3, max_bytes=9).text
    assert server.complete("ab", suffix="", seed=3, max_bytes=9).text == text


def test_paths_and_methods(server):
    assert server.ask("/health").json == {"status": "ok"}
    models = server.ask("/v1/models").json
    (model,) = models["data"]
    assert models["object"] == "list"
    assert (model["id"], model["object"], model["owned_by"]) == ("tiny", "model", "nextbyte")
    assert isinstance(model["created"], int)
    for path in ("/", "/v1/chat/completions"):
        answer = server.ask(path, {})
        assert (answer.status, answer.json["error"]["type"]) == (404, "not_found_error")
    for path, method in [("/infill", "GET"), ("/v1/completions", "GET"), ("/health", "POST")]:
        answer = server.ask(path, method=method)
        assert answer.status == 405
        assert method in answer.message
        assert answer.headers["allow"]


def test_the_key(law):
    with serving(law, api_key="s\u00e9cret") as running:
        assert running.ask("/health").status == 200
        body = {"prompt": "ab", "max_bytes": 3}
        key = "s\u00e9cret".encode().decode("latin-1")
        for headers in [
            {"Authorization": f"Bearer {key}"},
            {"authorization": f"bearer  {key}"},
            {"X-Api-Key": key},
        ]:
            assert running.ask("/v1/completions", body, headers=headers).status == 200
        for headers in [
            {},
            {"Authorization": "Bearer secret"},
            {"Authorization": key},
            {"Authorization": f"Basic {key}"},
            {"X-Api-Key": ""},
        ]:
            answer = running.ask("/v1/completions", body, headers=headers)
            assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_api_key")
            assert answer.headers["www-authenticate"] == "Bearer"
            assert running.ask("/infill", b"{", headers=headers).status == 401
            assert running.ask("/v1/models", headers=headers).status == 401


def test_bodies_have_a_limit(law):
    with serving(law, max_body_bytes=100) as running:
        assert running.complete("ab", max_bytes=3, user="x" * 20).status == 200
        answer = running.ask("/v1/completions", {"prompt": "ab" * 100})
        assert (answer.status, answer.message[:31]) == (413, "the body is larger than 100 byt")
        chunked = {"Transfer-Encoding": "chunked"}
        parts = b"".join(b"28\r\n" + b"a" * 40 + b"\r\n" for _ in range(4)) + b"0\r\n\r\n"
        assert running.ask("/infill", parts, headers=chunked).status == 413


# --- Faults --------------------------------------------------------------------------------------


def failing(after, error):
    """A model that says "a" for ever and fails behind so many bytes."""
    row = np.full(257, -np.inf)
    row[ord("a")] = 0.0

    def law(prefix):
        if len(prefix) >= after:
            raise error
        return row

    return FakeByteModel(law)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (nb.errors.BackendError("the model is on fire"), "the model is on fire"),
        (ZeroDivisionError("secret"), "internal error: ZeroDivisionError"),
    ],
)
def test_a_fault_is_an_answer_and_the_next_request_is_served(error, message):
    with serving(failing(5, error)) as running:
        answer = running.ask("/v1/completions", {"prompt": "a", "max_bytes": 9})
        assert (answer.status, answer.message) == (500, message)
        events = running.complete("a", max_bytes=9, stream=True).events
        assert [event["choices"][0]["text"] for event in events[:-1]] == ["a"] * 4
        assert events[-1]["error"]["message"] == message  # and no [DONE] after it
        assert running.complete("a", max_bytes=3).text == "aaa"
        assert ("ZeroDivisionError: secret" in "\n".join(running.faults)) == ("internal" in message)


def test_a_fault_is_logged_where_nobody_reads_requests(caplog):
    app = make_app(failing(1, ZeroDivisionError("secret")), name="x")
    assert app._refusal(ZeroDivisionError("secret")).status == 500
    app.close()
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("nextbyte.server.app", "ERROR")
    assert "ZeroDivisionError: secret" in record.message


def test_an_answer_is_compact_json(server):
    raw = server.complete("ab", seed=3, max_bytes=9).raw
    assert raw == json.dumps(json.loads(raw), separators=(",", ":"), ensure_ascii=False).encode()


def test_what_make_app_refuses(law, monkeypatch):
    with pytest.raises(InvalidInputError, match="must be a byte model, not 'smollm2'"):
        make_app("smollm2", name="x")
    with pytest.raises(InvalidInputError, match="api_key must not be empty"):
        make_app(law, name="x", api_key="")
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'nextbyte\[server\]'"):
        make_app(law, name="x")
