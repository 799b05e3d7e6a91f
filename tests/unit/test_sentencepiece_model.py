"""The parser of SentencePiece models: against the library, and on damaged files."""

from __future__ import annotations

import random
import struct
import time
from importlib import resources
from pathlib import Path

import pytest
import sentencepiece

from fuzz.wire import integer, message, varint
from nextbyte.errors import TokenizerFormatError
from nextbyte.formats.sentencepiece_model import (
    ModelType,
    Piece,
    PieceType,
    looks_like_sentencepiece,
    parse_sentencepiece_model,
    read_sentencepiece_model,
)
from unit.sentencepiece_files import (
    BPE,
    UNKNOWN,
    byte_pieces,
    model,
    piece,
)

MISTRAL = sorted(
    path
    for path in Path(str(resources.files("mistral_common") / "data")).iterdir()
    if ".model" in path.name
)


@pytest.mark.parametrize("path", MISTRAL, ids=lambda path: path.name)
def test_is_what_the_library_reads(path: Path) -> None:
    parsed = read_sentencepiece_model(path)
    library = sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert looks_like_sentencepiece(path.read_bytes()[:16])
    assert len(parsed.pieces) == library.vocab_size()
    assert [p.text for p in parsed.pieces] == library.id_to_piece(list(range(len(parsed.pieces))))
    assert [p.score for p in parsed.pieces] == library.get_score(list(range(len(parsed.pieces))))
    for index, entry in enumerate(parsed.pieces):
        assert library.is_byte(index) == (entry.type == PieceType.BYTE)
        assert library.is_control(index) == (entry.type == PieceType.CONTROL)
        assert library.is_unknown(index) == (entry.type == PieceType.UNKNOWN)
    assert (parsed.model_type, parsed.byte_fallback) == (ModelType.BPE, True)
    assert (parsed.unk_id, parsed.bos_id, parsed.eos_id) == (0, 1, 2)
    assert parsed.normalizer.add_dummy_prefix
    assert not parsed.normalizer.remove_extra_whitespaces
    assert parsed.denormalizer is None


def test_absent_fields_have_the_defaults_of_the_format() -> None:
    parsed = parse_sentencepiece_model(message(1, message(1, b"a")), source="here")
    assert parsed.pieces == [Piece("a", 0.0, PieceType.NORMAL)]
    assert parsed.model_type == ModelType.UNIGRAM
    assert parsed.normalizer.add_dummy_prefix
    assert parsed.normalizer.remove_extra_whitespaces
    assert parsed.normalizer.escape_whitespaces


def test_unknown_fields_are_skipped_and_later_values_win() -> None:
    data = piece("a") + message(77, b"??") + varint(78 << 3 | 1) + bytes(8)
    data += message(2, integer(3, BPE) + integer(43, -1)) + message(2, integer(40, -1))
    data += message(5, integer(3, 0)) + message(3, integer(4, 1)) + message(3, integer(4, 0))
    parsed = parse_sentencepiece_model(data, source="here")
    assert (parsed.model_type, parsed.unk_id) == (ModelType.BPE, -1)
    assert parsed.denormalizer is not None
    assert not parsed.denormalizer.add_dummy_prefix
    assert not parsed.normalizer.remove_extra_whitespaces


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no pieces"),
        (piece("a")[:-1], "ends 1 bytes too late"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "too late"),
        (b"\x80" * 11, "without an end"),
        (b"\xff" * 9 + b"\x7f", "64 bits"),
        (b"\x0b", "unknown kind 3"),
        (b"\x02\x00", "number 0"),
        (message(1, message(1, b"\xff")), "not UTF-8"),
        (message(1, integer(3, 1)), "without text"),
        (piece("a", kind=7), "piece type 7"),
        (message(1, message(1, b"a") + b"\x15" + struct.pack("<f", float("nan"))), "score nan"),
        (message(1, message(1, b"a") + integer(2, 1)), "no 4-byte number"),
        (integer(1, 5), "no message"),
        (piece("a") + message(2, integer(3, 9)), "model type 9"),
        (piece("a") + message(3, message(3, b"")), "no flag"),
    ],
)
def test_damaged(data: bytes, problem: str) -> None:
    with pytest.raises(TokenizerFormatError, match=problem):
        parse_sentencepiece_model(data, source="here")


def test_every_mutation_parses_or_is_one_error_in_bounded_time() -> None:
    whole = model([("<unk>", 0.0, UNKNOWN), *byte_pieces(), ("a", -1.0, 1), ("▁a", -2.0, 1)])
    source = random.Random(7)
    start = time.monotonic()
    refused = 0
    for _ in range(2000):
        data = bytearray(whole)
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        try:
            parse_sentencepiece_model(bytes(data[: source.randrange(len(data)) + 1]), source="x")
        except TokenizerFormatError:
            refused += 1
    assert 200 < refused < 2000
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("head", [b"", b'{"model": 1}', b"\n\n\n{", b"\n\n\n\n\n", b"IQ== 0\n"])
def test_other_files_do_not_look_like_one(head: bytes) -> None:
    assert not looks_like_sentencepiece(head)
