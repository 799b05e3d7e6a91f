"""Members of an ensemble that find the text impossible, or read another one."""

from __future__ import annotations

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.backends import TableBackend
from nextbyte.errors import (
    BackendError,
    MemberLostWarning,
    UnreachableByteError,
)
from unit import tiny_tokenizers as tiny
from unit.fake_byte_models import (
    FakeByteModel,
    FakeByteState,
    chances,
    fixed,
    one_text_model,
    order2_model,
)

RULES = ("mixture", "product", "posterior")
A, B, END = 97, 98, 256


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


class Regretful(Lenient):
    """Takes any byte, and says when its law is asked for that the text is impossible."""

    def start(self, prompt=b""):
        state = RegretfulState(self.law)
        state.push(prompt)
        return state


class RegretfulState(LenientState):
    def next_byte_logprobs(self):
        if b"c" in self.prefix:
            raise UnreachableByteError(self.prefix.index(b"c"), ord("c"))
        return super().next_byte_logprobs()

    def fork(self):
        return RegretfulState(self._law, self.prefix)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("prompt", [b"a", b"ac"])
def test_a_member_that_refuses_when_it_is_asked_for_its_law(rule, prompt):
    models = [Regretful(order2_model(1, b"abc").law), order2_model(2, b"abc")]
    model = nb.ByteEnsemble(models, rule=rule)
    healthy = model.start(b"ab")
    state = model.start(prompt)
    state.push(b"ac"[len(prompt) :])
    if rule == "product":
        with pytest.raises(UnreachableByteError, match="member 0"):
            state.next_byte_logprobs()
        return
    with pytest.warns(MemberLostWarning, match="member 0 .* from byte 1 on"):
        rows = model.next_byte_logprobs([healthy, state])
    np.testing.assert_array_equal(rows[0], model.start(b"ab").next_byte_logprobs())
    alone = models[1].start(b"ac").next_byte_logprobs()
    np.testing.assert_allclose(np.exp(rows[1]), np.exp(alone), rtol=1e-12)
    assert (state.lost_members, healthy.lost_members) == ((0,), ())
    state.push(b"b")
    state.rollback(2)
    assert state.lost_members == ()
    fresh = model.start(b"a")
    np.testing.assert_allclose(state.next_byte_logprobs(), fresh.next_byte_logprobs())
    assert state.logprob == pytest.approx(fresh.logprob, abs=1e-12)
    behind = nb.ByteEnsemble(models, rule=rule, posterior_from="prompt").start(prompt)
    behind.push(b"ac"[len(prompt) :])
    with pytest.warns(MemberLostWarning):
        behind.next_byte_logprobs()
    if rule == "posterior":  # the prompt "ac" is the second model's alone, "a" is of both
        chosen = models[1:] if prompt == b"ac" else models
        share = sum(0.5 * np.exp(m.start(prompt).logprob) for m in chosen)
        second = np.exp(models[1].start(b"ac").logprob - models[1].start(prompt).logprob)
        second *= 1 / len(chosen)
        assert behind.logprob == pytest.approx(np.log(share * second), abs=1e-12)
    with pytest.raises(UnreachableByteError, match="any member"):
        nb.ByteEnsemble(models[:1], rule=rule).start(b"ac").next_byte_logprobs()


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
