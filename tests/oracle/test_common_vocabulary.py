"""The oracle of common vocabularies alone: its identities, a second way, and its power to fail."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from oracle import common_vocabulary_stand_in as second
from oracle.common_vocabulary import END, CommonVocabulary, common_tokens, greedy
from oracle.common_vocabulary_teams import (
    LOSING,
    TEAMS,
    letters,
    members_of,
    oracle_of,
    random_team,
    tokens_of,
)
from oracle.common_vocabulary_walks import Comparison
from oracle.distribution import END_OF_TEXT, reference
from oracle.stand_in import UnreachableByteError

WEIGHTS = {2: (0.75, 0.25), 3: (0.5, 0.25, 0.25)}
PROXY = {2: (2, -1), 3: (1, 1, -1)}


def weights_for(team, rule):
    return (WEIGHTS if rule == "mixture" else PROXY)[len(team.cases)]


def compare(team, rule, *, kind="even", fault="", tokens=None):
    """Put the second way, or a fault in it, beside the definition."""
    weights = weights_for(team, rule)
    members = members_of(team.cases, team.lengths, kind)
    oracle = oracle_of(team.cases, team.lengths, kind, weights, rule)
    masses = [second.Masses.of_texts(member.law) for member in members]
    tokens = tokens_of(members) if tokens is None else tokens
    model = second.StandIn(masses, tokens, weights, rule, fault)
    return Comparison(model, oracle, UnreachableByteError)


@pytest.mark.parametrize("name", [*TEAMS, *LOSING])
def test_what_the_teams_share(name):
    team = {**TEAMS, **LOSING}[name]
    members = members_of(team.cases, team.lengths, "even")
    assert {token for token in tokens_of(members) if len(token) > 1} == team.shared
    for member in members:
        assert sum(member.law.values()) == 1
    if name in TEAMS:
        assert len({frozenset(member.law) for member in members}) == 1  # nobody is ever lost


def test_greedy_by_hand():
    tokens = common_tokens([{b"ab", b"bc", b"abcd", b"x"}, {b"ab", b"bc", b"abcd", b"y"}])
    assert len(tokens) == 259
    assert greedy(b"abcabcdbcab", tokens) == (b"ab", b"c", b"abcd", b"bc", b"ab")
    assert greedy(b"", tokens) == ()
    assert greedy(b"\xffabc", tokens) == (b"\xff", b"ab", b"c")


def test_by_hand():
    """C = {a, b, ab, single bytes}: after the token a there is no b, whatever the text law says."""
    first = {b"a": Fraction(1, 4), b"ab": Fraction(1, 4), b"b": Fraction(1, 2)}
    second_law = {b"a": Fraction(1, 8), b"ab": Fraction(5, 8), b"b": Fraction(1, 4)}
    tokens = common_tokens([{b"ab"}, {b"ab"}])
    oracle = CommonVocabulary([first, second_law], tokens, [1, 3], "mixture")
    assert oracle.law((b"a",)) == {END: 1}
    assert oracle.law(()) == {
        b"a": Decimal("0.15625"),  # (1/4 + 3/8) / 4
        b"ab": Decimal("0.53125"),
        b"b": Decimal("0.3125"),
    }
    assert oracle.row(b"a")[ord("b")] == float(Fraction(17, 22))
    product = CommonVocabulary([first, second_law], tokens, [1, 1], "product")
    assert product.texts[b"ab"] == Decimal(5) / Decimal(10)  # 1/32, 5/32, 4/32
    losing = CommonVocabulary([{b"a": Fraction(1)}, {b"b": Fraction(1)}], tokens, [1, 3], "mixture")
    assert losing.texts == {b"a": Decimal("0.25"), b"b": Decimal("0.75")}


@pytest.mark.parametrize("rule", ["mixture", "product"])
@pytest.mark.parametrize("name", TEAMS)
def test_laws_sum_to_one(name, rule):
    team = TEAMS[name]
    oracle = oracle_of(team.cases, team.lengths, "even", weights_for(team, rule), rule)
    assert abs(sum(oracle.texts.values()) - 1) < Decimal("1e-25")
    for member, numbers in enumerate(oracle.numbers):
        assert numbers[()] == 1
        assert all(sum(oracle.member_law(member, context).values()) == 1 for context in numbers)
    for prefix in oracle.prefixes():
        assert math.isclose(oracle.row(prefix).sum(), 1, abs_tol=1e-14)


@pytest.mark.parametrize("name", ["abc", "far", "characters"])
def test_a_member_with_itself_is_itself(name):
    """The law of its texts does not depend on C: a mixture and a geometric mean are that law."""
    team = TEAMS[name]
    member = members_of(team.cases, team.lengths, "even")[0]
    tokens = tokens_of(members_of(team.cases, team.lengths, "even"))
    for rule, weights in (("mixture", [0.25, 0.75]), ("product", [2, -1])):
        oracle = CommonVocabulary([member.law, member.law], tokens, weights, rule)
        for text, chance in member.law.items():
            assert math.isclose(oracle.texts[text], chance, rel_tol=1e-15)


@pytest.mark.parametrize("name", ["chain", "three", "blanks"])
def test_text_laws_are_those_of_covers(name):
    """A and E of the other oracle, which sums over covers and knows no whole texts."""
    team = TEAMS[name]
    for member in members_of(team.cases, team.lengths, "even"):
        known = reference(member.model, member.model.length)
        masses = second.Masses.of_texts(member.law)
        assert known.end == member.law
        assert known.mass == masses.begins


@pytest.mark.parametrize("rule", ["mixture", "product"])
@pytest.mark.parametrize("name", TEAMS)
def test_covers_are_a_second_way(name, rule):
    compared = compare(TEAMS[name], rule)
    compared.at_random(random.Random(f"{name} {rule}"), count=40)
    compared.from_prompts(longest=3)
    assert compared.laws > 20


@pytest.mark.parametrize("seed", range(12))
def test_covers_are_a_second_way_for_random_teams(seed):
    rule = ("mixture", "product")[seed % 2]
    compare(random_team(seed), rule).at_random(random.Random(seed), count=25)


@pytest.mark.parametrize(("name", "kind"), [("shorter", "even"), ("far", "zeros")])
def test_covers_are_a_second_way_with_lost_members(name, kind):
    team = {**TEAMS, **LOSING}[name]
    members = members_of(team.cases, team.lengths, kind)
    assert len({frozenset(member.law) for member in members}) > 1
    compared = compare(team, "mixture", kind=kind)
    compared.at_random(random.Random(name), count=40)
    assert compared.refusals


def caught(team, rule, *, kind="even", fault="", tokens=None):
    try:
        compared = compare(team, rule, kind=kind, fault=fault, tokens=tokens)
        with np.errstate(all="ignore"):
            compared.every_prefix(longest=3)
            compared.at_random(random.Random(0), count=60)
    except (AssertionError, ArithmeticError, UnreachableByteError):
        return True
    return False


FAULTY = {
    "growth_ignored": ("abc", "mixture"),
    "growth_of_the_last_token_only": ("abc", "mixture"),
    "growth_but_only_at_the_next_byte": ("far", "product"),
    "end_from_all_texts_with_that_beginning": ("far", "mixture"),
    "end_left_out_of_the_sum": ("abc", "product"),
    "weights_follow_the_evidence": ("three", "mixture"),
    "product_of_numbers": ("three", "product"),
    "lost_member_keeps_its_share": ("shorter", "mixture"),
    "rollback_one_too_few": ("abc", "product"),
    "fork_shares_the_prefix": ("abc", "product"),
    "refused_push_is_kept": ("abc", "mixture"),
}


@pytest.mark.parametrize("fault", second.FAULTS)
def test_faults_are_caught(fault):
    name, rule = FAULTY[fault]
    team = {**TEAMS, **LOSING}[name]
    assert not caught(team, rule)
    assert caught(team, rule, fault=fault)


@pytest.mark.parametrize("rule", ["mixture", "product"])
@pytest.mark.parametrize("wrong", ["one byte each", "of any member", "one token missing"])
def test_another_vocabulary_is_caught(wrong, rule):
    """Single bytes alone are the ensemble in byte space, which is another law."""
    team = TEAMS["far"]
    members = members_of(team.cases, team.lengths, "even")
    tokens = {
        "one byte each": common_tokens([set()]),
        "of any member": common_tokens([set.union(*(m.ordinary_tokens() for m in members))]),
        "one token missing": tokens_of(members) - {b"aabb"},
    }[wrong]
    assert caught(team, rule, tokens=tokens)


def test_bounds_that_lie_are_caught():
    """A law that is too sure of itself, and intervals beside the truth."""

    class Sure(second.StandInState):
        bound = 0.01

        def next_byte_logprobs(self):
            row = np.full(257, -np.inf)
            row[ord("a") if self.prefix == b"" else END_OF_TEXT] = 0.0
            return row

        def next_byte_bounds(self):
            return np.zeros(257), np.ones(257)

    class Narrow(second.StandInState):
        bound = 1.0

        def next_byte_bounds(self):
            return np.zeros(257), np.full(257, 0.1)

    compared = compare(TEAMS["far"], "mixture")
    compared.exact = False
    compared.check(second.StandInState(compared.model), b"")
    for faulty in (Sure, Narrow):
        with pytest.raises(AssertionError, match=r"variation|bounds"):
            compared.check(faulty(compared.model), b"")


def test_unused_tokens_are_spelled_all_the_same():
    case = letters("with_an_unused_token", "ab", "a|a", unused=(b"bab",))
    assert b"bab" in case.definition.token_bytes.values()
