"""Reads SentencePiece's `.model` files, protocol buffers, as plain data."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from nextbyte.errors import TokenizerFormatError
from nextbyte.formats.vocabulary import MAX_TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT: Final = struct.Struct("<f")
_MAX_VARINT_BYTES: Final = 10


class PieceType(IntEnum):
    """What a piece is."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class ModelType(IntEnum):
    """The algorithm of a model."""

    UNIGRAM = 1
    BPE = 2
    WORD = 3
    CHAR = 4


class Piece(NamedTuple):
    """One entry of the vocabulary; its id is its index."""

    text: str
    score: float = 0.0
    type: PieceType = PieceType.NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalizer:
    """What is done to a text before (or after) the pieces; the defaults are the file format's.

    Parameters
    ----------
    name
        For example "identity", "nmt_nfkc". It says nothing: the map does.
    precompiled_charsmap
        The compiled replacements of character sequences; b"" for none.
    add_dummy_prefix
        A blank is put in front of a text that is not empty (behind it, where whitespace is a
        suffix).
    remove_extra_whitespaces
        Blanks at both ends and all but one of a run are removed.
    escape_whitespaces
        A blank becomes U+2581.
    """

    name: str = ""
    precompiled_charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SentencePieceModel:
    """A `.model` file, as far as tokenization needs it.

    Parameters
    ----------
    source
        Where it came from, for messages.
    pieces
        The vocabulary in order of id.
    model_type
        The algorithm.
    byte_fallback
        A character without a piece is spelled by pieces of type BYTE.
    treat_whitespace_as_suffix
        A blank belongs to the word before it.
    unk_id, bos_id, eos_id
        Ids that the trainer was given; -1 for none.
    normalizer
        What is done to a text before the pieces.
    denormalizer
        What is done to a decoded text; None where the file has none.
    """

    source: str
    pieces: list[Piece]
    model_type: ModelType = ModelType.UNIGRAM
    byte_fallback: bool = False
    treat_whitespace_as_suffix: bool = False
    unk_id: int = 0
    bos_id: int = 1
    eos_id: int = 2
    normalizer: Normalizer = field(default_factory=Normalizer)
    denormalizer: Normalizer | None = None


def looks_like_sentencepiece(head: bytes) -> bool:
    """Say whether a file that begins so may be a SentencePiece model.

    The first field is a piece, whose first field is its text. JSON and base64 never begin so.
    """
    return len(head) > 3 and head[0] == head[2] == 0x0A and head[3] + 2 <= head[1] < 0x80


