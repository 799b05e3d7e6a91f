"""`POST /infill` as llama.cpp's clients know it, with a model that tells what it was given."""

from __future__ import annotations

import re

import pytest

from integration.scripted_models import FILE, MIDDLE, PREFIX, SUFFIX, hexadecimal

PATH = "/infill"
TIMINGS = (
    "prompt_n",
    "prompt_ms",
    "prompt_per_token_ms",
    "prompt_per_second",
    "predicted_n",
    "predicted_ms",
    "predicted_per_token_ms",
    "predicted_per_second",
)


def request(prefix, suffix, **options):
    return {"input_prefix": prefix, "input_suffix": suffix, "temperature": 0.0} | options


def content(server, body):
    answer = server.post(PATH, body)
    assert answer.status == 200, answer.raw
    return answer.json()["content"]


GAPS = {
    "a line": ("import os\n", "    return ", "x\n"),
    "no line": ("def f():\n", "", "\n"),
    "inside a word": ("", "import nu", "py\n"),
    "nothing before": ("", "", "tail\n"),
    "nothing behind": ("head\n", "x = ", ""),
    "nothing at all": ("", "", ""),
    "CRLF": ("a\r\n", "\tb", "\r\nc\r\n"),
    "wide": ("# Grüße\n", "s = '\U0001f600", "漢'\n"),
    "sentinels are text": (f"{SUFFIX}\n", f"x{MIDDLE}", f"{PREFIX}{FILE}y"),
}


@pytest.mark.parametrize("name", GAPS)
def test_the_text_before_and_behind(name, scripted_server):
    """The prefix is `input_prefix` and `prompt`; nothing in them is read as a sentinel."""
    before, line, behind = GAPS[name]
    wanted = hexadecimal(before + line, behind)
    assert content(scripted_server, request(before, behind, prompt=line)) == wanted
    assert content(scripted_server, request(before + line, behind)) == wanted


def test_the_object(scripted_server):
    answer = scripted_server.post(PATH, request("head", "tail"))
    found = answer.json()
    assert type(found) is dict
    assert found["content"] == hexadecimal("head", "tail")
    assert found["stop"] is True
    assert found["stop_type"] == "eos"
    assert found["stopping_word"] == ""
    assert found["truncated"] is False
    assert found["has_new_line"] is False
    assert found["index"] == 0
    assert isinstance(found["generation_settings"], dict)
    for count in ("tokens_predicted", "tokens_evaluated", "tokens_cached", "id_slot"):
        assert type(found[count]) is int, count
    assert found["tokens_predicted"] >= len(found["content"])
    for name in TIMINGS:
        assert isinstance(found["timings"][name], int | float), name
        assert found["timings"][name] >= 0
    assert found["timings"]["predicted_n"] == found["tokens_predicted"]
    assert re.search(rb'"content":"', answer.raw)


@pytest.mark.parametrize("count", [1, 5])
def test_a_limit(count, scripted_server):
    found = scripted_server.post(PATH, request("head", "tail", n_predict=count)).json()
    assert found["content"] == hexadecimal("head", "tail")[:count]
    assert (found["stop_type"], found["tokens_predicted"]) == ("limit", count)


@pytest.mark.parametrize("options", [{}, {"n_predict": -1}])
def test_no_limit(options, scripted_server):
    before, behind = "head " * 20, "tail " * 20
    assert content(scripted_server, request(before, behind, **options)) == hexadecimal(
        before, behind
    )


def test_a_stop_string(scripted_server):
    found = scripted_server.post(PATH, request("head", "tail", stop=["|", "no"])).json()
    assert found["content"] == "~" + b"head".hex()
    assert (found["stop_type"], found["stopping_word"]) == ("word", "|")


def test_warming_up_predicts_nothing(scripted, scripted_server):
    before = len(scripted.contexts)
    body = request("", "", prompt="", n_predict=0, samplers=[], response_fields=[""])
    answer = scripted_server.post(PATH, body)
    assert (answer.status, answer.raw) == (200, b"{}")
    found = scripted_server.post(PATH, request("a", "b", n_predict=0)).json()
    assert found["content"] == ""
    assert found["tokens_predicted"] == 0
    assert len(scripted.contexts) - before < 20


