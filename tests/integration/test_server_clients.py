"""The embedded model behind `nextbyte serve`, asked and read as editors and harnesses do.

Requests carry every field that the clients send; only the numbers of tokens are smaller, as their
users may set them.
"""

from __future__ import annotations

import json
import math
import re
import time

import pytest

pytestmark = pytest.mark.model

BEFORE = "import math\n\n\ndef area(radius):\n"
LINE = "    return math.p"
BEHIND = " * radius ** 2\n\n\nprint(area(2.0))\n"
EXTRA = [{"text": "def half(x):\n    return x / 2\n", "time": 12, "filename": "half.py"}]


@pytest.fixture
def server(model_server):
    return model_server


def test_the_line_that_says_it_is_ready(server):
    assert re.fullmatch(
        r"nextbyte: serving smollm2-135m at http://127\.0\.0\.1:\d+\n", server.said[0]
    )
    assert server.port > 0


def test_health_and_models(server):
    """llama.vscode polls the one; editors list the other."""
    answer = server.get("/health")
    assert (answer.status, answer.raw) == (200, b'{"status":"ok"}')
    models = server.get("/v1/models", accept="application/json").json()
    assert [model["id"] for model in models["data"]] == [server.name]


class TestLlamaVim:
    FIELDS = (
        "content",
        "timings/prompt_n",
        "timings/prompt_ms",
        "timings/prompt_per_token_ms",
        "timings/prompt_per_second",
        "timings/predicted_n",
        "timings/predicted_ms",
        "timings/predicted_per_token_ms",
        "timings/predicted_per_second",
        "truncated",
        "tokens_cached",
    )

    def ask(self, server, body):
        """As `curl --silent --no-buffer --request POST --data @-`."""
        return server.post(
            "/infill",
            json.dumps(body),
            content_type="application/json",
            user_agent="curl/8.5.0",
            accept="*/*",
        )

    def test_a_suggestion(self, server):
        answer = self.ask(
            server,
            {
                "id_slot": 0,
                "input_prefix": BEFORE,
                "input_suffix": BEHIND,
                "input_extra": EXTRA,
                "prompt": LINE,
                "n_predict": 4,
                "stop": [],
                "n_indent": 4,
                "top_k": 40,
                "top_p": 0.90,
                "samplers": ["top_k", "top_p", "infill"],
                "stream": False,
                "cache_prompt": True,
                "t_max_prompt_ms": 500,
                "t_max_predict_ms": 1000,
                "response_fields": list(self.FIELDS),
            },
        )
        assert answer.status == 200
        assert re.search(r"^\s*{", answer.text)
        assert re.search(r'"content"\s*:"', answer.text)
        found = answer.json()
        assert set(found) == set(self.FIELDS)
        assert found["content"].startswith("i")
        for name, value in found.items():
            if name.startswith("timings/"):
                float(value)
        assert found["truncated"] is False
        assert found["timings/predicted_n"] >= 1

    def test_warming_up(self, server):
        answer = self.ask(
            server,
            {
                "id_slot": 0,
                "input_prefix": "",
                "input_suffix": "",
                "input_extra": EXTRA,
                "prompt": "",
                "n_predict": 0,
                "temperature": 0.0,
                "samplers": [],
                "stream": False,
                "cache_prompt": True,
                "t_max_prompt_ms": 1,
                "t_max_predict_ms": 1,
                "response_fields": [""],
            },
        )
        assert (answer.status, answer.raw) == (200, b"{}")

    def test_vim_kills_curl_at_the_next_key(self, server):
        """The next request is not behind the one that nobody waits for."""
        body = {"input_prefix": BEFORE, "input_suffix": BEHIND, "prompt": LINE, "n_predict": 3000}
        data = json.dumps(body)
        connection = server.connect()
        connection.request("POST", "/infill", data, {"Content-Type": "application/json"})
        time.sleep(0.3)
        connection.close()
        body["n_predict"] = 1
        assert isinstance(self.ask(server, body).json()["content"], str)


