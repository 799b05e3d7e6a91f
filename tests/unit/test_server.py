"""`/v1/completions` over a socket: texts, streams, log-probabilities, and every refusal."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import InvalidInputError, MissingDependencyError
from nextbyte.server import make_app
from unit.fake_byte_models import FakeByteModel, one_text_model, order2_model
from unit.fim_models import coder, fim_model
from unit.serving import serving

SAID = "caf\u00e9 \u20ac5, STOP \U0001f600!"


@pytest.fixture(scope="module")
def law():
    return order2_model(1, b"ab\n \xc3\xa9")


@pytest.fixture(scope="module")
def server(law):
    with serving(law) as running:
        yield running


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    return fim_model(coder(tmp_path_factory.mktemp("coder"), "starcoder"))[0]


@pytest.fixture(scope="module")
def lm_server(lm):
    with serving(lm, name="noise") as running:
        yield running


# --- Texts ---------------------------------------------------------------------------------------


def test_the_answer_has_openais_shape(server):
    answer = server.complete("ab", seed=3, max_bytes=9)
    found = answer.json
    assert answer.headers["content-type"] == "application/json"
    assert set(found) == {
        *("id", "object", "created", "model", "system_fingerprint", "choices", "usage")
    }
    assert found["id"].startswith("cmpl-")
    assert (found["object"], found["model"]) == ("text_completion", "tiny")
    assert isinstance(found["created"], int)
    (choice,) = found["choices"]
    assert set(choice) == {"index", "text", "logprobs", "finish_reason"}
    assert (choice["index"], choice["logprobs"]) == (0, None)
    reason = {"stop": "end_of_text", "length": "length"}[choice["finish_reason"]]
    assert answer.line.startswith("POST /v1/completions 200 | ")
    assert answer.line.endswith(f" s | {found['usage']['completion_bytes']} bytes, {reason}")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0}, {"temperature": 0.7, "top_k": 3}, {"top_p": 0.8}, {"min_p": 0.2}],
)
def test_texts_are_those_of_generate(server, law, seed, options):
    expected = nb.generate(law, "ab", nb.SamplingParams(seed=seed, max_bytes=12, **options))
    found = server.complete("ab", seed=seed, max_bytes=12, **options)
    assert found.text == expected.text
    reason = "length" if expected.finish_reason == "length" else "stop"
    assert found.json["choices"][0]["finish_reason"] == reason
    events = server.complete("ab", seed=seed, max_bytes=12, stream=True, **options).events
    assert "".join(e["choices"][0]["text"] for e in events[:-1]) == expected.text


def test_tokens_are_counted_where_tokens_are_drawn(lm, lm_server):
    for seed in range(3):
        params = nb.SamplingParams(seed=seed, max_bytes=1000, max_tokens=5)
        expected = nb.generate(lm, "def f(wo", params)
        found = lm_server.complete("def f(wo", seed=seed, max_tokens=5)
        assert found.text == expected.text
        usage = found.json["usage"]
        ended = expected.finish_reason == "end_of_text"
        assert usage["completion_tokens"] == 5 or ended
        assert usage["prompt_tokens"] == len(lm.tokenizer.encode("def f(wo"))
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert usage["prompt_bytes"] == 8
        assert usage["completion_bytes"] == len(expected.bytes)


def test_four_bytes_stand_for_a_token_elsewhere():
    with serving(one_text_model(b"x" * 200)) as running:
        for fields, count in [
            ({"max_tokens": 3}, 12),
            ({}, 64),
            ({"max_bytes": 7}, 7),
            ({"max_bytes": 7, "max_tokens": 1}, 4),
            ({"max_tokens": -1}, 199),
            ({"max_tokens": 0}, 0),
            ({"max_tokens": 3.0, "stop": None, "seed": -1}, 12),
        ]:
            found = running.complete("x", **fields)
            assert found.text == "x" * count
            assert found.json["usage"]["completion_tokens"] == -(-count // 4)


def test_several_texts_have_seeds_in_a_row(server, law, lm, lm_server):
    for running, model in [(server, law), (lm_server, lm)]:
        prompts = ["a", "ab"]
        params = [nb.SamplingParams(seed=7 + i, max_bytes=10) for i in range(4)]
        expected = [nb.generate(model, prompts[i // 2], one).text for i, one in enumerate(params)]
        found = running.complete(prompts, n=2, seed=7, max_bytes=10, best_of=2).json
        assert [choice["index"] for choice in found["choices"]] == [0, 1, 2, 3]
        assert [choice["text"] for choice in found["choices"]] == expected
        assert found["usage"]["prompt_bytes"] == 3
        events = running.complete(prompts, n=2, seed=7, max_bytes=10, stream=True).events
        texts = ["", "", "", ""]
        for event in events[:-1]:
            texts[event["choices"][0]["index"]] += event["choices"][0]["text"]
        assert texts == expected


def test_without_a_seed_texts_differ(server):
    assert len({server.complete("ab", max_bytes=40, n=8).raw for _ in range(3)}) == 3
    texts = [c["text"] for c in server.complete("b", max_bytes=40, n=8).json["choices"]]
    assert len(set(texts)) > 1


def test_stop_strings_and_echo():
    with serving(one_text_model(("say " + SAID).encode())) as running:
        for stop in ["STOP", ["!", "STOP", ""], ["TOP", "STOP"]]:
            found = running.complete("say ", stop=stop, max_tokens=99)
            assert found.text == "caf\u00e9 \u20ac5, "
            assert found.json["choices"][0]["finish_reason"] == "stop"
        assert running.complete("say ", stop="", max_tokens=99, echo=True).text == "say " + SAID


# --- Streams -------------------------------------------------------------------------------------


def test_a_stream_is_as_clients_read_it(server):
    answer = server.complete("ab", seed=3, max_bytes=9, stream=True)
    *chunks, done = answer.events
    assert done == "[DONE]"
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all(chunk["object"] == "text_completion" for chunk in chunks)
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons[:-1] == [None] * (len(chunks) - 1)
    assert reasons[-1] in ("stop", "length")
    assert all(isinstance(chunk["choices"][0]["text"], str) for chunk in chunks)
    assert not any("usage" in chunk for chunk in chunks)


def test_usage_comes_last_if_asked_for(server):
    options = {"seed": 3, "max_bytes": 9}
    whole = server.complete("ab", **options).json["usage"]
    answer = server.complete("ab", **options, stream=True, stream_options={"include_usage": True})
    *chunks, last, done = answer.events
    assert (done, last["choices"], last["usage"]) == ("[DONE]", [], whole)
    assert all(chunk["usage"] is None for chunk in chunks)


def test_a_stream_never_shows_half_a_character_or_a_stop_string():
    with serving(one_text_model(SAID.encode())) as running:
        events = running.complete("", stream=True, max_tokens=99, stop=["STOP", "5, STIR"]).events
        texts = [event["choices"][0]["text"] for event in events[:-1]]
        assert "".join(texts) == "caf\u00e9 \u20ac5, "
        shown = ""
        for text in texts:
            shown += text
            assert "\ufffd" not in shown
            assert "S" not in shown
        # What was held back comes at the end.
        held = running.complete("", stream=True, max_tokens=99, stop=["!?"], echo=True).events
        assert "".join(event["choices"][0]["text"] for event in held[:-1]) == SAID


def test_ill_formed_bytes_are_replaced():
    with serving(one_text_model(b"a\xff\xe2\x82b\xc3")) as running:
        text = b"a\xff\xe2\x82b\xc3".decode("utf-8", "replace")
        assert running.complete("", max_tokens=9).text == text
        events = running.complete("", max_tokens=9, stream=True).events
        assert "".join(event["choices"][0]["text"] for event in events[:-1]) == text


# --- Log-probabilities ---------------------------------------------------------------------------


def entries(model, data, start):
    """The log-probabilities of a text's bytes, and the laws that they are from."""
    rows = [model.law(data[:place]) for place in range(start, len(data))]
    return [float(row[byte]) for row, byte in zip(rows, data[start:], strict=True)], rows


