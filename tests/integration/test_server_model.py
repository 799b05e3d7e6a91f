"""The embedded model behind `nextbyte serve`: exact answers, alone and among other clients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.model


@pytest.fixture
def server(model_server):
    return model_server


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Hello, worl", "d"),
        ("The capital of Fra", "nce"),
        ("1, 2, 3, 4, 5, ", "6"),
        ("def main():\n    retu", "rn"),
    ],
)
def test_the_rest_of_a_word(prompt, text, server):
    body = {"prompt": prompt, "max_tokens": 3, "temperature": 0}
    assert server.post("/v1/completions", body).json()["choices"][0]["text"].startswith(text)


def test_seeds(server):
    body = {"prompt": "Once upon a ti", "max_tokens": 6, "temperature": 1.0}
    texts = [
        server.post("/v1/completions", body | {"seed": seed}).json()["choices"][0]["text"]
        for seed in (7, 7, 8, 9, 10)
    ]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_several_choices_differ(server):
    body = {"prompt": "My name is", "max_tokens": 4, "temperature": 1.0, "n": 4, "seed": 3}
    choices = server.post("/v1/completions", body).json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
    assert len({choice["text"] for choice in choices}) > 1


def test_emoji_arrive_whole(server):
    emoji = "\U0001f600"
    body = {"prompt": emoji * 8, "max_tokens": 8, "temperature": 0, "stream": True}
    events = server.stream("/v1/completions", body).events
    text = "".join(choice["text"] for event in events for choice in event["choices"])
    assert emoji in text
    assert "\ufffd" not in text.rstrip("\ufffd")  # but for what the limit cuts


def test_a_stop_string(server):
    body = {"prompt": "1, 2, 3, 4, ", "max_tokens": 12, "temperature": 0, "stop": ["7", "x"]}
    choice = server.post("/v1/completions", body).json()["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["text"] == "5, 6, "


def test_twenty_clients(server):
    """Answers do not depend on who else asks."""
    prompts = [f"{number}, {number + 1}, {number + 2}, " for number in range(5)]

    def ask(prompt):
        body = {"prompt": prompt, "max_tokens": 1, "temperature": 0}
        return server.post("/v1/completions", body).json()["choices"][0]["text"]

    alone = [ask(prompt) for prompt in prompts]
    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, prompts * 4)) == alone * 4


def test_one_leaves_in_the_middle_while_others_wait(server):
    body = {"prompt": "Once upon a time", "max_tokens": 4000, "temperature": 0, "stream": True}
    short = {"prompt": "Hello, worl", "max_tokens": 1, "temperature": 0}
    with ThreadPoolExecutor(3) as pool, server.open_stream("/v1/completions", body) as stream:
        events = iter(stream)
        assert next(events)
        others = [pool.submit(server.post, "/v1/completions", short) for _ in range(3)]
        assert next(events)
        stream.hang_up()
        for other in others:
            assert other.result(60).json()["choices"][0]["text"].startswith("d")
    assert server.get("/health").status == 200


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"prompt":"\\ud83d"}', b'{"prompt":"\xff"}', b"[" * 50_000]
)
def test_nonsense(raw, server):
    answer = server.post("/v1/completions", raw, content_type="application/json")
    assert answer.status == 400
    assert answer.json()["error"]["message"]
    assert server.get("/health").status == 200
    assert server.process.poll() is None


def test_nothing_was_printed_that_looks_like_a_failure(server):
    assert "Traceback" not in "".join(server.said)
