"""The public API as a user's strictly typed program: type-checked by mypy, never run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, assert_type

import numpy as np
from numpy.typing import NDArray

import nextbyte as nb
from nextbyte.server import make_app

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def tokenizers(path: Path) -> nb.Tokenizer:
    tokenizer = nb.Tokenizer.from_file(path / "tokenizer.json")
    assert_type(tokenizer.vocab_size, int)
    assert_type(tokenizer.encode("text"), list[int])
    assert_type(tokenizer.decode(tokenizer.encode(b"bytes")), bytes)
    assert_type(tokenizer.cover_encodings(b"hell"), list[tuple[tuple[int, ...], int]])
    assert_type(tokenizer.report().fim_tokens, dict[str, int])
    assert_type(tokenizer.self_check(effort=2).texts, int)
    verification = tokenizer.verify(count=10)
    assert verification is None or verification.differences == 0
    assert_type([child.position for child in tokenizer.cover_tree("hell").children], list[int])
    return nb.Tokenizer.from_file(str(path))


def logits(contexts: list[list[int]]) -> NDArray[np.float32]:
    return np.zeros((len(contexts), 10), np.float32)


def language_models(tokenizer: nb.Tokenizer, backend: nb.Backend, path: Path) -> list[nb.ByteLM]:
    return [
        nb.ByteLM(tokenizer, backend),
        nb.ByteLM.from_function(tokenizer, logits),
        nb.ByteLM.from_function(tokenizer, logits, start_token=0, end_tokens=(1, 2)),
        nb.ByteLM.from_pretrained("smollm2-135m"),
        nb.ByteLM.from_pretrained(path),
        nb.ByteLM(tokenizer, backend, tolerance=1e-3),
        nb.ByteLM.from_function(tokenizer, logits, tolerance=1e-3),
        nb.ByteLM.from_pretrained(path, tolerance=1e-3, look_ahead=0.9),
    ]


def states(lm: nb.ByteLM) -> nb.ByteState:
    state = lm.start("An apple a day keeps the ")
    assert_type(state.next_byte_logprobs(), NDArray[np.float64])
    state.push(b"d")
    twin = state.fork()
    twin.rollback(1)
    assert_type(state.prefix, bytes)
    assert_type(state.logprob, float)
    assert_type(state.bound, float)
    assert_type(state.lm_evaluations, int)
    assert_type(lm.next_byte_logprobs([state, twin]), NDArray[np.float64])
    assert_type(lm.restore(state.to_bytes()).prefix, bytes)
    return twin


def lazy(lm: nb.ByteLM) -> float:
    state = lm.start("An apple a day", tolerance=1e-3)
    lower, upper = state.next_byte_bounds()
    assert_type(lower, NDArray[np.float64])
    assert_type(upper, NDArray[np.float64])
    assert_type(state.tolerance, float)
    assert_type(state.lm_passes, int)
    return lm.tolerance


def audits(tokenizer: nb.Tokenizer, backend: nb.Backend) -> float:
    raw = nb.ByteLM(tokenizer, backend, target="raw").start(b"text")
    assert isinstance(raw, nb.RawState)
    assert_type(raw.defect, float)
    assert_type(raw.next_byte_bounds(), tuple[NDArray[np.float64], NDArray[np.float64]])
    full = nb.ByteLM.from_function(
        tokenizer, logits, target="segmentations", tolerance=1e-3, max_evaluations_per_byte=None
    ).start(b"text")
    assert isinstance(full, nb.SegmentationsState)
    assert_type(full.fork(), nb.SegmentationsState)
    assert_type(full.logprob_bounds, tuple[float, float])
    return full.bound


def sampling(lm: nb.ByteLM) -> str:
    params = nb.SamplingParams(temperature=0.7, top_p=0.95, max_bytes=200, stop=[b"\n\n"], seed=0)
    for chunk in nb.stream(lm, b"Once", params):
        assert_type(chunk.bytes, bytes)
    generation = nb.generate(lm, "Once", params)
    assert_type(generation.bytes, bytes)
    assert_type(nb.generate(lm, ["Once", "Twice"], params), list[nb.Generation])
    assert_type(nb.generate(lm, (b"Once", "Twice"), [params, params]), list[nb.Generation])
    return generation.text


def healing(lm: nb.ByteLM) -> list[int]:
    posterior = nb.heal(lm, "Once upo")
    assert_type(posterior.covers[0], nb.Cover)
    assert_type(list(posterior.covers[:2]), list[nb.Cover])
    assert_type(posterior.log_weights, NDArray[np.float64])
    assert_type(posterior.sample(np.random.default_rng(0)).overhang, bytes)
    assert_type(nb.generate(lm, "Once", nb.SamplingParams(unit="token")).cover, nb.Cover | None)
    return posterior.token_ids(posterior.best)


def infilling(lm: nb.ByteLM) -> bytes:
    state = lm.start(segments=[1, "closed", [2, 3], b"open"])
    assert_type(state.start_tokens, tuple[int, ...])
    found = nb.infill(lm, "def f(", b"\n", typed="x", order="spm", files=[("a.py", b"")])
    assert_type(found, nb.Infill)
    assert_type([candidate.suffix_logprob for candidate in found.candidates], list[float])
    session = nb.InfillSession(lm, "def f(", b"\n", prefix_bytes=4096)
    session.type("x")
    limits = nb.SamplingParams(single_line=True, min_indent=4, time_budget_ms=50)
    assert_type(session.complete(limits, keep_indent=True, cancel=threading.Event()), nb.Infill)
    chunks = nb.infill_stream(lm, "def f(", b"\n", limits, cancel=lambda: False)
    assert_type(chunks, nb.InfillStream)
    assert_type([chunk.text for chunk in chunks], list[str])
    members = nb.ByteEnsemble([lm, lm])
    assert_type(nb.infill(members, "def f(", b"\n", limits, candidates=2), nb.Infill)
    common = nb.CommonVocabularyEnsemble([lm, lm])
    assert_type(nb.infill_stream(common, "def f(", b"\n", choose="best"), nb.InfillStream)
    return found.middle


def impossible(state: nb.ByteState) -> tuple[int, int] | None:
    try:
        state.push(b"\xff")
    except nb.errors.UnreachableByteError as error:
        assert_type(error.position, int)
        return error.position, error.byte
    return None


def end_of_text(row: NDArray[np.float64]) -> float:
    return float(row[nb.END_OF_TEXT])


class UniformState:
    """A user's own state: inherits from nothing of nextbyte."""

    def __init__(self, prefix: bytes) -> None:
        self._prefix = bytearray(prefix)

    @property
    def prefix(self) -> bytes:
        return bytes(self._prefix)

    @property
    def logprob(self) -> float:
        return -len(self._prefix) * float(np.log(257))

    @property
    def bound(self) -> float:
        return 0.0

    @property
    def lm_evaluations(self) -> int:
        return 0

    def next_byte_logprobs(self) -> NDArray[np.float64]:
        return np.full(257, -np.log(257))

    def push(self, data: bytes) -> None:
        self._prefix += data

    def fork(self) -> UniformState:
        return UniformState(self.prefix)

    def rollback(self, n: int) -> None:
        del self._prefix[len(self._prefix) - n :]


