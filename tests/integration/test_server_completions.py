"""`POST /v1/completions` to the letter, on a real socket, with a model that follows a script."""

from __future__ import annotations

import itertools
import json

import pytest

from integration.scripted_models import (
    CHARACTERS,
    LINES,
    MIDDLE,
    PREFIX,
    SCRIPT,
    SUFFIX,
    hexadecimal,
)

PATH = "/v1/completions"
LONG = 4000


def request(prompt, **options):
    return {"model": "scripted", "prompt": prompt, "max_tokens": LONG, "temperature": 0} | options


def texts_of(stream):
    """The text of every choice, put together."""
    found = {}
    for event in stream.events:
        for choice in event["choices"]:
            found[choice["index"]] = found.get(choice["index"], "") + choice["text"]
    return found


def only(answer):
    assert answer.status == 200, answer.raw
    (choice,) = answer.json()["choices"]
    return choice


def test_the_object(scripted_server):
    answer = scripted_server.post(PATH, request("characters:"))
    assert answer.status == 200
    found = answer.json()
    assert found["id"].startswith("cmpl-")
    assert found["object"] == "text_completion"
    assert type(found["created"]) is int
    assert found["model"] == "scripted"
    (choice,) = found["choices"]
    assert choice["index"] == 0
    assert choice["text"] == CHARACTERS
    assert choice["finish_reason"] == "stop"
    assert choice["logprobs"] is None
    usage = found["usage"]
    assert all(type(count) is int for count in usage.values())
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
    assert usage["completion_tokens"] >= len(CHARACTERS.encode())
    ids = {scripted_server.post(PATH, request("characters:")).json()["id"] for _ in range(2)}
    assert len(ids | {found["id"]}) == 3


def test_json_is_compact(scripted_server):
    """Some clients look for `"text":"` in the body before they parse it."""
    raw = scripted_server.post(PATH, request("quotes:")).raw
    forms = [
        json.dumps(json.loads(raw), separators=(",", ":"), ensure_ascii=ascii_only).encode()
        for ascii_only in (True, False)
    ]
    assert raw in forms
    assert only(scripted_server.post(PATH, request("quotes:")))["text"] == SCRIPT[
        b"quotes:"
    ].decode("utf-8")


def test_sixteen_tokens_unless_told(scripted_server):
    body = request("forever:")
    del body["max_tokens"]
    answer = scripted_server.post(PATH, body)
    assert only(answer)["finish_reason"] == "length"
    assert only(answer)["text"] == ("tick " * 4)[:16]
    assert answer.json()["usage"]["completion_tokens"] == 16


def test_what_is_null_or_unknown_is_the_default(scripted_server):
    body = request("characters:", suffix=None, stop=None, seed=None, logprobs=None, n=None)
    body |= {"user": "somebody", "logit_bias": None, "best_of": None, "no_such_field": [1]}
    assert only(scripted_server.post(PATH, body))["text"] == CHARACTERS


@pytest.mark.parametrize("prompt", ["characters:", "lines:", "quotes:"])
def test_a_stream_is_the_same_text(prompt, scripted_server):
    stream = scripted_server.stream(PATH, request(prompt, stream=True))
    assert stream.headers["content-type"].partition(";")[0] == "text/event-stream"
    assert texts_of(stream) == {0: SCRIPT[prompt.encode()].decode()}
    assert stream.data[-1] == "[DONE]"
    assert stream.data.count("[DONE]") == 1
    events = stream.events
    assert {(e["id"], e["object"], e["model"], e["created"]) for e in events} == {
        (events[0]["id"], "text_completion", "scripted", events[0]["created"])
    }
    reasons = [choice["finish_reason"] for event in events for choice in event["choices"]]
    assert reasons[-1] == "stop"
    assert set(reasons[:-1]) <= {None}
    assert len(events) > 2


