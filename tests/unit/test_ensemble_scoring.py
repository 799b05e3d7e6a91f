"""Texts scored under ensembles: one batch a model, the numbers of one query a byte."""

from __future__ import annotations

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import BackendError, MemberLostWarning, UnreachableByteError
from unit.fake_byte_models import fixed, order2_model
from unit.known_models import load_all, noise, noisy
from unit.scored import InBatchesOf, assert_same_laws, step_by_step

RULES = {"mixture": [0.6, 0.4], "product": [1.2, -0.3], "posterior": [0.3, 0.7]}
DATA = b"at that hat e"


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


def without(tokenizer, byte, *, nothing_follows):
    """Return a model whose rows give -inf to tokens with a byte, which the tokenizer allows."""
    row = noise(tokenizer.vocab_size)
    has = np.array([byte in tokenizer.token_bytes(t) for t in range(tokenizer.vocab_size)])

    def law(context):
        if nothing_follows and has[list(context)].any():
            return np.full(tokenizer.vocab_size, -np.inf)
        return np.where(has, -np.inf, row(context))

    return nb.ByteLM.from_function(tokenizer, lambda contexts: np.stack([*map(law, contexts)]))


class Watched:
    """A byte model that notes how many states it is asked for."""

    def __init__(self, lm):
        self.lm, self.asked = lm, []

    def start(self, prompt=b""):
        return self.lm.start(prompt)

    def next_byte_logprobs(self, states):
        self.asked.append(len(states))
        return self.lm.next_byte_logprobs(states)


@pytest.mark.parametrize("at_once", [1, 2, 5, 64])
@pytest.mark.parametrize("rule", RULES)
def test_one_pass_gives_the_laws_of_one_query_a_byte(tokenizers, rule, at_once):
    members = [noisy(tokenizers[name])[0] for name in ("letters", "smollm2_like")]
    ensemble = nb.ByteEnsemble(members, RULES[rule], rule)
    for context in (b"", b"the "):
        expected = step_by_step(ensemble, DATA, context)[:-1]
        batched = InBatchesOf(ensemble, at_once)
        found = nb.score(batched, DATA, context=context, full=True)
        assert_same_laws(found, expected)
    chain = nb.score(ensemble, DATA).sum()
    assert chain == pytest.approx(ensemble.start(DATA).logprob, abs=1e-11)


@pytest.mark.parametrize("rule", RULES)
def test_every_model_gets_one_batch(tokenizers, rule):
    first, second = (Watched(noisy(tokenizers[n])[0]) for n in ("letters", "all_bytes"))
    ensemble = nb.ByteEnsemble([first, second, first], [1, 1, 1], rule)
    nb.score(ensemble, DATA)
    assert first.asked == [2 * len(DATA)]  # of both members that are this model
    assert second.asked == [len(DATA)]


def test_the_evidence_of_a_batch_asks_members_for_nothing_more():
    """A mixture's `logprob` is a walk along its whole text: one a text, and not one a byte."""
    inner = nb.ByteEnsemble([order2_model(1, b"ab"), order2_model(2, b"ab")])
    ensemble = nb.ByteEnsemble([inner, order2_model(3, b"ab")], rule="posterior")
    walks = []
    follow = nb.ensemble.state.ByteEnsembleState._follow
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            nb.ensemble.state.ByteEnsembleState,
            "_follow",
            lambda state, data: walks.append(len(data)) or follow(state, data),
        )
        found = nb.score(ensemble, b"abba" * 8, full=True)
    assert sum(walks) == 0, walks
    assert_same_laws(found, step_by_step(ensemble, b"abba" * 8)[:-1])


@pytest.mark.parametrize("at_once", [2, 3, 64])
@pytest.mark.parametrize("nothing_follows", [False, True])
@pytest.mark.parametrize("rule", ["mixture", "posterior"])
def test_a_member_that_loses_the_text_inside_a_batch(tokenizers, rule, nothing_follows, at_once):
    tokenizer = tokenizers["letters"]
    missing = without(tokenizer, ord("h"), nothing_follows=nothing_follows)
    ensemble = nb.ByteEnsemble([noisy(tokenizer)[0], missing], RULES[rule], rule)
    with pytest.warns(MemberLostWarning, match=r"member 1 .* from byte 4 on"):
        expected = step_by_step(ensemble, DATA)[:-1]
    with pytest.warns(MemberLostWarning, match=r"member 1 .* from byte 4 on") as warned:
        found = nb.score(InBatchesOf(ensemble, at_once), DATA, full=True)
    assert len(warned) == 1
    assert_same_laws(found, expected)


