"""`/infill` and gaps in `/v1/completions`: llama.cpp's shape, sentinels in prompts, limits."""

from __future__ import annotations

import re

import pytest

import nextbyte as nb
from nextbyte.fim_formats import FIM_FORMATS
from unit.fake_byte_models import one_text_model
from unit.fim_models import coder, fim_model, sayer
from unit.serving import serving

FORMATS = {spelling.name: spelling for spelling in FIM_FORMATS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("coders")


@pytest.fixture(scope="module")
def lm(folder):
    """A model of noise, trained for gaps as far as anyone can see."""
    return fim_model(coder(folder, "starcoder"))[0]


@pytest.fixture(scope="module")
def server(lm):
    with serving(lm, name="coder") as running:
        yield running


def expected(lm, prefix, suffix, *, max_tokens=9, seed=None, temperature=1.0, **options):
    sampling = {"stop": options.pop("stop", ()), "min_indent": options.pop("min_indent", 0)}
    params = nb.SamplingParams(
        seed=seed, temperature=temperature, max_tokens=max_tokens, max_bytes=9999, **sampling
    )
    return nb.infill(lm, prefix, suffix, params, **options)


# --- /infill -------------------------------------------------------------------------------------

RESULT = {
    *("index", "content", "tokens", "id_slot", "stop", "model", "tokens_predicted"),
    *("tokens_evaluated", "generation_settings", "prompt", "has_new_line", "truncated"),
    *("stop_type", "stopping_word", "tokens_cached", "timings"),
}
TIMINGS = {
    f"{part}_{name}"
    for part in ("prompt", "predicted")
    for name in ("n", "ms", "per_token_ms", "per_second")
}


def test_what_llama_vim_sends_and_reads(lm, server):
    body = {
        "id_slot": 0,
        "input_prefix": "def f(a):\n",
        "input_suffix": "\n    return b\n",
        "input_extra": [{"text": "x = 1\n", "time": [1, 2], "filename": "x.py"}],
        "prompt": "    b = ",
        "n_predict": 9,
        "stop": [],
        "n_indent": 0,
        "top_k": 40,
        "top_p": 0.9,
        "stream": False,
        "samplers": ["top_k", "top_p", "infill"],
        "cache_prompt": True,
        "t_max_prompt_ms": 500,
        "t_max_predict_ms": 60_000,
        "response_fields": ["content", "timings/prompt_n", "truncated", "no/such", "timings/x"],
    }
    answer = server.ask("/infill", body)
    assert answer.status == 200
    assert re.match(rb"^\s*{", answer.raw)
    assert re.search(rb'"content"\s*:"', answer.raw)
    prefix = "def f(a):\n    b = "
    found = expected(lm, prefix, "\n    return b\n", temperature=0.0)
    prompt_n = sum(len(lm.tokenizer.encode(text)) for text in (prefix, "\n    return b\n"))
    assert answer.json == {
        "content": found.text,
        "timings/prompt_n": prompt_n,
        "truncated": False,
    }


def test_the_result_object(lm, server):
    answer = server.infill("ab", "ba", prompt="c", n_predict=9, seed=4, temperature=0.9)
    found = answer.json
    assert set(found) == RESULT
    assert set(found["timings"]) == TIMINGS
    middle = expected(lm, "abc", "ba", seed=4, temperature=0.9)
    assert found["content"] == middle.text
    assert (found["index"], found["stop"], found["model"]) == (0, True, "coder")
    assert (found["prompt"], found["tokens"], found["id_slot"]) == ("abc", [], 0)
    assert found["tokens_predicted"] == 9
    assert (found["stop_type"], found["stopping_word"]) == ("limit", "")
    assert found["has_new_line"] == ("\n" in middle.text)
    assert found["generation_settings"]["temperature"] == 0.9
    assert found["timings"]["predicted_n"] == 9
    assert found["timings"]["predicted_ms"] > 0
    assert answer.line.endswith(f" | {len(middle.bytes)} bytes, length")


@pytest.mark.parametrize("name", ["n_cmpl", "n"])
def test_several_results_are_a_list(lm, server, name):
    options = {"n_predict": 6, "seed": 4, "response_fields": ["index", "content"]}
    found = server.infill("ab", "ba", **options, **{name: 3}).json
    middles = [expected(lm, "ab", "ba", seed=4 + i, max_tokens=6).text for i in range(3)]
    assert found == [{"index": i, "content": middle} for i, middle in enumerate(middles)]
    assert isinstance(server.infill("ab", "ba", **options, **{name: 1}).json, dict)


def test_a_stream_ends_with_the_result(server):
    options = {"n_predict": 12, "seed": 4, "temperature": 1}
    whole = server.infill("ab", "ba", **options).json
    *pieces, last = server.infill("ab", "ba", stream=True, **options).events
    assert "".join(piece["content"] for piece in pieces) == whole["content"]
    assert [piece["stop"] for piece in pieces] == [False] * len(pieces)
    assert set(last) == RESULT
    assert (last["content"], last["stop"], last["tokens_predicted"]) == ("", True, 12)


def test_a_warm_up_does_not_ask_the_model():
    class Untouched:
        def start(self, prompt=b""):
            raise AssertionError("the model was asked")

    with serving(Untouched()) as running:
        for fields in [{"samplers": [], "response_fields": [""]}, {"response_fields": [""]}]:
            assert running.infill("", "", n_predict=0, **fields).json == {}
        found = running.infill("a", "b", n_predict=0).json
        assert (found["content"], found["tokens_predicted"], found["stop"]) == ("", 0, True)
        assert len(running.infill("a", "b", n_predict=0, n_cmpl=3).json) == 3
        (last,) = running.infill("a", "b", n_predict=0, stream=True).events
        assert last["stop"] is True


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input_suffix": ""}, "input_prefix is required"),
        ({"input_prefix": ""}, "input_suffix is required"),
        ({"input_prefix": "", "input_suffix": None}, "input_suffix is required"),
        ({"input_prefix": 1, "input_suffix": ""}, "input_prefix must be a string, not 1"),
        ({"input_prefix": "\ud83d", "input_suffix": ""}, "input_prefix: lone surrogate U+D83D"),
        ({"input_prefix": "", "input_suffix": "", "prompt": [1]}, "prompt must be a string"),
        ({"input_prefix": "", "input_suffix": "", "input_extra": {}}, "input_extra must be a list"),
        (
            {"input_prefix": "", "input_suffix": "", "input_extra": [{"filename": "a"}]},
            "input_extra[0].text is required",
        ),
        (
            {"input_prefix": "", "input_suffix": "", "input_extra": [{"text": "\udc00"}]},
            "input_extra[0].text: lone surrogate",
        ),
        ({"input_prefix": "", "input_suffix": "", "n_predict": "1"}, "n_predict must be"),
        ({"input_prefix": "", "input_suffix": "", "n_indent": -1}, "n_indent must be at least"),
        ({"input_prefix": "", "input_suffix": "", "n_cmpl": 0}, "n_cmpl must be at least 1"),
        ({"input_prefix": "", "input_suffix": "", "response_fields": 3}, "response_fields must be"),
    ],
)
def test_refusals_have_llama_cpps_shape(server, body, message):
    answer = server.ask("/infill", body)
    error = answer.json["error"]
    assert (answer.status, error["code"], error["type"]) == (400, 400, "invalid_request_error")
    assert error["message"].startswith(message)


