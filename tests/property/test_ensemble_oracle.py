"""`ByteEnsemble` against each rule's definition, with members of different tiny tokenizers.

With P_i the members' laws and x the bytes so far, of positive probability for the members that
count: ``mixture`` is the sum of w_i P_i(b|x), ``product`` the product of P_i(b|x) ** w_i divided by
its sum over b, ``posterior`` the sum of w_i P_i(x) P_i(b|x) divided by that of w_i P_i(x). A text's
probability is the chain of these. A member that finds x impossible leaves a mixture; its weight
goes to the others in proportion.
"""

from __future__ import annotations

import math
import random
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextbyte as nb
from oracle.byte_models import LawModel, logs, make_pair
from oracle.zoo import by_name

TEAMS = {
    "blanks": ("ahead_gpt2", "ahead_cl100k", "added_runs"),  # over a, blank, line feed
    "letters": ("plain_two", "runs_of_one_letter", "added_self_overlap"),  # over a, b
    "accents": ("dead_lead_byte", "added_only_character", "plain_accents"),  # a, é; the last: è too
    "starts": ("plain_three", "ranks_out_of_order", "added_overlaps"),  # one has a start token
}
WEIGHTS = {
    "mixture": [0.5, 0.3, 0.2],
    "product": [0.6, 0.9, -0.4],
    "posterior": [0.2, 0.3, 0.5],
}
TOLERANCE = 1e-12


def make_ensemble(models, weights, rule):
    return nb.ByteEnsemble(models, weights=weights, rule=rule)


