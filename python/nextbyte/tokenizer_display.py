"""How a tokenizer's report and the covers of a prefix look in a terminal, and as JSON."""

from __future__ import annotations

import codecs
import itertools
from typing import TYPE_CHECKING, Any

from nextbyte.display import require_rich
from nextbyte.escapes import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.table import Table
    from rich.tree import Tree

    from nextbyte.cover_tree import CoverTree, LastTokens
    from nextbyte.tokenizer import Tokenizer
    from nextbyte.tokenizer_report import TokenizerReport

__all__ = ["cover_json", "cover_tree_view", "report_json", "report_table"]

_FEW = 8
_LONGEST = 40


def report_table(report: TokenizerReport) -> Table:
    """Return the report as a table of two columns.

    Raises
    ------
    MissingDependencyError
        Without `rich`.
    """
    require_rich()
    from rich import box  # noqa: PLC0415 - an optional extra
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(
        title=Text(report.source), title_justify="left", box=box.SIMPLE, show_header=False
    )
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    styles = {"validated": "bold yellow", "refuted": "bold red"}
    style = styles.get(report.exactness, "bold green")
    table.add_row("covers are", Text(report.exactness, style=style))
    for name, value in _rows(report):
        table.add_row(name, Text(value))
    return table


def _rows(report: TokenizerReport) -> Iterator[tuple[str, str]]:
    """Yield the lines of the table below the first."""
    yield "because", report.why
    yield "family", report.family
    longest, data = report.longest_token
    vocabulary = f"{report.vocabulary_size:,} ids; {report.reachable_tokens:,} can be made"
    yield "vocabulary", f"{vocabulary}; the longest is {_token(longest, data)}, {len(data)} bytes"
    if report.unreachable_tokens:
        examples = [_token(token, data) for token, data in report.unreachable_examples.items()]
        yield "in no text", _list(examples, report.unreachable_tokens)
    yield "special tokens", _tokens(report.special_tokens.items())
    if report.added_tokens:
        spelled = [(escaped(data), token) for data, token in report.added_tokens.items()]
        yield "read out of text", _tokens(spelled)
    if report.fim_tokens:
        yield (
            "fill in the middle",
            ", ".join(f"{role} {token}" for role, token in report.fim_tokens.items()),
        )
    yield "bytes without token", _byte_ranges(report.missing_bytes) or "none"
    yield "normal form", report.normal_form
    if report.lead:
        yield "before each text", f"'{escaped(report.lead)}'"
    for number, stage in enumerate(report.stages, start=1):
        # As in the file: a backslash is one backslash.
        yield "splits" if number == 1 else "then", escaped(stage.encode()).replace("\\\\", "\\")
    if report.character_classes:
        size = f"{report.automaton_states} states, {report.automaton_subsets} subsets"
        yield "automaton", f"{report.character_classes} classes of characters, {size}"
    if report.merges is not None:
        never = "never fall" if report.merges.monotone else "fall"
        shape = f"at most {report.merges.longest_spine} symbols on an edge; ranks {never}"
        yield "merges", f"{report.merges.not_canonical_alone:,} tokens not made by them; {shape}"
    check = report.self_check
    looked = f"{check.tokens:,} tokens, {check.texts:,} texts, {check.pairs:,} pairs: no difference"
    yield "self-check", looked if check.pairs else "none: the library itself is asked"
    if report.verification is not None:
        done = report.verification
        skipped = f", {done.skipped:,} skipped" if done.skipped else ""
        found = f"{done.differences:,} differences" if done.differences else "no difference"
        yield "library", f"{done.library}, {done.texts:,} texts{skipped}: {found}"


def report_json(report: TokenizerReport) -> dict[str, Any]:
    """Return the report as plain data; bytes become lists of numbers beside their spelling."""
    merges, done = report.merges, report.verification
    longest, data = report.longest_token
    return {
        "source": report.source,
        "family": report.family,
        "exactness": report.exactness,
        "why": report.why,
        "vocabulary_size": report.vocabulary_size,
        "reachable_tokens": report.reachable_tokens,
        "unreachable_tokens": report.unreachable_tokens,
        "unreachable_examples": [
            _token_json(token, spelling) for token, spelling in report.unreachable_examples.items()
        ],
        "special_tokens": report.special_tokens,
        "added_tokens": [
            _token_json(token, spelling) for spelling, token in report.added_tokens.items()
        ],
        "fim_tokens": report.fim_tokens,
        "missing_bytes": list(report.missing_bytes),
        "normal_form": report.normal_form,
        "lead": list(report.lead),
        "stages": report.stages,
        "character_classes": report.character_classes,
        "automaton_states": report.automaton_states,
        "automaton_subsets": report.automaton_subsets,
        "longest_token": _token_json(longest, data),
        "merges": merges and {
            "not_canonical_alone": merges.not_canonical_alone,
            "longest_spine": merges.longest_spine,
            "monotone": merges.monotone,
        },
        "self_check": {
            "tokens": report.self_check.tokens,
            "texts": report.self_check.texts,
            "pairs": report.self_check.pairs,
        },
        "verification": done and {
            "library": done.library,
            "texts": done.texts,
            "skipped": done.skipped,
            "differences": done.differences,
            "first_difference": done.first_difference,
        },
    }  # fmt: skip


