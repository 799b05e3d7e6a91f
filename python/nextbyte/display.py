"""How bytes, their laws and completions look in a terminal. The tables need the extra `cli`."""

from __future__ import annotations

import io
import sys
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from nextbyte.byte_model import END_OF_TEXT
from nextbyte.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "byte_symbol",
    "completion_table",
    "most_probable",
    "next_byte_table",
    "printable",
    "require_rich",
    "stdout_console",
]

_ESCAPED = {9: "\\t", 10: "\\n", 13: "\\r", 32: "' '", 92: "\\\\", END_OF_TEXT: "<end>"}
_BAR_WIDTH = 18  # two laws fit into 80 columns


def byte_symbol(symbol: int) -> str:
    r"""Return the printable ASCII spelling of a byte or of `END_OF_TEXT`, each a different one.

    Examples
    --------
    >>> [byte_symbol(symbol) for symbol in [*b"a \n\xc3", 256]]
    ['a', "' '", '\\n', '0xC3', '<end>']
    """
    if symbol in _ESCAPED:
        return _ESCAPED[symbol]
    return chr(symbol) if 33 <= symbol < 127 else f"0x{symbol:02X}"


def printable(data: bytes) -> str:
    r"""Return bytes as text that is safe on a terminal: line ends stay, other controls are spelled.

    Examples
    --------
    >>> print(printable(b"red\x1b[31m\xff?"))
    red\x1b[31m\xff?
    """
    text = data.decode("utf-8", "backslashreplace")
    return "".join(
        character if character == "\n" or unicodedata.category(character) != "Cc"
        # A tab's width depends on where it stands, which a table cannot know.
        else "    " if character == "\t"
        else f"\\x{ord(character):02x}"
        for character in text
    )  # fmt: skip


def most_probable(top: int, *laws: NDArray[np.float64]) -> list[int]:
    """Return the `top` symbols with the largest probability under any of the laws, in that order.

    Ties go to the smaller symbol; symbols of probability zero everywhere are left out.

    Examples
    --------
    >>> law, other = np.zeros(257), np.zeros(257)
    >>> law[[97, 98]], other[256] = [0.6, 0.4], 1.0
    >>> most_probable(2, law), most_probable(5, law, other)
    ([97, 98], [256, 97, 98])
    """
    largest = np.max(laws, axis=0)
    order = np.argsort(-largest, kind="stable")[:top]
    return [int(symbol) for symbol in order if largest[symbol] > 0.0]


def stdout_console() -> Console:
    """Return a console on standard output: colour on a terminal only, `NO_COLOR` respected.

    Raises
    ------
    MissingDependencyError
        Without `rich`.
    """
    require_rich()
    from rich.console import Console  # noqa: PLC0415 - an optional extra

    if isinstance(sys.stdout, io.TextIOWrapper):  # characters the terminal has no code for
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(highlight=False, emoji=False, markup=False)


def next_byte_table(
    exact: NDArray[np.float64],
    *,
    plain: NDArray[np.float64] | None = None,
    top: int = 8,
    title: str | None = None,
) -> Table:
    """Return a table of the most probable next symbols, with bars.

    Parameters
    ----------
    exact : ndarray, shape (257,), float64
        Probabilities of the model.
    plain : ndarray, shape (257,), float64, optional
        What plain tokenization predicts, shown beside; the rows are then the symbols most probable
        under either.
    top : int, default 8
        The most rows to show.
    title : str, optional

    Raises
    ------
    MissingDependencyError
        Without `rich`.
    """
    require_rich()
    from rich import box  # noqa: PLC0415 - an optional extra
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    laws = {"exact": exact} if plain is None else {"exact": exact, "plain tokens": plain}
    heading = None if title is None else Text(title)
    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("next byte", justify="right")
    for name in laws:
        table.add_column(name, justify="right", min_width=7)
        table.add_column("", min_width=_BAR_WIDTH)
    for symbol in most_probable(top, *laws.values()):
        cells: list[Text | ProgressBar] = [Text(byte_symbol(symbol))]
        for law in laws.values():
            probability = float(law[symbol])
            cells.append(Text(_percent(probability)))
            # Rich's own bar falls back to ASCII where the terminal needs it.
            bar = ProgressBar(total=1.0, completed=probability, width=_BAR_WIDTH)
            cells.append(bar)
        table.add_row(*cells)
    return table


def completion_table(prompt: bytes, completions: Mapping[str, bytes]) -> Table:
    """Return the completions of one prompt under each other, the prompt dim before each.

    Raises
    ------
    MissingDependencyError
        Without `rich`.
    """
    require_rich()
    from rich.table import Table  # noqa: PLC0415 - an optional extra
    from rich.text import Text  # noqa: PLC0415

    grid = Table.grid(padding=(0, 2))
    for name, completion in completions.items():
        # As one text first: the prompt may end inside a character that the completion ends.
        whole, start = printable(prompt + completion), len(printable(prompt))
        text = Text(whole)
        text.stylize("dim", 0, start)
        text.stylize("bold", start)
        grid.add_row(Text(name), text)
    return grid


def _percent(probability: float) -> str:
    """Return a probability in percent that tells zero from small."""
    percent = f"{100.0 * probability:.2f} %"
    return "<0.01 %" if percent == "0.00 %" and probability > 0.0 else percent


def require_rich() -> None:
    """Fail with advice where `rich` is not installed."""
    try:
        import rich  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "tables need the package rich: pip install 'nextbyte[cli]', or use --json"
        ) from error
