"""`POST /v1/fim/completions`: Mistral's request and chat-shaped response around one filled gap."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nextbyte.server.drawing import read_drawing
from nextbyte.server.generating import GapTask, Outcome, TextTask, run_task
from nextbyte.server.sentinels import Gap
from nextbyte.server.tally import Tally, finish_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nextbyte.server.fields import Fields
    from nextbyte.server.served import ServedModel

__all__ = ["FimCompletion", "fim_chunks", "fim_object", "read_fim_completion"]

_DEFAULT_TOKENS: Final = 256
_UNLIMITED_TOKENS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class FimCompletion:
    """A request, read."""

    served: ServedModel
    task: TextTask | GapTask
    is_streamed: bool
    tally: Tally = field(default_factory=Tally)
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def object(self, kind: str, choice: dict[str, object]) -> dict[str, object]:
        """Return a response around a choice."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.served.name,
            "choices": [{"index": 0, **choice}],
        }


def read_fim_completion(fields: Fields, served: ServedModel) -> FimCompletion:
    """Read a request.

    Raises
    ------
    RefusalError
        It cannot be answered.
    """
    prompt, suffix = fields.needed_text("prompt"), fields.text("suffix") or ""
    is_streamed = fields.truth("stream")
    seed = "seed" if fields.get("random_seed") is None else "random_seed"
    drawing = read_drawing(
        fields,
        tokens_field="max_tokens",
        seed_field=seed,
        default_tokens=_DEFAULT_TOKENS,
        most_tokens=_UNLIMITED_TOKENS,
    )
    task: TextTask | GapTask
    if suffix or served.fim is not None:
        task = GapTask(gap=Gap(prefix=prompt, suffix=suffix), count=1, drawing=drawing)
    else:
        task = TextTask(
            prompts=(prompt.encode(),), count=1, drawing=drawing, is_streamed=is_streamed
        )
    return FimCompletion(served=served, task=task, is_streamed=is_streamed)


def fim_object(request: FimCompletion, cancel: Callable[[], bool]) -> Iterator[dict[str, object]]:
    """Yield the whole response, one object."""
    for event in run_task(request.served, request.task, cancel):
        if isinstance(event, Outcome):
            request.tally.add(event, is_first=True)
            choice: dict[str, object] = {
                "message": {
                    "role": "assistant",
                    "content": event.data.decode("utf-8", "replace"),
                    "tool_calls": None,
                },
                "finish_reason": finish_reason(event.finish_reason),
            }
            usage = {"usage": request.tally.usage()}
            yield request.object("chat.completion", choice) | usage


def fim_chunks(request: FimCompletion, cancel: Callable[[], bool]) -> Iterator[dict[str, object]]:
    """Yield the objects of a stream; the last has the reason of the end, and the usage."""
    for event in run_task(request.served, request.task, cancel):
        if isinstance(event, Outcome):
            request.tally.add(event, is_first=True)
            yield request.object(
                "chat.completion.chunk",
                {"delta": {"content": ""}, "finish_reason": finish_reason(event.finish_reason)},
            ) | {"usage": request.tally.usage()}
            continue
        text = event.data.decode("utf-8", "replace")
        yield request.object(
            "chat.completion.chunk",
            {"delta": {"role": "assistant", "content": text}, "finish_reason": None},
        )
