"""The cover encodings of a byte prefix as a tree: branches are contexts, leaves are last tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nextbyte import _core

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CoverTree", "LastTokens", "grow_cover_tree"]


@dataclass(frozen=True, slots=True)
class LastTokens:
    """The tokens that finish a cover behind one context.

    Parameters
    ----------
    covers_end
        The context itself ends where the prefix ends: it is a cover, and these tokens start after
        it. Otherwise each of these tokens, appended to the context, is a cover.
    may_end
        The text may end with the prefix, and the context is then its encoding.
    count
        How many there are.
    examples
        (id, bytes past the prefix's end) of the first few by id.
    """

    covers_end: bool
    may_end: bool
    count: int
    examples: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class CoverTree:
    """A context, what may follow it, and the contexts that begin with it.

    Parameters
    ----------
    token
        The context's last token; None for the root, which has none.
    position
        Bytes of the prefix that the context spells.
    last_tokens
        What finishes a cover here; None if covers only go on through `children`.
    children
        The contexts with one token more.
    """

    token: int | None
    position: int
    last_tokens: LastTokens | None = None
    children: list[CoverTree] = field(default_factory=list)


def grow_cover_tree(
    compiled: _core.CompiledTokenizer,
    token_bytes: Callable[[int], bytes],
    prefix: bytes,
    *,
    examples: int,
) -> CoverTree:
    """Return the tree of all live contexts of `prefix`; see `Tokenizer.cover_tree`."""
    lead = len(compiled.lead)
    root = CoverTree(None, 0)
    for group in _core.cover_groups(compiled, prefix, examples):
        node, spelled = root, 0
        for token in group.tokens:
            spelled += len(token_bytes(token))
            child = next((child for child in node.children if child.token == token), None)
            if child is None:
                child = CoverTree(token, spelled - lead)
                node.children.append(child)
            node = child
        rest = lead + len(prefix) - spelled
        node.last_tokens = LastTokens(
            group.at_end,
            group.may_end,
            group.count,
            tuple((token, len(token_bytes(token)) - rest) for token in group.last_tokens),
        )
    return root
