"""The command line: declares the arguments, runs a command, turns errors into one line.

Exit status: 0 done, 2 an error, 130 interrupted, 141 the reader of stdout went away.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.metadata
import io
import os
import sys
from typing import TYPE_CHECKING, Final

from nextbyte import commands
from nextbyte.commands import infill as infill_command
from nextbyte.commands import inspect as inspect_command
from nextbyte.commands import score as score_command
from nextbyte.commands import serve as serve_command
from nextbyte.commands.ensemble_options import add_ensemble_options
from nextbyte.errors import NextByteError
from nextbyte.sampling import SamplingParams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

DEFAULT_MODEL: Final = "smollm2-135m"
EXIT_ERROR: Final = 2
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count
EXIT_BROKEN_PIPE: Final = 141  # 128 + SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the program's name; by default those of this process.

    Returns
    -------
    int
        The exit status, as listed above.

    Examples
    --------
    >>> main(["fetch", "no-such-model", "--quiet"])
    2
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:  # argparse has said what there was to say
        return end.code if isinstance(end.code, int) else EXIT_ERROR
    run: Callable[[argparse.Namespace], None] = arguments.run
    try:
        run(arguments)
        sys.stdout.flush()  # here, so that a reader who went away is noticed here
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (NextByteError, OSError) as error:
        message = " ".join(line.strip() for line in str(error).splitlines())
        print(f"nextbyte: error: {message or type(error).__name__}", file=sys.stderr)
        return EXIT_ERROR
    return 0


def _parser() -> argparse.ArgumentParser:
    """Declare every command and option."""
    parser = argparse.ArgumentParser(
        prog="nextbyte",
        description="Exact next-byte distributions from a tokenized language model.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nextbyte {_version()}")
    shared = _shared_options()
    model = _model_option()
    text = _text_options()
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add = functools.partial(subparsers.add_parser, allow_abbrev=False)

    fetch = add("fetch", parents=[shared], help="get an embedded model, print its folder")
    fetch.add_argument("name", metavar="NAME", help=f"for example {DEFAULT_MODEL}")
    fetch.set_defaults(run=commands.run_fetch)

    next_bytes = add(
        "next-bytes", parents=[text, model, shared], help="show what can follow a text"
    )
    next_bytes.add_argument(
        "--top", type=_count, default=8, metavar="N", help="rows to show (default: 8)"
    )
    next_bytes.add_argument(
        "--compare", action="store_true", help="show what plain tokenization predicts beside"
    )
    _add_tolerance(next_bytes)
    next_bytes.add_argument("--json", action="store_true", help="print one JSON object")
    next_bytes.set_defaults(run=commands.run_next_bytes)

    complete = add("complete", parents=[text, shared], help="continue a text")
    add_ensemble_options(complete, _default_model())
    _add_sampling_options(complete)
    _add_tolerance(complete)
    complete.add_argument("--echo", action="store_true", help="print the prompt first")
    complete.add_argument("--no-stream", action="store_true", help="print all at the end")
    complete.add_argument("--json", action="store_true", help="print one JSON object at the end")
    complete.set_defaults(run=commands.run_complete)

    infill = add("infill", parents=[shared], help="fill the gap between two files")
    add_ensemble_options(infill, _default_model())
    _add_infill_options(infill)
    _add_sampling_options(infill)
    _add_tolerance(infill)
    infill.set_defaults(run=infill_command.run_infill)

    score = add("score", parents=[model, shared], help="how probable the bytes of files are")
    _add_score_options(score)
    score.set_defaults(run=score_command.run_score)

    inspect = add("inspect", parents=[shared], help="show what a tokenizer is, and if it is exact")
    inspect.add_argument(
        "source",
        metavar="PATH_OR_NAME",
        help="directory, tokenizer.json, .gguf, tekken.json or rank file; embedded model; hub name",
    )
    _add_inspect_options(inspect)
    inspect.set_defaults(run=inspect_command.run_inspect)

    serve = add("serve", parents=[shared], help="answer editors and OpenAI clients over HTTP")
    serve.add_argument(
        "source", metavar="MODEL", nargs="?", help="the one model to serve, as with --model"
    )
    add_ensemble_options(serve, _default_model())
    serve_command.add_serve_options(serve)
    _add_tolerance(serve)
    serve.set_defaults(run=serve_command.run_serve)

    demo = add("demo", parents=[model, shared], help="exact bytes beside plain tokenization")
    demo.add_argument("--top", type=_count, default=6, metavar="N", help="rows (default: 6)")
    demo.add_argument(
        "--max-bytes", type=int, default=36, metavar="N", help="completion length (default: 36)"
    )
    demo.set_defaults(run=commands.run_demo)
    return parser


def _add_infill_options(parser: argparse.ArgumentParser) -> None:
    """Add the two files, and how the gap is filled."""
    for name, text in (("prefix", "before"), ("suffix", "behind")):
        parser.add_argument(
            f"--{name}-file",
            required=True,
            metavar="FILE",
            help=f"what is {text} the gap; - reads stdin",
        )
        parser.add_argument(
            f"--{name}-bytes", type=int, metavar="N", help=f"read so much of the {name} at most"
        )
    parser.add_argument(
        "--format", metavar="NAME", help="a family of code models, or none (default: as it has)"
    )
    parser.add_argument("--order", choices=("psm", "spm"), help="which part comes first")
    parser.add_argument(
        "--keep-indent",
        action="store_true",
        help="end before a line that is indented less than the cursor's",
    )
    parser.add_argument(
        "--candidates", type=_count, default=8, metavar="N", help="middles to weigh (default: 8)"
    )
    parser.add_argument(
        "--choose", choices=("best", "sample"), default="best", help="which of them (default: best)"
    )
    parser.add_argument("-e", "--escapes", action="store_true", help=r"read \n, \xHH in --stop")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_score_options(parser: argparse.ArgumentParser) -> None:
    """Add the files to score, and how they are read."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="taken as bytes; - reads stdin")
    parser.add_argument(
        "--bits", action="store_true", help="print bits a byte, not natural log-probabilities"
    )
    parser.add_argument(
        "--end-of-text", action="store_true", help="score that the text ends there, too"
    )
    parser.add_argument(
        "--window-bytes", type=_count, metavar="N", help="read so much at once (default: 8192)"
    )
    parser.add_argument(
        "--overlap-bytes",
        type=int,
        metavar="N",
        help="what a window knows of the one before, at least (default: half a window)",
    )
    parser.add_argument(
        "--resume", metavar="STATE.json", help="keep finished windows here, and go on from them"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object for each file")


def _add_inspect_options(parser: argparse.ArgumentParser) -> None:
    """Add what `inspect` can do beside its report."""
    parser.add_argument(
        "--full",
        action="store_true",
        help="check a hundred times as much, and compare with the tokenizer's own library",
    )
    parser.add_argument(
        "--covers", metavar="TEXT", help="also draw the cover encodings of a beginning of a text"
    )
    parser.add_argument(
        "-e", "--escapes", action="store_true", help=r"read \n, \xHH, \uHHHH in TEXT"
    )
    parser.add_argument(
        "--pattern",
        metavar="NAME_OR_REGEX",
        help="how a rank file's texts are split: gpt2, cl100k, o200k, llama3, qwen2, or a regex",
    )
    parser.add_argument(
        "--ignore-added-words",
        action="store_true",
        help="take the spelling of added tokens that are not special for text",
    )
    parser.add_argument(
        "--validate",
        action="store_true",
        help="take a file that is not compiled too: its library then confirms covers one by one",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_tolerance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="T",
        help="leave out evaluations that change a byte's law by at most T in total variation "
        "(default: 0, exact; 0.001 halves them)",
    )


def _add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for every field of `SamplingParams`, with the library's defaults."""
    group = parser.add_argument_group("sampling")
    default = SamplingParams()
    numbers: dict[str, tuple[type, str]] = {
        "max_bytes": (int, "the most bytes to sample"),
        "temperature": (float, "0 is greedy"),
        "top_k": (int, "keep this many most probable tokens; 0 keeps all"),
        "top_p": (float, "keep the fewest tokens that hold this probability"),
        "min_p": (float, "keep tokens this probable relative to the most probable"),
    }
    for name, (kind, text) in numbers.items():
        value = getattr(default, name)
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            default=value,
            metavar="N" if kind is int else "X",
            help=f"{text} (default: {value})",
        )
    group.add_argument("--max-tokens", type=int, metavar="N", help="the most tokens to draw")
    group.add_argument(
        "--unit",
        choices=("byte", "token"),
        help="what is drawn at a time, and options act on (default: token)",
    )
    group.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same bytes")
    group.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="end here (repeatable)"
    )
    group.add_argument("--single-line", action="store_true", help="end before a line end")
    group.add_argument(
        "--min-indent",
        type=int,
        default=0,
        metavar="N",
        help="end before a line that is indented less (default: 0)",
    )
    group.add_argument(
        "--time-budget-ms", type=float, metavar="X", help="begin no further step after that"
    )


def _shared_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")
    options.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="bars on stderr (default: where it is a terminal)",
    )
    return options


def _model_option() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--model",
        default=_default_model(),
        metavar="PATH_OR_NAME",
        help=f"model directory or embedded model (default: NEXTBYTE_MODEL or {DEFAULT_MODEL})",
    )
    return options


def _default_model() -> str:
    return os.environ.get("NEXTBYTE_MODEL", DEFAULT_MODEL)


def _text_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("text", metavar="TEXT", help="the prompt, as it is; - reads stdin")
    options.add_argument(
        "-e", "--escapes", action="store_true", help=r"read \n, \xHH, \uHHHH in TEXT and --stop"
    )
    return options


def _version() -> str:
    try:
        return importlib.metadata.version("nextbyte")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return "unknown"


def _count(text: str) -> int:
    """Parse an integer of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be an integer >= 1, got {text}")
    return number


def _silence_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush stays quiet."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
