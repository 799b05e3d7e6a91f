"""Fill-in-the-middle tokens are found by their known spellings."""

from __future__ import annotations

import pytest

from nextbyte.fim_tokens import find_fim_tokens


@pytest.mark.parametrize(
    ("spellings", "roles"),
    [
        ("<fim_prefix> <fim_middle> <fim_suffix> <fim_pad> <reponame> <filename>",
         "prefix middle suffix pad repository file"),
        ("<fim-prefix> <fim-middle> <fim-suffix> <fim-pad>", "prefix middle suffix pad"),
        ("<|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|>",
         "prefix middle suffix pad repository file"),
        ("<\uff5cfim\u2581hole\uff5c> <\uff5cfim\u2581begin\uff5c> <\uff5cfim\u2581end\uff5c>",
         "suffix prefix middle"),
        ("\u2581<PRE> \u2581<MID> \u2581<SUF> \u2581<EOT>", "prefix middle suffix end"),
        ("[PREFIX] [MIDDLE] [SUFFIX]", "prefix middle suffix"),
        ("<[fim-prefix]> <[fim-suffix]> <[fim-middle]>", "prefix suffix middle"),
        ("<|endoftext|> <|im_start|>", ""),
        ("<fim_prefix> <fim_middle> <fim_pad>", ""),  # no suffix: no format
        ("<|file_sep|> <|fim_pad|>", ""),
    ],
)  # fmt: skip
def test_known_spellings(spellings, roles):
    tokens = {spelling: 100 + i for i, spelling in enumerate(spellings.split(" "))}
    expected = {role: 100 + i for i, role in enumerate(roles.split())} if roles else {}
    assert find_fim_tokens(tokens | {"<s>": 1}) == expected