class TestLlamaVscode:
    REQUEST = {  # noqa: RUF012 - never changed
        "id_slot": 0,
        "input_prefix": BEFORE,
        "input_suffix": BEHIND,
        "input_extra": EXTRA,
        "prompt": LINE,
        "n_predict": 2,
        "top_k": 40,
        "top_p": 0.99,
        "stream": False,
        "samplers": ["top_k", "top_p", "infill"],
        "cache_prompt": True,
        "n_indent": 4,
        "t_max_prompt_ms": 500,
        "t_max_predict_ms": 1000,
        "lora": [{"id": 0, "scale": 0.5}],
        "model": "smollm2-135m",
    }

    def test_three_suggestions(self, server):
        found = server.post("/infill", self.REQUEST | {"n_cmpl": 3}).json()
        assert "content" not in found
        assert len(found) == 3
        assert all(isinstance(one["content"], str) for one in found)
        assert all(one["timings"]["predicted_ms"] >= 0 for one in found)

    def test_one_suggestion(self, server):
        found = server.post("/infill", self.REQUEST | {"n_cmpl": 1}).json()
        assert isinstance(found["content"], str)
        assert found["timings"]["prompt_n"] >= 0
        assert found["tokens_cached"] >= 0
        assert found["truncated"] is False

    def test_warming_up(self, server):
        body = {k: self.REQUEST[k] for k in ("id_slot", "input_extra", "cache_prompt")}
        body |= {"input_prefix": "", "input_suffix": "", "prompt": "", "n_predict": 0}
        body |= {"samplers": [], "t_max_prompt_ms": 500, "t_max_predict_ms": 1}
        assert server.post("/infill", body).status == 200

    def test_its_other_mode(self, server):
        """The `openai` package asks, with a template of its own."""
        answer = server.post(
            "/v1/completions",
            {
                "model": "",
                "prompt": "Context:\n\nhalf.py\n<|fim_prefix|>" + BEFORE + LINE + "<|fim_suffix|>"
                "<|fim_middle|>",
                "max_tokens": 2,
                "temperature": 0.1,
                "top_p": 0.99,
                "stream": False,
            },
            authorization="Bearer empty",
            user_agent="OpenAI/JS 6.0.0",
            x_stainless_lang="js",
        )
        found = answer.json()
        assert isinstance(found["choices"][0]["text"], str)
        assert found["choices"][0]["finish_reason"] in ("stop", "length")
        assert {"prompt_tokens", "completion_tokens", "total_tokens"} <= set(found["usage"])
        assert type(found["created"]) is int


def test_zed(server):
    body = {
        "model": "smollm2-135m",
        "prompt": f"<|fim_prefix|>{BEFORE}{LINE}<|fim_suffix|>{BEHIND}<|fim_middle|>",
        "max_tokens": 3,
        "stop": ["<|endoftext|>", "<|file_sep|>", "<|fim_pad|>", "\n\n\n"],
    }
    found = server.post("/v1/completions", body, authorization="Bearer key").json()
    assert isinstance(found["id"], str)
    assert isinstance(found["choices"][0]["text"], str)


@pytest.mark.parametrize("suffix", [None, BEHIND], ids=["no suffix", "suffix"])
def test_tabby(suffix, server):
    """Every event must parse, every text be a string, and a reason come before the end."""
    body = {
        "model": "smollm2-135m",
        "prompt": BEFORE + LINE,
        "suffix": suffix,
        "max_tokens": 4,
        "temperature": 0.1,
        "stream": True,
        "presence_penalty": 0.0,
    }
    with server.open_stream("/v1/completions", body, accept="text/event-stream") as stream:
        kind = stream.result.headers["content-type"]
        assert kind.partition(";")[0].strip() == "text/event-stream"
        text = ""
        for data in stream:
            assert data != "[DONE]", "no event said how it finished"
            choice = json.loads(data)["choices"][0]
            assert isinstance(choice["text"], str)
            text += choice["text"]
            if choice["finish_reason"] is not None:
                break
    assert text.startswith("i")