def cover_tree_view(tokenizer: Tokenizer, tree: CoverTree, prefix: bytes) -> Tree:
    """Return the covers of `prefix` as a tree to print: contexts, and what may finish each.

    Raises
    ------
    MissingDependencyError
        Without `rich`.
    """
    require_rich()
    from rich.text import Text  # noqa: PLC0415 - an optional extra
    from rich.tree import Tree  # noqa: PLC0415

    contexts, covers = _counts(tree)
    view = Tree(
        Text.assemble(
            ("'" + escaped(prefix) + "'", "bold"),
            f"  {_number(len(prefix), 'byte')}, {_number(contexts, 'live context')}, "
            f"{_number(covers, 'cover')}",
        )
    )

    def grow(branch: Tree, node: CoverTree) -> None:
        if node.last_tokens is not None:
            branch.add(Text(_last_tokens(tokenizer, node, prefix), style="green"))
        for child in node.children:
            end = child
            tokens = [child.token]
            while end.last_tokens is None and len(end.children) == 1:  # one way on: one line
                end = end.children[0]
                tokens.append(end.token)
            rest = prefix[end.position :]
            behind = f", then '{escaped(rest)}'" if rest else ""
            place = f"  to byte {end.position}{behind}"
            label = _path(tokenizer, [token for token in tokens if token is not None])
            grow(branch.add(Text.assemble((label, "bold"), (place, "dim"))), end)

    grow(view, tree)
    return view


def cover_json(tokenizer: Tokenizer, tree: CoverTree) -> dict[str, Any]:
    """Return a cover tree as plain data."""
    answer: dict[str, Any] = {"position": tree.position}
    if tree.token is not None:
        answer |= _token_json(tree.token, tokenizer.token_bytes(tree.token))
    last = tree.last_tokens
    if last is not None:
        answer["last_tokens"] = {
            "covers_end": last.covers_end,
            "may_end": last.may_end,
            "count": last.count,
            "examples": [
                _token_json(token, tokenizer.token_bytes(token)) | {"overhang": overhang}
                for token, overhang in last.examples
            ],
        }
    answer["children"] = [cover_json(tokenizer, child) for child in tree.children]
    return answer


def _path(tokenizer: Tokenizer, tokens: list[int]) -> str:
    """Return a row of tokens, the last few of them."""
    shown = tokens[-_FEW:]
    before = f"{_number(len(tokens) - len(shown), 'token')} ... " if len(tokens) > _FEW else ""
    return before + " ".join(_token(token, tokenizer.token_bytes(token)) for token in shown)


def _last_tokens(tokenizer: Tokenizer, node: CoverTree, prefix: bytes) -> str:
    """Return the line that says what may finish a cover at a context."""
    last = node.last_tokens
    assert last is not None  # noqa: S101 - the caller has looked
    if last.covers_end:
        if last.may_end:
            state = "the text may end here"
        elif _inside_character(prefix):
            state = "inside a character"
        else:
            state = "the text must go on"
        return f"reaches the end; {state}; {_number(last.count, 'token')} may follow"
    shown = [
        f"{_token(token, tokenizer.token_bytes(token))} +{overhang}"
        for token, overhang in last.examples
    ]
    end = ", or the text ends here" if last.may_end else ""
    return f"{_number(last.count, 'last token')}: {_list(shown, last.count, counted=False)}{end}"


def _counts(tree: CoverTree) -> tuple[int, int]:
    """Return the live contexts of a tree and the covers that they stand for."""
    contexts, covers = 0, 0
    if tree.last_tokens is not None:
        contexts, covers = 1, _covers(tree.last_tokens)
    for child in tree.children:
        more_contexts, more_covers = _counts(child)
        contexts, covers = contexts + more_contexts, covers + more_covers
    return contexts, covers


def _covers(last: LastTokens) -> int:
    return 1 if last.covers_end else last.count


def _inside_character(data: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    decoder.decode(data)
    return bool(decoder.getstate()[0])


def _token(token: int, data: bytes) -> str:
    """Return a token's spelling, cut where it is long, and its id."""
    spelling = escaped(data)
    if len(data) > _FEW and len(set(data)) == 1:  # blanks, hyphens, ...
        return f"{len(data)} times '{escaped(data[:1])}' ({token})"
    if len(spelling) > _LONGEST:
        spelling = spelling[: _LONGEST - 3] + "..."
    return f"'{spelling}' ({token})"


def _token_json(token: int, data: bytes) -> dict[str, Any]:
    return {"token": token, "text": data.decode("utf-8", "replace"), "bytes": list(data)}


def _tokens(tokens: Iterable[tuple[str, int]]) -> str:
    shown = [f"{content} ({token})" for content, token in tokens]
    return _list(shown[:_FEW], len(shown)) if shown else "none"


def _list(shown: Sequence[str], count: int, *, counted: bool = True) -> str:
    """Return a list that says how many it leaves out."""
    more = f", and {count - len(shown):,} more" if count > len(shown) else ""
    return (f"{count:,}: " if counted else "") + ", ".join(shown) + more


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _byte_ranges(data: bytes) -> str:
    """Return byte values as ranges."""
    runs = [
        [byte for _, byte in run]
        for _, run in itertools.groupby(enumerate(sorted(data)), lambda item: item[1] - item[0])
    ]
    return " ".join(
        f"0x{run[0]:02X}" if len(run) == 1 else f"0x{run[0]:02X}-0x{run[-1]:02X}" for run in runs
    )
