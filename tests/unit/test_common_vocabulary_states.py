"""States of models combined over common tokens: forks, lost members, failures, bad arguments."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.ensemble.common_vocabulary import mass_walk
from nextbyte.ensemble.common_vocabulary import text as text_module
from nextbyte.errors import (
    BackendError,
    InvalidInputError,
    MemberLostWarning,
    UnreachableByteError,
)
from unit.common_vocabulary_definition import (
    COMMON,
    OTHERS,
    TEXTS,
    TOKENS,
    Definition,
    member,
    pair,
    with_tokens,
)
from unit.fake_byte_models import FakeByteModel, fixed, one_text_model, order2_model

# --- States --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["mixture", "product"])
def test_forks_and_rollbacks_change_nothing(rule):
    model = nb.CommonVocabularyEnsemble(pair(), rule=rule, tolerance=0.0)
    state = model.start(b"ab")
    seen = {}
    for byte in b"baabab":
        seen[state.prefix] = state.next_byte_logprobs(), state.logprob
        away = state.fork()
        away.push(b"bbaa")
        away.next_byte_logprobs()
        away.rollback(len(away.prefix) - 1)
        state.push(bytes([byte]))
    while len(state.prefix) > 2:
        state.rollback(1)
        np.testing.assert_allclose(state.next_byte_logprobs(), seen[state.prefix][0], atol=1e-12)
        assert math.isclose(state.logprob, seen[state.prefix][1], abs_tol=1e-12)
    state.rollback(2)
    assert (state.prefix, state.logprob) == (b"", 0.0)
    with pytest.raises(InvalidInputError, match="0 to 0"):
        state.rollback(1)


def test_the_chain_is_the_same_read_and_unread():
    model = nb.CommonVocabularyEnsemble(pair(), tolerance=0.0)
    read, unread = model.start(), model.start(b"ab")
    for byte in b"abbaab":
        read.next_byte_logprobs()
        read.push(bytes([byte]))
    unread.push(b"baab")
    assert math.isclose(read.logprob, unread.logprob, abs_tol=1e-12)
    assert unread.logprob_is_exact
    result = nb.score(model, b"abbaab")
    assert math.isclose(float(result.sum()), read.logprob, abs_tol=1e-12)


def normalizing(model):
    """Make a model read its prompts in small letters."""
    start = model.start
    model.start = lambda prompt=b"": start(prompt.lower())
    return model


def test_members_that_normalize_the_prompt():
    both = nb.CommonVocabularyEnsemble([normalizing(m) for m in pair()], tolerance=0.0)
    plain = nb.CommonVocabularyEnsemble(pair(), tolerance=0.0)
    state, expected = both.start(b"ABa"), plain.start(b"aba")
    assert state.prefix == b"aba"
    for n in (0, 1, 1):
        state.rollback(n)
        expected.rollback(n)
        rows = state.next_byte_logprobs(), expected.next_byte_logprobs()
        np.testing.assert_allclose(*rows, atol=1e-12)


def test_one_member_that_normalizes_the_prompt():
    """The texts differ; behind a context that ends with the prompt the laws are those of each."""
    models = [normalizing(member(1, [b"bb"])), member(2, [b"bb"], alphabet=b"AB")]
    model = nb.CommonVocabularyEnsemble(models, tolerance=0.0)
    state = model.start(b"AB")
    assert state.prefix == b"AB"
    row = 0.5 * (np.exp(models[0].law(b"ab")) + np.exp(models[1].law(b"AB")))
    np.testing.assert_allclose(np.exp(state.next_byte_logprobs()), row, atol=1e-12)
    state.rollback(1)
    assert (state.prefix, state.lost_members) == (b"A", ())
    row = 0.5 * (np.exp(models[0].law(b"a")) + np.exp(models[1].law(b"A")))
    np.testing.assert_allclose(np.exp(state.next_byte_logprobs()), row, atol=1e-12)


def test_little_memory_changes_nothing(monkeypatch):
    """Laws and members' states that are given up are made again."""
    model = nb.CommonVocabularyEnsemble(pair(), rule="product", tolerance=0.0)
    rows = [model.start(text).next_byte_logprobs() for text in TEXTS]
    monkeypatch.setattr(mass_walk, "_MOST_STATES", 0)
    monkeypatch.setattr(text_module, "_KEPT_LAWS", 1)
    monkeypatch.setattr(text_module, "_KEPT_STATES", 0)
    for text, row in zip(TEXTS, rows, strict=True):
        state = model.start()
        for byte in text:
            state.next_byte_logprobs()
            state.push(bytes([byte]))
        np.testing.assert_allclose(state.next_byte_logprobs(), row, atol=1e-12)
        shared = state._text
        assert len(shared._laws) == 1
        assert sum(law.walk.states_held for law in shared._laws.values()) == 0


