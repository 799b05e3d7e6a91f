"""`POST /v1/fim/completions`, Mistral's shape, as Continue and Tabby send and read it."""

from __future__ import annotations

import json

import pytest

from integration.scripted_models import MIDDLE, hexadecimal

PATH = "/v1/fim/completions"


def request(prompt, suffix, **options):
    return {"model": "scripted", "prompt": prompt, "suffix": suffix, "temperature": 0} | options


def test_an_answer(scripted_server):
    found = scripted_server.post(PATH, request("head", "tail", max_tokens=100)).json()
    (choice,) = found["choices"]
    assert choice["message"]["content"] == hexadecimal("head", "tail")
    assert choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] == "stop"
    assert choice["index"] == 0
    usage = found["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
    assert isinstance(found["id"], str)
    assert found["model"] == "scripted"
    assert type(found["created"]) is int


def test_continue(scripted_server):
    body = request("head", "tail", max_tokens=100, top_p=None, stop=["\n\n"], stream=True)
    stream = scripted_server.stream(PATH, body, authorization="Bearer k", x_api_key="k")
    texts = [event["choices"][0]["delta"].get("content") or "" for event in stream.events]
    assert "".join(texts) == hexadecimal("head", "tail")
    assert stream.data[-1] == "[DONE]"


def test_tabby(scripted_server):
    """It stops at the first reason, and takes the text of that event too."""
    body = request("head", "tail", max_tokens=100, presence_penalty=0.0, random_seed=5, stream=True)
    text = ""
    with scripted_server.open_stream(PATH, body) as stream:
        kind = stream.result.headers["content-type"]
        assert kind.partition(";")[0] == "text/event-stream"
        for data in stream:
            assert data != "[DONE]", "no event said how it finished"
            choice = json.loads(data)["choices"][0]
            text += choice["delta"].get("content") or ""
            if choice["finish_reason"] is not None:
                break
    assert text == hexadecimal("head", "tail")


@pytest.mark.parametrize(
    ("options", "content", "reason"),
    [({"max_tokens": 5}, "~6865", "length"), ({"stop": "|"}, "~68656164", "stop")],
)
def test_what_ends_it(options, content, reason, scripted_server):
    (choice,) = scripted_server.post(PATH, request("head", "tail", **options)).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (content, reason)


@pytest.mark.parametrize("options", [{"suffix": None}, {}], ids=["null", "none"])
def test_without_a_suffix(options, scripted_server):
    """It is optional in Mistral's API; nothing fails."""
    body = {"model": "scripted", "prompt": "lines:", "temperature": 0, "max_tokens": 4} | options
    answer = scripted_server.post(PATH, body)
    assert answer.status == 200, answer.raw
    assert isinstance(answer.json()["choices"][0]["message"]["content"], str)


def test_sentinels_in_the_suffix_are_text(scripted_server):
    body = request("head", f"x{MIDDLE}", max_tokens=200)
    (choice,) = scripted_server.post(PATH, body).json()["choices"]
    assert choice["message"]["content"] == hexadecimal("head", f"x{MIDDLE}")


@pytest.mark.parametrize(
    "body",
    [{"suffix": "a"}, {"prompt": 5, "suffix": ""}, {"prompt": "a", "suffix": 5}, [], "text"],
    ids=str,
)
def test_bad_requests(body, scripted_server):
    answer = scripted_server.post(PATH, json.dumps(body), content_type="application/json")
    assert answer.status in (400, 422), answer.raw
    assert json.loads(answer.raw)