def joined(parts):
    return {name: [value for part in parts for value in part[name]] for name in parts[0]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("echo", [False, True])
def test_logprobs_are_the_laws_own(server, law, echo, stream):
    prompt = "ab\u00e9"
    options = {"seed": 5, "max_bytes": 14, "temperature": 0.8}
    drawn = nb.generate(law, prompt, nb.SamplingParams(**options)).bytes
    answer = server.complete(prompt, stream=stream, logprobs=2, echo=echo, **options)
    if stream:
        choices = [event["choices"][0] for event in answer.events[:-1]]
        text = "".join(choice["text"] for choice in choices)
        found = joined([choice["logprobs"] for choice in choices[:-1]])
    else:
        text, found = answer.text, answer.json["choices"][0]["logprobs"]
    start = 0 if echo else len(prompt.encode())
    whole = prompt.encode() + drawn
    data = whole[start:]
    logprobs, rows = entries(law, whole, start)
    assert len(drawn) > 4
    assert text == data.decode("utf-8", "replace")
    assert bytes(byte for (byte,) in found["bytes"]) == data
    assert found["token_logprobs"] == pytest.approx(logprobs, abs=1e-12)
    spelled = [chr(byte) if byte < 128 else f"bytes:\\x{byte:02x}" for byte in data]
    assert found["tokens"] == spelled
    for top, row in zip(found["top_logprobs"], rows, strict=True):
        assert list(top.values()) == sorted(row[row > -np.inf], reverse=True)[:2]
        assert top.items() <= {**dict(zip(map(symbol, range(257)), row, strict=True))}.items()
    for offset, spelling in zip(found["text_offset"], spelled, strict=True):
        assert text[offset] == spelling or (text[offset] >= "\x80" and len(spelling) > 1)
    assert found["text_offset"] == sorted(found["text_offset"])


def symbol(value):
    if value == nb.END_OF_TEXT:
        return "<end of text>"
    return chr(value) if value < 128 else f"bytes:\\x{value:02x}"


def test_logprobs_of_a_given_text_alone(server, law):
    answer = server.complete("abb", logprobs=0, echo=True, max_tokens=0).json["choices"][0]
    assert (answer["text"], answer["finish_reason"]) == ("abb", "length")
    assert answer["logprobs"]["token_logprobs"] == pytest.approx(entries(law, b"abb", 0)[0])
    assert answer["logprobs"]["top_logprobs"] == [None] * 3
    empty = server.complete("abb", logprobs=1, max_tokens=0).json["choices"][0]["logprobs"]
    assert set(map(tuple, empty.values())) == {()}


def test_logprobs_where_tokens_are_drawn(lm, lm_server):
    answer = lm_server.complete("def", seed=1, max_tokens=6, logprobs=1).json["choices"][0]
    data = nb.generate(lm, "def", nb.SamplingParams(seed=1, max_bytes=999, max_tokens=6)).bytes
    expected = nb.score(lm, data, context=b"def")
    assert answer["logprobs"]["token_logprobs"] == pytest.approx(expected.tolist(), abs=1e-5)
    assert bytes(byte for (byte,) in answer["logprobs"]["bytes"]) == data


# --- Refusals ------------------------------------------------------------------------------------

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


def test_gaps_need_a_model_that_can_fill_them(server):
    answer = server.ask("/v1/completions", {"prompt": "a", "suffix": "b"})
    assert (answer.status, answer.json["error"]["type"]) == (501, "not_supported_error")
    assert "single model" in answer.message
    assert server.ask("/infill", {"input_prefix": "a", "input_suffix": "b"}).json["error"] == {
        "code": 501,
        "message": answer.message,
        "type": "not_supported_error",
    }
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


def test_an_answer_is_compact_json(server):
    raw = server.complete("ab", seed=3, max_bytes=9).raw
    assert raw == json.dumps(json.loads(raw), separators=(",", ":"), ensure_ascii=False).encode()


def test_what_make_app_refuses(law, monkeypatch):
    with pytest.raises(InvalidInputError, match="must be a byte model, not 'smollm2'"):
        make_app("smollm2", name="x")
    with pytest.raises(InvalidInputError, match="api_key must not be empty"):
        make_app(law, name="x", api_key="")
    for module in [name for name in sys.modules if name.startswith("starlette")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "nextbyte.server.app")
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'nextbyte\[server\]'"):
        make_app(law, name="x")
