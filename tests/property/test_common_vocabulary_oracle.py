"""`CommonVocabularyEnsemble` against its definition, on tiny members with different tokenizers."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextbyte as nb
from oracle import common_vocabulary_stand_in as covers
from oracle.byte_models import make_pair
from oracle.common_vocabulary import CommonVocabulary, common_tokens
from oracle.common_vocabulary_teams import (
    LOSING,
    TEAMS,
    members_of,
    oracle_of,
    random_team,
    tokens_of,
)
from oracle.common_vocabulary_walks import Comparison
from oracle.distribution import reference
from oracle.zoo import by_name

WEIGHTS = {
    "mixture": {2: (0.75, 0.25), 3: (0.5, 0.25, 0.25)},
    "product": {2: (0.5, 0.5), 3: (1, 1, -1)},
}
RULES = sorted(WEIGHTS)
WIDE = ("two_wait", "chain", "chain_gaps")  # over four letters


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizers")


def compare(team, rule, folder, *, kind="even", weights=None, tolerance=0.0, said=None):
    """Put the product beside the definition; `said` are the weights given to it, if others."""
    weights = WEIGHTS[rule][len(team.cases)] if weights is None else weights
    members = members_of(team.cases, team.lengths, kind)
    oracle = oracle_of(team.cases, team.lengths, kind, tuple(weights), rule)
    model = nb.CommonVocabularyEnsemble(
        [member.load(nb, folder) for member in members],
        weights=said if said is not None else list(weights),
        rule=rule,
        tolerance=tolerance,
    )
    return Comparison(model, oracle, nb.errors.UnreachableByteError, exact=not tolerance)


@pytest.mark.parametrize("name", TEAMS)
def test_the_common_tokens(name, folder):
    team = TEAMS[name]
    members = members_of(team.cases, team.lengths, "even")
    model = nb.CommonVocabularyEnsemble([member.load(nb, folder) for member in members])
    assert list(model.tokens) == sorted(tokens_of(members))
    assert {token for token in model.tokens if len(token) > 1} == team.shared


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", TEAMS)
def test_every_prefix_and_every_text(name, rule, folder):
    compared = compare(TEAMS[name], rule, folder)
    longest = 4 if name in WIDE else None
    found = compared.every_prefix(longest=longest)
    if longest is not None:
        return
    assert found.keys() == compared.oracle.texts.keys()
    for text, logprob in found.items():
        assert logprob == pytest.approx(float(compared.oracle.texts[text].ln()), abs=1e-11)
    assert math.fsum(map(math.exp, found.values())) == pytest.approx(1.0, abs=1e-11)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", TEAMS)
def test_prompts(name, rule, folder):
    """A prompt may end where earlier tokens could still grow."""
    compare(TEAMS[name], rule, folder).from_prompts(longest=2 if name in WIDE else 3)


@pytest.mark.parametrize(("rule", "kind"), [("mixture", "even"), ("product", "steep")])
@pytest.mark.parametrize("name", TEAMS)
def test_any_order_of_operations(name, rule, kind, folder):
    compared = compare(TEAMS[name], rule, folder, kind=kind)
    compared.at_random(random.Random(f"{name} {rule} {kind}"), count=40)
    for prefix in compared.oracle.prefixes()[:3]:
        compared.refuse(compared.model.start(prefix), prefix)
    assert compared.laws
    assert compared.refusals


@settings(max_examples=10)
@given(seed=st.integers(0, 2**20), rule=st.sampled_from(RULES))
def test_random_tokenizers(seed, rule, tmp_path_factory):
    team = random_team(seed)
    compared = compare(team, rule, tmp_path_factory.mktemp("random"))
    compared.every_prefix(longest=3)
    compared.at_random(random.Random(seed), count=20)


@pytest.mark.parametrize(
    "weights", [(1, 1, -1), (0.5, 1.25, -0.75), (2, 0, 1), (-1, 1, 1), (0.2, 0.3, 0.5)]
)
def test_weights_of_a_product_are_taken_as_given(weights, folder):
    compare(TEAMS["three"], "product", folder, weights=weights).every_prefix(longest=4)


def test_weights_of_a_mixture_are_scaled(folder):
    team = TEAMS["three"]
    compare(team, "mixture", folder, weights=(0.5, 0.25, 0.25), said=[4, 2, 2]).every_prefix(
        longest=4
    )


@pytest.mark.parametrize("rule", RULES)
def test_weights_are_equal_where_none_are_given(rule, folder):
    team = TEAMS["far"]
    members = members_of(team.cases, team.lengths, "even")
    oracle = oracle_of(team.cases, team.lengths, "even", (0.5, 0.5), rule)
    model = nb.CommonVocabularyEnsemble([m.load(nb, folder) for m in members], rule=rule)
    Comparison(model, oracle, nb.errors.UnreachableByteError).every_prefix(longest=5)


def test_a_mixture_is_the_default(folder):
    team = TEAMS["far"]
    members = members_of(team.cases, team.lengths, "even")
    oracle = oracle_of(team.cases, team.lengths, "even", (0.25, 0.75), "mixture")
    model = nb.CommonVocabularyEnsemble([m.load(nb, folder) for m in members], [0.25, 0.75])
    Comparison(model, oracle, nb.errors.UnreachableByteError).every_prefix(longest=5)


@pytest.mark.parametrize("rule", RULES)
def test_one_member_is_itself(rule, folder):
    """C is then that tokenizer's own vocabulary, and the law of its texts does not depend on C."""
    team = TEAMS["characters"]
    (member, _) = members_of(team.cases, team.lengths, "even")
    tokens = common_tokens([member.ordinary_tokens()])
    oracle = CommonVocabulary([member.law], tokens, [1], rule)
    lm = member.load(nb, folder)
    model = nb.CommonVocabularyEnsemble([lm], rule=rule)
    compared = Comparison(model, oracle, nb.errors.UnreachableByteError)
    compared.every_prefix()
    for prefix in oracle.prefixes():
        alone = lm.start(prefix).next_byte_logprobs()
        np.testing.assert_allclose(
            np.exp(model.start(prefix).next_byte_logprobs()), np.exp(alone), rtol=0, atol=1e-12
        )


