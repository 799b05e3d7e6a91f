"""`tokenizer.json`: what is read, as the reference library reads it, and what is declined."""

from __future__ import annotations

import copy
import json
import re

import pytest
import tokenizers

from nextbyte import Tokenizer
from nextbyte.errors import NextByteError, UnsupportedTokenizerError
from nextbyte.formats.byte_alphabet import decode_byte_alphabet
from unit import tiny_tokenizers as tiny
from unit.loading import assert_encodes_like_the_reference, changed, load, random_texts, refusal

ADDED = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


# --- Well formed, but not a plain byte-level BPE -------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        tiny.ab() | {"model": {"type": "BPE", "vocab": {"a": 0}}},
        changed(tiny.ab(), merges=["a c"]),
        changed(tiny.ab(), type="Unigram"),
        tiny.ab() | {"normalizer": {"type": "Lowercase"}},
        tiny.ab() | {"pre_tokenizer": None},
        tiny.ab() | {"pre_tokenizer": tiny.split("(?<=a)b")},
        tiny.ab() | {"pre_tokenizer": tiny.split("a*")},
        tiny.document([], [], specials=("<s>",)),
    ],
    ids=[
        "no merges",
        "unknown token",
        "model type",
        "normalizer",
        "no pre-tokenizer",
        "regex",
        "empty match",
        "no tokens",
    ],
)
def test_the_message_names_the_file(tmp_path, content):
    path = tiny.write(tmp_path, content, "strange.json")
    with pytest.raises(NextByteError) as caught:
        Tokenizer.from_file(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["WordPiece", "WordLevel"])
def test_other_model_types(tmp_path, kind):
    message = refusal(tmp_path, changed(tiny.ab(), type=kind), UnsupportedTokenizerError)
    assert kind in message
    assert "byte-level BPE" in message


def test_a_real_wordpiece_file(tmp_path):
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "vocab": {"a": 0},
    }
    message = refusal(tmp_path, tiny.ab() | {"model": model}, UnsupportedTokenizerError)
    assert "'WordPiece'" in message


@pytest.mark.parametrize(
    "option",
    [
        {"dropout": 0.1},
        {"continuing_subword_prefix": "##"},
        {"end_of_word_suffix": "</w>"},
    ],
    ids=str,
)
def test_options_of_bpe_that_change_an_encoding(tmp_path, option):
    message = refusal(tmp_path, changed(tiny.ab(), **option), UnsupportedTokenizerError)
    ((name, value),) = option.items()
    assert f"{name}={value!r}" in message


def test_options_of_bpe_that_change_nothing(tmp_path):
    content = changed(
        tiny.ab(),
        dropout=0.0,
        continuing_subword_prefix="",
        end_of_word_suffix="",
        fuse_unk=True,
    )
    del content["model"]["byte_fallback"]
    assert load(tmp_path, content).encode("abba") == [2, 1, 0]


def test_a_model_without_a_type_is_told_by_its_merges(tmp_path):
    content = copy.deepcopy(tiny.ab())
    del content["model"]["type"]
    assert load(tmp_path, content).encode("ab") == [2]
    del content["model"]["merges"]
    refusal(tmp_path, content, UnsupportedTokenizerError)


@pytest.mark.parametrize(
    "normalizer",
    [
        {"type": "NFD"},
        {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "NFKD"}]},
        {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "NFC"}]},
        {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, {"type": "NFC"}]},
        {"type": "StripAccents"},
    ],
    ids=json.dumps,
)
def test_normalizers(tmp_path, normalizer):
    message = refusal(tmp_path, tiny.ab() | {"normalizer": normalizer}, UnsupportedTokenizerError)
    assert re.search(r"normalizer '(NFC|NFD|NFKD|Lowercase|StripAccents)'", message)


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_normal_forms(tmp_path, form):
    """Any text is encoded as the reference does; sequences spell normalized texts only."""
    normalizer = {"type": "Sequence", "normalizers": [{"type": form}]}
    content = tiny.all_bytes() | {"normalizer": normalizer}
    path = tiny.write(tmp_path, content)
    reference = tokenizers.Tokenizer.from_file(str(path))
    product = Tokenizer.from_file(path)
    for text in random_texts("aeé\u0301\u0323\u0300ÅＡﬁ한\u1112\u1161\u11ab", 300):
        normalized = reference.normalizer.normalize_str(text)
        tokens = reference.encode(text, add_special_tokens=False).ids
        assert product.encode(text) == tokens, text
        assert product.normalize(text) == product.decode(tokens) == normalized.encode()
    assert product.cover_encodings("e\u0301") == []
    assert product.normalize("e\u0301".encode()[:2]) == b"e\xcc"  # the cut character is kept


def test_an_empty_sequence_of_normalizers_changes_nothing(tmp_path):
    content = tiny.ab() | {"normalizer": {"type": "Sequence", "normalizers": []}}
    assert load(tmp_path, content).encode("ab") == [2]