def test_how_a_middle_ends_is_told(folder):
    tokenizer = coder(folder, "starcoder")
    for said, fields, content, how in [
        ("one\ntwo", {}, "one\ntwo", ("eos", "")),
        ("one\ntwo", {"stop": ["\nt", ""]}, "one", ("word", "\nt")),
        ("one\ntwo", {"n_indent": 2}, "one", ("limit", "")),
        ("one\ntwo", {"n_predict": 1}, "o", ("limit", "")),
        ("one\ntwo", {"max_bytes": 5}, "one\nt", ("limit", "")),
        ("one\nreturn_this(x)", {}, "one", ("eos", "")),
        ("one\ntwo\nthree", {"t_max_predict_ms": 1e-9}, "one\nt", ("limit", "")),
        ("one\ntwo\nthree", {"t_max_predict_ms": 0}, "one\ntwo\nthree", ("eos", "")),
    ]:
        with serving(sayer(tokenizer, said)) as running:
            found = running.infill("a", "\nreturn_this(x)\n", **fields).json
        assert (found["stop_type"], found["stopping_word"]) == how
        assert found["content"] == content


def test_texts_are_only_text(lm, server):
    """The spelling of a sentinel in prefix, suffix or a file stands for itself."""
    prefix, suffix = "a<fim_suffix>b<fim_middle>", "<fim_prefix>c<fim_suffix>d<fim_middle>"
    found = server.infill(prefix, suffix, n_predict=9, temperature=0).json["content"]
    assert found == expected(lm, prefix, suffix, temperature=0).text
    again = server.complete(prefix, suffix=suffix, max_tokens=9, temperature=0).text
    assert again == found
    assert found != server.infill("a", "b", n_predict=9, temperature=0).json["content"]


