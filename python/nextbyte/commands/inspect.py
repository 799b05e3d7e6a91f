"""The command `inspect`: what a tokenizer is, whether it is exact, and the covers of a prefix."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nextbyte import tokenizer_display
from nextbyte.commands import Feedback, embedded_folder
from nextbyte.display import stdout_console
from nextbyte.errors import InvalidInputError, UnsupportedTokenizerError
from nextbyte.escapes import argument_bytes
from nextbyte.models.resolve import resolve_model
from nextbyte.progress import progress_bar
from nextbyte.tokenizer import Tokenizer

if TYPE_CHECKING:
    import argparse

__all__ = ["run_inspect"]

FULL_EFFORT: Final = 100
FULL_TEXTS: Final = 5000
_RANK_LINE: Final = re.compile(rb"[A-Za-z0-9+/]+=* \d+\r?\n")


def run_inspect(arguments: argparse.Namespace) -> None:
    """Print the report of a tokenizer, with --covers the cover tree of a prefix too."""
    prefix = None
    if arguments.covers is not None:
        prefix = argument_bytes(arguments.covers, escapes=arguments.escapes)
    console = None if arguments.json else stdout_console()  # before anything is loaded
    feedback = Feedback.asked_by(arguments)
    source = embedded_folder(arguments.source, feedback)
    with progress_bar(
        f"loading {arguments.source}", enabled=feedback.bars, force=feedback.force_bars
    ):
        tokenizer = _load(source, arguments)
    if arguments.full:
        with progress_bar("checking", enabled=feedback.bars, force=feedback.force_bars):
            tokenizer.self_check(effort=FULL_EFFORT)
            tokenizer.verify(count=FULL_TEXTS)
    tree = None if prefix is None else tokenizer.cover_tree(prefix)
    report = tokenizer.report()
    if console is None:
        answer = tokenizer_display.report_json(report)
        if tree is not None and prefix is not None:
            answer["prefix_bytes"] = list(prefix)
            answer["covers"] = tokenizer_display.cover_json(tokenizer, tree)
        sys.stdout.write(json.dumps(answer) + "\n")
    else:
        console.print(tokenizer_display.report_table(report))
        if tree is not None and prefix is not None:
            console.print(tokenizer_display.cover_tree_view(tokenizer, tree, prefix))
    if report.exactness == "refuted":
        raise UnsupportedTokenizerError(f"{report.source} is not exact: {report.why}")


def _load(source: str | Path, arguments: argparse.Namespace) -> Tokenizer:
    """Load whatever `source` is: a directory, any tokenizer file, or a name."""
    path = Path(source)
    ranks = path.is_file() and _is_rank_file(path)
    if arguments.pattern is not None:
        if not ranks:
            raise InvalidInputError(f"{source} is no rank file, so it has its own pattern")
        return Tokenizer.from_tiktoken(path, pattern=arguments.pattern)
    if ranks:
        raise InvalidInputError(
            f"{source} is a rank file, which does not say how text is split: give --pattern, the "
            "name of a known one or a regex"
        )
    return Tokenizer.from_file(
        resolve_model(source),
        ignore_added_words=arguments.ignore_added_words,
        validate=arguments.validate,
    )


def _is_rank_file(path: Path) -> bool:
    """Say whether a file begins as a tiktoken rank file does."""
    with path.open("rb") as file:
        return _RANK_LINE.fullmatch(file.readline(4096)) is not None
