"""Has the model do what a request asks for, step by step: pieces of texts, and what became of each.

These are plain generators that a worker thread drives (`worker.py`). They call the library as
anybody would, so a text is the one that `generate`, `stream` or `infill` give for the same seed.
Several texts of one request are drawn side by side where they are wanted whole, and one after the
other where they are streamed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from nextbyte.byte_lm import ByteLM
from nextbyte.infilling.byte_models import ByteGap
from nextbyte.infilling.session import InfillSession
from nextbyte.sampling import generate, stream
from nextbyte.server.refusals import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nextbyte.infilling.results import Infill
    from nextbyte.sampling.generation import FinishReason, Generation
    from nextbyte.server.drawing import Drawing
    from nextbyte.server.sentinels import Gap
    from nextbyte.server.served import ServedModel

__all__ = ["Event", "GapTask", "Outcome", "Piece", "TextTask", "fill_gap", "run_task"]

_FILES_SHARE: Final = 2
"""Other files may take one part in so many of what the model reads."""


@dataclass(frozen=True, slots=True)
class Piece:
    """More of text number `index`: whole characters, or bytes that are none."""

    index: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of text number `index`.

    Attributes
    ----------
    index : int
    prompt : bytes
        What the text goes on from.
    data : bytes
        The text, all pieces together.
    finish_reason : FinishReason
    stop : bytes or None
        The stop string that was met.
    prompt_tokens, tokens : int
        Of the prompt as far as it was read, and of the text, as `ServedModel.count` counts.
    is_cut : bool
        Whether not all of the prompt was read.
    prompt_ms, ms : float
        Milliseconds of reading the prompt (0.0 where that is part of drawing), and of drawing.
    """

    index: int
    prompt: bytes
    data: bytes
    finish_reason: FinishReason
    stop: bytes | None
    prompt_tokens: int
    tokens: int
    is_cut: bool = False
    prompt_ms: float = 0.0
    ms: float = 0.0


Event: TypeAlias = Piece | Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTask:
    """Prompts to go on from, and how many texts for each; these are numbered from `first` on."""

    prompts: tuple[bytes, ...]
    count: int
    drawing: Drawing
    is_streamed: bool
    first: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GapTask:
    """A gap to fill, and how many texts for it, numbered from `first` on.

    `time_after_line_ms` ends a text after so many milliseconds, once it has a line end; where
    middles are weighed, in any case.
    """

    gap: Gap
    count: int
    drawing: Drawing
    first: int = 0
    temperature: float = 1.0
    time_after_line_ms: float | None = None


def run_task(
    served: ServedModel, task: TextTask | GapTask, cancel: Callable[[], bool]
) -> Iterator[Event]:
    """Do a task of either kind."""
    if isinstance(task, GapTask):
        return fill_gap(served, task, cancel)
    return continue_texts(served, task, cancel)


