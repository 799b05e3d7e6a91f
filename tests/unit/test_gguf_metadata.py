"""The reader of GGUF metadata: every type of value, and files made to break it."""

from __future__ import annotations

import pytest

from nextbyte.errors import TokenizerFormatError
from nextbyte.formats import gguf_metadata
from nextbyte.formats.gguf_metadata import read_gguf_metadata

gguf = pytest.importorskip("gguf")


def text(data):
    return len(data).to_bytes(8, "little") + data


def pair(key, kind, value):
    return text(key) + kind.to_bytes(4, "little") + value


def header(*pairs, version=3, count=None):
    count = len(pairs) if count is None else count
    numbers = version.to_bytes(4, "little") + bytes(8) + count.to_bytes(8, "little")
    return b"GGUF" + numbers + b"".join(pairs)


def array(kind, count, data):
    return kind.to_bytes(4, "little") + count.to_bytes(8, "little") + data


def nested(depth):
    return array(9, 1, nested(depth - 1)) if depth else array(0, 1, b"\1")


def read(folder, data):
    path = folder / "made.gguf"
    path.write_bytes(data)
    return read_gguf_metadata(path)


def test_every_type_of_value(tmp_path):
    path = tmp_path / "all.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    values = {
        "u8": (writer.add_uint8, 200),
        "i8": (writer.add_int8, -3),
        "u16": (writer.add_uint16, 60000),
        "i16": (writer.add_int16, -300),
        "u32": (writer.add_uint32, 2**32 - 1),
        "i32": (writer.add_int32, -(2**31)),
        "u64": (writer.add_uint64, 2**64 - 1),
        "i64": (writer.add_int64, -(2**63)),
        "f32": (writer.add_float32, 1.5),
        "f64": (writer.add_float64, 0.1),
        "bool": (writer.add_bool, True),
        "text": (writer.add_string, "é"),
        "texts": (writer.add_array, ["a", "", "é"]),
        "ints": (writer.add_array, [1, -2, 3]),
        "floats": (writer.add_array, [0.5, -1.0]),
    }
    for name, (add, value) in values.items():
        add(f"tokenizer.ggml.{name}", value)
        add(f"other.{name}", value)  # is stepped over
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    found = read_gguf_metadata(path)
    assert found == {
        "general.architecture": "llama",
        **{f"tokenizer.ggml.{name}": value for name, (_, value) in values.items()},
    }
    for name, (_, value) in values.items():
        assert type(found[f"tokenizer.ggml.{name}"]) is type(value)


def test_nothing_behind_the_pairs_is_read(tmp_path):
    data = header(pair(b"tokenizer.ggml.pre", 8, text(b"x")))
    assert (
        read(tmp_path, data) == read(tmp_path, data + b"\xff" * 1000) == {"tokenizer.ggml.pre": "x"}
    )


KEY = b"tokenizer.ggml.x"
HUGE = 2**63
DAMAGED = {
    "empty": (b"", "it is empty"),
    "magic": (b"GGUG" + header()[4:], "does not begin with GGUF"),
    "version": (header(version=1), "of version 1"),
    "many pairs": (header(count=HUGE), "ends too early"),
    "one pair too many": (header(pair(KEY, 0, b"\1"), count=2), "ends too early"),
    "long key": (header(HUGE.to_bytes(8, "little") + bytes(50)), "ends too early"),
    "key": (header(pair(b"\xff", 0, b"\1")), "not UTF-8"),
    "twice": (header(*[pair(KEY, 0, b"\1")] * 2), "occurs twice"),
    "type": (header(pair(KEY, 13, bytes(9))), "unknown type 13"),
    "type of another": (header(pair(b"k", 99, bytes(9))), "unknown type 99"),
    "truth": (header(pair(KEY, 7, b"\2")), "neither 0 nor 1"),
    "long text": (header(pair(KEY, 8, HUGE.to_bytes(8, "little"))), "ends too early"),
    "long other text": (header(pair(b"k", 8, HUGE.to_bytes(8, "little"))), "ends too early"),
    "many texts": (header(pair(KEY, 9, array(8, HUGE, bytes(99)))), "ends too early"),
    "many numbers": (header(pair(KEY, 9, array(12, HUGE, bytes(99)))), "ends too early"),
    "many others": (header(pair(b"k", 9, array(0, HUGE, bytes(99)))), "ends too early"),
    "many other texts": (header(pair(b"k", 9, array(8, HUGE, bytes(99)))), "ends too early"),
    "an entry cut": (header(pair(KEY, 9, array(8, 2, text(b"a") + bytes(7)))), "ends too early"),
    "arrays of arrays": (header(pair(KEY, 9, nested(1))), "arrays of arrays"),
    "deep": (header(pair(b"k", 9, nested(9))), "nested too deep"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_metadata(tmp_path, name):
    data, words = DAMAGED[name]
    with pytest.raises(TokenizerFormatError, match=f"damaged: .*{words}"):
        read(tmp_path, data)


def test_arrays_in_arrays_are_stepped_over(tmp_path):
    assert read(tmp_path, header(pair(b"k", 9, nested(2)), pair(KEY, 0, b"\7")))[KEY.decode()] == 7


def test_a_long_array_is_refused_before_it_is_built(tmp_path, monkeypatch):
    monkeypatch.setattr(gguf_metadata, "MAX_ENTRIES", 3)
    good = header(pair(KEY, 9, array(0, 3, b"\1\2\3")))
    assert read(tmp_path, good)[KEY.decode()] == [1, 2, 3]
    for kind, entries in ((0, bytes(4)), (8, bytes(32))):
        with pytest.raises(TokenizerFormatError, match="an array of 4 entries; at most 3"):
            read(tmp_path, header(pair(KEY, 9, array(kind, 4, entries))))
    with pytest.raises(TokenizerFormatError, match="an array of 4 entries; at most 3"):
        read(tmp_path, header(pair(b"k", 9, array(8, 4, bytes(32)))))
    assert read(tmp_path, header(pair(b"k", 9, array(0, 4, bytes(4))))) == {}