def test_lines_of_a_stream(scripted_server):
    """One `data: ` line an event, an empty line behind it, nothing else but comments."""
    lines = scripted_server.stream(PATH, request("lines:", stream=True)).lines
    assert all(line.endswith(b"\n") for line in lines)
    bare = [line.rstrip(b"\r\n") for line in lines]
    assert all(not line or line.startswith((b"data: ", b":")) for line in bare)
    data = [place for place, line in enumerate(bare) if line.startswith(b"data: ")]
    assert all(not bare[place + 1] for place in data)


def test_characters_are_whole_in_every_event(scripted_server):
    """One token a byte, so that every character comes in parts."""
    stream = scripted_server.stream(PATH, request("characters:", stream=True))
    for event in stream.events:
        for choice in event["choices"]:
            assert isinstance(choice["text"], str)
            assert "\ufffd" not in choice["text"]
            choice["text"].encode("utf-8")  # no halves of a surrogate pair


@pytest.mark.parametrize("count", range(1, 9))
def test_a_limit_inside_a_character(count, scripted_server):
    """What is left of a character is flushed alike with a stream and without."""
    body = request("characters:", max_tokens=count)
    choice = only(scripted_server.post(PATH, body))
    stream = scripted_server.stream(PATH, body | {"stream": True})
    assert choice["finish_reason"] == "length"
    assert texts_of(stream) == {0: choice["text"]}
    whole = CHARACTERS.encode()[:count].decode("utf-8", "ignore")
    assert choice["text"].rstrip("\ufffd") == whole


@pytest.mark.parametrize("options", [{"include_usage": True}, {"include_usage": False}, {}, None])
def test_usage_of_a_stream(options, scripted_server):
    body = request("lines:", stream=True, stream_options=options)
    events = scripted_server.stream(PATH, body).events
    totals = [event for event in events if event.get("usage")]
    if options and options.get("include_usage"):
        assert totals == events[-1:]
        assert totals[0]["choices"] == []
        assert totals[0]["usage"]["completion_tokens"] >= len(LINES)
    else:
        assert all(event["choices"] for event in events)


STOPS = {
    "a word": ("STOP", "one\ntwo ", "stop"),
    "the first of several": (["three", "STOP", "two STOP"], "one\n", "stop"),
    "a line end": ("\n", "one", "stop"),
    "across events": ("wo STOP th", "one\nt", "stop"),
    "at the end": ("our", "one\ntwo STOP three\nf", "stop"),
    "never completed": (["four!", "STOP!", "fourteen"], LINES, "stop"),
    "none": ([], LINES, "stop"),
}


@pytest.mark.parametrize("name", STOPS)
def test_stops(name, scripted_server):
    stop, text, reason = STOPS[name]
    body = request("lines:", stop=stop)
    choice = only(scripted_server.post(PATH, body))
    assert (choice["text"], choice["finish_reason"]) == (text, reason)
    stream = scripted_server.stream(PATH, body | {"stream": True})
    assert texts_of(stream) == {0: text}  # nothing that became a stop string was sent


GAPS = {
    "plain": ("def f(", "):\n    return x\n"),
    "inside a word": ("import nu", "py as np"),
    "blanks": ("    ", "\n\n"),
    "CRLF": ("a\r\n", "\r\nb"),
    "wide": ("Grüße \U0001f600", "漢 é"),
    "no prefix": ("", "tail"),
    "spelling of a sentinel behind it": ("head", f"x{MIDDLE}y{PREFIX}"),
}


@pytest.mark.parametrize("name", GAPS)
def test_suffix(name, scripted_server):
    prefix, suffix = GAPS[name]
    choice = only(scripted_server.post(PATH, request(prefix, suffix=suffix)))
    assert choice["text"] == hexadecimal(prefix, suffix)
    assert choice["finish_reason"] == "stop"
    stream = scripted_server.stream(PATH, request(prefix, suffix=suffix, stream=True))
    assert texts_of(stream) == {0: hexadecimal(prefix, suffix)}


@pytest.mark.parametrize("name", ["plain", "inside a word", "blanks", "CRLF", "wide", "no prefix"])
def test_sentinels_in_the_prompt(name, scripted_server):
    """Zed, Continue and llama.vscode's OpenAI mode write the model's layout as text."""
    prefix, suffix = GAPS[name]
    body = request(f"{PREFIX}{prefix}{SUFFIX}{suffix}{MIDDLE}")
    assert only(scripted_server.post(PATH, body))["text"] == hexadecimal(prefix, suffix)
    stream = scripted_server.stream(PATH, body | {"stream": True})
    assert texts_of(stream) == {0: hexadecimal(prefix, suffix)}


