"""nextbyte: exact next-byte distributions from any tokenized language model."""

from __future__ import annotations

from nextbyte import errors, simd
from nextbyte.backends import Backend, Branch
from nextbyte.byte_lm import ByteLM
from nextbyte.byte_model import END_OF_TEXT, ByteModel, ByteState
from nextbyte.cover import Cover
from nextbyte.healing import Healing, heal
from nextbyte.infill import Infill, infill
from nextbyte.sampling import Chunk, Generation, SamplingParams, generate, stream
from nextbyte.tokenizer import Tokenizer

__all__ = [
    "END_OF_TEXT",
    "Backend",
    "Branch",
    "ByteLM",
    "ByteModel",
    "ByteState",
    "Chunk",
    "Cover",
    "Generation",
    "Healing",
    "Infill",
    "SamplingParams",
    "Tokenizer",
    "errors",
    "generate",
    "heal",
    "infill",
    "simd",
    "stream",
]