class UniformModel:
    """A user's own byte model."""

    def start(self, prompt: str | bytes = b"") -> UniformState:
        return UniformState(prompt.encode() if isinstance(prompt, str) else prompt)

    def next_byte_logprobs(self, states: Sequence[nb.ByteState]) -> NDArray[np.float64]:
        return np.stack([state.next_byte_logprobs() for state in states])


def scoring(lm: nb.ByteLM, model: nb.ByteModel) -> None:
    assert_type(nb.score(lm, "text", context=b"before", progress=True), NDArray[np.float64])
    assert_type(nb.score(model, b"text", full=True, end_of_text=True), NDArray[np.float64])
    assert_type(nb.bits_per_byte(lm, "text", window_bytes=4096), float)
    assert_type(nb.loglikelihood(lm, "context", "continuation"), float)
    assert_type(nb.loglikelihood(lm, b"context", ["one", b"two"]), NDArray[np.float64])
    for window in nb.score_windows(model, "text", window_bytes=64, overlap_bytes=8, start=0):
        assert_type(window, nb.ScoredWindow)
        assert_type((window.start, window.stop, window.bound), tuple[int, int, float])
        assert_type(window.rows, NDArray[np.float64] | None)


def ensembles(first: nb.ByteLM, second: nb.ByteModel) -> nb.ByteModel:
    with nb.ByteEnsemble([first, second, UniformModel()], [0.5, 0.25, 0.25]) as ensemble:
        assert_type(ensemble.weights, tuple[float, ...])
        state = ensemble.start("text", weights=[1, 1, 1])
        assert_type(state.next_byte_logprobs(), NDArray[np.float64])
        assert_type(state.weights, NDArray[np.float64])
        assert_type(state.lost_members, tuple[int, ...])
        nb.generate(ensemble, "an ensemble is a byte model")
    with nb.CommonVocabularyEnsemble([first, second], rule="product", tolerance=0.1) as common:
        assert_type(common.tokens, list[bytes])
        assert_type(common.encode("text"), list[bytes])
        assert_type(common.start("text").byte_laws, int)
        bounds = common.token_bounds("text", tolerance=0.2)
        assert_type(bounds, tuple[NDArray[np.float64], NDArray[np.float64]])
        nb.generate(common, "it is a byte model")
    posterior = nb.ByteEnsemble([ensemble, first], rule="posterior", posterior_from="prompt")
    lower, upper = posterior.start(b"bytes").next_byte_bounds()
    assert_type(lower, NDArray[np.float64])
    assert_type(upper, NDArray[np.float64])
    return nb.ByteEnsemble([posterior, second], [1, -0.5], "product", concurrent=False)


def own_model() -> nb.ByteModel:
    model = UniformModel()
    nb.generate(model, "any byte model samples")
    return model


class ZeroBranch:
    """A user's own branch."""

    def __init__(self, width: int) -> None:
        self._row = np.zeros(width, np.float32)

    @property
    def logits(self) -> NDArray[np.float32]:
        return self._row

    def release_logits(self) -> None:
        self._row = self._row[:0]


def served(model: nb.ByteModel) -> None:
    app = make_app(model, name="mine", api_key="secret", log=print)
    assert_type(app.name, str)
    app.close()


class ZeroBackend:
    """A user's own backend."""

    vocab_size = 10

    def extend(self, requests: Sequence[tuple[nb.Branch | None, Sequence[int]]]) -> list[nb.Branch]:
        return [ZeroBranch(self.vocab_size) for _ in requests]


def own_backend(tokenizer: nb.Tokenizer) -> nb.ByteLM:
    return nb.ByteLM(tokenizer, ZeroBackend())