def test_a_member_lost_inside_a_batch_comes_back(tokenizers):
    tokenizer = tokenizers["letters"]
    missing = without(tokenizer, ord("h"), nothing_follows=True)
    ensemble = nb.ByteEnsemble([noisy(tokenizer)[0], missing])
    state = ensemble.start(b"at t")
    states = [state]
    for byte in b"hat":
        states.append(states[-1].fork())
        states[-1].push(bytes([byte]))
    with pytest.warns(MemberLostWarning):
        ensemble.next_byte_logprobs(states)
    assert [state.lost_members for state in states] == [(), (1,), (1,), (1,)]
    states[-1].rollback(3)
    assert states[-1].lost_members == ()
    np.testing.assert_array_equal(states[-1].next_byte_logprobs(), state.next_byte_logprobs())


@pytest.mark.parametrize("rule", ["mixture", "product", "posterior"])
def test_a_byte_that_all_find_impossible(tokenizers, rule):
    tokenizer = tokenizers["letters"]
    members = [without(tokenizer, ord("h"), nothing_follows=flag) for flag in (False, True)]
    ensemble = nb.ByteEnsemble(members, RULES[rule], rule)
    with pytest.raises(UnreachableByteError) as caught:
        nb.score(ensemble, DATA)
    assert caught.value.position == 4


@pytest.mark.filterwarnings("ignore::nextbyte.errors.MemberLostWarning")
def test_members_lost_at_different_bytes(tokenizers):
    tokenizer = tokenizers["letters"]
    members = [without(tokenizer, ord(c), nothing_follows=True) for c in "he"]
    ensemble = nb.ByteEnsemble([*members, noisy(tokenizer)[0]])
    data = b"at that bet at"
    assert_same_laws(nb.score(ensemble, data, full=True), step_by_step(ensemble, data)[:-1])
    with pytest.raises(UnreachableByteError) as caught:
        nb.score(nb.ByteEnsemble(members), data)
    assert caught.value.position == 9


@pytest.mark.filterwarnings("ignore::nextbyte.errors.MemberLostWarning")
def test_a_member_that_takes_no_batches_is_asked_one_by_one(tokenizers):
    class Small(Watched):
        def next_byte_logprobs(self, states):
            if len(states) > 1:
                raise BackendError("too many")
            return super().next_byte_logprobs(states)

    missing = without(tokenizers["letters"], ord("h"), nothing_follows=True)
    ensemble = nb.ByteEnsemble([noisy(tokenizers["letters"])[0], Small(missing)])
    assert_same_laws(nb.score(ensemble, DATA, full=True), step_by_step(ensemble, DATA)[:-1])


def test_a_member_that_refuses_in_a_batch_is_named(tokenizers):
    tokenizer = tokenizers["letters"]
    broken = nb.ByteLM.from_function(
        tokenizer, lambda contexts: np.full((len(contexts), tokenizer.vocab_size), np.nan)
    )
    ensemble = nb.ByteEnsemble([noisy(tokenizer)[0], broken])
    with pytest.raises(BackendError, match=r"ensemble member 1 .*InvalidInputError"):
        nb.score(ensemble, DATA)


def test_sizes_are_the_smallest_of_the_members():
    def sized(**sizes):
        model = fixed(a=0.5, b=0.5)
        vars(model).update(sizes)
        return model

    plain, small = sized(), sized(states_at_once=7, max_text_bytes=100)
    large = sized(states_at_once=300, max_text_bytes=None)
    assert nb.ByteEnsemble([plain, plain]).states_at_once == 64
    assert nb.ByteEnsemble([plain, plain]).max_text_bytes is None
    assert nb.ByteEnsemble([large, plain]).states_at_once == 64
    nested = nb.ByteEnsemble([large, nb.ByteEnsemble([plain, small])])
    assert (nested.states_at_once, nested.max_text_bytes) == (7, 100)