@pytest.fixture(scope="module")
def teams(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("tokenizers"), {}

    def team(name, kind):
        for case in TEAMS[name]:
            if (case, kind) not in made:
                made[case, kind] = make_pair(nb, by_name(case), kind, folder, seed=len(made))
        return [made[case, kind] for case in TEAMS[name]]

    return team


def expected(laws, weights, rule, prefix):
    """Return the next-byte law by the definition, or None where the rule has none."""
    masses = np.array([float(law.mass(prefix)) for law in laws])
    alive = masses > 0
    if not alive.any() or (rule == "product" and not alive.all()):
        return None
    rows = np.array(
        [law.row(prefix) if ok else np.zeros(257) for law, ok in zip(laws, alive, strict=True)]
    )
    weights = np.array(weights, dtype=np.float64)
    if rule == "product":
        powers = np.zeros(257)
        possible = (rows > 0).all(axis=0)
        powers[possible] = np.exp(weights @ np.log(rows[:, possible]))
        return powers / powers.sum() if powers.any() else None
    weights = weights * (masses if rule == "posterior" else alive)
    if not weights.sum():
        return None
    return weights @ rows / weights.sum()


def close(found, wanted, what):
    assert found.shape == (257,), what
    assert ((found == -np.inf) == (wanted == 0)).all(), what
    np.testing.assert_allclose(np.exp(found), wanted, rtol=0, atol=TOLERANCE, err_msg=str(what))
    alive = wanted > 0
    np.testing.assert_allclose(
        found[alive], np.log(wanted[alive]), rtol=0, atol=1e-10, err_msg=str(what)
    )


def walk(ensemble, laws, weights, rule, source, *, count=6):
    """Go along one random text; check law, bound and chain at every byte. Return the bytes."""
    state, prefix, chain = ensemble.start(), b"", 0.0
    for _ in range(count):
        wanted = expected(laws, weights, rule, prefix)
        close(state.next_byte_logprobs(), wanted, (rule, prefix))
        assert state.prefix == prefix
        assert state.bound <= TOLERANCE
        assert abs(state.logprob - chain) <= 1e-10
        following = [
            b
            for b in np.flatnonzero(wanted[:256]).tolist()
            if expected(laws, weights, rule, prefix + bytes([b])) is not None
        ]
        if not following:
            break
        byte = source.choice(following)
        state.push(bytes([byte]))
        chain += math.log(wanted[byte])
        prefix += bytes([byte])
    return prefix


@pytest.mark.parametrize("kind", ["even", "steep", "elsewhere"])
@pytest.mark.parametrize("rule", sorted(WEIGHTS))
@pytest.mark.parametrize("name", ["blanks", "letters", "starts"])
def test_rules(name, rule, kind, teams):
    members = teams(name, kind)
    laws, weights = [member.law for member in members], WEIGHTS[rule]
    ensemble = make_ensemble([member.lm for member in members], weights, rule)
    for seed in range(4):
        walk(ensemble, laws, weights, rule, random.Random(f"{name} {rule} {kind} {seed}"))


@pytest.mark.parametrize("rule", ["mixture", "posterior"])
@pytest.mark.parametrize(("name", "kind"), [("accents", "even"), ("letters", "zeros")])
def test_members_that_find_the_text_impossible(name, kind, rule, teams):
    """They leave (mixture: with a warning) or have lost all weight (posterior)."""
    members = teams(name, kind)
    laws, weights = [member.law for member in members], WEIGHTS[rule]
    lost = 0
    for seed in range(10):
        ensemble = make_ensemble([member.lm for member in members], weights, rule)
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            prefix = walk(ensemble, laws, weights, rule, random.Random(f"{name} {seed}"))
        lost += any(not law.mass(prefix) for law in laws)
    assert lost


@pytest.mark.parametrize("name", ["blanks", "letters", "starts"])
def test_a_product_has_what_all_members_have(name, teams):
    """What is impossible for one member is impossible, here by the model and not the tokenizer."""
    members = teams(name, "zeros")
    laws, weights = [member.law for member in members], [0.5, 0.3, 0.2]
    assert expected(laws, weights, "product", b"") is not None
    ensemble = make_ensemble([member.lm for member in members], weights, "product")
    for seed in range(6):
        walk(ensemble, laws, weights, "product", random.Random(f"{name} {seed}"))


def test_a_mixture_warns_once_of_a_member_that_left(teams):
    members = teams("accents", "even")
    ensemble = make_ensemble([member.lm for member in members], WEIGHTS["mixture"], "mixture")
    text = "è".encode()  # the first two cannot spell it
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state = ensemble.start(text)
        first = state.next_byte_logprobs()
        state.push(b"a")
        state.next_byte_logprobs()
    close(first, members[2].law.row(text), text)
    assert 1 <= len(caught) <= 2  # one for each of the two members at the most


def test_a_product_without_one_of_its_members_is_an_error(teams):
    members = teams("accents", "even")
    ensemble = make_ensemble([member.lm for member in members], [0.5, 0.3, 0.2], "product")
    with pytest.raises(nb.errors.NextByteError):
        ensemble.start("è".encode()).next_byte_logprobs()


@settings(max_examples=25, derandomize=True, database=None)
@given(
    name=st.sampled_from(["blanks", "letters", "starts"]),
    rule=st.sampled_from(sorted(WEIGHTS)),
    signed=st.tuples(st.integers(1, 99), st.integers(-99, 99), st.integers(-99, 99)),
    seed=st.integers(0, 2**32),
)
def test_drawn_weights(name, rule, signed, seed, teams):
    members = teams(name, "even")
    if rule == "product":
        weights = [value / 50 for value in signed]
    else:
        total = sum(map(abs, signed))
        weights = [abs(value) / total for value in signed]
    ensemble = make_ensemble([member.lm for member in members], weights, rule)
    walk(ensemble, [m.law for m in members], weights, rule, random.Random(seed), count=5)


@pytest.mark.parametrize("rule", sorted(WEIGHTS))
def test_proxy_tuning_and_a_single_member(rule, teams):
    member = teams("blanks", "even")[0]
    ensemble = make_ensemble([member.lm], [1.0], rule)
    walk(ensemble, [member.law], [1.0], rule, random.Random(f"one {rule}"))
    if rule == "product":
        members = teams("blanks", "even")
        ensemble = make_ensemble([m.lm for m in members], [1, 1, -1], rule)
        walk(ensemble, [m.law for m in members], [1, 1, -1], rule, random.Random("proxy"))


@pytest.mark.parametrize("rule", sorted(WEIGHTS))
def test_a_model_with_itself_is_itself(rule, teams):
    member = teams("blanks", "steep")[1]
    ensemble = make_ensemble([member.lm, member.lm], [0.3, 0.7], rule)
    source, state, prefix = random.Random(f"self {rule}"), ensemble.start(), b""
    for _ in range(6):
        row = member.law.row(prefix)
        close(state.next_byte_logprobs(), row, (rule, prefix))
        byte = bytes([source.choice(np.flatnonzero(row[:256]).tolist())])
        state.push(byte)
        prefix += byte
    assert abs(state.logprob - math.log(member.law.mass(prefix))) <= 1e-10


def test_posterior_is_bayes_over_whole_texts(teams):
    """P(x) is the sum of w_i P_i(x): not only each step, the whole."""
    members = teams("blanks", "even")
    weights = WEIGHTS["posterior"]
    ensemble = make_ensemble([member.lm for member in members], weights, "posterior")
    for text in (b"a", b"a  a", b"\n\n a", b"aa \n"):
        whole = sum(w * m.law.mass(text) for w, m in zip(weights, members, strict=True))
        state = ensemble.start(text)
        assert abs(state.logprob - math.log(whole)) <= 1e-10
        ended = sum(
            w * m.law.symbols(text).get(nb.END_OF_TEXT, 0.0)
            for w, m in zip(weights, members, strict=True)
        )
        found = float(state.next_byte_logprobs()[nb.END_OF_TEXT])
        assert abs(math.exp(found) - ended / whole) <= TOLERANCE


@pytest.mark.parametrize("rule", sorted(WEIGHTS))
@pytest.mark.parametrize("name", ["blanks", "letters"])
def test_forks_and_rollbacks(name, rule, teams):
    members = teams(name, "even")
    laws, weights = [member.law for member in members], WEIGHTS[rule]
    ensemble = make_ensemble([member.lm for member in members], weights, rule)
    source = random.Random(f"forks {name} {rule}")
    states = [(ensemble.start(), b"")]
    for _ in range(40):
        place = source.randrange(len(states))
        state, prefix = states[place]
        operation = source.choice(["push", "push", "fork", "rollback", "start", "batch", "refuse"])
        if operation == "push" and len(prefix) < 6:
            row = expected(laws, weights, rule, prefix)
            byte = bytes([source.choice(np.flatnonzero(row[:256]).tolist())])
            state.push(byte)
            states[place] = (state, prefix + byte)
        elif operation == "fork":
            states.append((state.fork(), prefix))
        elif operation == "rollback":
            back = source.randrange(len(prefix) + 1)
            state.rollback(back)
            states[place] = (state, prefix[: len(prefix) - back])
        elif operation == "start":
            states[place] = (ensemble.start(prefix), prefix)
        elif operation == "batch":
            rows = ensemble.next_byte_logprobs([one for one, _ in states])
            for row, (_, its) in zip(rows, states, strict=True):
                close(row, expected(laws, weights, rule, its), (rule, its))
        elif operation == "refuse":
            with pytest.raises(nb.errors.UnreachableByteError) as caught:
                state.push(b"\xff")
            assert (caught.value.position, caught.value.byte) == (len(prefix), 0xFF)
        state, prefix = states[place]
        assert state.prefix == prefix
        if source.random() < 0.6:
            close(state.next_byte_logprobs(), expected(laws, weights, rule, prefix), (rule, prefix))
        if len(states) > 4:
            del states[source.randrange(len(states))]


@pytest.mark.parametrize("rule", sorted(WEIGHTS))
def test_members_may_be_any_byte_models(rule, teams):
    """A user's own model as a member, and an ensemble within an ensemble."""
    members = teams("letters", "even")
    laws, weights = [member.law for member in members], WEIGHTS[rule]
    models = [members[0].lm, LawModel(laws[1], nb.errors), members[2].lm]
    walk(make_ensemble(models, weights, rule), laws, weights, rule, random.Random("any"))
    if rule == "mixture":
        inner = make_ensemble([members[0].lm, members[1].lm], [0.625, 0.375], rule)
        outer = make_ensemble([inner, members[2].lm], [0.8, 0.2], rule)
        walk(outer, laws, [0.5, 0.3, 0.2], rule, random.Random("nested"))


def test_definition_by_hand(teams):
    """The reference itself: two laws, three symbols, numbers worked out on paper."""

    class Fixed:
        def __init__(self, a, b, end, whole):
            self.values, self.whole = (a, b, end), whole

        def mass(self, _prefix):
            return self.whole

        def row(self, _prefix):
            row = np.zeros(257)
            row[[97, 98, 256]] = self.values
            return row

    laws = [Fixed(0.5, 0.25, 0.25, 0.1), Fixed(0.25, 0.25, 0.5, 0.3)]
    pick = [97, 98, 256]
    np.testing.assert_allclose(
        expected(laws, [0.5, 0.5], "mixture", b"")[pick], [0.375, 0.25, 0.375]
    )
    np.testing.assert_allclose(
        expected(laws, [0.5, 0.5], "posterior", b"")[pick], [0.3125, 0.25, 0.4375]
    )
    np.testing.assert_allclose(
        expected(laws, [1, 1], "product", b"")[pick], np.array([2, 1, 2]) / 5
    )
    np.testing.assert_allclose(
        expected(laws, [1, -1], "product", b"")[pick], np.array([4, 2, 1]) / 7
    )
    assert logs(np.zeros(1))[0] == -np.inf
