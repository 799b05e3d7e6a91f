"""nextbyte: exact next-byte distributions from any tokenized language model."""

from __future__ import annotations

from nextbyte import errors, simd
from nextbyte.audits.raw_state import RawState
from nextbyte.audits.segmentations_state import SegmentationsState
from nextbyte.backends import Backend, Branch
from nextbyte.byte_lm import ByteLM
from nextbyte.byte_model import END_OF_TEXT, ByteModel, ByteState
from nextbyte.cover import Cover
from nextbyte.ensemble import ByteEnsemble
from nextbyte.ensemble.common_vocabulary import CommonVocabularyEnsemble
from nextbyte.healing import Healing, heal
from nextbyte.infilling import Infill, InfillSession, InfillStream, infill, infill_stream
from nextbyte.sampling import Chunk, Generation, SamplingParams, generate, stream
from nextbyte.scoring import ScoredWindow, bits_per_byte, loglikelihood, score, score_windows
from nextbyte.tokenizer import Tokenizer

__all__ = [
    "END_OF_TEXT",
    "Backend",
    "Branch",
    "ByteEnsemble",
    "ByteLM",
    "ByteModel",
    "ByteState",
    "Chunk",
    "CommonVocabularyEnsemble",
    "Cover",
    "Generation",
    "Healing",
    "Infill",
    "InfillSession",
    "InfillStream",
    "RawState",
    "SamplingParams",
    "ScoredWindow",
    "SegmentationsState",
    "Tokenizer",
    "bits_per_byte",
    "errors",
    "generate",
    "heal",
    "infill",
    "infill_stream",
    "loglikelihood",
    "score",
    "score_windows",
    "simd",
    "stream",
]