ENDLESS = {
    "letters": (by_name("plain_two"), by_name("runs_of_one_letter")),
    "words": (by_name("added_self_overlap"), by_name("plain_two")),
    "no end": (by_name("plain_endless"), TEAMS["three"].cases[0]),  # one never ends a text
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ENDLESS)
def test_texts_of_any_length(name, rule, folder):
    """Members that need not end: N from covers, with what follows, since no table has all texts."""
    depth = 3
    made = [
        make_pair(nb, case, "even", folder, seed=place) for place, case in enumerate(ENDLESS[name])
    ]
    tokens = common_tokens(set(pair.case.definition.token_bytes.values()) for pair in made)
    assert len(tokens) > 256
    reach = depth + 2 * max(map(len, tokens)) - 1
    known = [reference(pair.law.model, reach) for pair in made]
    members = [covers.Masses(one.mass, one.end) for one in known]
    weights = WEIGHTS[rule][2]
    oracle = covers.Endless(covers.StandIn(members, tokens, weights, rule), depth)
    model = nb.CommonVocabularyEnsemble([pair.lm for pair in made], weights, rule=rule)
    compared = Comparison(model, oracle, nb.errors.UnreachableByteError)
    compared.every_prefix(longest=depth)
    assert compared.laws == 2 ** (depth + 1) - 1


@pytest.mark.parametrize("tolerance", [1e-3, 0.05, 0.5])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["abc", "chain_gaps", "two_wait", "far", "three", "accents"])
def test_what_a_tolerance_certifies(name, rule, tolerance, folder):
    weights = (0.5, 0.25, 0.25) if name == "three" else None
    compared = compare(
        TEAMS[name], rule, folder, kind="steep", tolerance=tolerance, weights=weights
    )
    compared.at_random(random.Random(f"{name} {rule}"), count=60)
    compared.from_prompts(longest=2)