@pytest.mark.parametrize(
    ("pre_tokenizer", "words"),
    [
        (None, "does not end in ByteLevel"),
        ({"type": "Whitespace"}, "does not end in ByteLevel"),
        (tiny.steps(), "does not end in ByteLevel"),
        (tiny.steps(tiny.BYTE_LEVEL, tiny.DIGITS), "does not end in ByteLevel"),
        (tiny.steps(tiny.BYTE_LEVEL, tiny.WHOLE), "'ByteLevel'"),
        (tiny.steps({"type": "Punctuation", "behavior": "Isolated"}, tiny.WHOLE), "'Punctuation'"),
        (tiny.steps({"type": "Whitespace"}, tiny.WHOLE), "'Whitespace'"),
        ({"type": "ByteLevel", "add_prefix_space": True}, "add_prefix_space"),
        (tiny.steps(tiny.BYTE_LEVEL | {"add_prefix_space": True}), "add_prefix_space"),
        (tiny.split("a", behavior="Removed"), "'Removed'"),
        (tiny.split("a", behavior="MergedWithPrevious"), "'MergedWithPrevious'"),
        (tiny.split("a", behavior="MergedWithNext"), "'MergedWithNext'"),
        (tiny.split("a", behavior="Contiguous"), "'Contiguous'"),
        (tiny.split("a", invert=True), "invert True"),
    ],
    ids=str,
)
def test_pre_tokenizers(tmp_path, pre_tokenizer, words):
    content = tiny.ab() | {"pre_tokenizer": pre_tokenizer}
    assert words in refusal(tmp_path, content, UnsupportedTokenizerError)


@pytest.mark.parametrize(
    ("pattern", "construct"),
    [
        ("(?<=a)b", "character 0: look-behind"),
        ("b|(?<!a)b", "character 2: look-behind"),
        (r"a\bb", r"character 1: word boundary \b"),
        (r"(a)\1", "character 3: back-reference"),
        ("(?>a)", "atomic group"),
        ("^a", "character 0: ^"),
        ("a(?=bc(?<=c))", "character 6: look-behind"),
        (r"\p{Han}+", "{Han}"),
        ("[a-z&&[^b]]", "set operation in a class"),
        ("(?P<name>a)", "named group"),
        ("(?x)a", "inline flags"),
        ("a{1,5000}", "counted quantifier above"),
        ("((a{90}){90}){90}", "too large"),
        ("a**", "quantifier on a quantifier"),
        ("(a", "group without its )"),
        ("a)", "unmatched )"),
        ("[a", "class without its ]"),
        ("a*", "empty string"),
        ("", "empty string"),
        ("(" * 500 + "a" + ")" * 500, "nested too deeply"),
    ],
    ids=lambda text: text[:20],
)
def test_unsupported_regexes_name_the_construct(tmp_path, pattern, construct):
    content = tiny.ab() | {"pre_tokenizer": tiny.split(pattern)}
    assert construct in refusal(tmp_path, content, UnsupportedTokenizerError)


def test_ignore_merges_is_accepted_where_it_changes_nothing(tmp_path):
    content = changed(tiny.letters(), ignore_merges=True)
    assert_encodes_like_the_reference(tmp_path, content, random_texts("abcthe \n'é"))


def test_ignore_merges_with_a_token_that_only_it_can_give(tmp_path):
    content = copy.deepcopy(tiny.ab())
    content["model"]["vocab"]["ba"] = 3
    assert load(tmp_path, content).encode("ba") == [1, 0]  # without it the token is just unused
    by_pieces = changed(content, ignore_merges=True)
    assert_encodes_like_the_reference(tmp_path, by_pieces, random_texts("ab"))
    # A piece that is spelled by merges may go on, one that is the token may not.
    covers = load(tmp_path, by_pieces).cover_encodings(b"b")
    assert sorted(covers) == [((1,), 0), ((3,), 1)]


# --- What is read --------------------------------------------------------------------------------


def test_merges_as_texts_and_as_pairs(tmp_path):
    content = tiny.letters()
    pairs = [merge.split(" ") for merge in content["model"]["merges"]]
    texts = random_texts("abcthe \n'é", count=60)
    assert_encodes_like_the_reference(tmp_path, content, texts)
    assert_encodes_like_the_reference(tmp_path, changed(content, merges=pairs), texts)


def test_holes_and_spellings_outside_the_alphabet_are_no_tokens_of_text(tmp_path):
    content = changed(
        tiny.ab(), vocab={"a": 0, "b": 1, "ab": 9, "中": 4, "a中": 5}, merges=["a 中", "a b"]
    )
    tokenizer = load(tmp_path, content)
    assert tokenizer.vocab_size == 10
    assert tokenizer.encode("ab") == [9]
    assert [tokenizer.token_bytes(token) for token in (4, 5, 7, 9)] == [b"", b"", b"", b"ab"]