def read_sentencepiece_model(path: Path) -> SentencePieceModel:
    """Read and parse a file.

    Raises
    ------
    TokenizerFormatError
        It cannot be read, or as `parse_sentencepiece_model`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TokenizerFormatError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_sentencepiece_model(data, source=str(path))


def parse_sentencepiece_model(data: bytes, *, source: str) -> SentencePieceModel:
    """Parse the content of a file, in time and memory linear in its length.

    Raises
    ------
    TokenizerFormatError
        Not such a file, cut off, or with values that the format does not know; the message names
        the byte.
    """
    return _Parser(data, source).model()


class _Parser:
    """The parts of the wire format (fields of four kinds, in any order) that the file uses."""

    def __init__(self, data: bytes, source: str) -> None:
        self._data = data
        self._source = source

    def model(self) -> SentencePieceModel:
        """Return the whole file."""
        pieces: list[Piece] = []
        trainer: dict[int, int] = {}
        normalizers: dict[int, dict[int, int | bytes]] = {}
        for number, kind, at, end in self._fields(0, len(self._data)):
            if number == 1:
                self._require(kind == _BYTES, at, "a piece that is no message")
                self._require(len(pieces) < MAX_TOKENS, at, f"more than {MAX_TOKENS} pieces")
                pieces.append(self._piece(at, end))
            elif number == 2:
                self._require(kind == _BYTES, at, "a trainer specification that is no message")
                self._trainer(at, end, trainer)
            elif number in (3, 5):
                self._require(kind == _BYTES, at, "a normalizer specification that is no message")
                self._normalizer(at, end, normalizers.setdefault(number, {}))
        self._require(bool(pieces), len(self._data), "no pieces at all")
        kind = trainer.get(3, ModelType.UNIGRAM)
        self._require(kind in list(ModelType), 0, f"the unknown model type {kind}")
        return SentencePieceModel(
            source=self._source,
            pieces=pieces,
            model_type=ModelType(kind),
            byte_fallback=bool(trainer.get(35, 0)),
            treat_whitespace_as_suffix=bool(trainer.get(24, 0)),
            unk_id=trainer.get(40, 0),
            bos_id=trainer.get(41, 1),
            eos_id=trainer.get(42, 2),
            normalizer=self._normalizer_of(normalizers.get(3, {})),
            denormalizer=self._normalizer_of(normalizers[5]) if 5 in normalizers else None,
        )

    def _piece(self, start: int, stop: int) -> Piece:
        text, score, piece_type = "", 0.0, PieceType.NORMAL
        for number, kind, at, end in self._fields(start, stop):
            if number == 1:
                self._require(kind == _BYTES, at, "a piece whose text is no string")
                text = self._text(at, end)
            elif number == 2:
                self._require(kind == _FIXED32, at, "a score that is no 4-byte number")
                (score,) = _FLOAT.unpack_from(self._data, at)
                self._require(math.isfinite(score), at, f"the score {score}")
            elif number == 3:
                self._require(kind == _VARINT, at, "a piece type that is no integer")
                value = self._varint(at, end)[0]
                self._require(1 <= value <= 6, at, f"the unknown piece type {value}")
                piece_type = PieceType(value)
        self._require(bool(text), start, "a piece without text")
        return Piece(text, score, piece_type)

    def _trainer(self, start: int, stop: int, found: dict[int, int]) -> None:
        for number, kind, at, end in self._fields(start, stop):
            if number in (3, 24, 35, 40, 41, 42):
                self._require(kind == _VARINT, at, f"a trainer field {number} that is no integer")
                value = self._varint(at, end)[0]
                # int32: a negative number is written as its 64-bit two's complement.
                found[number] = value - (1 << 64) if value >> 63 else value

    def _normalizer(self, start: int, stop: int, found: dict[int, int | bytes]) -> None:
        for number, kind, at, end in self._fields(start, stop):
            if number in (1, 2):
                self._require(kind == _BYTES, at, f"a normalizer field {number} that is no string")
                found[number] = self._text(at, end).encode() if number == 1 else self._data[at:end]
            elif number in (3, 4, 5):
                self._require(kind == _VARINT, at, f"a normalizer field {number} that is no flag")
                found[number] = self._varint(at, end)[0]

    @staticmethod
    def _normalizer_of(found: dict[int, int | bytes]) -> Normalizer:
        name, charsmap = found.get(1, b""), found.get(2, b"")
        return Normalizer(
            name=name.decode() if isinstance(name, bytes) else "",
            precompiled_charsmap=charsmap if isinstance(charsmap, bytes) else b"",
            add_dummy_prefix=bool(found.get(3, 1)),
            remove_extra_whitespaces=bool(found.get(4, 1)),
            escape_whitespaces=bool(found.get(5, 1)),
        )

    def _fields(self, at: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield number, kind, first byte and end of each field's value in [at, stop)."""
        while at < stop:
            key, at = self._varint(at, stop)
            number, kind = key >> 3, key & 7
            self._require(number > 0, at, "a field of number 0")
            if kind == _BYTES:
                length, at = self._varint(at, stop)
                end = at + length
            elif kind == _VARINT:
                end = self._varint(at, stop)[1]
            elif kind == _FIXED32:
                end = at + 4
            elif kind == _FIXED64:
                end = at + 8
            else:
                raise self._error(at, f"a field of the unknown kind {kind}")
            self._require(end <= stop, at, f"a field that ends {end - stop} bytes too late")
            yield number, kind, at, end
            at = end

    def _varint(self, at: int, stop: int) -> tuple[int, int]:
        """Return the integer that begins at `at`, below 2**64, and the place behind it."""
        value = 0
        for index in range(min(_MAX_VARINT_BYTES, stop - at)):
            byte = self._data[at + index]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                self._require(value < 1 << 64, at, "an integer of more than 64 bits")
                return value, at + index + 1
        raise self._error(at, "an integer without an end")

    def _text(self, at: int, end: int) -> str:
        try:
            return self._data[at:end].decode()
        except UnicodeDecodeError:
            raise self._error(at, "a text that is not UTF-8") from None

    def _require(self, condition: bool, at: int, problem: str) -> None:  # noqa: FBT001
        if not condition:
            raise self._error(at, problem)

    def _error(self, at: int, problem: str) -> TokenizerFormatError:
        return TokenizerFormatError(
            f"{self._source}: not a SentencePiece model, or damaged: at byte {at} it has {problem}"
        )
