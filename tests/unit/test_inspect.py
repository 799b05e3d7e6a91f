"""`nextbyte inspect`, the report behind it, and the cover tree."""

from __future__ import annotations

import base64
import json
import re
import sys

import pytest

import nextbyte as nb
from nextbyte import tokenizer_display
from nextbyte.cli import main
from nextbyte.errors import UnreachableByteError
from unit import tiny_tokenizers as tiny
from unit.loading import load


@pytest.fixture
def run(capfdbinary, monkeypatch):
    """Run the command line; return its exit status, stdout and stderr as text."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        status = main(["inspect", *map(str, arguments)])
        sys.stderr.flush()
        captured = capfdbinary.readouterr()
        return status, captured.out.decode(), captured.err.decode()

    return run


def lines(shown):
    return [" ".join(line.split()) for line in shown.splitlines() if line.strip()]


# --- The table -----------------------------------------------------------------------------------


def test_the_table_of_a_tiny_tokenizer(run, tmp_path):
    path = tiny.write(tmp_path, tiny.smollm2_like(), "t.json")
    status, out, err = run(path)
    assert (status, err) == (0, "")
    assert "\x1b" not in out
    shown = lines(out)
    joined = " ".join(shown)
    for line in (
        "covers are exact",
        "family byte-level BPE",
        "special tokens 3: <|endoftext|> (0), <|im_start|> (1), <|im_end|> (2)",
        "bytes without token 0x04 0x06 0x13-0x14 0x16 0x1D 0xC0-0xC1 0xF1-0xF2 0xF5-0xFF",
        "normal form none",
        r"splits \p{N}",
    ):
        assert line in shown
    for part in (
        str(path),
        "vocabulary 249 ids; 246 can be made; the longest is ' the' (240), 4 bytes",
        r"then 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        "0 tokens not made by them; at most 3 symbols on an edge; ranks never fall",
        "self-check 246 tokens",
        "800 pairs: no difference",
    ):
        assert part.replace(" ", "") in joined.replace(" ", ""), part
    assert "library" not in joined
    assert "in no text" not in joined


def test_what_only_some_tokenizers_have(run, tmp_path):
    content = tiny.ab()
    content["model"]["vocab"]["ba"] = 3
    content["model"]["vocab"] |= {"<fim_prefix>": 4, "<fim_suffix>": 5, "<fim_middle>": 6}
    added = tiny.document([b"a"], [], specials=("<x>",))["added_tokens"][0]
    content["added_tokens"] = [
        added | {"id": 4 + i, "content": f"<fim_{role}>"}
        for i, role in enumerate(("prefix", "suffix", "middle"))
    ]
    shown = lines(run(tiny.write(tmp_path, content))[1])
    assert "in no text 1: 'ba' (3)" in shown
    assert "fill in the middle prefix 4, suffix 5, middle 6" in shown


def test_long_tokens_and_lists_are_cut():
    assert tokenizer_display._token(7, b" " * 128) == "128 times ' ' (7)"
    assert tokenizer_display._token(7, b"ab" * 50).startswith("'abab")
    assert len(tokenizer_display._token(7, b"ab" * 50)) < 50
    tokens = [(f"<{i}>", i) for i in range(1000)]
    assert tokenizer_display._tokens(tokens).endswith("<7> (7), and 992 more")
    assert tokenizer_display._tokens([]) == "none"


def test_full_compares_with_the_library(run, tmp_path):
    status, out, err = run(tiny.write(tmp_path, tiny.letters()), "--full")
    assert (status, err) == (0, "")
    joined = " ".join(lines(out))
    assert "80,000 pairs: no difference" in joined
    assert "library tokenizers " in joined
    assert "skipped: no difference" in joined


def test_a_refuted_tokenizer_is_shown_and_is_an_error(run, tmp_path, monkeypatch):
    wrong = nb.verification.Reference("wrong 1.0", lambda text: [0] * len(text))
    monkeypatch.setattr(nb.tokenizer_inspection, "find_reference", lambda _: wrong)
    status, out, err = run(tiny.write(tmp_path, tiny.all_bytes()), "--full")
    assert status == 2
    assert "covers are refuted" in lines(out)
    assert re.search(
        r"library wrong 1\.0, 5,000 texts: 4,[0-9]{3} differences", " ".join(lines(out))
    )
    assert err.startswith("nextbyte: error: ")
    assert "wrong 1.0 encodes otherwise" in err


def test_a_tokenizer_that_is_not_compiled_is_labelled(run, tmp_path):
    path = tiny.write(tmp_path, tiny.all_bytes() | {"pre_tokenizer": tiny.split(r"(?<=a)b")})
    status, out, err = run(path)
    assert (status, out) == (2, "")
    assert "validate" in err
    status, out, err = run(path, "--validate", "--full")
    assert (status, err) == (0, "")
    assert "covers are validated" in lines(out)
    assert "self-check none: the library itself is asked" in lines(out)
    answer = json.loads(run(path, "--validate", "--json", "--covers", "ab")[1])
    assert answer["exactness"] == "validated"
    assert "covers" in answer


def test_added_tokens_are_listed(run, tmp_path):
    content = tiny.all_bytes()
    content["added_tokens"][0] |= {"special": False}
    path = tiny.write(tmp_path, content)
    assert "read out of text 1: <s> (270)" in lines(run(path)[1])
    answer = json.loads(run(path, "--json")[1])
    assert answer["added_tokens"] == [{"token": 270, "text": "<s>", "bytes": [60, 115, 62]}]
    assert "read out of text" not in run(path, "--ignore-added-words")[1]


def test_directories_and_rank_files(run, tmp_path):
    tiny.write(tmp_path, tiny.ab())
    assert run(tmp_path)[0] == 0
    ranks = tmp_path / "cl.tiktoken"
    ranks.write_bytes(
        b"".join(base64.b64encode(bytes([byte])) + b" %d\n" % byte for byte in range(256))
    )
    status, out, err = run(ranks, "--pattern", "cl100k", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["vocabulary_size"] == 256
    assert json.loads(run(ranks, "--pattern", r"\d+", "--json")[1])["stages"] == [r"\d+"]
    status, out, err = run(ranks)
    assert (status, out) == (2, "")
    assert "give --pattern" in err
    status, out, err = run(ranks, "--pattern", "cl100")
    assert (status, out) == (2, "")
    assert "neither a regex nor one of the names cl100k, gpt2" in err


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("{}", [], "it has no 'model' object"),
        ("no json", [], "json"),
        (json.dumps(tiny.ab()), ["--pattern", "gpt2"], "is no rank file"),
        (json.dumps(tiny.ab() | {"normalizer": {"type": "Lowercase"}}), [], "Lowercase"),
        (json.dumps(tiny.ab()), ["--covers", r"\q", "-e"], "unknown escape at byte 0"),
        (json.dumps(tiny.ab()), ["--covers", "abx"], "at position 2 cannot follow"),
    ],
)
def test_errors_are_one_line(run, tmp_path, content, options, message):
    (tmp_path / "t.json").write_text(content)
    status, out, err = run(tmp_path / "t.json", *options)
    assert (status, out) == (2, "")
    assert err.startswith("nextbyte: error: ")
    assert message in err
    assert err.count("\n") == 1


def test_an_unknown_name(run):
    status, out, err = run("no-such-model")
    assert (status, out) == (2, "")
    assert "neither a directory nor an embedded model" in err


def test_without_rich_json_still_works(run, tmp_path, monkeypatch):
    path = tiny.write(tmp_path, tiny.ab())
    monkeypatch.setitem(sys.modules, "rich", None)
    assert run(path, "--json", "--no-progress")[0] == 0
    status, out, err = run(path)
    assert (status, out) == (2, "")
    assert "pip install 'nextbyte[cli]'" in err


# --- JSON ----------------------------------------------------------------------------------------


def test_json_has_the_whole_report(run, tmp_path):
    path = tiny.write(tmp_path, tiny.smollm2_like())
    answer = json.loads(run(path, "--json")[1])
    report = nb.Tokenizer.from_file(path).report()
    assert set(answer) == set(report.__dataclass_fields__)
    assert bytes(answer["missing_bytes"]) == report.missing_bytes == tiny.UNSPELLED
    assert answer["special_tokens"] == report.special_tokens
    assert bytes(answer["longest_token"]["bytes"]) == report.longest_token[1] == b" the"
    assert answer["merges"] == {"not_canonical_alone": 0, "longest_spine": 3, "monotone": True}
    assert answer["self_check"]["texts"] == report.self_check.texts
    assert answer["verification"] is None
    full = json.loads(run(path, "--json", "--full")[1])
    assert full["verification"]["differences"] == 0
    assert full["verification"]["texts"] > 1000


def test_json_has_the_cover_tree(run, tmp_path):
    answer = json.loads(run(tiny.write(tmp_path, tiny.ab()), "--json", "--covers", "a")[1])
    assert answer["prefix_bytes"] == [97]
    tree = answer["covers"]
    assert tree["position"] == 0
    last = tree["last_tokens"]
    assert (last["count"], last["covers_end"]) == (1, False)
    assert last["examples"] == [{"token": 2, "text": "ab", "bytes": [97, 98], "overhang": 1}]
    (child,) = tree["children"]
    assert (child["token"], child["position"], child["children"]) == (0, 1, [])
    assert child["last_tokens"]["covers_end"]
    assert child["last_tokens"]["may_end"]


# --- The cover tree ------------------------------------------------------------------------------


def flattened(tree, tokens=()):
    """Return the covers that a tree lists, as `cover_encodings` does."""
    found = []
    if tree.token is not None:
        tokens = (*tokens, tree.token)
    last = tree.last_tokens
    if last is not None and last.covers_end:
        found.append((tokens, 0))
    elif last is not None:
        assert len(last.examples) == last.count
        found += [((*tokens, token), overhang) for token, overhang in last.examples]
    for child in tree.children:
        found += flattened(child, tokens)
    return found


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (tiny.ab, "aabab"),
        (tiny.letters, "the abab \n\n\u00e9 the"),
        (tiny.all_bytes, " he end 123 \u4e2d '"),
        (tiny.smollm2_like, " the in\n  \u00e91"),
    ],
)
def test_the_tree_lists_all_covers_of_every_prefix(tmp_path, content, text):
    tokenizer = load(tmp_path, content())
    data = text.encode()
    for end in range(1, len(data) + 1):
        tree = tokenizer.cover_tree(data[:end], examples=10**6)
        assert sorted(flattened(tree)) == sorted(tokenizer.cover_encodings(data[:end]))
        ends = [node for node in walk(tree) if node.last_tokens and node.last_tokens.may_end]
        try:
            encoding = tokenizer.encode(data[:end])
        except nb.errors.InvalidInputError:  # inside a character
            assert ends == []
        else:
            assert [node.token for node in ends] == encoding[-1:]
            assert ends[0].position == end


def walk(tree):
    yield tree
    for child in tree.children:
        yield from walk(child)


def test_the_tree_of_the_empty_prefix(tmp_path):
    tree = load(tmp_path, tiny.ab()).cover_tree("")
    assert (tree.token, tree.position, tree.children) == (None, 0, [])
    last = tree.last_tokens
    assert (last.covers_end, last.may_end, last.count) == (True, True, 3)


def test_an_impossible_prefix_names_the_byte(tmp_path):
    with pytest.raises(UnreachableByteError) as caught:
        load(tmp_path, tiny.ab()).cover_tree(b"abx")
    assert (caught.value.position, caught.value.byte) == (2, ord("x"))


def test_the_tree_as_it_is_drawn(run, tmp_path):
    path = tiny.write(tmp_path, tiny.all_bytes())
    out = run(path, "--covers", r"end: \xe4\xb8", "-e")[1]
    drawn = out[out.index("'end: ") :]
    assert drawn.rstrip("\n").splitlines() == [
        r"'end: \xe4\xb8'  7 bytes, 2 live contexts, 2 covers",
        r"└── 'end' (259) ':' (58) ' ' (32)  to byte 5, then '\xe4\xb8'",
        r"    ├── 1 last token: '中' (269) +1",
        r"    └── '\xe4\xb8' (268)  to byte 7",
        r"        └── reaches the end; inside a character; 63 tokens may follow",
    ]


def test_long_ways_without_a_fork_are_one_line(run, tmp_path):
    path = tiny.write(tmp_path, tiny.ab())
    out = run(path, "--covers", "ba" * 30 + "ba")[1]
    drawn = out[out.index("'ba") :].splitlines()
    assert len([line for line in drawn if line.strip()]) <= 8
    assert "tokens ... " in out
