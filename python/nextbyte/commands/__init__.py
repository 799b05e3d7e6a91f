"""The commands behind the command line: call the library, print what it answers.

Results go to stdout, bars and statistics to stderr. Every function takes the parsed arguments that
`cli.py` declares. Frameworks are imported by the backends, once a model is loaded.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from nextbyte import display
from nextbyte.byte_lm import ByteLM
from nextbyte.byte_model import END_OF_TEXT, ByteModel
from nextbyte.commands.ensemble_options import (
    described,
    load_models,
    members_tolerance,
    warnings_in_one_line,
)
from nextbyte.escapes import argument_bytes
from nextbyte.infilling import infill as fill_gap
from nextbyte.models.fetch import fetch
from nextbyte.models.registry import MODELS
from nextbyte.plain import TokenModel, plain_complete, plain_next_byte_probs
from nextbyte.progress import progress_bar, stage_bars
from nextbyte.sampling import Generation, SamplingParams, generate, stream

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

__all__ = [
    "Feedback",
    "LoadedModel",
    "embedded_folder",
    "load_model",
    "run_complete",
    "run_demo",
    "run_fetch",
    "run_next_bytes",
    "sampling_params",
]

DEMO_PROMPTS: Final = (
    b"def fib(n):\n    ret",
    b"The capital of France is Par",
    b"An apple a day keeps the doc",
)

DEMO_GAP: Final = (b"The capital of Ger", b" is Berlin, on the Spree.")


class LoadedModel(ByteModel, TokenModel, Protocol):
    """A byte model made of a tokenizer and a backend, as `ByteLM` is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What may appear on stderr while a command works."""

    quiet: bool
    bars: bool
    """Bars, where stderr is a terminal."""
    force_bars: bool
    """Bars wherever stderr goes."""

    @classmethod
    def asked_by(cls, arguments: argparse.Namespace) -> Feedback:
        """Read --quiet and --[no-]progress; without `rich`, bars that nobody forced are off."""
        forced = arguments.progress is True and not arguments.quiet
        wanted = arguments.progress is None and not arguments.quiet
        bars = forced or (wanted and importlib.util.find_spec("rich") is not None)
        return cls(quiet=arguments.quiet, bars=bars, force_bars=forced)


def load_model(name: str, feedback: Feedback, *, tolerance: float = 0.0) -> LoadedModel:
    """Return a model; an embedded one that is not in the cache is fetched, and that is shown.

    As everywhere, a path that exists wins over the name of an embedded model.
    """
    source = embedded_folder(name, feedback)
    with progress_bar(f"loading {name}", enabled=feedback.bars, force=feedback.force_bars):
        with contextlib.suppress(ImportError):  # the backend says better what is missing
            from transformers.utils import logging  # noqa: PLC0415 - an optional extra

            logging.disable_progress_bar()  # it would cross ours, and ignore --quiet
        return ByteLM.from_pretrained(source, tolerance=tolerance)


def embedded_folder(name: str, feedback: Feedback) -> str | Path:
    """Return the folder of an embedded model, fetched if need be; any other name as it is."""
    embedded = name in MODELS and not Path(name).exists()
    return _fetch(name, feedback) if embedded else name


def _prompt(arguments: argparse.Namespace) -> bytes:
    """Return the prompt: the argument, or what stdin holds for `-`."""
    if arguments.text == "-":
        return sys.stdin.buffer.read()
    return argument_bytes(arguments.text, escapes=arguments.escapes)


def _fetch(name: str, feedback: Feedback) -> Path:
    """Return the folder of an embedded model, with bars or, without a terminal, with lines."""
    bars = feedback.bars and (feedback.force_bars or sys.stderr.isatty())
    with stage_bars(enabled=bars, force=feedback.force_bars) as report:
        return fetch(name, progress=report if bars else not feedback.quiet)


def run_fetch(arguments: argparse.Namespace) -> None:
    """Get an embedded model and print its folder."""
    _print(str(_fetch(arguments.name, Feedback.asked_by(arguments))))


def run_next_bytes(arguments: argparse.Namespace) -> None:
    """Print the law of the next byte: a table, or JSON."""
    prompt = _prompt(arguments)
    console = None if arguments.json else display.stdout_console()  # before a model is loaded
    feedback = Feedback.asked_by(arguments)
    lm = load_model(arguments.model, feedback, tolerance=arguments.tolerance or 0.0)
    state = lm.start(prompt)
    logprobs = state.next_byte_logprobs()
    exact = np.exp(logprobs)
    plain = plain_next_byte_probs(lm, prompt) if arguments.compare else None
    laws = [exact] if plain is None else [exact, plain]
    if console is not None:
        console.print(display.next_byte_table(exact, plain=plain, top=arguments.top))
        if plain is not None:
            console.print(_distance(exact, plain))
        return
    rows: list[dict[str, object]] = []
    for symbol in display.most_probable(arguments.top, *laws):
        row: dict[str, object] = {
            "byte": symbol,
            "symbol": display.byte_symbol(symbol),
            "probability": float(exact[symbol]),
            "logprob": float(logprobs[symbol]) if exact[symbol] > 0.0 else None,
        }
        if plain is not None:
            row["plain_probability"] = float(plain[symbol])
        rows.append(row)
    answer: dict[str, object] = {
        "model": arguments.model,
        **_spelled("prompt", prompt),
        "next": rows,
        "end_of_text_probability": float(exact[END_OF_TEXT]),
        "bound": state.bound,
        "lm_evaluations": state.lm_evaluations,
    }
    if plain is not None:
        answer["total_variation"] = _total_variation(exact, plain)
    _print(json.dumps(answer))


def sampling_params(arguments: argparse.Namespace) -> SamplingParams:
    """Return what the options of sampling say."""
    return SamplingParams(
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        min_p=arguments.min_p,
        seed=arguments.seed,
        stop=[argument_bytes(stop, escapes=arguments.escapes) for stop in arguments.stop],
        max_bytes=arguments.max_bytes,
        max_tokens=arguments.max_tokens,
        unit=arguments.unit,
        single_line=arguments.single_line,
        min_indent=arguments.min_indent,
        time_budget_ms=arguments.time_budget_ms,
    )


def run_complete(arguments: argparse.Namespace) -> None:
    """Print a completion, as it comes, at the end, or as JSON."""
    prompt = _prompt(arguments)
    params = sampling_params(arguments)
    feedback = Feedback.asked_by(arguments)
    own = members_tolerance(arguments)
    lm = load_models(
        arguments,
        lambda name: load_model(name, feedback, tolerance=own),
        tolerance=arguments.tolerance,
    )
    with warnings_in_one_line(quiet=arguments.quiet):
        _complete(lm, prompt, params, arguments, feedback)


def _complete(
    lm: ByteModel,
    prompt: bytes,
    params: SamplingParams,
    arguments: argparse.Namespace,
    feedback: Feedback,
) -> None:
    """Sample, and print what comes."""
    show = not arguments.json and not arguments.no_stream
    started = time.perf_counter()
    if arguments.echo and not arguments.json:
        _write(prompt)
    chunks = stream(lm, prompt, params)
    bars = feedback.bars and not show
    with progress_bar(
        "generating", total=params.max_bytes, enabled=bars, force=feedback.force_bars
    ) as advance:
        for chunk in chunks:
            advance(len(chunk.bytes))
            if show:
                _write(chunk.bytes)
    seconds = time.perf_counter() - started
    generation = chunks.result
    if arguments.json:
        _print(json.dumps(_completion(described(arguments), generation, seconds)))
        return
    if not show:
        _write(generation.bytes)
    if sys.stdout.isatty():
        _print("")
    if not arguments.quiet:
        sys.stderr.write(_statistics(generation, seconds) + "\n")


def run_demo(arguments: argparse.Namespace) -> None:
    """Print exact laws and completions beside those of plain tokenization."""
    console = display.stdout_console()
    feedback = Feedback.asked_by(arguments)
    lm = load_model(arguments.model, feedback)
    params = SamplingParams(temperature=0.0, max_bytes=arguments.max_bytes)
    for prompt in DEMO_PROMPTS:
        with progress_bar("evaluating", enabled=feedback.bars, force=feedback.force_bars):
            exact = np.exp(lm.start(prompt).next_byte_logprobs())
            plain = plain_next_byte_probs(lm, prompt)
            completions = {
                "plain tokens": plain_complete(lm, prompt, arguments.max_bytes),
                "exact bytes": generate(lm, prompt, params).bytes,
            }
        title = repr(prompt.decode("utf-8", "backslashreplace"))
        console.print(
            display.next_byte_table(exact, plain=plain, top=arguments.top, title=title),
            _distance(exact, plain),
            display.completion_table(prompt, completions),
            "",
            sep="\n",
        )
    if isinstance(lm, ByteLM):
        with progress_bar("filling", enabled=feedback.bars, force=feedback.force_bars):
            console.print(*_filled_gap(lm, arguments.max_bytes), sep="\n", markup=False)


def _filled_gap(lm: ByteLM, max_bytes: int) -> list[str]:
    """Return the lines that show a gap and what was put there."""
    before, after = DEMO_GAP
    params = SamplingParams(max_bytes=min(max_bytes, 12), seed=0)
    found = fill_gap(lm, before, after, params, format="none")
    shown = [display.printable(part) for part in (before, found.bytes, after)]
    return [
        "A gap filled, by weighing middles with the probability of what follows:",
        f"{shown[0]}[{shown[1]}]{shown[2]}",
    ]


def _total_variation(exact: NDArray[np.float64], plain: NDArray[np.float64]) -> float:
    """Return the total variation distance of two laws, 0 to 1."""
    return 0.5 * math.fsum(np.abs(exact - plain))


def _distance(exact: NDArray[np.float64], plain: NDArray[np.float64]) -> str:
    return f"total variation distance of the two: {_total_variation(exact, plain):.4f}"


def _spelled(name: str, data: bytes) -> dict[str, object]:
    """Return the JSON fields of a byte string: text to read, and the bytes themselves."""
    return {name: data.decode("utf-8", "replace"), f"{name}_bytes": list(data)}


def _completion(
    models: dict[str, object], generation: Generation, seconds: float
) -> dict[str, object]:
    """Return the JSON answer of `complete`."""
    stop = generation.stop
    return {
        **models,
        **_spelled("prompt", generation.prompt),
        "text": generation.text,
        "bytes": list(generation.bytes),
        "finish_reason": generation.finish_reason,
        "stop": None if stop is None else stop.decode("utf-8", "replace"),
        "logprob": generation.logprob,
        "byte_logprobs": generation.byte_logprobs.tolist(),
        "token_ids": list(generation.token_ids),
        "token_logprobs": generation.token_logprobs.tolist(),
        "bound": generation.bound,
        "lm_evaluations": generation.lm_evaluations,
        "seconds": seconds,
    }


def _statistics(generation: Generation, seconds: float) -> str:
    """Return the line that follows a completion."""
    count = len(generation.bytes)
    reason: str = generation.finish_reason
    if generation.stop is not None:
        reason += f" at {generation.stop!r}"
    return (
        f"finish: {reason} | {count} bytes | {generation.lm_evaluations} LM evaluations | "
        f"{count / max(seconds, 1e-9):.1f} bytes/s | log-probability {generation.logprob:.2f}"
    )


def _print(line: str) -> None:
    """Write a line to stdout."""
    sys.stdout.write(line + "\n")


def _write(data: bytes) -> None:
    """Write bytes to stdout at once: as they are to a pipe or file, as safe text to a terminal."""
    if sys.stdout.isatty():
        encoding = sys.stdout.encoding or "utf-8"
        data = display.printable(data).encode(encoding, "backslashreplace")
    sys.stdout.flush()  # text printed before comes first
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
