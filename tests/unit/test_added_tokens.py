"""Added tokens that are read out of text: like the reference library, or refused by name."""

from __future__ import annotations

import itertools
import random

import pytest
import tokenizers

from nextbyte import Tokenizer
from nextbyte.errors import TokenizerFormatError, UnsupportedTokenizerError
from unit import tiny_tokenizers as tiny
from unit.loading import assert_encodes_like_the_reference, random_texts, refusal

PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def with_words(content, *words, **options):
    """Return the document with more added tokens that are not special."""
    vocabulary = content["model"]["vocab"]
    used = [*vocabulary.values(), *(entry["id"] for entry in content["added_tokens"])]
    new_ids = itertools.count(1 + max(used))  # without gaps, as the reference gives them
    entries = []
    for word in words:
        token = vocabulary[word] if word in vocabulary else next(new_ids)
        entries.append(PLAIN | {"id": token, "content": word, "special": False} | options)
    return content | {"added_tokens": content["added_tokens"] + entries}


def blanks():
    """Return letters and blanks with a look-ahead, and the words of every awkward kind."""
    merges = [(b"a", b"b"), (b" ", b" "), (b" ", b"a"), (b"\n", b"\n"), (b"b", b"<")]
    return tiny.document(tiny.single_bytes(b"ab< \n>/"), merges, specials=("<s>",))


WORDS = [
    ("<>",),
    ("<a>", "</a>", "<b>"),
    ("\n", "\n\n", "\n\n\n", "  ", "   "),
    ("a",),
    ("aba", "ab", "b"),
    (" a", "b \n"),
    ("<<", "<<<<", ">"),
]


@pytest.mark.parametrize("words", WORDS, ids=repr)
def test_encodings(tmp_path, words):
    texts = random_texts("ab<> /\n", count=1500)
    assert_encodes_like_the_reference(tmp_path, with_words(blanks(), *words), texts)


def test_random_lists(tmp_path):
    source = random.Random(11)
    for place in range(60):
        words = {"".join(source.choices("ab<", k=source.randint(1, 4))) for _ in range(3)}
        content = with_words(blanks(), *sorted(words), normalized=source.random() < 0.3)
        path = tiny.write(tmp_path, content, f"{place}.json")
        product = Tokenizer.from_file(path)
        reference = tokenizers.Tokenizer.from_file(str(path))
        for text in map("".join, itertools.product("ab<", repeat=6)):
            assert product.encode(text) == reference.encode(text).ids, (words, text)


def test_two_passes_that_cannot_meet(tmp_path):
    content = with_words(with_words(blanks(), "<a>"), "<b>", "</b>", normalized=True)
    assert_encodes_like_the_reference(tmp_path, content, random_texts("<>/ab", count=3000))


@pytest.mark.parametrize("second", ["a<", "<<a>", "<a>b", "b<a>"])
def test_two_passes_that_can_meet(tmp_path, second):
    content = with_words(blanks(), "<a>", second)
    content["added_tokens"][-1]["normalized"] = True
    message = refusal(tmp_path, content, UnsupportedTokenizerError)
    assert repr(second) in message
    assert "can overlap one that is looked for before it" in message


def test_words_have_bytes_and_special_tokens_none(tmp_path):
    path = tiny.write(tmp_path, with_words(blanks(), "<a>"))
    tokenizer = Tokenizer.from_file(path)
    word = tokenizer.encode("<a>")[0]
    assert tokenizer.encode("a<a>b")[1] == word
    assert tokenizer.token_bytes(word) == b"<a>"
    assert tokenizer.decode([word]) == b"<a>"
    assert list(tokenizer.special_tokens) == ["<s>"]


def test_the_option_makes_them_text(tmp_path):
    path = tiny.write(tmp_path, with_words(blanks(), "<a>"))
    tokenizer = Tokenizer.from_file(path, ignore_added_words=True)
    assert tokenizer.encode("<a>") == [2, 0, 5]
    assert sorted(tokenizer.special_tokens) == ["<a>", "<s>"]


def test_covers_of_a_word(tmp_path):
    """A word can be begun by ordinary tokens, but not be completed by them."""
    content = with_words(tiny.document(tiny.single_bytes(b"ab"), []), "ab", "abb")
    tokenizer = Tokenizer.from_file(tiny.write(tmp_path, content))
    assert sorted(tokenizer.cover_encodings(b"a")) == [((0,), 0), ((2,), 1), ((3,), 2)]
    assert sorted(tokenizer.cover_encodings(b"ab")) == [((2,), 0), ((3,), 1)]
    assert sorted(tokenizer.cover_encodings(b"abb")) == [((3,), 0)]  # ab, then b: abb is longer


@pytest.mark.parametrize("option", ["lstrip", "rstrip", "single_word"])
def test_words_that_depend_on_what_is_around_them(tmp_path, option):
    content = with_words(blanks(), "<a>", **{option: True})
    message = refusal(tmp_path, content, UnsupportedTokenizerError)
    assert "added_tokens[1], the added token '<a>'" in message
    assert option in message
    assert "ignore_added_words=True" in message
    path = tiny.write(tmp_path, content)
    assert Tokenizer.from_file(path, ignore_added_words=True).encode("<a>") == [2, 0, 5]


def test_words_that_are_the_models_for_something_else(tmp_path):
    message = refusal(tmp_path, with_words(blanks(), "\u0120a"), UnsupportedTokenizerError)
    assert "is also the model's token for other bytes" in message
    path = tiny.write(tmp_path, with_words(blanks(), "\u0120b"))
    assert Tokenizer.from_file(path).encode("a\u0120b") == [0, 13]


def test_two_words_of_the_same_spelling(tmp_path):
    content = with_words(blanks(), "<a>")
    twin = content["added_tokens"][-1] | {"id": 40}
    content["added_tokens"] = [*content["added_tokens"], twin]
    assert "once more" in refusal(tmp_path, content, TokenizerFormatError)


def test_a_word_with_another_id_than_the_models(tmp_path):
    content = with_words(blanks(), "ab")
    content["added_tokens"][-1]["id"] = 40
    message = refusal(tmp_path, content, TokenizerFormatError)
    assert "gives 'ab' the id 40, the model another one" in message
