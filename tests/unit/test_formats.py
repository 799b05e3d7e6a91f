"""Tokenizer files that are none, are broken, or contradict themselves: one clear error each."""

from __future__ import annotations

import copy
import re

import pytest

from nextbyte import Tokenizer
from nextbyte.errors import TokenizerFormatError
from nextbyte.formats.description import BytePairs, TokenizerDescription
from unit import tiny_tokenizers as tiny
from unit.loading import changed, refusal

ADDED = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


# --- Not a tokenizer file ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe",
        b'{"model": {"type": "BPE", "vocab": {"a": 0',
        b"not json",
        b"[1, 2]",
        b"{}",
        b"null",
        b'{"model": ["BPE"]}',
        b'{"model": null}',
        b"[" * 100_000,
        b'{"model":' * 100_000,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_a_file_of_something_else(tmp_path, data):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(data)
    with pytest.raises(TokenizerFormatError, match=r"not a (JSON|tokenizer\.json) file") as caught:
        Tokenizer.from_file(path)
    assert str(path) in str(caught.value)


def test_missing_paths(tmp_path):
    with pytest.raises(TokenizerFormatError, match=r"gone\.json: no such file; give the path of"):
        Tokenizer.from_file(tmp_path / "gone.json")
    with pytest.raises(TokenizerFormatError, match=r"tokenizer\.json: no such file"):
        Tokenizer.from_file(tmp_path)  # a folder without one
    with pytest.raises(TokenizerFormatError, match="no such file; give the path of a rank file"):
        Tokenizer.from_tiktoken(tmp_path, pattern="gpt2")


def test_a_folder_stands_for_its_tokenizer_json(tmp_path):
    path = tiny.write(tmp_path, tiny.ab())
    for way in (tmp_path, path, str(path), str(tmp_path)):
        assert Tokenizer.from_file(way).encode("ab") == [2]


