"""Loads tokenizer documents, good and bad, and compares encodings with the reference library's."""

from __future__ import annotations

import random

import pytest
import tokenizers

from nextbyte import Tokenizer
from nextbyte.errors import NextByteError
from unit import tiny_tokenizers as tiny


def load(folder, content):
    return Tokenizer.from_file(tiny.write(folder, content))


def changed(content, **model):
    """Return a copy of a document with other entries in its model."""
    return content | {"model": content["model"] | model}


def refusal(folder, content, kind):
    """Load a file that must be refused; return the message."""
    with pytest.raises(NextByteError) as caught:
        load(folder, content)
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


def random_texts(alphabet, seed=0, count=150, longest=12):
    source = random.Random(seed)
    return ["".join(source.choices(alphabet, k=source.randint(1, longest))) for _ in range(count)]


def assert_encodes_like_the_reference(folder, content, texts):
    path = tiny.write(folder, content)
    reference = tokenizers.Tokenizer.from_file(str(path))
    product = Tokenizer.from_file(path)
    for text in texts:
        expected = reference.encode(text, add_special_tokens=False).ids
        assert product.encode(text) == expected, text
        assert product.decode(expected) == text.encode()
