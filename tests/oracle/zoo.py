"""The tokenizers of the comparison: every pre-tokenizer family over alphabets of a few characters.

Most are trained on random texts over their alphabet. The rest is written by hand, where the
interesting property must be certain.
"""

from __future__ import annotations

import functools

from oracle.cases import BEGIN, END, TURN, Case, pairs
from oracle.character_pair_cases import CHARACTER_PAIR_CASES
from oracle.longest_match_cases import LONGEST_MATCH_CASES

DEAD = frozenset({"dead"})
AHEAD = frozenset({"ahead"})
NBSP = "\u00a0"

CASES = [
    # One piece: merges alone decide, characters included.
    Case("plain_two", "none", "ab", 8, 12, kinds=("even", "steep")),
    Case(
        "plain_three",
        "none",
        "abc",
        5,
        8,
        merge_count=10,
        begin=True,
        specials=(BEGIN, END),
        kinds=("even", "elsewhere"),
    ),
    Case("plain_accents", "none", "aéè", 6, 8, merge_count=9),
    Case("plain_crossed_bytes", "none", "¨©èé", 6, 6, merge_count=9, kinds=("zeros", "steep")),
    Case("plain_three_byte_characters", "none", "丸乸丹乹", 7, 6, merge_count=9, longest=6),
    Case(
        "plain_four_byte_character",
        "none",
        "a\U0001f7df",
        9,
        13,
        merge_count=8,
        longest=6,
        kinds=("even", "elsewhere"),
    ),
    Case(
        "plain_endless", "none", "ab", 6, 11, merges=pairs("a|b", "ab|ab"), ends=(), kinds=("even",)
    ),
    # The GPT-2 pattern: blanks look ahead, contractions, runs by class.
    Case("gpt2_blanks", "gpt2", "a \n", 5, 8, kinds=("even", "elsewhere")),
    Case("gpt2_contraction", "gpt2", "'sa", 4, 7, begin=True, specials=(BEGIN, END)),
    Case("gpt2_long_contractions", "gpt2", "'lve", 4, 5, merge_count=10, kinds=("even",)),
    Case("gpt2_digits", "gpt2", "1a ", 4, 7, kinds=("steep",)),
    Case("gpt2_accents", "gpt2", "é a", 5, 8, kinds=("even",)),
    Case("gpt2_blank_or_sign", "gpt2", f"a {NBSP}©", 5, 6, merge_count=14, kinds=("zeros",)),
    # SmolLM2: digits alone, then GPT-2.
    Case("smollm_digits", "smollm", "12 ", 4, 7, kinds=("even", "elsewhere")),
    Case("smollm_words", "smollm", "1a ", 4, 7, begin=True, specials=(TURN, BEGIN, END)),
    Case("smollm_lines", "smollm", "1 \n", 4, 7, kinds=("steep",)),
    Case("smollm_wide_digits", "smollm", "a²µ", 6, 8, kinds=("even",)),
    # Digit groups.
    Case("threes_words", "threes", "1a", 8, 13, kinds=("even", "zeros")),
    Case("threes_digits", "threes", "12", 7, 12, kinds=("even",)),
    Case("threes_wide_digits", "threes", "1²µ", 6, 8, kinds=("even",)),
    # cl100k and its relatives.
    Case("cl100k_blanks", "cl100k", "a \n", 5, 8, kinds=("even", "elsewhere")),
    Case("cl100k_digits", "cl100k", "1 \n", 4, 7, kinds=("zeros",)),
    Case("cl100k_returns", "cl100k", " \r\n", 4, 7, kinds=("even",)),
    Case("cl100k_signs", "cl100k", "!a\n", 4, 7, kinds=("even",)),
    Case("cl100k_contractions", "cl100k", "'sS!", 3, 5, merge_count=10, kinds=("even",)),
    Case("cl100k_long_s", "cl100k", "'sſ", 5, 8, kinds=("even",)),
    Case("cl100k_blank_or_sign", "cl100k", f"a {NBSP}©", 5, 6, merge_count=14, kinds=("steep",)),
    Case(
        "llama3_blanks",
        "cl100k",
        "a \n",
        4,
        7,
        ignore_merges=True,
        begin=True,
        specials=(BEGIN, END, TURN),
        ends=(END, TURN),
    ),
    Case("qwen_digits", "qwen", "1 \n", 4, 7, kinds=("even",)),
    Case("qwen_signs", "qwen", "! \n", 4, 7, kinds=("steep",)),
    Case("qwen_contractions", "qwen", "a'S", 4, 7, kinds=("even",)),
    Case("o200k_cases", "o200k", "aA'", 4, 7, kinds=("even",)),
    Case("o200k_contractions", "o200k", "aA's", 3, 5, merge_count=10, kinds=("even",)),
    Case("o200k_slashes", "o200k", "!/\n", 4, 7, kinds=("even",)),
    Case("o200k_blanks", "o200k", "aA ", 4, 7, kinds=("zeros",)),
    Case("deepseek_words", "deepseek", "1a:", 4, 7, kinds=("even",)),
    Case("deepseek_lines", "deepseek", ": \n", 4, 7, kinds=("even",)),
    Case("deepseek_ideographs", "deepseek", "a丸:", 6, 8, kinds=("even",)),
    # By hand: contexts that only co-liveness removes.
    Case(
        "dead_lead_byte",
        "none",
        "aé",
        6,
        12,
        merges=pairs("\xc3|\xa9", "a|\xc3", "\xc3\xa9|a"),
        facts=DEAD,
    ),
    Case(
        "dead_lead_byte_in_context",
        "none",
        "aéè",
        6,
        8,
        merges=pairs("a|\xc3", "a\xc3|\xa9", "a\xc3|\xa8", "\xc3|\xa9"),
        facts=DEAD,
    ),
    Case(
        "dead_deep",
        "none",
        "a\U0001f7df",
        9,
        12,
        merges=pairs("\x9f|\x9f", "\xf0|\x9f\x9f", "\xf0\x9f\x9f|\x9f"),
        facts=DEAD,
    ),
    Case("dead_blank", "gpt2", "a ", 7, 12, merges=pairs(" | ", " |a", "a|a", " a|a"), facts=DEAD),
    Case(
        "dead_wide_blank",
        "gpt2",
        f"é{NBSP}à©",
        6,
        6,
        merges=pairs("\xc2|\xa0", "\xa9|\xc3", "\xc2|\xa9", "\xc3|\xa9"),
        kinds=("even",),
        facts=DEAD,
    ),
    # By hand: sequences that are in PC, not in C, because of the character that must follow.
    Case("ahead_gpt2", "gpt2", "a \n", 5, 8, merges=pairs(" | ", "\n|\n", "a|a"), facts=AHEAD),
    Case(
        "ahead_smollm",
        "smollm",
        "1a ",
        5,
        8,
        merges=pairs(" | ", "  | ", "a|a", " |a"),
        facts=AHEAD,
    ),
    Case(
        "ahead_cl100k",
        "cl100k",
        "a \n",
        5,
        8,
        merges=pairs(" | ", "\n|\n", "  | ", " |\n", "a|a"),
        facts=AHEAD,
    ),
    Case(
        "ahead_lines",
        "cl100k",
        "1 \n",
        5,
        8,
        merges=pairs(" |\n", " | ", "\n|\n", "  |\n", "1|1"),
        kinds=("steep",),
        facts=AHEAD,
    ),
    Case(
        "ahead_qwen",
        "qwen",
        "! \n",
        5,
        8,
        merges=pairs(" | ", "\n|\n", "!|!", "!|\n"),
        kinds=("elsewhere",),
        facts=AHEAD,
    ),
    Case(
        "ahead_o200k",
        "o200k",
        "aA ",
        5,
        8,
        merges=pairs(" | ", "a|A", "A|a", "a|a"),
        kinds=("elsewhere",),
        facts=AHEAD,
    ),
    Case(
        "ahead_deepseek",
        "deepseek",
        ": \n",
        5,
        8,
        merges=pairs(" | ", "\n|\n", ":|:", " |\n"),
        kinds=("even",),
        facts=AHEAD,
    ),
    Case(
        "ahead_wide_blank",
        "cl100k",
        f"a {NBSP}",
        6,
        8,
        merges=pairs(" | ", "\xc2|\xa0", " |\xc2", "\xa0| ", "a|a"),
        kinds=("even",),
        facts=AHEAD,
    ),
    # By hand: odd merge lists and vocabularies.
    Case(
        "unreachable_tokens",
        "none",
        "abc",
        5,
        8,
        merges=pairs("a|b", "b|c", "a|bc"),
        unreachable=(b"cab", b"ca"),
        facts=frozenset({"unreachable"}),
    ),
    Case(
        "ranks_out_of_order",
        "none",
        "abc",
        5,
        8,
        merges=pairs("ab|c", "a|b", "c|a", "bc|a", "b|c", "ca|b", "a|a"),
        kinds=("even", "steep"),
    ),
    Case(
        "runs_of_one_letter",
        "none",
        "ab",
        8,
        13,
        merges=pairs("aa|a", "a|a", "aa|aa", "b|b", "b|bb"),
        kinds=("even", "steep"),
    ),
    Case(
        "missing_bytes",
        "none",
        "a",
        9,
        16,
        merges=pairs("a|a", "a|\xc3"),
        unspelled=(0xC3, 0xFF),
        unreachable=(b"\xc3\xa9",),
        facts=frozenset({"unreachable"}),
    ),
    Case("no_merges", "cl100k", "a' ", 5, 8, merges=(), kinds=("steep",)),
    # Added tokens that are read out of text.
    Case("added_word", "gpt2", "ab ", 5, 8, added=("ba",)),
    Case("added_letter", "gpt2", "ab ", 5, 8, added=("a",), kinds=("even",)),
    Case("added_self_overlap", "none", "ab", 8, 11, added=("aba", "bb"), kinds=("even",)),
    Case("added_overlaps", "none", "abc", 5, 9, added=("ab", "bc", "abca"), kinds=("steep",)),
    Case(
        "added_runs",
        "gpt2",
        "a \n",
        5,
        8,
        added=("\n", "\n\n", "\n\n\n\n", "  ", "   "),
        kinds=("even", "elsewhere"),
    ),
    Case("added_lines", "cl100k", "a \n", 5, 8, added=("\n\n", " a"), kinds=("even", "zeros")),
    Case(
        "added_pieces",
        "gpt2",
        "ab ",
        5,
        8,
        added=("a ", "a b"),
        ignore_merges=True,
        kinds=("even",),
    ),
    # A character that is an added token: bytes that start like it must become the other one.
    Case(
        "added_character",
        "none",
        "aéè",
        6,
        8,
        merges=pairs("a|\xc3", "\xa8|a", "\xa9|a"),
        added=("é",),
        kinds=("even",),
    ),
    Case(
        "added_only_character",
        "gpt2",
        "aé",
        7,
        10,
        merges=pairs("a|\xc3"),
        added=("é",),
        kinds=("even",),
    ),
    # The look-ahead of two blanks wants what only begins an added token.
    Case(
        "added_ahead",
        "gpt2",
        "a ",
        7,
        11,
        merges=pairs(" | ", " |a", "a|a"),
        added=("aa",),
        kinds=("even",),
    ),
    *LONGEST_MATCH_CASES,
    *CHARACTER_PAIR_CASES,
    # Outside the promised family.
    Case(
        "whole_piece",
        "gpt2",
        "ab ",
        5,
        8,
        merges=pairs("a|b"),
        unreachable=(b"aba", b" a"),
        ignore_merges=True,
        optional=True,
    ),
    Case(
        "composed_accents", "qwen", "e\u0301\u0329Áé", 5, 6, compose=True, optional=True, witness=3
    ),
]

ASCII_POOL = "aAs1!'/ \n\r\t"
WIDE_POOL = ("", "é", "éè", NBSP, f"{NBSP}©", "²µ", "ſ", "丸", "\U0001f7df")


@functools.cache
def by_name(name: str) -> Case:
    """Find a case."""
    return next(case for case in CASES if case.name == name)
