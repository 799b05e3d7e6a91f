"""`POST /v1/completions`: OpenAI's request and response around continuations and filled gaps."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nextbyte.server.drawing import MOST_CHOICES, read_choices, read_drawing
from nextbyte.server.fields import Fields, whole
from nextbyte.server.generating import Event, GapTask, Outcome, TextTask, run_task
from nextbyte.server.logprobs import byte_logprobs
from nextbyte.server.refusals import RefusalError
from nextbyte.server.sentinels import Gap, gap_in
from nextbyte.server.tally import Tally, finish_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nextbyte.sampling.generation import FinishReason
    from nextbyte.server.served import ServedModel

__all__ = ["Completion", "completion_chunks", "completion_object", "read_completion"]

_DEFAULT_TOKENS: Final = 16
"""As in OpenAI's API."""

_UNLIMITED_TOKENS: Final = 4096
"""What max_tokens=-1 stands for."""

_MOST_LOGPROBS: Final = 257
"""All symbols there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A request, read: what to draw, and how to tell it."""

    served: ServedModel
    prompts: tuple[str, ...]
    count: int
    tasks: tuple[TextTask | GapTask, ...]
    echo: bool
    logprobs: int | None
    is_streamed: bool
    with_usage: bool
    tally: Tally = field(default_factory=Tally)
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def events(self, cancel: Callable[[], bool]) -> Iterator[Event]:
        """Have the model do it."""
        for task in self.tasks:
            yield from run_task(self.served, task, cancel)

    def echoed(self, index: int) -> str:
        """Return what text number `index` begins with."""
        return self.prompts[index // self.count] if self.echo else ""

    def scores(self, index: int, before: bytes, data: bytes) -> dict[str, list[object]] | None:
        """Return the log-probabilities of a text behind its prompt and what came before it."""
        if self.logprobs is None:
            return None
        shown = self.echoed(index) + before.decode("utf-8", "replace")
        context = self.prompts[index // self.count].encode() + before
        return byte_logprobs(self.served.model, context, data, top=self.logprobs, start=len(shown))

    def object(self, choices: list[dict[str, object]]) -> dict[str, object]:
        """Return a response around some choices."""
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.served.name,
            "system_fingerprint": None,
            "choices": choices,
        }


def read_completion(fields: Fields, served: ServedModel) -> Completion:
    """Read a request.

    Raises
    ------
    RefusalError
        It cannot be answered.
    """
    prompts = _prompts(fields)
    _refuse_what_changes_the_law(fields)
    count = read_choices(fields, "n")
    if len(prompts) * count > MOST_CHOICES:
        raise RefusalError(
            f"{len(prompts)} prompts with n={count} are more than {MOST_CHOICES} texts", field="n"
        )
    best_of = fields.integer("best_of", minimum=1)
    if best_of not in (None, count):
        raise RefusalError("best_of is not supported: ask for n texts and choose", field="best_of")
    options = fields.get("stream_options")
    if options is not None and not isinstance(options, dict):
        fields.refuse("stream_options", "an object")
    usage = Fields(options or {}, "stream_options.").truth("include_usage")
    drawing = read_drawing(
        fields,
        tokens_field="max_tokens",
        default_tokens=_DEFAULT_TOKENS,
        most_tokens=_UNLIMITED_TOKENS,
    )
    is_streamed = fields.truth("stream")
    gaps = _gaps(prompts, fields.text("suffix"), served)
    logprobs = _logprobs(fields)
    if logprobs is not None and any(gap is not None for gap in gaps):
        raise RefusalError("there are no logprobs of a text in a gap", field="logprobs")
    tasks: list[TextTask | GapTask] = []
    data = tuple(prompt.encode() for prompt in prompts)
    if all(gap is None for gap in gaps):
        tasks.append(TextTask(prompts=data, count=count, drawing=drawing, is_streamed=is_streamed))
    else:
        for number, gap in enumerate(gaps):
            first = number * count
            tasks.append(
                TextTask(
                    prompts=data[number : number + 1],
                    count=count,
                    drawing=drawing,
                    is_streamed=is_streamed,
                    first=first,
                )
                if gap is None
                else GapTask(gap=gap, count=count, drawing=drawing, first=first)
            )
    return Completion(
        served=served,
        prompts=prompts,
        count=count,
        tasks=tuple(tasks),
        echo=fields.truth("echo"),
        logprobs=logprobs,
        is_streamed=is_streamed,
        with_usage=usage,
    )


def completion_object(
    request: Completion, cancel: Callable[[], bool]
) -> Iterator[dict[str, object]]:
    """Yield the whole response, one object."""
    choices = []
    for event in request.events(cancel):
        if not isinstance(event, Outcome):
            continue
        request.tally.add(event, is_first=event.index % request.count == 0)
        data, prompt = event.data, request.prompts[event.index // request.count].encode()
        scores = None
        if request.logprobs is not None:
            context, scored = (b"", prompt + data) if request.echo else (prompt, data)
            scores = byte_logprobs(request.served.model, context, scored, top=request.logprobs)
        text = request.echoed(event.index) + data.decode("utf-8", "replace")
        choices.append(_choice(event.index, text, event.finish_reason, scores))
    yield request.object(choices) | {"usage": request.tally.usage()}


def completion_chunks(
    request: Completion, cancel: Callable[[], bool]
) -> Iterator[dict[str, object]]:
    """Yield the objects of a stream."""
    usage: dict[str, object] = {"usage": None} if request.with_usage else {}
    seen: dict[int, bytes] = {}

    def chunk(
        index: int,
        text: str,
        reason: FinishReason | None = None,
        scores: dict[str, list[object]] | None = None,
    ) -> dict[str, object]:
        return request.object([_choice(index, text, reason, scores)]) | usage

    def begun(index: int) -> Iterator[dict[str, object]]:
        if index not in seen:
            seen[index] = b""
            if request.echo:
                prompt = request.echoed(index)
                scores = None
                if request.logprobs is not None:
                    scores = byte_logprobs(
                        request.served.model, b"", prompt.encode(), top=request.logprobs
                    )
                yield chunk(index, prompt, None, scores)

    for event in request.events(cancel):
        yield from begun(event.index)
        if isinstance(event, Outcome):
            request.tally.add(event, is_first=event.index % request.count == 0)
            yield chunk(event.index, "", event.finish_reason)
            continue
        scores = request.scores(event.index, seen[event.index], event.data)
        seen[event.index] += event.data
        yield chunk(event.index, event.data.decode("utf-8", "replace"), None, scores)
    if request.with_usage:
        yield request.object([]) | {"usage": request.tally.usage()}


def _choice(
    index: int,
    text: str,
    reason: FinishReason | None,
    scores: dict[str, list[object]] | None,
) -> dict[str, object]:
    finish = None if reason is None else finish_reason(reason)
    return {"index": index, "text": text, "logprobs": scores, "finish_reason": finish}


def _prompts(fields: Fields) -> tuple[str, ...]:
    """Return the prompts, or say why token ids are none."""
    value = fields.get("prompt")
    if isinstance(value, list):
        if any(isinstance(item, int | list) for item in value):
            raise RefusalError(
                "prompt must be text: this server goes on from bytes, which have no token ids; "
                "send the text that they stand for",
                field="prompt",
            )
        if not value or not all(isinstance(item, str) for item in value):
            fields.refuse("prompt", "a string or a list of at least one string")
        return tuple(whole(item, f"prompt[{i}]") for i, item in enumerate(value))
    return (fields.needed_text("prompt"),)


def _gaps(prompts: tuple[str, ...], suffix: str | None, served: ServedModel) -> list[Gap | None]:
    """Return the gap of each prompt; None where it is to be gone on from."""
    if suffix is not None and (suffix or served.fim is not None):
        return [Gap(prefix=prompt, suffix=suffix) for prompt in prompts]
    if served.fim is None or suffix is not None:
        return [None] * len(prompts)
    return [gap_in(prompt, served.fim.spelling) for prompt in prompts]


def _refuse_what_changes_the_law(fields: Fields) -> None:
    """Refuse options that would have to act on tokens or on what was said before."""
    for name in ("presence_penalty", "frequency_penalty"):
        if fields.number(name) not in (None, 0.0):
            raise RefusalError(f"{name} is not supported: leave it out or send 0", field=name)
    if fields.get("logit_bias") not in (None, {}):
        raise RefusalError("logit_bias is not supported: it names token ids", field="logit_bias")


def _logprobs(fields: Fields) -> int | None:
    if fields.get("logprobs") is False:
        return None
    number = fields.integer("logprobs", minimum=0)
    if number is not None and number > _MOST_LOGPROBS:
        raise RefusalError(
            f"logprobs must be at most {_MOST_LOGPROBS}, not {number}", field="logprobs"
        )
    return number