def broken(what):
    """Return a good document with one thing of the wrong type or missing."""
    content = copy.deepcopy(tiny.ab_with_specials())
    model = content["model"]
    match what:
        case "vocab is a list":
            model["vocab"] = ["a", "b"]
        case "vocab is null":
            model["vocab"] = None
        case "vocab is missing":
            del model["vocab"]
        case "an id is text":
            model["vocab"]["ab"] = "2"
        case "an id is a fraction":
            model["vocab"]["ab"] = 2.5
        case "an id is true":
            model["vocab"] |= {"c": True}
        case "an id is negative":
            model["vocab"]["b"] = -1
        case "an id is astronomical":
            model["vocab"] |= {"c": 10**15}
        case "vocab is empty":
            model["vocab"], model["merges"], content["added_tokens"] = {}, [], []
        case "vocab is of special tokens only":
            model["vocab"], model["merges"] = {"<s>": 3}, []
        case "merges are missing":
            del model["merges"]
        case "merges are null":
            model["merges"] = None
        case "merges are an object":
            model["merges"] = {"a": "b"}
        case "merges are one text":
            model["merges"] = "a b"
        case "a merge is a number":
            model["merges"].append(7)
        case "a merge has one part":
            model["merges"].append("ab")
        case "a merge has one part in a list":
            model["merges"].append(["ab"])
        case "a merge has three parts":
            model["merges"].append(["a", "b", "a"])
        case "a merge is of lists":
            model["merges"].append([["a"], ["b"]])
        case "added tokens are numbers":
            content["added_tokens"] = [3]
        case "an added token has no id":
            del content["added_tokens"][0]["id"]
        case "an added token has no content":
            del content["added_tokens"][0]["content"]
        case "an added token's id is text":
            content["added_tokens"][0]["id"] = "three"
        case "an added token's id is a fraction":
            content["added_tokens"][0]["id"] = 3.7
        case "an added token's content is a number":
            content["added_tokens"][0]["content"] = 5
        case "an added token's id is negative":
            content["added_tokens"][0]["id"] = -4
        case "the pre-tokenizer is text":
            content["pre_tokenizer"] = "ByteLevel"
        case "the pre-tokenizer has no type":
            content["pre_tokenizer"] = {"add_prefix_space": False}
        case "a Sequence has no parts":
            content["pre_tokenizer"] = {"type": "Sequence"}
        case "a Split has no pattern":
            content["pre_tokenizer"] = tiny.split("a")
            del content["pre_tokenizer"]["pretokenizers"][0]["pattern"]
        case "a Split has an empty pattern object":
            content["pre_tokenizer"] = tiny.split("a")
            content["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {}
        case "a Split has a number for its regex":
            content["pre_tokenizer"] = tiny.split(5)
        case "a Split has null for its regex":
            content["pre_tokenizer"] = tiny.split(None)
        case "a Split has a lone surrogate":
            content["pre_tokenizer"] = tiny.split("a\ud800")
        case "the normalizer is text":
            content["normalizer"] = "NFC"
        case "the normalizer has no type":
            content["normalizer"] = {}
    return content


WRONG = {
    "vocab is a list": "vocab",
    "vocab is null": "vocab",
    "vocab is missing": "vocab",
    "an id is text": r"vocab|\bids?\b",
    "an id is a fraction": r"vocab|\bids?\b",
    "an id is true": r"vocab|\bids?\b",
    "an id is negative": "negative id",
    "an id is astronomical": r"vocab|\bids?\b",
    "vocab is empty": "vocab",
    "vocab is of special tokens only": "vocab",
    "merges are missing": "merges",
    "merges are null": "merge",
    "merges are an object": "merge",
    "merges are one text": "merge",
    "a merge is a number": "merge 1",
    "a merge has one part": "merge 1",
    "a merge has one part in a list": "merge 1",
    "a merge has three parts": "merge 1",
    "a merge is of lists": "merge 1",
    "added tokens are numbers": "added",
    "an added token has no id": r"\bid\b",
    "an added token has no content": "content",
    "an added token's id is text": r"three|\bid\b",
    "an added token's id is a fraction": r"3\.7|\bid\b",
    "an added token's content is a number": "content",
    "an added token's id is negative": "negative id",
    "the pre-tokenizer is text": "pre.?tokenizer",
    "the pre-tokenizer has no type": "type",
    "a Sequence has no parts": "pretokenizers",
    "a Split has no pattern": "pattern",
    "a Split has an empty pattern object": "pattern|Regex|String",
    "a Split has a number for its regex": "Split|pattern|Regex",
    "a Split has null for its regex": "Split|pattern|Regex",
    "a Split has a lone surrogate": "Split|pattern|surrogate",
    "the normalizer is text": "normalizer",
    "the normalizer has no type": "type",
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_types_inside(tmp_path, what):
    content = broken(what)
    assert content != tiny.ab_with_specials()
    message = refusal(tmp_path, content, TokenizerFormatError)
    told = message.removeprefix(str(tmp_path))  # the folder is named after the test
    assert re.search(WRONG[what], told), message


# --- Files that contradict themselves ------------------------------------------------------------


@pytest.mark.parametrize(
    ("merge", "missing"),
    [("a c", "'c'"), ("c a", "'c'"), ("b a", "'ba'"), (["a", "c"], "'c'"), ("a b c", "'b c'")],
    ids=str,
)
def test_merges_that_name_unknown_tokens(tmp_path, merge, missing):
    content = changed(tiny.ab(), merges=["a b", merge])
    message = refusal(tmp_path, content, TokenizerFormatError)
    assert "merge 1 ('" in message
    assert f"names {missing}, which is not in the vocabulary" in message


def test_two_tokens_of_one_id(tmp_path):
    content = copy.deepcopy(tiny.ab())
    content["model"]["vocab"] |= {"x": 3, "y": 3}
    message = refusal(tmp_path, content, TokenizerFormatError)
    assert re.search(r"\b3\b", message.removeprefix(str(tmp_path)))


def test_an_id_that_a_merge_needs_twice(tmp_path):
    content = changed(tiny.ab(), vocab={"a": 0, "b": 0, "ab": 2})
    refusal(tmp_path, content, TokenizerFormatError)


def test_an_added_token_with_the_id_of_another_token(tmp_path):
    content = tiny.ab()
    content["added_tokens"] = [ADDED | {"id": 0, "content": "<e>", "special": True}]
    message = refusal(tmp_path, content, TokenizerFormatError)
    assert "<e>" in message


def test_two_added_tokens_of_one_id(tmp_path):
    content = tiny.ab_with_specials()
    content["added_tokens"][1]["id"] = content["added_tokens"][0]["id"]
    message = refusal(tmp_path, content, TokenizerFormatError)
    assert "<e>" in message


def description(**options):
    return TokenizerDescription(
        source="somewhere",
        token_bytes=options.pop("token_bytes", [b"a", b"b", b"ab", b""]),
        model=BytePairs(**{"merges": [(0, 1, 2)], "stages": []} | options),
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"merges": [(1, 0, 2)]}, r"merge 0 \(1, 0\) -> 2: the bytes of the result are not those"),
        ({"merges": [(0, 1, 2), (0, 0, 1)]}, r"merge 1 \(0, 0\) -> 1: the bytes of the result"),
        ({"merges": [(0, 9, 2)]}, r"merge 0 .* id 9 is not in the vocabulary"),
        ({"merges": [(0, 1, 3)]}, r"merge 0 .* token 3 has no bytes"),
        ({"token_bytes": [b"", b""], "merges": []}, "no token with bytes"),
        ({"token_bytes": [], "merges": []}, "no token with bytes"),
        ({"merges": None}, "somewhere: neither merges nor ranks"),
        ({"merges": None, "ranks": [0, 1]}, "4 tokens but 2 ranks"),
    ],
)
def test_descriptions_that_contradict_themselves(options, words):
    with pytest.raises(TokenizerFormatError, match=words):
        Tokenizer(description(**options))