def test_a_product_with_negative_weights_has_no_tolerance(folder):
    """What is not known of a member that is divided by bounds nothing."""
    with pytest.raises(nb.errors.InvalidInputError, match="negative"):
        compare(TEAMS["far"], "product", folder, weights=(2, -1), tolerance=0.1)


def test_a_tolerance_is_used(folder):
    """Otherwise the test above says nothing: some law is not exact, and says so."""
    largest = {"bound": 0.0, "variation": 0.0}
    for name in ("far", "three", "run"):
        compared = compare(TEAMS[name], "mixture", folder, kind="steep", tolerance=0.5)
        compared.every_prefix(longest=5)
        largest["bound"] = max(largest["bound"], compared.largest_bound)
        largest["variation"] = max(largest["variation"], compared.largest_variation)
    assert largest["bound"] > 0.0


@pytest.mark.parametrize("rule", RULES)
def test_it_is_a_byte_model_for_everything_above(rule, folder):
    compared = compare(TEAMS["abc"], rule, folder)
    oracle, model = compared.oracle, compared.model
    for text in sorted(oracle.texts)[::40]:
        if not text:
            continue
        logprob = nb.score(model, text)
        assert np.sum(logprob) == pytest.approx(oracle.logprob(text), abs=1e-10)
    made = nb.generate(model, b"ab", nb.SamplingParams(max_bytes=8, seed=1))
    whole = b"ab" + made.bytes
    assert whole in oracle.texts
    wanted = float(oracle.texts[whole].ln()) - oracle.logprob(b"ab")
    assert made.logprob == pytest.approx(wanted, abs=1e-10)


@pytest.mark.parametrize(
    ("name", "kind"), [("shorter", "even"), ("far", "zeros"), ("lacks_a_letter", "even")]
)
@pytest.mark.filterwarnings("ignore::nextbyte.errors.MemberLostWarning")
def test_a_lost_member_leaves_a_mixture(name, kind, folder):
    """Behind a token that a member finds impossible its weight goes to the others.

    Every law on the way is read: a member that only its numbers rule out does not know it before.
    """
    team = {**TEAMS, **LOSING}[name]
    compared = compare(team, "mixture", folder, kind=kind)
    compared.every_prefix()
    assert len({frozenset(m.law) for m in members_of(team.cases, team.lengths, kind)}) > 1


def test_a_lost_member_is_named(folder):
    team = LOSING["lacks_a_letter"]
    model = compare(team, "mixture", folder).model
    with pytest.warns(nb.errors.MemberLostWarning, match="member 1"):
        state = model.start(b"ac")
    assert state.lost_members == (1,)
    state.rollback(1)
    assert state.lost_members == ()


@pytest.mark.parametrize("name", LOSING)
def test_a_product_has_what_all_members_can_write(name, folder):
    compared = compare(LOSING[name], "product", folder)
    compared.every_prefix()
    compared.at_random(random.Random(name), count=30)
    for prefix in compared.oracle.prefixes()[::5]:
        compared.refuse(compared.model.start(prefix), prefix)


@pytest.mark.parametrize(
    "options",
    [
        {"weights": [1.0]},
        {"weights": [1.0, -1.0]},
        {"weights": [0.0, 0.0]},
        {"weights": [1.0, math.nan]},
        {"rule": "posterior"},
        {"rule": "no such rule"},
        {"tolerance": -1e-3},
        {"tolerance": math.nan},
    ],
    ids=str,
)
def test_bad_options(options, folder):
    team = TEAMS["abc"]
    members = [m.load(nb, folder) for m in members_of(team.cases, team.lengths, "even")]
    with pytest.raises(nb.errors.InvalidInputError):
        nb.CommonVocabularyEnsemble(members, **options)


@pytest.mark.parametrize("models", [[], [object()]], ids=["none", "no byte model"])
def test_bad_members(models):
    with pytest.raises(nb.errors.InvalidInputError):
        nb.CommonVocabularyEnsemble(models)
