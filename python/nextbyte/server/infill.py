"""`POST /infill`: llama.cpp's request and response, as llama.vim and llama.vscode use them.

As in llama.cpp's code (its documentation says otherwise), `prompt` goes behind `input_prefix`. The
three texts are only text. What this server has no use for is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nextbyte.server.drawing import read_choices, read_drawing
from nextbyte.server.generating import GapTask, Outcome, fill_gap
from nextbyte.server.sentinels import Gap
from nextbyte.server.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nextbyte.sampling.generation import FinishReason
    from nextbyte.server.fields import Fields
    from nextbyte.server.generating import Event
    from nextbyte.server.served import ServedModel

__all__ = ["InfillRequest", "infill_chunks", "infill_object", "read_infill"]

_DEFAULT_TOKENS: Final = 512
"""Where n_predict is absent or -1."""

_PATH: Final = "tmp"
"""Of a file without a name, as in llama.cpp."""

_STOP_TYPES: Final[dict[FinishReason, str]] = {
    "stop": "word",
    "end_of_text": "eos",
    "suffix": "eos",
    "length": "limit",
    "time": "limit",
    "indentation": "limit",
    "cancelled": "none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InfillRequest:
    """A request, read."""

    served: ServedModel
    task: GapTask
    response_fields: tuple[str, ...]
    is_streamed: bool
    tally: Tally = field(default_factory=Tally)

    @property
    def is_warm_up(self) -> bool:
        """Whether it asks for no text: clients do, so that a server reads ahead."""
        return self.task.drawing.is_nothing


def read_infill(fields: Fields, served: ServedModel) -> InfillRequest:
    """Read a request.

    Raises
    ------
    RefusalError
        It cannot be answered.
    """
    prefix, suffix = fields.needed_text("input_prefix"), fields.needed_text("input_suffix")
    files = tuple(
        (extra.text("filename") or _PATH, extra.needed_text("text"))
        for extra in fields.objects("input_extra")
    )
    gap = Gap(prefix=prefix + (fields.text("prompt") or ""), suffix=suffix, files=files)
    count = read_choices(fields, "n_cmpl", "n")
    drawing = read_drawing(
        fields,
        tokens_field="n_predict",
        default_tokens=_DEFAULT_TOKENS,
        most_tokens=_DEFAULT_TOKENS,
    )
    limit = fields.number("t_max_predict_ms")
    return InfillRequest(
        served=served,
        task=GapTask(
            gap=gap,
            count=count,
            drawing=drawing,
            # One suggestion: the best. Middles that are weighed are drawn from the model's own law.
            temperature=0.0 if served.fim is not None and count == 1 else 1.0,
            time_after_line_ms=limit if limit is not None and limit > 0 else None,
        ),
        response_fields=tuple(fields.texts("response_fields")),
        is_streamed=fields.truth("stream"),
    )


def infill_object(request: InfillRequest, cancel: Callable[[], bool]) -> Iterator[object]:
    """Yield the whole response: one object, or a list of them if several texts are wanted."""
    if request.is_warm_up:
        outcomes = _nothing(request)
    else:
        events = fill_gap(request.served, request.task, cancel)
        outcomes = [event for event in events if isinstance(event, Outcome)]
    found = []
    for outcome in outcomes:
        request.tally.add(outcome, is_first=outcome.index == 0)
        found.append(_chosen(_result(request, outcome), request.response_fields))
    yield found[0] if request.task.count == 1 else found


def infill_chunks(request: InfillRequest, cancel: Callable[[], bool]) -> Iterator[object]:
    """Yield the objects of a stream."""
    events: Iterator[Event] = iter(_nothing(request))
    if not request.is_warm_up:
        events = fill_gap(request.served, request.task, cancel)
    for event in events:
        if isinstance(event, Outcome):
            request.tally.add(event, is_first=event.index == 0)
            last = _result(request, event) | {"content": ""}  # it has been sent
            yield _chosen(last, request.response_fields)
            continue
        yield {
            "index": event.index,
            "content": event.data.decode("utf-8", "replace"),
            "tokens": [],
            "stop": False,
            "id_slot": 0,
        }


def _nothing(request: InfillRequest) -> list[Outcome]:
    """Return the outcomes of a request that asks for no text; the model has no part in it."""
    return [
        Outcome(
            index=index,
            prompt=request.task.gap.prefix.encode(),
            data=b"",
            finish_reason="length",
            stop=None,
            prompt_tokens=0,
            tokens=0,
        )
        for index in range(request.task.count)
    ]


def _result(request: InfillRequest, outcome: Outcome) -> dict[str, object]:
    """Return llama.cpp's result object."""
    drawing = request.task.drawing
    stop = outcome.stop or b""
    return {
        "index": outcome.index,
        "content": outcome.data.decode("utf-8", "replace"),
        "tokens": [],
        "id_slot": 0,
        "stop": True,
        "model": request.served.name,
        "tokens_predicted": outcome.tokens,
        "tokens_evaluated": outcome.prompt_tokens,
        "generation_settings": {
            "n_predict": drawing.max_tokens,
            "max_bytes": drawing.max_bytes,
            "temperature": (
                request.task.temperature if drawing.temperature is None else drawing.temperature
            ),
            "top_k": drawing.top_k,
            "top_p": drawing.top_p,
            "min_p": drawing.min_p,
            "seed": drawing.seed,
            "stop": list(drawing.stop),
        },
        "prompt": request.task.gap.prefix,
        "has_new_line": b"\n" in outcome.data,
        "truncated": outcome.is_cut,
        "stop_type": _STOP_TYPES[outcome.finish_reason],
        "stopping_word": stop.decode("utf-8", "replace"),
        "tokens_cached": 0,
        "timings": {
            **_timings("prompt", outcome.prompt_tokens, outcome.prompt_ms),
            **_timings("predicted", outcome.tokens, outcome.ms),
        },
    }


def _timings(name: str, count: int, ms: float) -> dict[str, float]:
    return {
        f"{name}_n": count,
        f"{name}_ms": ms,
        f"{name}_per_token_ms": ms / count if count else 0.0,
        f"{name}_per_second": 1000.0 * count / ms if ms > 0.0 else 0.0,
    }


def _chosen(result: dict[str, object], wanted: tuple[str, ...]) -> dict[str, object]:
    """Return the fields that were asked for: a/b is b within a, under that name."""
    if not wanted:
        return result
    found: dict[str, object] = {}
    for path in wanted:
        value: object = result
        for name in path.split("/"):
            if not isinstance(value, dict) or name not in value:
                break
            value = value[name]
        else:
            found[path] = value
    return found
