"""Sentinels that editors spell in a prompt: which gap they mean, and which are only text."""

from __future__ import annotations

import pytest

import nextbyte as nb
from nextbyte.fim_formats import FIM_FORMATS
from nextbyte.server.sentinels import Gap, gap_in
from unit.fim_models import coder, fim_model
from unit.serving import serving

FORMATS = {spelling.name: spelling for spelling in FIM_FORMATS}
BLANK = "\u2581"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("coders")


@pytest.fixture(scope="module")
def lm(folder):
    return fim_model(coder(folder, "starcoder"))[0]


@pytest.fixture(scope="module")
def server(lm):
    with serving(lm) as running:
        yield running


@pytest.mark.parametrize("family", ["starcoder", "qwen", "deepseek", "codestral"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_template_is_the_gap_that_it_spells(folder, family, stream):
    spelling = FORMATS[family]
    lm, _ = fim_model(coder(folder, family, words=spelling.needed))
    first, second, third = spelling.sentinels
    prompt = f"{first}def f(wo{second}\n  rld{third}"
    if family == "codestral":
        prompt = f"{second}\n  rld{first}def f(wo"
    options = {"max_tokens": 9, "seed": 2}
    with serving(lm) as running:
        params = nb.SamplingParams(seed=2, max_tokens=9, max_bytes=999)
        text = nb.infill(lm, "def f(wo", "\n  rld", params).text
        assert running.complete("def f(wo", suffix="\n  rld", **options).text == text
        answer = running.complete(prompt, stream=stream, **options)
        if stream:
            assert "".join(e["choices"][0]["text"] for e in answer.events[:-1]) == text
        else:
            assert answer.text == text
            assert running.complete([prompt, "ab"], **options).json["choices"][0]["text"] == text
            both = running.complete(["ab", prompt], echo=True, **options).json["choices"]
            plain = running.complete("ab", **options).text
            assert [both[0]["text"], both[1]["text"][: len(prompt)]] == ["ab" + plain, prompt]


def test_another_familys_sentinels_are_text(lm, server):
    prompt = "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>"
    params = nb.SamplingParams(seed=2, max_tokens=9, max_bytes=999)
    text = nb.generate(lm, prompt, params).text
    assert server.complete(prompt, seed=2, max_tokens=9).text == text


def test_logprobs_of_a_gap_are_refused(server):
    body = {"prompt": "<fim_prefix>a<fim_suffix>b<fim_middle>", "logprobs": 1}
    answer = server.ask("/v1/completions", body)
    assert (answer.status, answer.json["error"]["param"]) == (400, "logprobs")


PIPED = "<|fim_prefix|>{}<|fim_suffix|>{}<|fim_middle|>{}"
BIGCODE = "<fim_prefix>{}<fim_suffix>{}<fim_middle>{}"
GAPS = [
    ("starcoder", BIGCODE.format("a\n", "\nb", ""), Gap(prefix="a\n", suffix="\nb")),
    ("starcoder", BIGCODE.format("", "", ""), Gap(prefix="", suffix="")),
    ("starcoder", BIGCODE.format("a", "b", "c"), Gap(prefix="a", suffix="b", typed="c")),
    ("starcoder", BIGCODE.format("", "b", "c"), Gap(prefix="c", suffix="b", order="spm")),
    ("starcoder", "x\n" + BIGCODE.format("a", "b", ""), Gap(prefix="x\na", suffix="b")),
    # What the texts spell themselves stays in them.
    (
        "starcoder",
        BIGCODE.format("a<fim_prefix>", "b<fim_middle>", ""),
        Gap(prefix="a<fim_prefix>", suffix="b<fim_middle>"),
    ),
    ("granite4", PIPED.format("", "b", "c"), Gap(prefix="", suffix="b", typed="c")),
    (
        "deepseek",
        "<\uff5cfim\u2581begin\uff5c>a<\uff5cfim\u2581hole\uff5c>b<\uff5cfim\u2581end\uff5c>",
        Gap(prefix="a", suffix="b"),
    ),
    ("codestral", "[SUFFIX]b[PREFIX]a", Gap(prefix="a", suffix="b")),
    ("codestral", "+++++ x.py\n[SUFFIX]b[PREFIX]a", Gap(prefix="+++++ x.py\na", suffix="b")),
    ("codellama", "<PRE>   a <SUF>b <MID>", Gap(prefix="  a", suffix="b")),
    (
        "codellama",
        f"{BLANK}<PRE>a{BLANK}<SUF>b{BLANK}<MID>",
        Gap(prefix="a", suffix="b"),
    ),
    ("codellama", "<PRE> <SUF>b <MID>a", Gap(prefix="a", suffix="b", order="spm")),
    (
        "qwen",
        "<|repo_name|>R\n<|file_sep|>p/q.py\none\ntwo\n<|file_sep|>r.py\nthree"
        "<|file_sep|>here.py\n" + PIPED.format("a", "b", ""),
        Gap(
            prefix="a",
            suffix="b",
            path="here.py",
            repository="R",
            files=(("p/q.py", "one\ntwo"), ("r.py", "three")),
        ),
    ),
    (
        "qwen",
        "# seen\n<|file_sep|>here.py\nx\n" + PIPED.format("a", "b", ""),
        Gap(prefix="# seen\nx\na", suffix="b", path="here.py"),
    ),
    (
        "starcoder2",
        "<repo_name>R<file_sep>p.py\none<file_sep>" + BIGCODE.format("here.py\na\n", "b", ""),
        Gap(prefix="a\n", suffix="b", path="here.py", repository="R", files=(("p.py", "one"),)),
    ),
    (
        "codegemma",
        "p.py\none<|file_separator|>here.py\n" + PIPED.format("a", "b", ""),
        Gap(prefix="a", suffix="b", path="here.py", files=(("p.py", "one"),)),
    ),
]
NO_GAPS = [
    ("starcoder", "plain"),
    ("starcoder", "what is <fim_middle>?"),
    ("starcoder", "<fim_prefix>a<fim_suffix>b"),
    ("starcoder", "<fim_suffix>b<fim_prefix>a<fim_middle>"),
    ("starcoder", "<fim_middle>a<fim_suffix>b<fim_prefix>"),
    ("codestral", "[PREFIX]a[SUFFIX]b"),
]


@pytest.mark.parametrize(("family", "prompt", "gap"), GAPS)
def test_gaps_are_found(family, prompt, gap):
    assert gap_in(prompt, FORMATS[family]) == gap


@pytest.mark.parametrize(("family", "prompt"), NO_GAPS)
def test_no_gap_where_a_sentinel_is_missing_or_misplaced(family, prompt):
    assert gap_in(prompt, FORMATS[family]) is None
