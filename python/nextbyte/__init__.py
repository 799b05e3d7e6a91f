"""nextbyte: exact next-byte distributions from any tokenized language model."""

from __future__ import annotations

from nextbyte import errors, simd
from nextbyte.backends import Backend, Branch
from nextbyte.byte_lm import ByteLM
from nextbyte.byte_model import END_OF_TEXT, ByteModel, ByteState
from nextbyte.raw_state import RawState
from nextbyte.sampling import Chunk, Generation, SamplingParams, generate, stream
from nextbyte.segmentations_state import SegmentationsState
from nextbyte.tokenizer import Tokenizer

__all__ = [
    "END_OF_TEXT",
    "Backend",
    "Branch",
    "ByteLM",
    "ByteModel",
    "ByteState",
    "Chunk",
    "Generation",
    "RawState",
    "SamplingParams",
    "SegmentationsState",
    "Tokenizer",
    "errors",
    "generate",
    "simd",
    "stream",
]
