"""Ensembles of models whose laws are written down: rules, weights, lost members, generation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nextbyte as nb
from nextbyte.backends import TableBackend
from nextbyte.errors import (
    BackendError,
    InvalidInputError,
    MemberLostWarning,
    UnreachableByteError,
)
from unit import tiny_tokenizers as tiny
from unit.fake_byte_models import FakeByteModel, FakeByteState, one_text_model, order2_model

RULES = ("mixture", "product", "posterior")
A, B, END = 97, 98, 256


def fixed(**probabilities):
    """Return a model with the same law everywhere: fixed(a=0.5, end=0.5)."""
    row = np.full(257, -np.inf)
    for symbol, p in probabilities.items():
        row[END if symbol == "end" else ord(symbol)] = np.log(p)
    return FakeByteModel(lambda _: row)


def chances(state):
    row = np.exp(state.next_byte_logprobs())
    return {
        "end" if s == END else chr(s): round(float(row[s]), 12) for s in np.flatnonzero(row > 0.0)
    }


# --- Definitions by hand -------------------------------------------------------------------------


def test_mixture_by_hand():
    models = [fixed(a=0.5, b=0.25, end=0.25), fixed(a=1.0)]
    state = nb.ByteEnsemble(models, [1, 3]).start()
    assert chances(state) == {"a": 0.875, "b": 0.0625, "end": 0.0625}


def test_product_by_hand_and_what_one_finds_impossible():
    models = [fixed(a=0.5, b=0.25, end=0.25), fixed(a=0.2, b=0.8)]
    state = nb.ByteEnsemble(models, [2, 1], "product").start()
    total = 0.25 * 0.2 + 0.0625 * 0.8
    assert chances(state) == {"a": round(0.05 / total, 12), "b": round(0.05 / total, 12)}


def test_negative_weights_never_make_the_impossible_possible():
    """Proxy tuning: the small model's ratio moves the large one; zeros stay zeros."""
    large, tuned, base = (
        fixed(a=0.5, b=0.5),
        fixed(a=0.6, b=0.3, c=0.1),
        fixed(a=0.2, b=0.6, c=0.2),
    )
    state = nb.ByteEnsemble([large, tuned, base], [1, 1, -1], "product").start()
    assert chances(state) == {"a": round(1.5 / 1.75, 12), "b": round(0.25 / 1.75, 12)}
    without = nb.ByteEnsemble([large, tuned, fixed(b=1.0)], [1, 1, -1], "product").start()
    assert chances(without) == {"b": 1.0}


def test_equal_weights_by_default():
    models = [fixed(a=1.0), fixed(b=1.0)]
    assert nb.ByteEnsemble(models).weights == (0.5, 0.5)
    assert chances(nb.ByteEnsemble(models).start()) == {"a": 0.5, "b": 0.5}
    geometric = nb.ByteEnsemble([fixed(a=0.8, b=0.2), fixed(a=0.2, b=0.8)], rule="product")
    assert chances(geometric.start()) == {"a": 0.5, "b": 0.5}


def test_weights_for_one_text():
    model = nb.ByteEnsemble([fixed(a=1.0), fixed(b=1.0)])
    assert chances(model.start(weights=[3, 1])) == {"a": 0.75, "b": 0.25}
    assert chances(model.start()) == {"a": 0.5, "b": 0.5}
    with pytest.raises(InvalidInputError, match="negative"):
        model.start(weights=[2, -1])


