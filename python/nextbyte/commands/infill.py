"""The command `infill`: fills the gap between two files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nextbyte import commands
from nextbyte.commands import Feedback
from nextbyte.commands.ensemble_options import (
    described,
    load_models,
    members_tolerance,
    warnings_in_one_line,
)
from nextbyte.infilling import infill
from nextbyte.progress import progress_bar

if TYPE_CHECKING:
    import argparse

    from nextbyte.infilling import Infill

__all__ = ["run_infill"]


def run_infill(arguments: argparse.Namespace) -> None:
    """Print the middle: its bytes as they are, or JSON."""
    prefix, suffix = _read(arguments.prefix_file), _read(arguments.suffix_file)
    params = commands.sampling_params(arguments)
    feedback = Feedback.asked_by(arguments)
    own = members_tolerance(arguments)
    model = load_models(
        arguments,
        lambda name: commands.load_model(name, feedback, tolerance=own),
        tolerance=arguments.tolerance,
    )
    with (
        warnings_in_one_line(quiet=arguments.quiet),
        progress_bar("filling", enabled=feedback.bars, force=feedback.force_bars),
    ):
        found = infill(
            model,
            prefix,
            suffix,
            params,
            format=arguments.format,
            order=arguments.order,
            prefix_bytes=arguments.prefix_bytes,
            suffix_bytes=arguments.suffix_bytes,
            keep_indent=arguments.keep_indent,
            candidates=arguments.candidates,
            choose=arguments.choose,
        )
    if arguments.json:
        sys.stdout.write(json.dumps(_answer(described(arguments), found)) + "\n")
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(found.bytes)
    sys.stdout.buffer.flush()
    if not arguments.quiet:
        how = found.format or f"{len(found.candidates)} middles weighed"
        sys.stderr.write(
            f"finish: {found.finish_reason} | {len(found.bytes)} bytes | "
            f"{found.lm_evaluations} LM evaluations | {how}\n"
        )


def _answer(models: dict[str, object], found: Infill) -> dict[str, object]:
    return {
        **models,
        "text": found.text,
        "bytes": list(found.bytes),
        "finish_reason": found.finish_reason,
        "format": found.format,
        "order": found.order,
        "prefix_bytes": found.prefix_bytes,
        "suffix_bytes": found.suffix_bytes,
        "lm_evaluations": found.lm_evaluations,
        "candidates": [
            {
                "text": candidate.bytes.decode("utf-8", "replace"),
                "bytes": list(candidate.bytes),
                "draws": candidate.draws,
                # JSON has no minus infinity.
                "suffix_logprob": max(candidate.suffix_logprob, -1e308),
                "log_weight": max(candidate.log_weight, -1e308),
            }
            for candidate in found.candidates
        ],
    }


def _read(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
