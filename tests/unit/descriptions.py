"""A small description of a tokenizer, and a comparison that sees types."""

from __future__ import annotations

import dataclasses

import numpy as np

from nextbyte.formats.description import BytePairs, TokenizerDescription


def description(**changes):
    return TokenizerDescription(
        source="somewhere",
        token_bytes=[b"a", b"b", b"ab", b"", b"\xff\x00"],
        model=BytePairs(stages=["a|b"], merges=np.array([[0, 1, 2]], dtype=np.uint32)),
        special_tokens={"<s>": 3, "\ud800é": 4},
        **changes,
    )


def assert_same(value, other):
    """Compare deeply, with types: true is no 1 and a tuple no list."""
    assert type(value) is type(other)
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            assert_same(getattr(value, field.name), getattr(other, field.name))
    elif isinstance(value, np.ndarray):
        assert value.dtype == other.dtype
        assert value.shape == other.shape
        np.testing.assert_array_equal(value, other)
    elif isinstance(value, dict):
        assert list(value) == list(other)
        for key in value:
            assert_same(value[key], other[key])
    elif isinstance(value, list | tuple):
        assert len(value) == len(other)
        for one, two in zip(value, other, strict=True):
            assert_same(one, two)
    else:
        assert value == other