def continue_texts(
    served: ServedModel, task: TextTask, cancel: Callable[[], bool]
) -> Iterator[Event]:
    """Go on from prompts."""
    by_tokens = served.lm is not None
    counts = [served.count(prompt) for prompt in task.prompts]
    rooms = [served.room(prompt) for prompt in task.prompts]
    prompts = [prompt for prompt in task.prompts for _ in range(task.count)]
    params = [
        task.drawing.params(
            by_tokens=by_tokens, index=task.first + number, room=rooms[number // task.count]
        )
        for number in range(len(prompts))
    ]

    def outcome(number: int, found: Generation, started: float) -> Outcome:
        return Outcome(
            index=task.first + number,
            prompt=found.prompt,
            data=found.bytes,
            finish_reason=found.finish_reason,
            stop=found.stop,
            prompt_tokens=counts[number // task.count],
            tokens=_tokens(served, found),
            ms=_milliseconds(started),
        )

    started = time.perf_counter()
    if len(prompts) > 1 and not task.is_streamed:
        for number, found in enumerate(generate(served.model, prompts, params, cancel=cancel)):
            yield outcome(number, found, started)
        return
    for number, prompt in enumerate(prompts):
        started = time.perf_counter()
        chunks = stream(served.model, prompt, params[number], cancel=cancel)
        served.hold(chunks)
        for chunk in chunks:
            yield Piece(task.first + number, chunk.bytes)
        yield outcome(number, chunks.result, started)


def fill_gap(served: ServedModel, task: GapTask, cancel: Callable[[], bool]) -> Iterator[Event]:
    """Fill a gap.

    Raises
    ------
    RefusalError
        The model has a law for audits, which fills none.
    """
    if served.lm is None and isinstance(served.model, ByteLM):
        raise RefusalError(
            f'filling a gap (suffix, /infill) needs a model of target="canonical", and '
            f"{served.name} has target={served.model.target!r}: leave out the suffix",
            status=501,
        )
    gap = task.gap
    started = time.perf_counter()
    session, files_tokens = _session(served, task)
    if not cancel():
        session.read()
    served.hold(session)
    prompt_ms = _milliseconds(started)
    prompt_tokens = files_tokens + sum(
        served.count(part) for part in (session.prefix, session.suffix, gap.typed.encode())
    )
    read = len(session.prefix) + len(session.suffix)
    is_cut = session.format is not None and read < len((gap.prefix + gap.suffix).encode())
    for number in range(task.count):
        index = task.first + number
        started = time.perf_counter()
        clock = _LineClock(task.time_after_line_ms, cancel)
        params = task.drawing.params(
            by_tokens=served.lm is not None,
            index=index,
            room=served.gap_room,
            temperature=task.temperature,
            time_budget_ms=task.time_after_line_ms if session.format is None else None,
        )
        chunks = session.stream(params, cancel=clock)
        for chunk in chunks:
            clock.saw(chunk.bytes)
            yield Piece(index, chunk.bytes)
        found = chunks.result
        yield Outcome(
            index=index,
            prompt=gap.prefix.encode(),
            data=found.bytes,
            finish_reason="time" if clock.has_struck else found.finish_reason,
            stop=found.generation.stop if found.finish_reason == "stop" else None,
            prompt_tokens=prompt_tokens,
            tokens=_middle_tokens(served, found),
            is_cut=is_cut,
            prompt_ms=prompt_ms,
            ms=_milliseconds(started),
        )


class _LineClock:
    """Ends a text when its time is up, once there is a line; or when the client does."""

    def __init__(self, limit_ms: float | None, cancel: Callable[[], bool]) -> None:
        self._limit_ms = limit_ms
        self._cancel = cancel
        self._started = time.perf_counter()
        self._has_line = False
        self.has_struck = False

    def saw(self, data: bytes) -> None:
        self._has_line = self._has_line or b"\n" in data

    def __call__(self) -> bool:
        if self._limit_ms is not None and self._has_line:
            self.has_struck = _milliseconds(self._started) >= self._limit_ms
        return self._cancel() or self.has_struck


def _session(served: ServedModel, task: GapTask) -> tuple[InfillSession | ByteGap, int]:
    """Return a gap with what was typed and the files for which there is room; their tokens."""
    lm, gap = served.lm, task.gap
    typed = gap.typed.encode()
    if lm is None:
        most = task.drawing.params(by_tokens=False, room=served.gap_room).max_bytes
        room = len(typed) + most
        return ByteGap(served.model, gap.prefix, gap.suffix, typed=typed, room_bytes=room), 0
    limits = (task.drawing.max_tokens, task.drawing.max_bytes)
    room = len(typed) + min((n for n in limits if n is not None), default=0)
    if served.fim is None:
        session = InfillSession(lm, gap.prefix, gap.suffix, room_bytes=room)
        session.type(typed)
        return session, 0
    files, tokens = _recent(served, gap.files)
    knows_files = served.fim.spelling.files != "none"
    session = InfillSession(
        lm,
        gap.prefix,
        gap.suffix,
        order=gap.order,
        path=gap.path if knows_files else "",
        repository=gap.repository if knows_files else "",
        files=files if knows_files else (),
        room_bytes=room,
    )
    session.type(typed)
    return session, tokens if knows_files else 0


def _recent(
    served: ServedModel, files: tuple[tuple[str, str], ...]
) -> tuple[list[tuple[str, str]], int]:
    """Return the last of some files, as many as fit into their share, and their tokens."""
    limit = served.limit
    kept: list[tuple[str, str]] = []
    used = 0
    for path, text in reversed(files):
        tokens = served.count(f"{path}\n{text}\n".encode())
        if limit is not None and used + tokens > limit // _FILES_SHARE:
            break
        kept.append((path, text))
        used += tokens
    return kept[::-1], used


def _tokens(served: ServedModel, generation: Generation) -> int:
    """Return how many tokens a text has: those that were drawn, where some were."""
    if generation.cover is None:
        return served.count(generation.bytes)
    return bool(generation.cover.overhang) + len(generation.token_ids)


def _middle_tokens(served: ServedModel, found: Infill) -> int:
    if found.format is None:  # it may be a part of what was drawn
        return served.count(found.bytes)
    return _tokens(served, found.generation)


def _milliseconds(started: float) -> float:
    return 1000.0 * (time.perf_counter() - started)