@pytest.mark.parametrize("rule", ["mixture", "product", "posterior"])
def test_it_is_a_member_like_any_other(rule):
    common = nb.CommonVocabularyEnsemble(pair(), tolerance=0.05)
    outer = nb.ByteEnsemble([common, order2_model(4, b"ab")], rule=rule)
    exact = nb.ByteEnsemble(
        [nb.CommonVocabularyEnsemble(pair(), tolerance=0.0), order2_model(4, b"ab")], rule=rule
    )
    for text in TEXTS[:15]:
        state = outer.start(text)
        rows = [np.exp(s.next_byte_logprobs()) for s in (state, exact.start(text))]
        assert 0.5 * abs(rows[0] - rows[1]).sum() <= state.bound + 1e-12


def test_generation_streams_and_counts():
    model = nb.CommonVocabularyEnsemble(pair())
    params = nb.SamplingParams(max_bytes=12, seed=2)
    result = nb.generate(model, "ab", params)
    assert b"".join(c.bytes for c in nb.stream(model, "ab", params)) == result.bytes
    assert result.lm_evaluations > 0
    state = model.start(b"ab")
    model.next_byte_logprobs([state, state])
    assert state.byte_laws >= state.lm_evaluations > 0


# --- Members that the text is too much for -------------------------------------------------------


def test_a_lost_member_leaves_its_weight_to_the_others():
    models = [member(1, TOKENS), with_tokens(one_text_model(b"abba"), OTHERS)]
    model = nb.CommonVocabularyEnsemble(models, [0.5, 0.5], tolerance=0.0)
    definition = Definition(models, COMMON, [0.5, 0.5], "mixture")
    state = model.start(b"ab")
    assert state.lost_members == ()
    with pytest.warns(MemberLostWarning, match="member 1"):
        state.push(b"a")
    assert state.lost_members == (1,)
    for text in (b"aba", b"abab", b"ababb"):
        state.push(text[len(state.prefix) :])
        row = np.exp(state.next_byte_logprobs())
        np.testing.assert_allclose(row, definition.row(text), atol=1e-12)
        with pytest.warns(MemberLostWarning):
            again = model.start(text)
        np.testing.assert_allclose(np.exp(again.next_byte_logprobs()), row, atol=1e-12)
        assert again.lost_members == (1,)
    state.rollback(3)
    assert state.lost_members == ()
    row = np.exp(state.next_byte_logprobs())
    np.testing.assert_allclose(row, definition.row(b"ab"), atol=1e-12)
    again.rollback(3)
    assert again.lost_members == ()
    np.testing.assert_allclose(np.exp(again.next_byte_logprobs()), row, atol=1e-12)


def test_a_product_needs_every_member():
    models = [member(1, TOKENS), with_tokens(one_text_model(b"abba"), OTHERS)]
    model = nb.CommonVocabularyEnsemble(models, rule="product", tolerance=0.0)
    state = model.start(b"ab")
    with pytest.raises(UnreachableByteError, match="under member 1"):
        state.push(b"a")
    assert state.prefix == b"ab"
    assert np.exp(state.next_byte_logprobs())[ord("b")] == 1.0
    with pytest.raises(UnreachableByteError, match="under member 1"):
        model.start(b"aba")


def test_no_member_left():
    model = nb.CommonVocabularyEnsemble(pair(), tolerance=0.0)
    with pytest.raises(UnreachableByteError, match="any member"):
        model.start(b"ac")
    state = model.start(b"a")
    with pytest.raises(UnreachableByteError) as error:
        state.push(b"bac")
    assert (error.value.position, state.prefix) == (3, b"a")


def test_members_without_a_common_token_have_no_product():
    """Both find "a" possible, one by the token "ab" alone and one by "a" and the end."""
    models = [with_tokens(one_text_model(text), [b"ab"]) for text in (b"ab", b"a")]
    state = nb.CommonVocabularyEnsemble(models, rule="product", tolerance=0.0).start()
    with pytest.raises(BackendError, match="no symbol"):
        state.next_byte_logprobs()


def test_a_byte_without_a_common_token_is_refused():
    """After "a" one member goes on with "b" for certain, so the token "a" is impossible for it."""
    sure, free = with_tokens(one_text_model(b"ab"), [b"ab"]), member(1, [b"ab"])
    state = nb.CommonVocabularyEnsemble([sure, free], rule="product", tolerance=0.0).start(b"a")
    assert np.exp(state.next_byte_logprobs())[ord("b")] == 1.0
    with pytest.raises(UnreachableByteError):
        state.push(b"a")
    assert state.prefix == b"a"


