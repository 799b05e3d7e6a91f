"""Descriptions as bytes: every value comes back as it was, and nothing else is made of them."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from nextbyte.description_codec import decode, encode
from nextbyte.formats import description as known
from nextbyte.formats.description import BytePairs, TokenizerDescription
from nextbyte.formats.text_normalizer import TextNormalizer
from unit.descriptions import assert_same, description


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -5, 2**80, 1.5, -0.0, "", "é\ud800", b"", b"\x00\xff"),
        *([], [b"a", b"", b"\xff"], [1, 2, -3], [2**63, 1], [0.1, 1e-300], [1, True], ["a", "é"]),
        *([None, "a"], [[1, 2], [b"x"]], (1, 2), [(0, 1, 2), (3, 4, 5)], {}, {"a": 1, "b": [b"x"]}),
        *(np.arange(6, dtype=np.uint32).reshape(2, 3), np.array([], dtype=np.float32)),
        *(np.array([True, False]), np.zeros((0, 3), dtype=np.uint32)),
        description(),
        description(added_tokens=[1, 2]),
    ],
    ids=lambda value: f"{type(value).__name__} {value!r:.30}",
)
def test_values_come_back_as_they_were(value):
    assert_same(decode(memoryview(encode(value))), value)


def test_arrays_come_back_in_the_order_of_this_machine():
    value = decode(memoryview(encode(np.arange(3, dtype=">i4"))))
    assert_same(value, np.arange(3, dtype="=i4"))


def test_infinities_and_nan_come_back():
    assert decode(memoryview(encode([float("inf"), float("-inf")]))) == [np.inf, -np.inf]
    assert np.isnan(decode(memoryview(encode(float("nan")))))


def test_every_dataclass_of_descriptions_has_only_what_can_be_kept():
    """A new family needs no change here, or this says which field does."""
    kept = {"bytes", "str", "int", "float", "bool", "None", "list", "tuple", "dict", "frozenset"}
    kept |= {"NDArray", "np", "uint32", "Sequence", "Mapping", "Literal", "Model", "NormalForm"}
    kinds = [
        kind
        for kind in (*vars(known).values(), TextNormalizer)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind)
    ]
    assert {BytePairs, TokenizerDescription} <= set(kinds)
    own = {kind.__name__ for kind in kinds}
    for kind in kinds:
        for field in dataclasses.fields(kind):
            words = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"'\w*'", "", str(field.type))))
            assert words <= kept | own, f"{kind.__name__}.{field.name}: {field.type}"


def test_a_normalizer_comes_back_whole():
    value = TextNormalizer(
        name="n", replacements={"a": "", "bc": "d"}, protected=frozenset({"é", "xyz"})
    )
    again = decode(memoryview(encode([value])))
    assert again == [value]
    assert again[0].normalize("abcxyz") == value.normalize("abcxyz") == "dxyz"


@pytest.mark.parametrize("value", [object(), {1, 2}, {1: 2}, Path("a"), 1j, np.array([None])])
def test_other_types_are_refused(value):
    for whole in (value, [value], {"a": value}):
        with pytest.raises(TypeError, match="cannot be kept"):
            encode(whole)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("nextbyte.formats.description", "NO_RANK"),
        ("nextbyte.formats.description", "dataclass"),
        ("nextbyte.formats.description", "Missing"),
        ("nextbyte.formats.missing", "BytePairs"),
        ("nextbyte.formats.json_fields", "JsonField"),
        ("nextbyte.formats", "TokenizerDescription"),
        ("os", "system"),
        ("subprocess", "Popen"),
    ],
)
def test_only_dataclasses_of_formats_are_made(module, name):
    head = json.dumps(["dataclass", module, name, {}]).encode()
    with pytest.raises((AttributeError, ImportError, TypeError, ValueError)):
        decode(memoryview(len(head).to_bytes(8, "little") + head))