def test_fields_that_were_asked_for(scripted_server):
    fields = ["content", "timings/prompt_n", "timings/predicted_ms", "no/such", "nor_this", ""]
    found = scripted_server.post(PATH, request("head", "tail", response_fields=fields)).json()
    assert set(found) == {"content", "timings/prompt_n", "timings/predicted_ms"}
    found = scripted_server.post(PATH, request("a", "b", response_fields=["timings"])).json()
    assert set(found) == {"timings"}
    assert set(TIMINGS) <= set(found["timings"])


@pytest.mark.parametrize("name", ["n_cmpl", "n"])
def test_several_completions_are_an_array(name, scripted_server):
    found = scripted_server.post(PATH, request("head", "tail", **{name: 3})).json()
    assert type(found) is list
    assert [one["content"] for one in found] == [hexadecimal("head", "tail")] * 3
    assert [one["index"] for one in found] == [0, 1, 2]
    one = scripted_server.post(PATH, request("head", "tail", **{name: 1})).json()
    assert type(one) is dict


def test_a_stream(scripted_server):
    stream = scripted_server.stream(PATH, request("head", "tail", stream=True))
    assert stream.headers["content-type"].partition(";")[0] == "text/event-stream"
    *parts, last = stream.events
    assert "".join(part["content"] for part in [*parts, last]) == hexadecimal("head", "tail")
    assert len(parts) > 2
    assert all(part["stop"] is False for part in parts)
    assert last["stop"] is True
    assert last["stop_type"] == "eos"
    assert set(TIMINGS) <= set(last["timings"])


EXTRA = [
    {"text": "def helper():\n    pass\n", "time": 1, "filename": "pkg/helper.py"},
    {"text": f"literally {MIDDLE}\n"},
]


def test_other_files(scripted, scripted_server):
    """They stand before the gap, as text whatever they say, and do not change what is filled in."""
    before = len(scripted.contexts)
    body = request("head", "tail", input_extra=EXTRA)
    assert content(scripted_server, body) == hexadecimal("head", "tail")
    parts = scripted.parts(max(scripted.contexts[before:], key=len))
    place = next(place for place, (name, _) in enumerate(parts) if name in (PREFIX, SUFFIX))
    earlier = b"".join(data for _, data in parts[:place])
    for extra in EXTRA:
        assert extra["text"].strip().encode() in earlier
    assert b"pkg/helper.py" in earlier
    assert [name for name, _ in parts].count(MIDDLE) == 1


def test_fields_of_samplers_that_do_not_exist_here(scripted_server):
    options = {
        "id_slot": 3,
        "cache_prompt": True,
        "t_max_prompt_ms": 500,
        "t_max_predict_ms": 60000,
        "samplers": ["top_k", "top_p", "infill"],
        "top_k": 40,
        "top_p": 0.9,
        "n_indent": 4,
        "lora": [{"id": 0, "scale": 0.5}],
        "model": "whatever",
        "no_such_field": {"a": [1]},
    }
    assert content(scripted_server, request("head", "tail", **options)) == hexadecimal(
        "head", "tail"
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input_prefix": "a"},
        {"input_suffix": "a"},
        {"input_prefix": 1, "input_suffix": ""},
        {"input_prefix": "", "input_suffix": None},
        {"input_prefix": "a", "input_suffix": "b", "prompt": 5},
        {"input_prefix": "a", "input_suffix": "b", "input_extra": "text"},
        {"input_prefix": "a", "input_suffix": "b", "input_extra": [{"filename": "x"}]},
        {"input_prefix": "a", "input_suffix": "b", "input_extra": [{"text": 1}]},
        {"input_prefix": "a", "input_suffix": "b", "input_extra": ["text"]},
        {"input_prefix": "a", "input_suffix": "b", "n_predict": "many"},
        {"input_prefix": "a", "input_suffix": "b", "stop": 5},
        {"input_prefix": "a", "input_suffix": "b", "n_cmpl": 0},
        {"input_prefix": "a", "input_suffix": "b", "temperature": "hot"},
    ],
    ids=str,
)
def test_bad_requests(body, scripted_server):
    answer = scripted_server.post(PATH, body)
    assert answer.status == 400, answer.raw
    error = answer.json()["error"]
    assert error["code"] == 400
    assert error["type"] == "invalid_request_error"
    assert error["message"]