@pytest.mark.parametrize("stream", [True, False])
def test_minuet(stream, server):
    """It takes `data:` off each line, and skips whatever does not parse."""
    body = {
        "model": "smollm2-135m",
        "stream": stream,
        "max_tokens": 4,
        "stop": ["\n\n"],
        "prompt": BEFORE + LINE,
        "suffix": BEHIND,
    }
    headers = {"content_type": "application/json", "accept": "application/json"}
    answer = server.post("/v1/completions", json.dumps(body), authorization="Bearer k", **headers)
    if not stream:
        assert answer.json()["choices"][0]["text"]
        return
    texts = []
    for line in answer.text.split("\n"):
        try:
            found = json.loads(line.removeprefix("data:"))
        except json.JSONDecodeError:
            continue
        texts += [found["choices"][0]["text"]]
    assert "".join(texts)


def test_continue(server):
    body = {
        "model": "smollm2-135m",
        "prompt": BEFORE + LINE,
        "suffix": BEHIND,
        "max_tokens": 3,
        "temperature": 0.01,
        "top_p": None,
        "frequency_penalty": None,
        "presence_penalty": None,
        "stop": ["/src/", "#- coding: utf-8", "```"],
        "stream": True,
    }
    stream = server.stream("/v1/completions", body, x_api_key="", authorization="Bearer none")
    assert stream.data[-1] == "[DONE]"
    assert "".join(event["choices"][0]["text"] for event in stream.events)


class TestHarness:
    """lm-eval's `local-completions` with strings: a prompt with its continuation, echoed."""

    CONTEXT, CONTINUATION = "The capital of France is", " Paris."

    def ask(self, server, prompts, **options):
        body = {
            "prompt": prompts,
            "model": "smollm2-135m",
            "max_tokens": 1,
            "logprobs": 1,
            "seed": 1234,
            "echo": True,
            "temperature": 0,
        }
        choices = server.post("/v1/completions", body | options).json()["choices"]
        return sorted(choices, key=lambda choice: choice["index"])

    def test_what_it_reads(self, server):
        texts = [self.CONTEXT + self.CONTINUATION, "One two three"]
        choices = self.ask(server, texts)
        assert [choice["index"] for choice in choices] == [0, 1]
        for choice, text in zip(choices, texts, strict=True):
            assert choice["text"].startswith(text)
            found = choice["logprobs"]
            assert len(found["token_logprobs"]) == len(found["top_logprobs"])
            for logprob, top in zip(
                found["token_logprobs"][1:-1], found["top_logprobs"][1:-1], strict=True
            ):
                assert -math.inf < logprob <= 1e-6
                assert logprob <= max(top.values()) + 1e-6

    def test_entries_are_of_bytes_behind_the_prompt_too(self, server):
        """So the sum of `[characters of the context:-1]` is wrong; docs/serving.md says so."""
        (choice,) = self.ask(server, "The capital of Fra")
        assert choice["text"] == "The capital of France"
        assert choice["logprobs"]["bytes"] == [[byte] for byte in b"The capital of France"]
        assert choice["logprobs"]["text_offset"] == list(range(len("The capital of France")))

    def test_what_is_known_does_not_depend_on_what_follows(self, server):
        """No tokenization of a text's end shows in what is said about its beginning."""
        texts = ["Hello, world", "Hello, wor", "Hello, wonders", "Hello, wo"]
        rows = []
        for choice in self.ask(server, texts, max_tokens=0):
            offsets = choice["logprobs"]["text_offset"]
            pairs = zip(offsets, choice["logprobs"]["token_logprobs"], strict=True)
            rows.append([logprob for offset, logprob in pairs if offset < len("Hello, wo")])
        for row in rows[1:]:
            assert row[1:] == pytest.approx(rows[0][1:], abs=1e-3)

    def test_the_continuation_is_the_difference_of_two_texts(self, server):
        whole, context = (
            sum(choice["logprobs"]["token_logprobs"][1:])
            for choice in self.ask(
                server, [self.CONTEXT + self.CONTINUATION, self.CONTEXT], max_tokens=0
            )
        )
        assert -8 < whole - context < -0.1