def test_other_files_come_in_where_the_family_has_a_place(folder):
    tokenizer = coder(folder, "qwen", words=FORMATS["qwen"].needed)
    lm, _ = fim_model(tokenizer)
    files = [("a.py", "x = 1"), ("tmp", "y = 2")]
    extra = [{"text": "x = 1", "filename": "a.py"}, {"text": "y = 2", "time": 3}]
    with serving(lm) as running:
        found = running.infill("ab", "ba", input_extra=extra, n_predict=9).json
        assert found["content"] == expected(lm, "ab", "ba", files=files, temperature=0).text
        assert found["content"] != running.infill("ab", "ba", n_predict=9).json["content"]


def test_other_files_take_half_of_what_is_read_at_most(folder, monkeypatch):
    tokenizer = coder(folder, "qwen")
    lm, backend = fim_model(tokenizer)
    monkeypatch.setattr(backend, "max_context_tokens", 200, raising=False)
    extra = [{"text": letter * 40, "filename": "f"} for letter in "xyz"]
    with serving(lm) as running:
        found = running.infill("c" * 400, "dd", input_extra=extra, n_predict=5).json
    files = [("f", letter * 40) for letter in "yz"]
    session = nb.InfillSession(lm, "c" * 400, "dd", files=files, room_bytes=5)
    params = nb.SamplingParams(temperature=0, max_tokens=5, max_bytes=999)
    assert found["truncated"] is True
    assert found["content"] == session.complete(params).text
    assert found["tokens_evaluated"] < 200


def test_a_prompt_that_is_too_long(folder, monkeypatch):
    lm, backend = fim_model(coder(folder, "starcoder"))
    monkeypatch.setattr(backend, "max_context_tokens", 50, raising=False)
    with serving(lm) as running:
        answer = running.ask("/v1/completions", {"prompt": "c" * 60})
        error = answer.json["error"]
        assert (answer.status, error["code"]) == (400, "context_length_exceeded")
        assert "60 tokens" in error["message"]
        assert "50 at most" in error["message"]
        found = running.complete("c" * 30, max_tokens=100, seed=1, temperature=0).json
        assert found["choices"][0]["finish_reason"] in ("length", "stop")
        assert found["usage"]["completion_tokens"] <= 20
    both = nb.ByteEnsemble([lm, nb.ByteEnsemble([fim_model(lm.tokenizer)[0]])])
    with serving(both) as running:
        answer = running.ask("/v1/completions", {"prompt": "c" * 60})
        assert (answer.status, answer.json["error"]["code"]) == (400, "context_length_exceeded")
        found = running.complete("c" * 30, max_tokens=100, seed=1).json
        assert found["usage"]["completion_bytes"] <= 16


# --- Mistral's shape -----------------------------------------------------------------------------


def test_fim_completions_have_mistrals_shape(lm, server):
    body = {"prompt": "def f(wo", "suffix": "\n  rld", "max_tokens": 9, "min_tokens": 0}
    body |= {"random_seed": 2, "temperature": 1, "top_p": 1, "stop": None, "model": "codestral"}
    text = expected(lm, "def f(wo", "\n  rld", seed=2).text
    answer = server.ask("/v1/fim/completions", body).json
    (choice,) = answer["choices"]
    assert choice["message"]["content"] == text
    assert choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] == "length"
    assert answer["object"] == "chat.completion"
    assert answer["usage"]["completion_tokens"] == 9
    *chunks, last, done = server.ask("/v1/fim/completions", {**body, "stream": True}).events
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == text
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
    assert last["choices"][0] == {
        "index": 0,
        "delta": {"content": ""},
        "finish_reason": "length",
    }
    assert last["usage"] == answer["usage"]


def test_fim_completions_without_a_gap_or_a_prompt(lm, server):
    answer = server.ask("/v1/fim/completions", {"prompt": "ab", "max_tokens": 9, "seed": 2}).json
    assert answer["choices"][0]["message"]["content"] == expected(lm, "ab", "", seed=2).text
    answer = server.ask("/v1/fim/completions", {"suffix": "ab"})
    assert (answer.status, answer.json["error"]["param"]) == (400, "prompt")
    with serving(one_text_model(b"abcd")) as running:
        found = running.ask("/v1/fim/completions", {"prompt": "ab", "suffix": ""}).json
        assert found["choices"][0]["message"]["content"] == "cd"
        assert found["choices"][0]["finish_reason"] == "stop"
        found = running.ask("/v1/fim/completions", {"prompt": "ab", "suffix": "d"}).json
        assert found["choices"][0]["message"]["content"] == "c"
        assert found["choices"][0]["finish_reason"] == "stop"


