"""Members whose tokenizers share little: the teams that common vocabularies are tested with.

Tokens that no text uses shape a vocabulary as well as others do, so any C can be had.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass

from oracle.cases import Case, pairs, random_case
from oracle.common_vocabulary import CommonVocabulary, common_tokens
from oracle.ending_models import EndingMember, ending_member
from oracle.zoo import by_name


def letters(name: str, alphabet: str, *merges: str, unused: tuple[bytes, ...] = ()) -> Case:
    """Make a tokenizer by hand: one piece, merges, and tokens that no text uses."""
    return Case(name, "none", alphabet, 4, 4, merges=pairs(*merges), unreachable=unused)


@dataclass(frozen=True)
class Team:
    """Tokenizers, the length of their texts in bytes, and what C has beside single bytes."""

    cases: tuple[Case, ...]
    lengths: tuple[int, ...]
    shared: frozenset[bytes]


def team(*cases: Case, length: int | tuple[int, ...], shared: tuple[bytes, ...]) -> Team:
    """Put a team together."""
    lengths = (length,) * len(cases) if isinstance(length, int) else length
    return Team(cases, lengths, frozenset(shared))


TEAMS = {
    # [a][b] waits for what is not c: the token a could still grow by two bytes.
    "abc": team(
        letters("abc_left", "abc", "a|b", "ab|c"),
        letters("abc_right", "abc", "b|c", "a|bc"),
        length=5,
        shared=(b"abc",),
    ),
    # Tokens that begin inside one another; a, ab and b each can be cut short.
    "chain": team(
        letters("chain_left", "abcd", "a|b", "ab|c", "abc|d", unused=(b"bc", b"cd")),
        letters("chain_right", "abcd", "b|c", "a|bc", "abc|d", "a|b"),
        length=4,
        shared=(b"ab", b"bc", b"abc", b"abcd"),
    ),
    "chain_gaps": team(
        letters("gaps_left", "abcd", "a|b", "ab|c", "abc|d", unused=(b"bc",)),
        letters("gaps_right", "abcd", "b|c", "bc|d", "a|bcd", "a|b"),
        length=5,
        shared=(b"ab", b"bc", b"abcd"),
    ),
    # Two tokens that wait at once: a for bc, b for cd.
    "two_wait": team(
        letters("two_left", "abcd", "a|b", "ab|c", "b|c", "bc|d"),
        letters("two_right", "abcd", "c|d", "b|cd", unused=(b"abc",)),
        length=5,
        shared=(b"abc", b"bcd"),
    ),
    # Four bytes that no shorter token leads to.
    "far": team(
        letters("far_left", "ab", "a|a", "b|b", "aa|bb"),
        letters("far_right", "ab", "a|b", "a|ab", "aab|b"),
        length=8,
        shared=(b"aabb",),
    ),
    # A run: every a waits for three more.
    "run": team(
        letters("run_twos", "ab", "a|a", "aa|aa"),
        letters("run_ones", "ab", "aa|a", "a|a", unused=(b"aaaa",)),
        length=7,
        shared=(b"aa", b"aaaa"),
    ),
    "only_bytes": team(
        letters("bytes_left", "ab", "a|a"),
        letters("bytes_right", "ab", "a|b"),
        length=5,
        shared=(),
    ),
    # Nobody writes the token: the greedy encoding has it all the same.
    "unused": team(
        letters("unused_left", "abc", "a|b", "b|c", "a|bc"),
        letters("unused_right", "abc", "b|c", unused=(b"ab", b"abc")),
        length=5,
        shared=(b"ab", b"bc", b"abc"),
    ),
    "three": team(
        letters("three_one", "ab", "a|b", "b|a", "ab|ab"),
        letters("three_two", "ab", "a|b", "ab|a", "aba|b", "b|a"),
        letters("three_three", "ab", "b|a", "a|ba", "aba|b"),
        length=7,
        shared=(b"ba", b"abab"),
    ),
    # Tokens of parts of a character, with a start token, and with words cut out of the text.
    "characters": team(
        by_name("dead_lead_byte"),
        by_name("added_only_character"),
        length=6,
        shared=(b"a\xc3", b"\xc3\xa9"),
    ),
    "accents": team(
        by_name("plain_accents"),
        letters("accents_by_hand", "aéè", "\xc3|\xa9", "\xc3|\xa8", "a|\xc3"),
        length=6,
        shared=(b"\xc3\xa8", b"\xc3\xa9"),
    ),
    "blanks": team(
        by_name("ahead_gpt2"),
        by_name("ahead_cl100k"),
        length=5,
        shared=(b"  ", b"\n\n", b"aa"),
    ),
    "start": team(
        by_name("plain_three"),
        by_name("ranks_out_of_order"),
        length=5,
        shared=(b"aa", b"bc", b"ca", b"bca"),
    ),
}

LOSING = {
    "shorter": team(*TEAMS["far"].cases, length=(5, 8), shared=(b"aabb",)),
    "lacks_a_letter": team(
        TEAMS["abc"].cases[0],
        letters("abc_without_c", "ab", "a|b", unused=(b"abc",)),
        length=5,
        shared=(b"ab", b"abc"),
    ),
}
"""Texts that one member can write and another cannot, beside those that random zeros make so."""


@functools.cache
def members_of(cases: tuple[Case, ...], lengths: tuple[int, ...], kind: str) -> list[EndingMember]:
    """Make the models of a team; once."""
    return [
        ending_member(case, length, kind, seed=place)
        for place, (case, length) in enumerate(zip(cases, lengths, strict=True))
    ]


def tokens_of(members: list[EndingMember]) -> frozenset[bytes]:
    """Return C."""
    return common_tokens(member.ordinary_tokens() for member in members)


@functools.cache
def oracle_of(
    cases: tuple[Case, ...],
    lengths: tuple[int, ...],
    kind: str,
    weights: tuple[float, ...],
    rule: str,
) -> CommonVocabulary:
    """Return the definition for a team."""
    members = members_of(cases, lengths, kind)
    return CommonVocabulary([m.law for m in members], tokens_of(members), weights, rule)


def random_team(seed: int) -> Team:
    """Two or three tokenizers of random merges over one alphabet; what they share is chance."""
    source = random.Random(f"team {seed}")
    alphabet, wide, length = source.choice((("ab", "", 7), ("abc", "", 5), ("a", "é", 6)))
    cases = tuple(
        random_case(
            f"random_{seed}_{place}",
            "none",
            alphabet,
            wide,
            [(source.randrange(50), source.randrange(50)) for _ in range(source.randrange(3, 9))],
        )
        for place in range(source.choice((2, 2, 3)))
    )
    vocabularies = (set(case.definition.token_bytes.values()) for case in cases)
    shared = {token for token in set.intersection(*vocabularies) if len(token) > 1}
    return team(*cases, length=length, shared=tuple(shared))