def test_a_member_of_weight_zero_is_never_asked():
    def explode(_):
        raise AssertionError

    for rule in RULES:
        never = FakeByteModel(explode)
        state = nb.ByteEnsemble([fixed(a=0.5, b=0.5), never], [1, 0], rule).start(b"a")
        assert chances(state) == {"a": 0.5, "b": 0.5}
        state.push(b"b")
        assert not never.started
        assert np.isfinite(state.logprob)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": []}, "at least one model"),
        ({"models": [object()]}, "member 0 is no byte model"),
        ({"weights": [1.0]}, "2 numbers"),
        ({"weights": [1.0, "x"]}, "must be numbers"),
        ({"weights": [1.0, np.nan]}, "finite"),
        ({"weights": [0, 0]}, "all weights are zero"),
        ({"weights": [2, -1]}, "must not be negative"),
        ({"weights": [2, -1], "rule": "posterior"}, "must not be negative"),
        ({"rule": "mean"}, "rule must be one of 'mixture', 'product', 'posterior'"),
        ({"posterior_from": "here"}, "posterior_from"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        nb.ByteEnsemble(**{"models": [fixed(a=1.0), fixed(b=1.0)], **arguments})


def test_huge_weights_do_not_overflow():
    state = nb.ByteEnsemble([fixed(a=1.0), fixed(b=1.0)], [1.5e308, 1.5e308]).start()
    assert chances(state) == {"a": 0.5, "b": 0.5}


def test_a_posterior_learns_and_tiny_evidence_is_not_lost():
    model = nb.ByteEnsemble([fixed(a=0.9, b=0.1), fixed(a=0.1, b=0.9)], rule="posterior")
    state = model.start()
    state.push(b"ab" * 400)
    np.testing.assert_allclose(state.weights, [0.5, 0.5], atol=1e-12)  # both are below 1e-400
    state.push(b"a")
    np.testing.assert_allclose(state.weights, [0.9, 0.1], atol=1e-12)
    assert chances(state) == {"a": 0.82, "b": 0.18}
    state.rollback(1)
    np.testing.assert_allclose(state.weights, [0.5, 0.5], atol=1e-12)


# --- Lost members --------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["mixture", "posterior"])
@pytest.mark.parametrize("read", [True, False])
def test_a_member_drops_out_once_and_comes_back(rule, read):
    models = [one_text_model(b"aab"), order2_model(1, b"ab"), order2_model(2, b"ab")]
    model = nb.ByteEnsemble(models, [0.5, 0.25, 0.25], rule)
    pair = nb.ByteEnsemble(models[1:], [1, 1], rule)
    state = model.start(b"a")
    before = state.next_byte_logprobs() if read else None
    with pytest.warns(MemberLostWarning, match="member 0 .* from byte 1 on") as caught:
        state.push(b"ba")
    assert len(caught) == 1
    assert state.lost_members == (0,)
    expected = pair.start(b"a")
    expected.push(b"ba")
    np.testing.assert_allclose(state.next_byte_logprobs(), expected.next_byte_logprobs())
    assert state.weights[0] == 0.0
    assert abs(state.weights.sum() - 1.0) < 1e-12
    state.rollback(1)
    assert state.lost_members == (0,)  # the byte that it finds impossible is still there
    state.rollback(1)
    assert state.lost_members == ()
    if read:
        np.testing.assert_array_equal(state.next_byte_logprobs(), before)
    state.fork().push(b"b")  # once a text: no second warning
    state.push(b"ab")
    assert state.lost_members == ()


class Lenient(FakeByteModel):
    """Takes bytes of probability zero, as a model does that has not looked at them yet."""

    def start(self, prompt=b""):
        state = LenientState(self.law)
        state.push(prompt)
        return state


class LenientState(FakeByteState):
    def push(self, data):
        self.prefix += data
        self._rows += [None] * len(data)

    def fork(self):
        return LenientState(self._law, self.prefix)


def test_a_byte_known_to_be_impossible_is_not_pushed():
    models = [Lenient(fixed(a=1.0).law), fixed(a=0.5, b=0.5)]
    state = nb.ByteEnsemble(models, rule="mixture").start()
    state.next_byte_logprobs()
    with pytest.warns(MemberLostWarning, match="member 0"):
        state.push(b"b")
    assert chances(state) == {"a": 0.5, "b": 0.5}
    unread = nb.ByteEnsemble(models, rule="posterior").start(b"b")
    assert unread.lost_members == ()
    assert chances(unread) == {"a": 0.5, "b": 0.5}  # weight zero, by Bayes' rule
    assert unread.weights.tolist() == [0.0, 1.0]
    nobody = nb.ByteEnsemble(models[:1], rule="posterior").start(b"b")
    with pytest.raises(BackendError, match="probability zero"):
        nobody.next_byte_logprobs()
    assert nobody.logprob == -np.inf


@pytest.mark.parametrize("rule", ["mixture", "posterior"])
def test_a_member_lost_in_the_prompt_comes_back_with_its_bytes(rule):
    models = [one_text_model(b"aab"), order2_model(1, b"ab")]
    with pytest.warns(MemberLostWarning, match="member 0"):
        state = nb.ByteEnsemble(models, rule=rule).start(b"aba")
    assert state.lost_members == (0,)
    state.push(b"b")
    state.rollback(2)
    assert state.lost_members == (0,)
    state.rollback(1)
    assert state.lost_members == ()
    fresh = nb.ByteEnsemble(models, rule=rule).start(b"a")
    np.testing.assert_allclose(state.next_byte_logprobs(), fresh.next_byte_logprobs())
    assert np.isclose(state.logprob, fresh.logprob)


def test_a_warning_that_is_an_error_leaves_the_state_as_it_was():
    models = [one_text_model(b"aab"), order2_model(1, b"ab")]
    state = nb.ByteEnsemble(models).start(b"a")
    with pytest.raises(MemberLostWarning):  # as pyproject.toml has it
        state.push(b"abb")
    assert state.prefix == b"a"
    assert state.lost_members == ()
    assert [m.state.prefix for m in state.members.values()] == [b"a", b"a"]


def test_impossible_for_all_members():
    models = [one_text_model(b"aab"), one_text_model(b"aac")]
    for rule in ("mixture", "posterior"):
        state = nb.ByteEnsemble(models, rule=rule).start(b"a")
        with pytest.raises(UnreachableByteError, match="any member of the ensemble") as caught:
            state.push(b"ad")
        assert (caught.value.position, caught.value.byte) == (2, ord("d"))
        assert state.prefix == b"a"
        state.push(b"a")
        with pytest.raises(UnreachableByteError):
            nb.ByteEnsemble(models, rule=rule).start(b"ad")


def test_a_product_names_the_member_that_cannot_go_on():
    models = [order2_model(1, b"ab"), one_text_model(b"aab")]
    model = nb.ByteEnsemble(models, [1.0, 0.5], "product")
    state = model.start(b"a")
    with pytest.raises(UnreachableByteError, match=r"member 1 .* a product needs every") as caught:
        state.push(b"abb")
    assert (caught.value.position, caught.value.byte) == (3, B)
    assert state.prefix == b"a"
    assert [m.state.prefix for m in state.members.values()] == [b"a", b"a"]
    state.push(b"ab")
    with pytest.raises(UnreachableByteError, match="member 1"):
        model.start(b"ab")


def test_a_product_of_disjoint_laws_has_no_answer():
    state = nb.ByteEnsemble([fixed(a=1.0), fixed(b=1.0)], rule="product").start()
    with pytest.raises(BackendError, match="no symbol"):
        state.next_byte_logprobs()


def test_members_that_lack_bytes_and_ends(tmp_path):
    """Vocabularies without some bytes and models without end tokens."""
    tokenizers = [
        nb.Tokenizer.from_file(tiny.write(tmp_path, make(), f"{i}.json"))
        for i, make in enumerate((tiny.ab_with_specials, tiny.all_bytes))
    ]
    width = tokenizers[1].vocab_size
    narrow = nb.ByteLM(
        tokenizers[0], TableBackend({(): [0.2, 0.1, 0.3, 0.1, 0.3, 0, 0]}, end_tokens=[4])
    )
    wide = nb.ByteLM(tokenizers[1], TableBackend({(): np.full(width, 1 / width)}))
    mixture = nb.ByteEnsemble([narrow, wide]).start()
    row = np.exp(mixture.next_byte_logprobs())
    ends = np.exp(narrow.start().next_byte_logprobs()[END])
    assert row[END] == pytest.approx(ends / 2, abs=1e-12)
    assert row[ord("z")] > 0.0
    product = nb.ByteEnsemble([narrow, wide], rule="product").start()
    assert set(chances(product)) == {"a", "b"}
    with pytest.warns(MemberLostWarning, match="member 0"):
        mixture.push(b"z")
    alone = wide.start(b"z").next_byte_logprobs()
    np.testing.assert_allclose(mixture.next_byte_logprobs(), alone, rtol=1e-12)


class Normalizing(FakeByteModel):
    """Reads prompts in lower case, as a tokenizer that normalizes would."""

    def start(self, prompt=b""):
        return super().start(prompt.lower().replace(b"  ", b" "))


def test_each_member_normalizes_its_own_prompt():
    inner, other = order2_model(3, b"ab "), order2_model(4, b"abAB ")
    model = nb.ByteEnsemble([Normalizing(inner.law), other])
    state = model.start("A  B")
    assert state.prefix == b"A  B"
    assert [m.state.prefix for m in state.members.values()] == [b"a b", b"A  B"]
    state.push(b"a")
    state.next_byte_logprobs()
    state.rollback(3)  # two bytes of the prompt: a place that "a b" does not have
    assert state.prefix == b"A "
    assert [m.state.prefix for m in state.members.values()] == [b"a ", b"A "]
    fresh = model.start(b"A ")
    np.testing.assert_array_equal(state.next_byte_logprobs(), fresh.next_byte_logprobs())


# --- Everything above the waist ------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_generate_and_stream(rule):
    model = nb.ByteEnsemble([order2_model(1, b"abc"), order2_model(2, b"abc")], rule=rule)
    params = nb.SamplingParams(max_bytes=30, seed=3)
    result = nb.generate(model, "ab", params)
    assert b"".join(c.bytes for c in nb.stream(model, "ab", params)) == result.bytes
    whole = model.start(b"ab" + result.bytes)
    ended = result.finish_reason == "end_of_text"
    end = whole.next_byte_logprobs()[END] if ended else 0.0
    expected = whole.logprob - model.start(b"ab").logprob + end
    assert result.logprob == pytest.approx(expected, abs=1e-10)
    assert (result.bound, whole.bound) == (0.0, 0.0)


@settings(max_examples=40, derandomize=True, database=None, deadline=None)
@given(
    seeds=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    weights=st.data(),
    rule=st.sampled_from(RULES),
    text=st.text("ab", max_size=6),
    random=st.randoms(use_true_random=False),
)
def test_order_forks_and_rollbacks_do_not_matter(seeds, weights, rule, text, random):
    number = st.floats(0.01, 3.0)
    if rule == "product":
        number = st.one_of(number, st.floats(-2.0, -0.01))
    chosen = [weights.draw(number) for _ in seeds]
    models = [order2_model(seed, b"ab") for seed in seeds]
    data = text.encode()
    expected = nb.ByteEnsemble(models, chosen, rule, concurrent=False).start(data)
    order = list(range(len(seeds)))
    random.shuffle(order)
    permuted = nb.ByteEnsemble(
        [models[i] for i in order], [chosen[i] for i in order], rule, concurrent=False
    )
    state = permuted.start(data[: len(data) // 2])
    for byte in data[len(data) // 2 :]:
        if random.random() < 0.5:
            state.next_byte_logprobs()
        if random.random() < 0.3:
            away = state.fork()
            away.push(b"ba")
            away.next_byte_logprobs()
            away.rollback(random.randrange(len(away.prefix) + 1))
        if random.random() < 0.3:
            state.push(b"ab")
            state.rollback(2)
        state.push(bytes([byte]))
    rows = state.next_byte_logprobs(), expected.next_byte_logprobs()
    np.testing.assert_allclose(np.exp(rows[0]), np.exp(rows[1]), rtol=1e-11, atol=1e-300)
    assert state.logprob == pytest.approx(expected.logprob, abs=1e-10)