# --- Models without sentinels --------------------------------------------------------------------


def test_any_single_model_weighs_middles(tmp_path_factory):
    from unit.known_models import load_all, noisy  # noqa: PLC0415

    tokenizers = load_all(tmp_path_factory.mktemp("tokenizers"))
    lm, _ = noisy(tokenizers["smollm2_like"])
    extra = [{"text": "x = 1"}]
    with serving(lm) as running:
        found = running.infill("the w", "ld", n_predict=3, seed=1, input_extra=extra).json
        result = expected(lm, "the w", "ld", max_tokens=3, seed=1)
        assert result.format is None
        assert found["content"] == result.text
        text = running.complete("the w", suffix="ld", max_tokens=3, seed=1).text
        assert text == result.text
        plain = nb.generate(lm, "the w", nb.SamplingParams(max_tokens=3, seed=1)).text
        assert running.complete("the w", suffix="", max_tokens=3, seed=1).text == plain


RULES = ("mixture", "product", "posterior", "common-vocabulary")


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    from unit.known_models import CountingBackend, load_all, noise  # noqa: PLC0415

    words = load_all(tmp_path_factory.mktemp("tokenizers"))["smollm2_like"]
    width = words.vocab_size
    return [nb.ByteLM(words, CountingBackend(noise(width, s), width)) for s in (1.0, 2.0)]


@pytest.mark.parametrize("rule", RULES)
def test_ensembles_weigh_middles_at_every_endpoint(members, rule):
    if rule == "common-vocabulary":
        model = nb.CommonVocabularyEnsemble(members)
    else:
        model = nb.ByteEnsemble(members, rule=rule)
    params = nb.SamplingParams(seed=3, max_bytes=4)
    wanted = nb.infill(model, "the w", "ld", params)
    assert len(wanted.candidates) > 1
    with serving(model, name="team") as running:
        found = running.infill("the w", "ld", n_predict=1, seed=3).json  # 4 bytes a token
        assert (found["content"], found["model"]) == (wanted.text, "team")
        assert found["tokens_evaluated"] == 2 + 1
        assert not found["truncated"]
        typed = running.infill("the", "ld", prompt=" w", n_predict=1, seed=3).json
        assert typed["content"] == wanted.text
        two = running.infill("the w", "ld", max_bytes=4, seed=3, n=2).json
        other = nb.infill(model, "the w", "ld", nb.SamplingParams(seed=4, max_bytes=4))
        assert [one["content"] for one in two] == [wanted.text, other.text]
        assert running.complete("the w", suffix="ld", max_bytes=4, seed=3).text == wanted.text
        body = {"prompt": "the w", "suffix": "ld", "max_tokens": 1, "random_seed": 3}
        choice = running.ask("/v1/fim/completions", body).json["choices"][0]
        assert choice["message"]["content"] == wanted.text
        *chunks, _, _ = running.ask("/v1/fim/completions", {**body, "stream": True}).events
        texts = [chunk["choices"][0]["delta"]["content"] for chunk in chunks]
        assert "".join(texts) == wanted.text


def test_a_gap_leaves_room_in_what_an_ensemble_reads(members):
    class Short(nb.ByteEnsemble):
        max_text_bytes = 40

    model = Short(members)
    prefix = "ab " * 30
    wanted = nb.infill(model, prefix, "ld", nb.SamplingParams(seed=3, max_bytes=20))
    assert wanted.prefix_bytes <= 18
    with serving(model) as running:
        found = running.infill(prefix, "ld", n_predict=400, seed=3).json
        assert found["content"] == wanted.text
        assert found["tokens_evaluated"] == -(-wanted.prefix_bytes // 4) + 1


def test_an_audit_fills_no_gaps(tmp_path_factory):
    from unit.known_models import load_all, noisy  # noqa: PLC0415

    tokenizers = load_all(tmp_path_factory.mktemp("tokenizers"))
    lm, _ = noisy(tokenizers["smollm2_like"])
    audit = nb.ByteLM(lm.tokenizer, lm.backend, target="raw")
    with serving(audit) as running:
        answer = running.ask("/infill", {"input_prefix": "a", "input_suffix": "b"})
        assert (answer.status, answer.json["error"]["code"]) == (501, 501)
        assert "target='raw'" in answer.message
        answer = running.ask("/v1/completions", {"prompt": "a", "suffix": "b"})
        assert (answer.status, answer.json["error"]["type"]) == (501, "not_supported_error")