PRE_TOKENIZERS = [
    tiny.WHOLE,
    tiny.BYTE_LEVEL,
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},  # use_regex: true
    tiny.steps(tiny.DIGITS, tiny.BYTE_LEVEL),
    tiny.steps({"type": "Digits", "individual_digits": False}, tiny.WHOLE),
    tiny.steps(tiny.steps(tiny.DIGITS), tiny.steps(tiny.WHOLE)),
    tiny.split(r"\s+(?!\S)|[^\s]+"),
    tiny.split(" he"),
    tiny.split("[a-f]+|1"),
    tiny.split("-", literal=True),
    tiny.split("--", literal=True),
    tiny.split(".", literal=True),
    tiny.split("[a-f]+|1", literal=True),
    tiny.split(r"\^$.|?*+()[]{}#&~/-", literal=True),
    tiny.split("é", literal=True),
    tiny.split(r"\p{N}{1,3}"),
    tiny.split(r"\p{N}{1,3}+"),
    tiny.split(r"\p{N}{2,3}?"),
    tiny.split(r"a$|1+"),
    tiny.split(r"\s+$|\s"),
    tiny.split(r"(?i:'s|'ER)|\p{L}+"),
    tiny.steps(
        {"type": "Split", "pattern": {"Regex": "12"}, "behavior": "Isolated", "invert": False},
        {"type": "Split", "pattern": {"Regex": "2+"}, "behavior": "Isolated", "invert": False},
        tiny.BYTE_LEVEL,
    ),
]


@pytest.mark.parametrize("pre_tokenizer", PRE_TOKENIZERS, ids=json.dumps)
def test_pre_tokenizers_cut_as_the_reference_does(tmp_path, pre_tokenizer):
    """Long merges show every cut. A pattern may be declined; one that is accepted must be right."""
    runs = [
        b"he",
        b"1234",
        b"12",
        b" he",
        b"--",
        b"\n\n",
        b"  ",
        b"a\n",
        b"er",
        b".-",
        b"'s",
        b"he1",
    ]
    merges = list(
        dict.fromkeys((run[:cut], run[cut : cut + 1]) for run in runs for cut in range(1, len(run)))
    )
    content = tiny.document(
        tiny.single_bytes(bytes(range(256))), merges, pre_tokenizer=pre_tokenizer
    )
    texts = random_texts("hea1234 \n\n--.'sSfé³", seed=1, count=200)
    texts += [
        "1234567",
        "a\na",
        "  he",
        "a--b---c",
        "x.y",
        "[a-f]+|1",
        r"a\^$.|?*+()[]{}#&~/-b",
        "he'S",
    ]
    try:
        load(tmp_path, content)
    except UnsupportedTokenizerError:
        return
    assert_encodes_like_the_reference(tmp_path, content, texts)


def test_smollm2s_layout(tmp_path):
    content = tiny.smollm2_like()
    letters = "the theatre in 2024\n\n  é中 '"
    assert_encodes_like_the_reference(tmp_path, content, random_texts(letters, longest=30))
    tokenizer = load(tmp_path, content)
    assert tokenizer.special_tokens == {tiny.ENDOFTEXT: 0, tiny.IM_START: 1, tiny.IM_END: 2}
    assert tokenizer.report().missing_bytes == tiny.UNSPELLED


def test_the_byte_alphabet():
    spellings = {tiny.spell(bytes([byte])): bytes([byte]) for byte in range(256)}
    assert len(spellings) == 256
    for spelling, data in spellings.items():
        assert decode_byte_alphabet(spelling) == data
    assert decode_byte_alphabet("") == b""
    assert decode_byte_alphabet("Ġaé") == b" a\xe9"
    for outside in (" ", "\n", "\xad", "ń中", "a\U00010000"):
        assert decode_byte_alphabet(outside) is None


def test_a_whole_piece_that_every_way_on_completes(tmp_path):
    """The pattern knows how long the last piece is: 1 1 1 could only become 111, a token."""
    content = tiny.document([b"1", b"111"], []) | {
        "pre_tokenizer": tiny.split(r"\p{N}{1,3}(?=(?:\p{N}{3})*$)|[^\p{N}]+")
    }
    tokenizer = load(tmp_path, changed(content, ignore_merges=True))
    for end in range(1, 9):
        expected = set()
        for length in range(end, 16):
            tokens = tokenizer.encode("1" * length)
            reach = [len(tokenizer.decode(tokens[:count])) for count in range(len(tokens) + 1)]
            expected.add(tuple(tokens[: next(i for i, r in enumerate(reach) if r >= end)]))
        assert {tokens for tokens, _ in tokenizer.cover_encodings("1" * end)} == expected
