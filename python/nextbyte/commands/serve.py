"""`nextbyte serve`: loads the model or the ensemble, and answers until it is interrupted."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nextbyte import commands
from nextbyte.commands import Feedback
from nextbyte.commands.ensemble_options import (
    load_models,
    members_tolerance,
    model_names,
    warnings_in_one_line,
)
from nextbyte.errors import InvalidInputError
from nextbyte.server import make_app, require
from nextbyte.server.process import bind, run_server

if TYPE_CHECKING:
    import argparse

__all__ = ["add_serve_options", "run_serve"]

KEY_VARIABLE: Final = "NEXTBYTE_API_KEY"


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """Add where to listen, and who is answered."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=8012, metavar="N", help="port; 0 takes a free one (8012)"
    )
    parser.add_argument(
        "--api-key", metavar="KEY", help=f"answer only who bears it (default: {KEY_VARIABLE})"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="what clients call the model (default: its folder's name)"
    )


def run_serve(arguments: argparse.Namespace) -> None:
    """Serve; a Ctrl-C is the ordinary end."""
    if arguments.source is not None:
        if arguments.models:
            raise InvalidInputError("give models as MODEL or with --model, not both")
        arguments.models = [arguments.source]
    feedback = Feedback.asked_by(arguments)
    key = arguments.api_key
    if key is None:
        key = os.environ.get(KEY_VARIABLE) or None
    elif not key:
        raise InvalidInputError("--api-key must not be empty")
    for package in ("starlette", "uvicorn"):
        require(package)  # before a model is loaded
    with contextlib.closing(bind(arguments.host, arguments.port)) as bound:
        model = load_models(
            arguments,
            lambda name: commands.load_model(
                name, feedback, tolerance=members_tolerance(arguments)
            ),
            tolerance=arguments.tolerance,
        )
        name = arguments.name or "+".join(Path(one).name or one for one in model_names(arguments))
        app = make_app(model, name=name, api_key=key, log=None if arguments.quiet else _say)
        with (
            contextlib.closing(app),
            warnings_in_one_line(quiet=arguments.quiet),
            contextlib.suppress(KeyboardInterrupt),
        ):
            run_server(app, bound, _say)


def _say(text: str) -> None:
    """Write to stderr; a log that nobody reads is no reason to stop answering."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write("".join(f"nextbyte: {line}\n" for line in text.splitlines()))
        sys.stderr.flush()
