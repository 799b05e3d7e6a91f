"""Which special tokens mark the parts of a fill-in-the-middle prompt: known spellings to roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FIM_ROLES", "find_fim_tokens"]

FIM_ROLES: Final = ("prefix", "suffix", "middle", "pad", "end", "repository", "file")
"""In this order. The text after "suffix" is what follows the gap; "middle" begins the answer."""

_SPELLINGS: Final = {
    "prefix": (
        "<fim_prefix>",  # StarCoder, Refact, Granite, StableCode
        "<|fim_prefix|>",  # Qwen, CodeGemma, Granite 4
        "<fim-prefix>",  # SantaCoder
        "<[fim-prefix]>",  # Seed-Coder
        "<\uff5cfim\u2581begin\uff5c>",  # DeepSeek
        "[PREFIX]",  # Codestral
        "\u2581<PRE>",  # CodeLlama
        "<PRE>",
        "<|code_prefix|>",  # GLM
    ),
    "suffix": (
        "<fim_suffix>",
        "<|fim_suffix|>",
        "<fim-suffix>",
        "<[fim-suffix]>",
        "<\uff5cfim\u2581hole\uff5c>",  # stands where the gap is, before what follows it
        "[SUFFIX]",
        "\u2581<SUF>",
        "<SUF>",
        "<|code_suffix|>",
    ),
    "middle": (
        "<fim_middle>",
        "<|fim_middle|>",
        "<fim-middle>",
        "<[fim-middle]>",
        "<\uff5cfim\u2581end\uff5c>",
        "[MIDDLE]",
        "\u2581<MID>",
        "<MID>",
        "<|code_middle|>",
    ),
    "pad": ("<fim_pad>", "<|fim_pad|>", "<fim-pad>"),
    "end": ("\u2581<EOT>", "<EOT>"),  # CodeLlama's end of the middle
    "repository": ("<|repo_name|>", "<repo_name>", "<reponame>"),
    "file": ("<|file_sep|>", "<file_sep>", "<filename>", "<|file_separator|>"),
}


def find_fim_tokens(tokens: Mapping[str, int]) -> dict[str, int]:
    """Return the id of the token in each role, for those of `FIM_ROLES` that the tokenizer has.

    Empty where one of prefix, suffix and middle is missing: the others alone mark nothing.

    Parameters
    ----------
    tokens
        Content and id of the special and added tokens.

    Examples
    --------
    >>> find_fim_tokens({"<s>": 1, "[SUFFIX]": 2, "[PREFIX]": 3, "[MIDDLE]": 4})
    {'prefix': 3, 'suffix': 2, 'middle': 4}
    >>> find_fim_tokens({"[PREFIX]": 3})
    {}
    """
    found = {}
    for role in FIM_ROLES:
        spelling = next((known for known in _SPELLINGS[role] if known in tokens), None)
        if spelling is not None:
            found[role] = tokens[spelling]
    return found if {"prefix", "suffix", "middle"} <= found.keys() else {}
