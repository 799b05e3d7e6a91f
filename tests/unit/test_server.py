"""`/v1/completions` over a socket: texts, streams and log-probabilities."""

from __future__ import annotations

import numpy as np
import pytest

import nextbyte as nb
from unit.fake_byte_models import one_text_model, order2_model
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
