"""Layouts of fill-in-the-middle prompts: found by their tokens, written as their sources say."""

from __future__ import annotations

import pytest

from nextbyte.errors import InvalidInputError
from nextbyte.fim_formats import FIM_FORMATS, find_fim_format
from nextbyte.fim_tokens import find_fim_tokens
from nextbyte.segments import Continued

BIGCODE = "<fim_prefix> <fim_suffix> <fim_middle> <fim_pad>"
PIPED = "<|fim_prefix|> <|fim_suffix|> <|fim_middle|> <|fim_pad|>"
DEEPSEEK = "<\uff5cfim\u2581begin\uff5c> <\uff5cfim\u2581hole\uff5c> <\uff5cfim\u2581end\uff5c>"
TOKENIZERS = {  # the tokens of the families' tokenizer files
    "starcoder": f"<|endoftext|> {BIGCODE} <filename> <gh_stars> <reponame>",
    "starcoder2": f"<|endoftext|> {BIGCODE} <repo_name> <file_sep> <issue_start>",
    "santacoder": "<|endoftext|> <fim-prefix> <fim-middle> <fim-suffix> <fim-pad>",
    "qwen": f"<|endoftext|> <|im_start|> <|im_end|> {PIPED} <|repo_name|> <|file_sep|>",
    "codegemma": f"<bos> <eos> {PIPED.removesuffix(' <|fim_pad|>')} <|file_separator|>",
    "granite4": f"<|end_of_text|> {PIPED} <|filename|> <|reponame|>",
    "deepseek": f"<\uff5cend\u2581of\u2581sentence\uff5c> {DEEPSEEK}",
    "codellama": "<s> </s> \u2581<PRE> \u2581<MID> \u2581<SUF> \u2581<EOT>",
    "seedcoder": "<[begin_of_sentence]> <[fim-prefix]> <[fim-suffix]> <[fim-middle]>",
    "glm": "<|endoftext|> <|user|> <|observation|> <|code_prefix|> <|code_middle|> <|code_suffix|>",
    "codestral": "<s> </s> [INST] [PREFIX] [MIDDLE] [SUFFIX]",
}


def tokens(name):
    return {spelling: 100 + i for i, spelling in enumerate(TOKENIZERS[name].split(" "))}


def shown(name, *arguments, **options):
    """Return a prompt with its special tokens spelled out, as the sources show them."""
    names = {token: spelling for spelling, token in tokens(name).items()}
    text = ""
    for segment in find_fim_format(tokens(name)).segments(*arguments, **options):
        if isinstance(segment, int):
            text += names[segment]
        else:
            text += (segment.text if isinstance(segment, Continued) else segment).decode()
    return text


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_family_is_known_by_its_tokens(name):
    found = find_fim_format(tokens(name))
    assert found.name == name
    assert find_fim_format(tokens(name), name).ids == found.ids
    roles = find_fim_tokens(tokens(name))
    sentinels = [s for s in found.spelling.sentinels if s]
    assert [found.ids[s] for s in sentinels] == [
        roles[role] for role in ("prefix", "suffix", "middle")[: len(sentinels)]
    ]
    for sentinel in sentinels:
        lacking = {s: t for s, t in tokens(name).items() if s != sentinel}
        assert find_fim_format(lacking) is None or find_fim_format(lacking).name != name
    assert not set(found.end_tokens) & {found.ids[s] for s in sentinels}
    assert found.spelling.source


def test_every_format_is_here():
    assert {spelling.name for spelling in FIM_FORMATS} == set(TOKENIZERS)
    assert find_fim_format({"<s>": 1, "<fim_prefix>": 2}) is None


@pytest.mark.parametrize(
    ("name", "order", "expected"),
    [
        ("starcoder", "psm", "<fim_prefix>P<fim_suffix>S<fim_middle>T"),
        ("starcoder", "spm", "<fim_prefix><fim_suffix>S<fim_middle>PT"),
        ("starcoder2", "psm", "<fim_prefix>P<fim_suffix>S<fim_middle>T"),
        ("santacoder", "psm", "<fim-prefix>P<fim-suffix>S<fim-middle>T"),
        ("qwen", "psm", "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>T"),
        ("codegemma", "spm", "<|fim_prefix|><|fim_suffix|>S<|fim_middle|>PT"),
        ("granite4", "psm", "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>T"),
        (
            "deepseek",
            "psm",
            "<\uff5cfim\u2581begin\uff5c>P<\uff5cfim\u2581hole\uff5c>S<\uff5cfim\u2581end\uff5c>T",
        ),
        ("codellama", "psm", "\u2581<PRE>P\u2581<SUF>S\u2581<MID>T"),
        ("codellama", "spm", "\u2581<PRE>\u2581<SUF>S\u2581<MID>PT"),
        ("seedcoder", "spm", "<[fim-suffix]>S<[fim-prefix]>P<[fim-middle]>T"),
        ("glm", "psm", "<|code_prefix|>P<|code_suffix|>S<|code_middle|>T"),
        ("codestral", "spm", "[SUFFIX]S[PREFIX]PT"),
    ],
)
def test_layouts(name, order, expected):
    assert shown(name, "P", "S", order=order, typed="T") == expected
    assert shown(name, "P", "S", order=order) == expected.removesuffix("T")


def test_repositories():
    options = {"path": "b.py", "repository": "R", "files": [("a.py", "x\n")]}
    assert shown("qwen", "P", "S", **options) == (
        "<|repo_name|>R\n<|file_sep|>a.py\nx\n\n<|file_sep|>b.py\n"
        "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>"
    )
    assert shown("starcoder2", "P", "S", **options) == (
        "<repo_name>R<file_sep>a.py\nx\n<file_sep><fim_prefix>b.py\nP<fim_suffix>S<fim_middle>"
    )
    del options["repository"]
    assert shown("codegemma", "P", "S", **options) == (
        "a.py\nx\n<|file_separator|>b.py\n<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>"
    )
    with pytest.raises(InvalidInputError, match="deepseek models know no other files"):
        shown("deepseek", "P", "S", **options)


def test_what_is_refused():
    with pytest.raises(InvalidInputError, match="order must be psm for qwen models, not 'spm'"):
        shown("qwen", "P", "S", order="spm")
    with pytest.raises(InvalidInputError, match="there is no FIM format 'x'; there are qwen, "):
        find_fim_format({}, "x")
    with pytest.raises(InvalidInputError, match="no <fim_suffix>, <fim_middle>, so it is not for"):
        find_fim_format({"<fim_prefix>": 1}, "starcoder")
    with pytest.raises(InvalidInputError, match="lone surrogate"):
        shown("qwen", "\ud800", "")


def test_text_stays_text():
    segments = find_fim_format(tokens("starcoder")).segments("a<fim_middle>b", "<fim_suffix>")
    assert [s for s in segments if not isinstance(s, int)] == [
        b"a<fim_middle>b",
        b"<fim_suffix>",
        b"",
    ]
