"""Rank files of tiktoken: lines, special tokens, patterns, and the encodings they give."""

from __future__ import annotations

import base64

import pytest
import tiktoken

from nextbyte import Tokenizer
from nextbyte.errors import NextByteError, TokenizerFormatError, UnsupportedTokenizerError
from nextbyte.formats.patterns import BY_NAME
from unit import tiny_tokenizers as tiny
from unit.loading import random_texts

# --- tiktoken ------------------------------------------------------------------------------------


def rank_line(token, rank):
    return base64.b64encode(token) + b" " + str(rank).encode() + b"\n"


AB_RANKS = rank_line(b"a", 0) + rank_line(b"b", 1) + rank_line(b"ab", 2)


def load_ranks(folder, data, pattern="gpt2", **options):
    path = folder / "ranks.tiktoken"
    path.write_bytes(data)
    return Tokenizer.from_tiktoken(path, pattern=pattern, **options)


@pytest.mark.parametrize(
    "line",
    [
        b"!!! 3",
        b"YQ==",
        b"YQ== 1 2",
        b"Yw 3",
        b"Yw== three",
        b"Yw== 1.5",
        b"Yw== -1",
        b" 5",
        b"Yw== 99999999999",
        b'{"model": {}}',
        b"\xff\xfe\x00",
    ],
)
def test_bad_lines_of_a_rank_file_are_numbered(tmp_path, line):
    with pytest.raises(TokenizerFormatError, match=r"ranks\.tiktoken: line 4 ") as caught:
        load_ranks(tmp_path, AB_RANKS + line + b"\n")
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("data", [b"", b"\n\n  \n"])
def test_an_empty_rank_file(tmp_path, data):
    with pytest.raises(TokenizerFormatError, match=r"ranks\.tiktoken: no ranks in the file"):
        load_ranks(tmp_path, data)


def test_duplicates_in_a_rank_file(tmp_path):
    with pytest.raises(TokenizerFormatError, match="line 4 repeats a token"):
        load_ranks(tmp_path, AB_RANKS + rank_line(b"a", 7))
    with pytest.raises(TokenizerFormatError, match="id 1 belongs to two tokens"):
        load_ranks(tmp_path, AB_RANKS + rank_line(b"c", 1))


@pytest.mark.parametrize(
    ("specials", "words"),
    [
        ({"<e>": 2}, "special token '<e>' has id 2, which is that of b'ab'"),
        ({"<e>": -1}, "-1.*negative|negative.*-1"),
        ({"<s>": 4, "<e>": -1}, "-1.*negative|negative.*-1"),
        ({"<s>": 4, "<e>": 4}, "<e>.*4|4.*<e>"),
    ],
    ids=str,
)
def test_special_tokens_that_clash(tmp_path, specials, words):
    with pytest.raises(TokenizerFormatError, match=words):
        load_ranks(tmp_path, AB_RANKS, special_tokens=specials)


def test_patterns_of_rank_files(tmp_path):
    with pytest.raises(UnsupportedTokenizerError, match=r"look-behind"):
        load_ranks(tmp_path, AB_RANKS, pattern="(?<=a)b")
    with pytest.raises(UnsupportedTokenizerError, match="empty string"):
        load_ranks(tmp_path, AB_RANKS, pattern="")


def test_a_misspelt_pattern_name_is_not_taken_for_a_regex(tmp_path):
    with pytest.raises(NextByteError, match="cl100k"):  # and the message lists the names
        load_ranks(tmp_path, AB_RANKS, pattern="cl100")


def test_line_ends_and_blank_lines_of_rank_files(tmp_path):
    for data in (AB_RANKS.replace(b"\n", b"\r\n"), AB_RANKS.rstrip(), b"\n" + AB_RANKS + b"\n\n"):
        assert load_ranks(tmp_path, data).encode("abba") == [2, 1, 0]


def test_ranks_may_have_gaps_and_special_tokens_lie_anywhere(tmp_path):
    data = rank_line(b"a", 0) + rank_line(b"b", 5) + rank_line(b"ab", 9)
    tokenizer = load_ranks(tmp_path, data, special_tokens={"<e>": 3, "<s>": 12})
    assert tokenizer.vocab_size == 13
    assert tokenizer.encode("abb") == [9, 5]
    assert tokenizer.special_tokens == {"<e>": 3, "<s>": 12}
    assert tokenizer.token_bytes(3) == tokenizer.token_bytes(4) == b""


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_rank_files_encode_as_tiktoken_does(tmp_path, name):
    tokens = tiny.single_bytes(bytes(range(256)))
    tokens += [b"he", b" he", b"12", b"123", b"\n\n", b"  ", b"--", b"'s", b"er", b"\r\n", b"her"]
    tokens += [b"\xc3\xa9", b" \n", b"/\n", b"He", b"HE"]
    ranks = {token: rank for rank, token in enumerate(tokens)}
    product = load_ranks(
        tmp_path, b"".join(rank_line(*item) for item in ranks.items()), pattern=name
    )
    reference = tiktoken.Encoding(
        name, pat_str=BY_NAME[name], mergeable_ranks=ranks, special_tokens={}
    )
    for text in random_texts("heErHs123 \n\r/--'sé中", seed=2, count=300):
        assert product.encode(text) == reference.encode_ordinary(text), text


def test_gpt2s_pattern_is_the_published_one(tmp_path):
    assert BY_NAME["gpt2"] in {
        r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""",
        r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""",
    }