def taking_all(model):
    """Make the states of a model take every byte unread."""

    class Unread(type(model.start())):
        def push(self, data):
            self.prefix += data
            self._rows += [None] * len(data)

        def fork(self):
            return Unread(self._law, self.prefix)

    model.start = lambda prompt=b"": Unread(model.law, prompt)
    return model


def test_a_member_that_takes_what_its_law_excludes():
    """Behind "a" it has only "a" and the end, and takes "b"; by the law read there it is out."""
    ends, goes_on = fixed(a=0.5, end=0.5), fixed(b=1.0)
    odd = taking_all(FakeByteModel(lambda x: (goes_on if b"b" in x else ends).law(x)))
    models = [member(1, [b"bb"]), with_tokens(odd, [b"bb"])]
    state = nb.CommonVocabularyEnsemble(models, tolerance=0.0).start(b"a")
    for byte in b"ba":
        state.next_byte_logprobs()
        state.push(bytes([byte]))
        row = np.exp(state.next_byte_logprobs())
        np.testing.assert_allclose(row, np.exp(models[0].law(state.prefix)), atol=1e-12)


def test_a_member_that_says_so_late():
    """It takes a byte unread, and then finds that the text has no law."""

    def law(prefix):
        if prefix.startswith(b"aa"):
            raise UnreachableByteError(1, ord("a"))
        return order2_model(3, b"ab").law(prefix)

    late = taking_all(FakeByteModel(law))
    model = nb.CommonVocabularyEnsemble(
        [member(1, TOKENS), with_tokens(late, OTHERS)], tolerance=0.0
    )
    state = model.start(b"aa")
    with pytest.warns(MemberLostWarning, match="member 1"):
        row = state.next_byte_logprobs()
    assert state.lost_members == (1,)
    assert math.isclose(np.exp(row).sum(), 1.0, abs_tol=1e-12)


def test_a_failing_member_is_named():
    def law(prefix):
        if prefix == b"ab":
            raise RuntimeError("no memory")
        return order2_model(3, b"ab").law(prefix)

    model = nb.CommonVocabularyEnsemble(
        [member(1, TOKENS), with_tokens(FakeByteModel(law), OTHERS)], tolerance=0.0
    )
    state = model.start(b"ab")
    with pytest.raises(BackendError, match=r"member 1 .*no memory"):
        state.next_byte_logprobs()
    assert state.prefix == b"ab"


# --- Arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": []}, "at least one model"),
        ({"models": [object()]}, "member 0 is no byte model"),
        ({"models": [fixed(a=1.0)]}, "member 0 has no tokenizer"),
        ({"weights": [1.0]}, "2 numbers"),
        ({"weights": [2, -1]}, "must not be negative"),
        ({"weights": [2, -1], "rule": "product"}, "need tolerance=0.0"),
        ({"rule": "posterior"}, "rule must be one of 'mixture', 'product'"),
        ({"tolerance": 1.0}, "tolerance"),
        ({"tolerance": math.nan}, "tolerance"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        nb.CommonVocabularyEnsemble(**{"models": pair(), **arguments})


def test_byte_ensemble_names_the_class():
    with pytest.raises(InvalidInputError, match="CommonVocabularyEnsemble"):
        nb.ByteEnsemble(pair(), rule="common-vocabulary")


def test_states_of_others_are_refused():
    model, other = (nb.CommonVocabularyEnsemble(pair()) for _ in range(2))
    with pytest.raises(InvalidInputError, match="another ensemble"):
        model.next_byte_logprobs([other.start()])
    with pytest.raises(InvalidInputError, match="start"):
        model.next_byte_logprobs([object()])


def test_tokens_and_the_encoding():
    model = nb.CommonVocabularyEnsemble(pair())
    assert model.tokens == sorted(COMMON | {bytes([b]) for b in range(256)})
    assert model.encode("abbabaaab") == [b"abba", b"baa", b"ab"]
    assert model.encode(b"\xff") == [b"\xff"]


def test_weights_for_one_text():
    models = pair()
    model = nb.CommonVocabularyEnsemble(models, tolerance=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = model.start(b"ab", weights=[1, 0]).next_byte_logprobs()
    np.testing.assert_allclose(np.exp(row), np.exp(models[0].law(b"ab")), atol=1e-12)
    assert not models[1].started