@pytest.mark.parametrize("prompt", [f"a {MIDDLE} b lines:", f"{SUFFIX}{PREFIX} lines:"])
def test_sentinels_that_are_no_layout_are_text(prompt, scripted_server):
    assert only(scripted_server.post(PATH, request(prompt)))["text"] == LINES


def test_echo(scripted_server):
    choice = only(scripted_server.post(PATH, request("say lines:", echo=True)))
    assert choice["text"] == "say lines:" + LINES
    stream = scripted_server.stream(PATH, request("say lines:", echo=True, stream=True))
    assert texts_of(stream) == {0: "say lines:" + LINES}
    choice = only(scripted_server.post(PATH, request("lines:", echo=True, max_tokens=0)))
    assert (choice["text"], choice["finish_reason"]) == ("lines:", "length")


@pytest.mark.parametrize("echo", [False, True])
def test_logprobs(echo, scripted_server):
    body = request("lines:", logprobs=2, echo=echo)
    choice = only(scripted_server.post(PATH, body))
    found = choice["logprobs"]
    tokens, logprobs = found["tokens"], found["token_logprobs"]
    assert "".join(tokens) == choice["text"]
    assert len(tokens) == len(logprobs) == len(found["top_logprobs"]) == len(found["text_offset"])
    ends = [0, *itertools.accumulate(map(len, tokens))]
    assert found["text_offset"] == ends[:-1]
    for place, (token, logprob, top) in enumerate(
        zip(tokens, logprobs, found["top_logprobs"], strict=True)
    ):
        if place == 0 and logprob is None:
            assert echo
            assert top is None
            continue
        assert logprob <= 1e-9
        assert max(top.values()) <= 1e-9
        assert list(top.values()) == sorted(top.values(), reverse=True)
        assert top.get(token, logprob) == pytest.approx(logprob, abs=1e-9)
        if ends[place] >= len("lines:") * echo:
            assert logprob == pytest.approx(0.0, abs=1e-3)  # the script has nearly everything
            assert token in top


def test_no_logprobs_of_alternatives(scripted_server):
    found = only(scripted_server.post(PATH, request("lines:", logprobs=0)))["logprobs"]
    assert len(found["token_logprobs"]) == len(found["tokens"])


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices(stream, scripted_server):
    body = request(["lines:", "characters:"], n=2, stream=stream)
    wanted = {0: LINES, 1: LINES, 2: CHARACTERS, 3: CHARACTERS}
    if not stream:
        choices = scripted_server.post(PATH, body).json()["choices"]
        assert {choice["index"]: choice["text"] for choice in choices} == wanted
        assert len(choices) == 4
        return
    found = scripted_server.stream(PATH, body)
    assert texts_of(found) == wanted
    ended = [
        choice["index"]
        for event in found.events
        for choice in event["choices"]
        if choice["finish_reason"]
    ]
    assert sorted(ended) == [0, 1, 2, 3]


@pytest.mark.parametrize("nested", [False, True])
def test_prompts_of_token_ids(nested, scripted, scripted_server):
    ids = scripted.tokenizer.encode("lines:")
    answer = scripted_server.post(PATH, request([ids] if nested else ids))
    if answer.status == 400:  # a server of bytes may refuse them, if it says so
        assert "token ids" in answer.json()["error"]["message"]
    else:
        assert only(answer)["text"] == LINES


def test_models_and_health(scripted_server):
    answer = scripted_server.get("/health")
    assert answer.status == 200
    assert answer.json()["status"] == "ok"
    models = scripted_server.get("/v1/models").json()
    assert models["object"] == "list"
    (model,) = models["data"]
    assert (model["id"], model["object"]) == ("scripted", "model")
    assert type(model["created"]) is int
    assert isinstance(model["owned_by"], str)
